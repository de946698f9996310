"""Scores chunks in actors on Ray, on a cluster or on this machine."""

from __future__ import annotations

import io
import logging
import os
import pickle
import socket
import sys
from collections.abc import Generator, Iterator, Sequence
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import KitError, ScoringError, needs_extra
from ..origin import raised_by
from ..processes import cpus
from .inputs import Chunk
from .scorer import Scored, Scorer

if TYPE_CHECKING:
    import pyarrow as pa

CONNECT_SECONDS = 10
MAX_BLOCKS = 10_000  # that Ray's driver keeps track of


def on_ray(scorer: Scorer, chunks: Sequence[Chunk], workers: int | None = None) -> Generator[Scored, None, None]:
    """Score chunks with Ray Data, in actors of one CPU each, and yield the answers in the chunks' order.

    Connects to the cluster that RAY_ADDRESS names, or runs Ray on this machine until all is scored.
    workers: how many actors; None for one per CPU.
    Ray repeats the work of an actor that dies. Raises InputError where Parquet cannot be read, and ScoringError where
    the cluster fails.
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
                answer = pickle.loads(data)  # noqa: S301 - written by `_Actor`
                if isinstance(answer, KitError):
                    raise answer
                yield answer


class _Actor:
    """A scorer on Ray: from pickled tasks to pickled answers. A KitError is returned as an answer."""

    def __init__(self, scorer: Scorer) -> None:
        self._scorer = scorer

    def __call__(self, tasks: pa.Table) -> pa.Table:
        import pyarrow as pa

        answers = [pickle.dumps(self._answer(task)) for task in tasks["item"].to_pylist()]
        return pa.table({"answer": pa.array(answers, pa.large_binary())})

    def _answer(self, task: bytes) -> Scored | KitError:
        try:
            return self._scorer.score(pickle.loads(task))  # noqa: S301 - written by `on_ray`
        except KitError as error:
            return error


@contextmanager
def _ray(workers: int | None) -> Iterator[Any]:
    """Connect to Ray without its output, and give its module. Raises ScoringError where Ray fails."""
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    os.environ.setdefault("RAY_BACKEND_LOG_LEVEL", "fatal")
    with needs_extra("ray", "--engine ray"):
        import ray
        import ray.data
    address = os.environ.get("RAY_ADDRESS") or "local"
    size: dict[str, Any] = {"num_cpus": workers or cpus(), "include_dashboard": False} if address == "local" else {}
    try:
        _check_connection(address)
        with _muffled():  # Ray prints its log level to file descriptor 2
            ray.init(address=address, log_to_driver=False, logging_level=logging.CRITICAL, **size)
    except Exception as error:  # Ray raises what its parts do
        if not (raised_by(error, "ray") or raised_by(error, "grpc")):
            raise
        raise _failed(address, error) from error
    logging.getLogger("ray.data").setLevel(logging.CRITICAL)
    with redirect_stdout(sys.stderr):  # where Ray reports that an actor has died
        try:
            yield ray
        except ray.exceptions.RayError as error:
            raise _failed(address, error) from error
        finally:
            nowhere = io.StringIO()  # Ray reports the actors that it ends itself, too
            with redirect_stdout(nowhere), redirect_stderr(nowhere):
                ray.shutdown()


def _check_connection(address: str) -> None:
    """Connect to a cluster's host:port with a timeout, which Ray does not have. Raises OSError and ValueError."""
    if ":" in address and "://" not in address:
        host, _, port = address.rpartition(":")
        socket.create_connection((host.strip("[]"), int(port)), timeout=CONNECT_SECONDS).close()


def _failed(address: str, error: Exception) -> ScoringError:
    reason = str(error.__cause__ or error).strip().rpartition("\n")[2]
    where = "Ray on this machine" if address == "local" else f"the Ray cluster that RAY_ADDRESS names, {address},"
    if "RAY_AUTH_TOKEN" in reason:
        return ScoringError(
            f"expected {where} to accept this process, found: its authentication token is missing or incorrect: set "
            "RAY_AUTH_MODE=token, and RAY_AUTH_TOKEN or RAY_AUTH_TOKEN_PATH to the cluster's token"
        )
    return ScoringError(
        f"expected {where} to score images, found: {reason}: see that it runs and has softmax-kit[ray], or take "
        "--engine local"
    )


@contextmanager
def _muffled() -> Iterator[None]:
    """Discard what code outside of Python writes to standard error."""
    sys.stderr.flush()
    kept = os.dup(2)
    try:
        with Path(os.devnull).open("wb") as nowhere:
            os.dup2(nowhere.fileno(), 2)
            yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
