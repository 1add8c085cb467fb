"""Iterators in threads of their own: order, errors, how far ahead, and their end."""

import threading
import time
from collections.abc import Iterator

import pytest

from sr.inference.video.prefetcher import Prefetcher


def numbers(count: int, *, fault_at: int | None = None) -> Iterator[int]:
    for number in range(count):
        if number == fault_at:
            raise ValueError(f"frame {number}: bad")
        yield number


def test_items_come_through_several_stages_in_order() -> None:
    with Prefetcher() as prefetcher:
        first = prefetcher.prefetch("first", numbers(50), 2)
        second = prefetcher.prefetch("second", (2 * number for number in first), 3)
        assert list(second) == [2 * number for number in range(50)]


def test_an_error_comes_out_at_the_end_of_all_stages_behind_what_was_good() -> None:
    with Prefetcher() as prefetcher:
        first = prefetcher.prefetch("first", numbers(50, fault_at=5), 2)
        second = prefetcher.prefetch("second", (number for number in first), 2)
        assert [next(second) for _ in range(5)] == [0, 1, 2, 3, 4]
        with pytest.raises(ValueError, match="frame 5: bad"):
            next(second)


def test_no_stage_runs_farther_ahead_than_its_queue_allows() -> None:
    made = []

    def items() -> Iterator[int]:
        for number in range(1000):
            made.append(number)
            yield number

    with Prefetcher() as prefetcher:
        taken = prefetcher.prefetch("items", items(), 3)
        next(taken)
        time.sleep(0.3)
        assert len(made) <= 1 + 3 + 1  # taken, waiting, and the one that finds no room


def test_leaving_ends_all_threads_though_nobody_takes_their_items() -> None:
    before = threading.active_count()
    with Prefetcher() as prefetcher:
        first = prefetcher.prefetch("first", numbers(10**9), 2)
        second = prefetcher.prefetch("second", (number for number in first), 2)
        assert next(second) == 0
        assert threading.active_count() == before + 2
    assert threading.active_count() == before


def test_fill_says_how_many_items_wait() -> None:
    with Prefetcher() as prefetcher:
        prefetcher.prefetch("items", numbers(2), 4)
        deadline = time.monotonic() + 5  # for two items and the end
        while prefetcher.fills["items"] < 0.75 and time.monotonic() < deadline:
            time.sleep(0.01)
        assert prefetcher.fills["items"] == 0.75


def test_leaving_lets_each_stage_give_back_what_it_holds() -> None:
    ended = []

    def holding() -> Iterator[int]:
        try:
            yield from range(10**9)
        finally:
            ended.append(threading.current_thread().name)

    with Prefetcher() as prefetcher:
        taken = prefetcher.prefetch("holding", holding(), 2)
        assert next(taken) == 0
    assert ended == ["sr-holding"]
