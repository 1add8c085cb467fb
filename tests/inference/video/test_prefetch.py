import threading
import time
from collections.abc import Iterator

import pytest

from sr.inference.video.prefetch import Pipeline


def numbers(count: int, *, fault_at: int | None = None) -> Iterator[int]:
    for number in range(count):
        if number == fault_at:
            raise ValueError(f"frame {number}: bad")
        yield number


def test_items_come_through_several_stages_in_order() -> None:
    with Pipeline() as pipeline:
        first = pipeline.ahead("first", numbers(50), 2)
        second = pipeline.ahead("second", (2 * number for number in first), 3)
        assert list(second) == [2 * number for number in range(50)]


def test_an_error_comes_out_at_the_end_of_all_stages_behind_what_was_good() -> None:
    with Pipeline() as pipeline:
        first = pipeline.ahead("first", numbers(50, fault_at=5), 2)
        second = pipeline.ahead("second", (number for number in first), 2)
        assert [next(second) for _ in range(5)] == [0, 1, 2, 3, 4]
        with pytest.raises(ValueError, match="frame 5: bad"):
            next(second)


def test_no_stage_runs_farther_ahead_than_its_queue_allows() -> None:
    made = []

    def items() -> Iterator[int]:
        for number in range(1000):
            made.append(number)
            yield number

    with Pipeline() as pipeline:
        taken = pipeline.ahead("items", items(), 3)
        next(taken)
        time.sleep(0.3)
        assert len(made) <= 1 + 3 + 1  # taken, waiting, and the one that finds no room


def test_leaving_ends_all_threads_though_nobody_takes_their_items() -> None:
    before = threading.active_count()
    with Pipeline() as pipeline:
        first = pipeline.ahead("first", numbers(10**9), 2)
        second = pipeline.ahead("second", (number for number in first), 2)
        assert next(second) == 0
        assert threading.active_count() == before + 2
    assert threading.active_count() == before


def test_fill_tells_how_many_items_wait() -> None:
    with Pipeline() as pipeline:
        pipeline.ahead("items", numbers(2), 4)
        (stage,) = pipeline.stages
        deadline = time.monotonic() + 5
        while stage.fill < 0.75 and time.monotonic() < deadline:  # two items and the end
            time.sleep(0.01)
        assert stage.fill == 0.75


def test_leaving_lets_each_stage_give_back_what_it_holds() -> None:
    ended = []

    def holding() -> Iterator[int]:
        try:
            yield from range(10**9)
        finally:
            ended.append(threading.current_thread().name)

    with Pipeline() as pipeline:
        taken = pipeline.ahead("holding", holding(), 2)
        assert next(taken) == 0
    assert ended == ["sr-holding"]
