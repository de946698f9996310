"""Work in threads: in order, ahead of the caller, and stopped early."""

import threading
from collections.abc import Iterator

import pytest

from runtime.threads import AHEAD, in_threads


@pytest.mark.parametrize("threads", [1, 3, 50])
def test_in_order(threads: int) -> None:
    assert list(in_threads(lambda number: number * 2, range(200), threads)) == list(range(0, 400, 2))
    assert list(in_threads(str, [], threads)) == []


def test_as_many_threads_as_asked_for_at_once() -> None:
    together = threading.Barrier(3)
    assert len(set(in_threads(lambda _: together.wait(10) * 0 + threading.get_ident(), range(30), 3))) == 3


def test_a_few_items_ahead() -> None:
    taken: list[int] = []

    def items() -> Iterator[int]:
        for number in range(1000):
            taken.append(number)
            yield number

    answers = in_threads(int, items(), 2)
    assert [next(answers) for _ in range(3)] == [0, 1, 2]
    assert len(taken) <= 3 + 2 * AHEAD
    answers.close()
    assert len(taken) <= 3 + 2 * AHEAD


def test_an_error_is_raised_where_its_result_is_due_and_ends_the_work() -> None:
    done: list[int] = []

    def work(number: int) -> int:
        done.append(number)
        return 1 // (5 - number)

    answers = in_threads(work, range(10**9), 2)
    assert [next(answers) for _ in range(5)] == [0, 0, 0, 0, 1]
    with pytest.raises(ZeroDivisionError):
        next(answers)
    assert len(done) < 6 + 2 * AHEAD


def test_a_failing_source_of_items_ends_the_work() -> None:
    def items() -> Iterator[int]:
        yield from range(5)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        list(in_threads(int, items(), 2))
