"""JPEG with chroma at half resolution, encoded and decoded at once, in torch.

ITU-T T.81 (1992): DCT A.3.3, quantization A.3.4, tables K.1 and K.2; colors as in JFIF (ITU-T
T.871). Without the entropy coding, which loses nothing. What T.81 leaves open is as in libjpeg: the
scaling of the tables by quality, averaging and "fancy" enlarging of chroma, rounding to 8 bits
after each step.

Deviation: the DCT is in floating point, where libjpeg's is in integers, so that a coefficient now
and then is rounded the other way.

The gradient is zero almost everywhere, as that of rounding is.

Letters: B images; N pixels per side of the canvas; S the next multiple of 16.
"""

from collections.abc import Sequence
from functools import cache
from math import cos, pi, sqrt

import torch
from torch import Tensor

from sr.data.on_device.steps import gather_pixels

_LEVELS = 255
_BLOCK = 8
_MIDDLE = 128
# Tables K.1 (luma) and K.2 (chroma), row by row from the lowest frequencies.
_LUMA_TABLE = (
    (16, 11, 10, 16, 24, 40, 51, 61),
    (12, 12, 14, 19, 26, 58, 60, 55),
    (14, 13, 16, 24, 40, 57, 69, 56),
    (14, 17, 22, 29, 51, 87, 80, 62),
    (18, 22, 37, 56, 68, 109, 103, 77),
    (24, 35, 55, 64, 81, 104, 113, 92),
    (49, 64, 78, 87, 103, 121, 120, 101),
    (72, 92, 95, 98, 112, 100, 103, 99),
)
_CHROMA_TABLE = (
    (17, 18, 24, 47, 99, 99, 99, 99),
    (18, 21, 26, 66, 99, 99, 99, 99),
    (24, 26, 56, 99, 99, 99, 99, 99),
    (47, 66, 99, 99, 99, 99, 99, 99),
    *[(99,) * 8] * 4,
)


def compress_jpeg(images: Tensor, sides: Sequence[int], qualities: Sequence[int]) -> Tensor:
    """Encode and decode each image; rounds to 8 bits.

    images: (B, 3, N, N), RGB in [0, 1], each of `sides[b]` pixels per side in the top left corner.
    qualities: 1 to 100. Returns the same shape.
    """
    side = images.shape[-1]
    last = torch.tensor(sides, device=images.device)[:, None] - 1  # (B, 1)
    rgb = (images.clamp(0, 1) * _LEVELS + 0.5).floor_()
    rgb = gather_pixels(rgb, _clamp_places(_round_up(side, 2 * _BLOCK), last))  # (B, 3, S, S)
    luma, chroma = _to_ycc(rgb)
    half = last // 2  # the last pixel of chroma
    luma = _code(luma, _LUMA_TABLE, qualities)
    chroma = _code(_halve(chroma), _CHROMA_TABLE, qualities)
    chroma = gather_pixels(chroma, _clamp_places(chroma.shape[-1], half))
    return _to_rgb(luma, _double(chroma))[..., :side, :side] / _LEVELS


def _clamp_places(count: int, last: Tensor) -> Tensor:
    """Return the places 0 to count - 1, at most the last one of each image: (B, count)."""
    return torch.minimum(torch.arange(count, device=last.device), last)


