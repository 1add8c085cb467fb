"""What --check says about the memory of a step, by made-up measurements."""

from collections.abc import Callable

import pytest
import torch

from sr.training.batch_fit import BatchFit, describe_fit, measure_fit, split_batch

GIB = 2**30


def make_measure(limit: int) -> tuple[Callable[[int], int], list[int]]:
    """A step of 2 GiB, and 1 GiB per crop; beyond `limit` crops there is no memory."""
    tried: list[int] = []

    def measure(batch_size: int) -> int:
        tried.append(batch_size)
        if batch_size > limit:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return (2 + batch_size) * GIB

    return measure, tried


@pytest.mark.parametrize(
    ("batch_size", "limit", "expected"),
    [(16, 100, {16, 8}), (16, 7, {16, 8, 4, 2}), (1, 100, {2, 1}), (16, 3, {16, 8, 4, 2, 1})],
)
def test_two_sizes_give_the_line(batch_size: int, limit: int, expected: set[int]) -> None:
    measure, tried = make_measure(limit)
    fit = measure_fit(measure, batch_size, usable=40 * GIB)
    assert fit is not None
    assert (fit.constant, fit.per_crop) == (2 * GIB, GIB)
    assert fit.largest_batch == 34  # 36 GiB without the tenth
    assert set(tried) == expected


def test_nothing_is_said_where_nothing_can_be_measured() -> None:
    assert measure_fit(lambda _: None, 16, GIB) is None  # a system that does not say
    assert measure_fit(lambda _: GIB, 16, GIB) is None  # nothing comes from the crops
    measure, _ = make_measure(limit=1)
    assert measure_fit(measure, 1, GIB) is None


def test_other_errors_come_through() -> None:
    def fail(_: int) -> int:
        raise RuntimeError("shapes")

    with pytest.raises(RuntimeError, match="shapes"):
        measure_fit(fail, 4, GIB)


@pytest.mark.parametrize(
    ("batch_size", "accumulation", "largest", "expected"),
    [
        (16, 1, 8, (8, 2)),
        (16, 1, 15, (8, 2)),
        (16, 2, 5, (4, 8)),
        (15, 1, 7, (5, 3)),
        (7, 1, 6, (1, 7)),
        (4, 3, 9, (4, 3)),
    ],
)
def test_accumulation_keeps_the_crops_of_a_step(
    batch_size: int, accumulation: int, largest: int, expected: tuple[int, int]
) -> None:
    assert split_batch(batch_size, accumulation, largest) == expected


def test_the_line_names_what_fits_and_what_to_set() -> None:
    def describe(usable: float) -> str:
        return describe_fit(BatchFit(2 * GIB, GIB, int(usable * GIB)), 16, 1, 96, scale=4)

    assert describe(40) == (
        "batch: 1.000 GiB per crop and 2.00 GiB once, of 40.0 GiB that can be used; "
        "batch_size up to about 34 fits, or crop_size up to about 136"
    )
    assert describe(20.5).endswith("; batch_size up to about 16 fits")
    assert describe(12).endswith(
        "; batch_size 16 does not fit with a tenth to spare: use datasets.train.batch_size=8 "
        "train.accumulation=2"
    )
    assert describe(3).endswith(
        "; not even one crop of 96 fits: use datasets.train.crop_size=80 at most"
    )
    assert describe(2).endswith("; not even one crop of 96 fits")
