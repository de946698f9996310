"""Who scores the chunks: processes on this machine, or actors on Ray. Both do the same work and keep the same order."""

from __future__ import annotations

import io
import logging
import os
import pickle
import socket
import sys
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from concurrent.futures.process import BrokenProcessPool
from contextlib import closing, contextmanager, redirect_stderr, redirect_stdout
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

from ..classifier import ModelPath, load
from ..errors import KitError, ScoringError, needs_extra
from ..processes import MAX_WORKERS, cpus, in_processes
from .inputs import Chunk, Files, find_chunks
from .output import check_output, writing
from .scorer import Scored, Scorer

if TYPE_CHECKING:
    import pyarrow as pa

Engine: TypeAlias = Callable[[Scorer, Sequence[Chunk], int | None], Generator[Scored, None, None]]

Progress: TypeAlias = Callable[[int, int], None]

NAMED_ERRORS = 3
DEATHS = 3  # of processes one after the other, before any gives an answer
CONNECT_SECONDS = 10
MAX_BLOCKS = 10_000  # that Ray's driver keeps track of


class Summary(NamedTuple):
    """What became of the images. named: the first errors and where they are. notes: what looks wrong with them all."""

    images: int
    errors: int
    named: list[str]
    notes: list[str]


def score_all(
    model: ModelPath,
    inputs: Iterable[str],
    output: Path,
    *,
    engine: str = "local",
    workers: int | None = None,
    column: str | None = None,
    progress: Progress,
) -> Summary:
    """Classify all images of the inputs with the artefact at `model`, and write the predictions to a new folder.

    inputs, column: as `find_chunks` takes them. engine: "local" or "ray". workers: as the engine takes them. progress:
    called with the number of images done, and of all. Raises ArtefactError, InputError, ScoringError and
    MissingExtraError; then there is nothing at `output`.
    """
    check_output(output)
    scorer = Scorer(load(model))
    chunks = find_chunks(inputs, size=scorer.chunk_size, column=column)
    total = sum(chunk.images for chunk in chunks)
    images = errors = 0
    named: list[str] = []
    notes: list[str] = []
    with writing(output) as predictions, closing(ENGINES[engine](scorer, chunks, workers)) as answers:
        for scored in answers:
            predictions.add(scored.table)
            images += len(scored.table)
            errors += len(scored.table) - scored.table["error"].null_count
            if len(named) < min(errors, NAMED_ERRORS):
                named += _named_errors(scored.table)
            notes += scored.notes
            progress(images, total)
        if images != total:
            raise ScoringError(f"expected predictions for {total:,} images, found {images:,}: try again")
    return Summary(images, errors, named[:NAMED_ERRORS], notes)


def local(scorer: Scorer, chunks: Sequence[Chunk], workers: int | None = None) -> Generator[Scored, None, None]:
    """Score chunks in processes on this machine; yields the answers in the order of the chunks.

    workers: None for one a core. Where a process dies, what was not yielded is done again. Raises InputError where
    Parquet cannot be read, and ScoringError where process after process dies.
    """
    numbered = list(enumerate(chunks))
    done = deaths = 0
    while done < len(chunks):
        workers = min(workers or cpus(), len(chunks) - done, MAX_WORKERS)
        try:
            with closing(in_processes(scorer.score, numbered[done:], workers)) as answers:
                for scored in answers:
                    yield scored
                    done, deaths = done + 1, 0
        except BrokenProcessPool:
            deaths += 1
            if deaths == DEATHS:
                raise ScoringError(
                    f"expected processes that last, found {DEATHS} die one after the other, perhaps for want of "
                    f"memory, at {_start(chunks[done])} or soon after: free some, use fewer --workers, or leave it out"
                ) from None


