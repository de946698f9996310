"""Work in threads, ahead of the caller, which an exception of a signal handler may interrupt anywhere.

`concurrent.futures` and `threading` may then wait for ever, as functions in Python take and free their locks; C code
does here.
"""

from __future__ import annotations

from _thread import start_new_thread
from collections import deque
from collections.abc import Callable, Generator, Iterable
from queue import SimpleQueue
from typing import Any, TypeVar

AHEAD = 4  # items per thread whose results may wait for the caller

Item = TypeVar("Item")
Result = TypeVar("Result")
Answer = SimpleQueue[tuple[Any, BaseException | None]]


def in_threads(work: Callable[[Item], Result], items: Iterable[Item], threads: int) -> Generator[Result, None, None]:
    """Apply `work` to items in threads, a few items ahead of the caller; yield the results in order.

    Where this generator is closed or fails, what has not begun is left out, and what has is waited for. Raises what
    `work` raises.
    """
    pending: deque[Answer] = deque()
    tasks: SimpleQueue[tuple[Item, Answer] | None] = SimpleQueue()
    ended: SimpleQueue[None] = SimpleQueue()
    closing: list[bool] = []
    started = 0

    def run() -> None:
        while (task := tasks.get()) and not closing:
            item, answer = task
            try:
                answer.put((work(item), None))
            except BaseException as error:  # raised where the result is due
                answer.put((None, error))
        tasks.put(None)  # for the next thread
        ended.put(None)

    try:
        for item in items:
            pending.append(SimpleQueue())
            tasks.put((item, pending[-1]))
            if started < threads:
                start_new_thread(run, ())
                started += 1
            if len(pending) == AHEAD * threads:
                yield _result(pending.popleft())
        while pending:
            yield _result(pending.popleft())
    finally:
        closing.append(True)
        tasks.put(None)
        for _ in range(started):
            ended.get()


def _result(answer: Answer) -> Any:
    result, error = answer.get()
    if error is not None:
        raise error
    return result
