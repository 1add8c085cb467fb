"""The size of results: by scale, exact, or by the longer side, and the passes to reach it."""

from pathlib import Path
from typing import Any

import pytest

from sr.inference.options import OutputOptions
from sr.inference.output_size import (
    TargetError,
    choose_size,
    count_passes,
    label_size,
    parse_size,
)


@pytest.mark.parametrize(
    ("given", "size", "label"),
    [
        ({}, (40, 80), "x4"),
        ({"outscale": 2.5}, (25, 50), "x2.5"),
        ({"outscale": 0.01}, (1, 1), "x0.01"),
        ({"size": (7, 9)}, (7, 9), "9x7"),
        ({"long_side": 100}, (50, 100), "100px"),
        ({"long_side": 1}, (1, 1), "1px"),
    ],
)
def test_options_give_size_and_name(
    given: dict[str, Any], size: tuple[int, int], label: str
) -> None:
    output = OutputOptions(Path("out"), **given)
    assert choose_size(output, 10, 20, 4) == size
    assert label_size(output, 4) == label


@pytest.mark.parametrize(
    ("wanted", "scale", "passes"),
    [
        ((10, 20), 4, 1),
        ((40, 80), 4, 1),
        ((41, 80), 4, 2),
        ((160, 320), 4, 2),
        ((5, 81), 4, 2),
        ((80, 160), 2, 3),
        ((999, 999), 1, 1),
    ],
)
def test_the_network_runs_until_no_side_is_short(
    wanted: tuple[int, int], scale: int, passes: int
) -> None:
    assert count_passes((10, 20), wanted, scale) == passes


def test_sizes_out_of_reach_are_refused() -> None:
    with pytest.raises(TargetError, match=r"at most 16 times .* 4 passes .* got: 321x1 from"):
        count_passes((10, 20), (1, 321), 2)


def test_sizes_are_read_width_first() -> None:
    assert parse_size("1920x1080") == (1080, 1920)
    assert parse_size("3X2") == (2, 3)


@pytest.mark.parametrize(
    "text", ["", "x", "10", "10x", "x10", "0x5", "5x0", "-1x5", "axb", "1x2x3"]
)
def test_other_texts_are_refused(text: str) -> None:
    with pytest.raises(TargetError, match="expected WIDTHxHEIGHT"):
        parse_size(text)
