"""Scores chunks in worker processes on this machine."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from concurrent.futures.process import BrokenProcessPool
from contextlib import closing

from ..errors import ScoringError
from ..processes import MAX_WORKERS, cpus, in_processes
from .inputs import Chunk, Files, place
from .scorer import Scored, Scorer

DEATHS = 3  # of worker processes in a row, before any gives an answer


def local(scorer: Scorer, chunks: Sequence[Chunk], workers: int | None = None) -> Generator[Scored, None, None]:
    """Score chunks in worker processes and yield the answers in the chunks' order.

    workers: how many processes; None for one per core.
    Where a process dies, the chunks without an answer are scored again. Raises InputError where Parquet cannot be read,
    and ScoringError where DEATHS processes in a row die.
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
        except BrokenProcessPool as error:
            deaths += 1
            if deaths == DEATHS:
                raise ScoringError(
                    f"expected worker processes that keep running, found {DEATHS} that died in a row, possibly out of "
                    f"memory, at {_start(chunks[done])} or soon after: free memory, use fewer --workers, or leave out "
                    "that image"
                ) from error


def _start(chunk: Chunk) -> str:
    return chunk.names[0] if isinstance(chunk, Files) else place(chunk.name, chunk.first + chunk.start)
