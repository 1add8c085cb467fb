from collections.abc import Iterator
from itertools import count

import pytest

from sr.data.bounded_map import map_bounded


def take(taken: list[int]) -> Iterator[int]:
    for number in count():
        taken.append(number)
        yield number


def test_results_come_in_order_and_items_are_taken_as_results_are() -> None:
    taken: list[int] = []
    results = map_bounded(lambda number: number**2, take(taken), num_threads=3)
    for expected in range(20):
        assert next(results) == expected**2
        assert len(taken) == expected + 4


def test_all_results_of_few_items_come() -> None:
    assert list(map_bounded(str, [1, 2], num_threads=3)) == ["1", "2"]
    assert not list(map_bounded(str, [], num_threads=3))


@pytest.mark.parametrize("where", ["item", "result"])
def test_where_something_fails_nothing_else_is_begun(where: str) -> None:
    begun: list[int] = []

    def give() -> Iterator[int]:
        yield from range(3)
        if where == "item":
            raise ValueError("item")
        yield from range(3, 100)

    def compute(number: int) -> int:
        begun.append(number)
        if where == "result" and number == 3:
            raise ValueError("result")
        return number

    with pytest.raises(ValueError, match=where):
        list(map_bounded(compute, give(), num_threads=2))
    assert max(begun) < 7