def _round_up(side: int, multiple: int) -> int:
    return -(-side // multiple) * multiple


def _to_ycc(rgb: Tensor) -> tuple[Tensor, Tensor]:
    """Return luma, (B, 1, S, S), and chroma, (B, 2, S, S), in whole levels."""
    red, green, blue = rgb.unbind(1)
    luma = 0.299 * red + 0.587 * green + 0.114 * blue
    cb = 0.5 * blue - 0.168735892 * red - 0.331264108 * green + _MIDDLE
    cr = 0.5 * red - 0.418687589 * green - 0.081312411 * blue + _MIDDLE
    chroma = torch.stack([cb, cr], dim=1)
    return (luma[:, None] + 0.5).floor_(), chroma.round_().clamp_(0, _LEVELS)


def _to_rgb(luma: Tensor, chroma: Tensor) -> Tensor:
    """Return (B, 3, S, S) in whole levels from 0 to 255."""
    cb, cr = (chroma - _MIDDLE).unbind(1)
    red = (1.402 * cr).round_()
    green = (-0.344136286 * cb - 0.714136286 * cr).round_()
    blue = (1.772 * cb).round_()
    return torch.stack([red, green, blue], dim=1).add_(luma).clamp_(0, _LEVELS)


def _halve(planes: Tensor) -> Tensor:
    """Average squares of 2x2, halves rounded down and up in turn from column to column."""
    sums: Tensor = planes.unflatten(-1, (-1, 2)).sum(-1).unflatten(-2, (-1, 2)).sum(-2)
    bias = 1 + torch.arange(sums.shape[-1], device=planes.device) % 2
    return ((sums + bias) / 4).floor_()


def _double(planes: Tensor) -> Tensor:
    """Enlarge to twice the size: three quarters of the nearest pixel, a quarter of the next."""
    rows = _mix_neighbors(planes.transpose(-1, -2)).transpose(-1, -2)
    columns = _mix_neighbors(rows)
    bias = 8 - torch.arange(columns.shape[-1], device=planes.device) % 2
    return ((columns + bias) / 16).floor_()


def _mix_neighbors(planes: Tensor) -> Tensor:
    """Return 3 times each pixel plus the one before, and plus the one after: (..., 2 * width)."""
    before = torch.cat([planes[..., :1], planes[..., :-1]], dim=-1)
    after = torch.cat([planes[..., 1:], planes[..., -1:]], dim=-1)
    return torch.stack([3 * planes + before, 3 * planes + after], dim=-1).flatten(-2)


def _code(planes: Tensor, table: Sequence[Sequence[int]], qualities: Sequence[int]) -> Tensor:
    """Round the DCT coefficients of each block of 8x8 to multiples of the table's entries.

    planes: (B, C, S, S), whole levels from 0 to 255; so is the result.
    """
    dct = _make_dct().to(planes.device)
    steps = torch.stack([_scale_table(table, quality) for quality in qualities]).to(planes.device)
    steps = steps[:, None, None, :, None, :]  # (B, 1, 1, 8, 1, 8)
    coefficients = _transform(planes - _MIDDLE, dct)
    blocks = coefficients.unflatten(-1, (-1, _BLOCK)).unflatten(-3, (-1, _BLOCK))
    rounded = ((blocks / steps).round_() * steps).flatten(-2).flatten(-3, -2)
    return (_transform(rounded, dct.T) + _MIDDLE).round_().clamp_(0, _LEVELS)


def _transform(planes: Tensor, matrix: Tensor) -> Tensor:
    """Multiply rows and columns of each block of 8x8 with a matrix."""
    for _ in range(2):
        rows: Tensor = planes.unflatten(-1, (-1, _BLOCK))
        planes = (rows @ matrix.T).flatten(-2).transpose(-1, -2)
    return planes


@cache
def _make_dct() -> Tensor:
    """Make the orthonormal DCT of 8 values, (8, 8); its transpose is the inverse."""
    rows = [
        [cos((2 * place + 1) * frequency * pi / (2 * _BLOCK)) / 2 for place in range(_BLOCK)]
        for frequency in range(_BLOCK)
    ]
    rows[0] = [value / sqrt(2) for value in rows[0]]
    return torch.tensor(rows)


@cache
def _scale_table(table: Sequence[Sequence[int]], quality: int) -> Tensor:
    """Return libjpeg's table at a quality, (8, 8): 50 is the standard's, 100 all ones."""
    percent = 5000 // quality if quality < 50 else 200 - 2 * quality
    scaled = (torch.tensor(table) * percent + 50) // 100
    return scaled.clamp_(1, _LEVELS).float()
