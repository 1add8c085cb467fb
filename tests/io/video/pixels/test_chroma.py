"""Enlarging and reducing chroma are exact inverses, keep ramps in place, and reduce cleanly."""

import math

import pytest
import torch

from sr.io.video.frame import Siting
from sr.io.video.pixels.chroma import downsample, upsample

SHIFTS = [(0, 0), (1, 1), (1, 0), (0, 1), (2, 0), (2, 2)]
LENGTHS = [1, 2, 3, 4, 5, 6, 7, 8, 9, 22, 23, 24, 25]


def chroma_of(height: int, width: int, shift: tuple[int, int]) -> torch.Tensor:
    rows, columns = -(-height // 2 ** shift[1]), -(-width // 2 ** shift[0])
    return torch.rand(2, rows, columns, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("siting", ["left", "center"])
@pytest.mark.parametrize("shift", SHIFTS)
def test_reducing_undoes_enlarging_at_every_size(shift: tuple[int, int], siting: Siting) -> None:
    for height, width in [(h, w) for h in LENGTHS for w in LENGTHS]:
        chroma = chroma_of(height, width, shift)
        enlarged = upsample(chroma, (height, width), shift, siting)
        assert enlarged.shape == (2, height, width)
        torch.testing.assert_close(
            downsample(enlarged, shift, siting), chroma, rtol=0, atol=3e-6, msg=f"{height, width}"
        )


@pytest.mark.parametrize("siting", ["left", "center"])
@pytest.mark.parametrize("shift", SHIFTS)
def test_a_constant_stays_constant_both_ways(shift: tuple[int, int], siting: Siting) -> None:
    for height, width in [(9, 14), (8, 13), (1, 3)]:
        small = torch.full_like(chroma_of(height, width, shift), 0.3)
        large = torch.full((2, height, width), 0.3)
        enlarged = upsample(small, (height, width), shift, siting)
        torch.testing.assert_close(enlarged, large, rtol=0, atol=1e-6)
        torch.testing.assert_close(downsample(large, shift, siting), small, rtol=0, atol=1e-6)


@pytest.mark.parametrize("shift", SHIFTS)
@pytest.mark.parametrize(("siting", "offset"), [("left", 0), ("center", 0.5)])
def test_ramps_stay_where_the_siting_puts_them(
    shift: tuple[int, int], siting: Siting, offset: float
) -> None:
    """Chroma's first column lies at luma's column 0, or in the middle of those that share it."""
    height = width = 40
    column = torch.arange(width).float()
    row = torch.arange(height).float()[:, None]
    ramp = (2 * column + 3 * row).expand(2, height, width)
    wide, high = 2 ** shift[0], 2 ** shift[1]
    columns = torch.arange(width // wide) * wide + offset * (wide - 1)
    rows = torch.arange(height // high)[:, None] * high + 0.5 * (high - 1)
    small = (2 * columns + 3 * rows).expand(2, -1, -1)
    inner = slice(12, -12)
    enlarged = upsample(small, (height, width), shift, siting)
    torch.testing.assert_close(enlarged[:, inner, inner], ramp[:, inner, inner])
    reduced = downsample(ramp, shift, siting)
    inner_columns, inner_rows = slice(12 // wide, -12 // wide), slice(12 // high, -12 // high)
    torch.testing.assert_close(
        reduced[:, inner_rows, inner_columns], small[:, inner_rows, inner_columns]
    )


@pytest.mark.parametrize("siting", ["left", "center"])
def test_a_single_sample_spreads_by_the_documented_weights(siting: Siting) -> None:
    chroma = torch.zeros(1, 9, 9)
    chroma[0, 4, 4] = 1
    spread = upsample(chroma, (18, 18), (1, 1), siting)
    between = torch.tensor([-1.0, 3, 14, 14, 3, -1]) / 16
    across = torch.tensor([0, 0.5, 1, 0.5, 0, 0]) if siting == "left" else between
    torch.testing.assert_close(spread[0, 6:12, 6:12], between[:, None] * across)
    assert spread.count_nonzero() == 6 * across.count_nonzero()


@pytest.mark.parametrize(
    ("siting", "angle", "response"),
    [
        ("left", math.pi / 4, 1.104),
        ("left", math.pi / 2, 1.0),
        ("left", 2 * math.pi / 3, 0.625),
        ("left", math.pi, 0.0),
        ("center", math.pi / 4, 1.081),
        ("center", math.pi / 2, 0.943),
        ("center", 2 * math.pi / 3, 0.453),
        ("center", math.pi, 0.0),
    ],
)
def test_reducing_passes_waves_as_documented(siting: Siting, angle: float, response: float) -> None:
    """A complex wave comes out as itself, sampled where chroma lies, times the response."""
    length = 48
    wave = torch.polar(torch.ones(length), angle * torch.arange(length))
    place = 2 * torch.arange(length // 2) + (0.5 if siting == "center" else 0)
    expected = response * torch.polar(torch.ones(length // 2), angle * place)
    reduced = downsample(torch.stack((wave.real, wave.imag))[:, None], (1, 0), siting)[:, 0]
    inner = slice(4, -4)
    torch.testing.assert_close(
        torch.complex(reduced[0], reduced[1])[inner], expected[inner], rtol=0, atol=1e-3
    )


@pytest.mark.parametrize("siting", ["left", "center"])
def test_the_borders_mirror_so_that_turning_the_image_changes_nothing(siting: Siting) -> None:
    """Of an even number of rows (and of columns with chroma midway, an odd one else)."""
    height, width = 12, 13 if siting == "left" else 12
    large = torch.rand(2, height, width)
    small = downsample(large, (1, 1), siting)
    turned = downsample(large.flip(-1, -2), (1, 1), siting)
    torch.testing.assert_close(turned.flip(-1, -2), small)
    torch.testing.assert_close(
        upsample(small.flip(-1, -2), (height, width), (1, 1), siting),
        upsample(small, (height, width), (1, 1), siting).flip(-1, -2),
    )


@pytest.mark.parametrize("siting", ["left", "center"])
def test_what_goes_in_is_not_changed(siting: Siting) -> None:
    for height, width in [(1, 1), (1, 2), (2, 2), (5, 6)]:
        large = torch.rand(2, height, width)
        before = large.clone()
        small = downsample(large, (1, 1), siting)
        small_before = small.clone()
        upsample(small, (height, width), (1, 1), siting)
        assert torch.equal(large, before)
        assert torch.equal(small, small_before)