def on_ray(scorer: Scorer, chunks: Sequence[Chunk], workers: int | None = None) -> Generator[Scored, None, None]:
    """Score chunks on Ray Data, in actors of one CPU each; yields the answers in the order of the chunks.

    Joins the cluster that RAY_ADDRESS names, or starts Ray on this machine for as long as it takes. workers: actors,
    None for one a CPU. The work of an actor that dies is done again: Ray's own defaults for actors in Ray Data. Raises
    InputError where Parquet cannot be read, and ScoringError where the cluster fails.
    """
    with _ray(workers) as ray:
        count = min(len(chunks), MAX_BLOCKS)
        tasks = ray.data.from_items([pickle.dumps(task) for task in enumerate(chunks)], override_num_blocks=count)
        tasks.context.execution_options.preserve_order = True
        tasks.context.enable_progress_bars = tasks.context.print_on_execution_start = False
        actors = ray.data.ActorPoolStrategy(size=min(workers or int(ray.cluster_resources().get("CPU", 1)), count))
        answers = tasks.map_batches(
            _Actor, fn_constructor_args=(scorer,), batch_size=None, batch_format="pyarrow", compute=actors, num_cpus=1
        )
        for block in answers.iter_batches(batch_size=None, batch_format="pyarrow"):
            for data in block["answer"].to_pylist():
                answer = pickle.loads(data)  # noqa: S301 - by an actor of ours
                if isinstance(answer, KitError):
                    raise answer
                yield answer


class _Actor:
    """A scorer on Ray: pickled tasks to pickled answers. An error that a user can cause is an answer too."""

    def __init__(self, scorer: Scorer) -> None:
        self._scorer = scorer

    def __call__(self, tasks: pa.Table) -> pa.Table:
        import pyarrow as pa

        answers = [pickle.dumps(self._answer(task)) for task in tasks["item"].to_pylist()]
        return pa.table({"answer": pa.array(answers, pa.large_binary())})

    def _answer(self, task: bytes) -> Scored | KitError:
        try:
            return self._scorer.score(pickle.loads(task))  # noqa: S301 - by the driver
        except KitError as error:
            return error


@contextmanager
def _ray(workers: int | None) -> Iterator[Any]:
    """Give Ray, connected and quiet. Raises ScoringError where it fails."""
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    os.environ.setdefault("RAY_BACKEND_LOG_LEVEL", "fatal")
    with needs_extra("ray", "--engine ray"):
        import ray
        import ray.data
    address = os.environ.get("RAY_ADDRESS") or "local"
    size: dict[str, Any] = {"num_cpus": workers or cpus(), "include_dashboard": False} if address == "local" else {}
    try:
        _check_that_someone_answers(address)
        with _muffled():  # it says there which level of its own log it was told to keep to
            ray.init(address=address, log_to_driver=False, logging_level=logging.CRITICAL, **size)
    except Exception as error:  # Ray raises what its parts do
        raise _failed(address, error) from None
    logging.getLogger("ray.data").setLevel(logging.CRITICAL)
    with redirect_stdout(sys.stderr):  # where Ray tells of an actor that has died
        try:
            yield ray
        except ray.exceptions.RayError as error:
            raise _failed(address, error) from None
        finally:
            nowhere = io.StringIO()  # for what it tells of actors that it ends itself
            with redirect_stdout(nowhere), redirect_stderr(nowhere):
                ray.shutdown()


def _check_that_someone_answers(address: str) -> None:
    """Connect to a cluster's host:port, which Ray tries for ever. Raises OSError and ValueError."""
    if ":" in address and "://" not in address:
        host, _, port = address.rpartition(":")
        socket.create_connection((host.strip("[]"), int(port)), timeout=CONNECT_SECONDS).close()


def _failed(address: str, error: Exception) -> ScoringError:
    reason = str(error.__cause__ or error).strip().rpartition("\n")[2]
    where = "Ray on this machine" if address == "local" else f"the Ray cluster that RAY_ADDRESS names, {address},"
    return ScoringError(
        f"expected {where} to score images, found: {reason}: see that it runs and has softmax-kit[ray], or take "
        "--engine local"
    )


@contextmanager
def _muffled() -> Iterator[None]:
    """Keep what is not Python from writing to standard error."""
    sys.stderr.flush()
    kept = os.dup(2)
    try:
        with Path(os.devnull).open("wb") as nowhere:
            os.dup2(nowhere.fileno(), 2)
            yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)


def _named_errors(table: pa.Table) -> list[str]:
    bad = table.filter(table["error"].is_valid()).slice(0, NAMED_ERRORS).to_pylist()
    return [f"{_place(row['path'], row['row'])}: {row['error']}" for row in bad]


def _place(path: str, row: int | None) -> str:
    return path if row is None else f"{path}, row {row}"


def _start(chunk: Chunk) -> str:
    return chunk.names[0] if isinstance(chunk, Files) else _place(chunk.name, chunk.first + chunk.start)


ENGINES: dict[str, Engine] = {"local": local, "ray": on_ray}
