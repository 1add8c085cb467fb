"""Batches drawn from a pool of the latest crops."""

from collections.abc import Iterator
from itertools import count, islice

import pytest
import torch

from sr.data.crops import Crop
from sr.data.pool import count_held_batches, draw_from_pool

BATCH = 4


def make_fresh(first: int = 0, stride: int = 1) -> Iterator[Crop]:
    """Batches of crops that show their numbers."""
    for number in count(first, stride):
        values = torch.arange(number * BATCH, (number + 1) * BATCH).float()
        crops = values[:, None, None, None].expand(BATCH, 3, 2, 2)
        names = [f"{value:.0f}" for value in values]
        yield {"lr": crops, "hr": crops + 0.5, "name": names}  # type: ignore[typeddict-item]


def draw(num_batches: int, size: int, uses: int, first_batch: int = 0) -> list[list[int]]:
    """The numbers of the crops of each batch."""
    first_fresh = max(0, first_batch // uses - count_held_batches(size, BATCH) + 1)
    batches = draw_from_pool(make_fresh(first_fresh), size, uses, BATCH, 0, first_batch, 1)
    numbers = []
    for batch in islice(batches, num_batches):
        found = [int(value) for value in batch["lr"][:, 0, 0, 0]]
        assert [f"{number}" for number in found] == list(batch["name"])
        assert torch.equal(batch["hr"], batch["lr"] + 0.5)
        numbers.append(found)
    return numbers


@pytest.mark.parametrize("uses", [1, 3])
def test_crops_are_used_as_often_as_asked_for_while_they_are_in_the_pool(uses: int) -> None:
    num_batches, size = 1200, 10  # three batches of 4
    batches = draw(num_batches, size, uses)
    times = torch.zeros(num_batches * BATCH)
    for number, batch in enumerate(batches):
        newest = number // uses
        assert len(set(batch)) == BATCH
        assert max(0, newest - 2) * BATCH <= min(batch)
        assert max(batch) < (newest + 1) * BATCH
        times[batch] += 1
    old = times[12 * uses : (num_batches // uses - 3) * BATCH]  # not of the beginning and the end
    assert old.mean() == pytest.approx(uses, abs=0.05)
    assert len({batch // BATCH for batch in batches[600]}) > 1


def test_a_pool_goes_on_where_it_was_left() -> None:
    whole = draw(40, 10, 3)
    for first in (1, 5, 6, 20):
        assert draw(10, 10, 3, first) == whole[first : first + 10]
