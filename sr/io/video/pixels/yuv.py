"""Convert planes of levels to RGB tensors and back: Rec. ITU-T H.273 (2021), sec. 8.3.

With E'R, E'G, E'B in [0, 1] and the constants KR, KB of the matrix:
    E'Y = KR E'R + (1 - KR - KB) E'G + KB E'B
    E'PB = (E'B - E'Y) / (2 (1 - KB)),  E'PR = (E'R - E'Y) / (2 (1 - KR))
For YCgCo: E'Y = E'G / 2 + (E'R + E'B) / 4,  E'PB = E'G - E'Y,  E'PR = (E'R - E'B) / 2.
Levels of n bits, limited range: Y = 2^(n - 8) (219 E'Y + 16), C = 2^(n - 8) (224 E'P + 128), where
YCgCo has 219 too and R, G, B are like Y; full range: Y = (2^n - 1) E'Y,
C = (2^n - 1) E'P + 2^(n - 1). Alpha is (2^n - 1) E'A always.

Nothing is clamped on the way to RGB: levels outside the nominal range and outside the RGB cube are
common in videos, and an identity network gives every level back. For sampling see `chroma`.
"""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from sr.io.video.frame import Color, Layout, Planes, Siting
from sr.io.video.pixels import chroma
from sr.memory import copy_to_cpu

_GBR, _YCGCO = 0, 8
_CONSTANTS = {  # KR, KB of H.273, table 4
    1: (0.2126, 0.0722),  # BT.709, sec. 3.2
    4: (0.30, 0.11),  # FCC
    5: (0.299, 0.114),  # BT.601, 625 lines
    6: (0.299, 0.114),  # BT.601, 525 lines
    7: (0.212, 0.087),  # SMPTE ST 240
    9: (0.2627, 0.0593),  # BT.2020, non-constant luminance
}

_Rows = list[list[float]]


class Conversion:
    """Converts between the planes of one kind of video and RGB.

    From levels to RGB and back, every level is the same again: float32 errs by about 0.01 levels
    of 16 bits. Not for gradients: call it in inference mode.
    """

    def __init__(self, layout: Layout, color: Color, siting: Siting) -> None:
        """Compute the coefficients.

        color: primaries and transfer do not matter, nor does the matrix where planes are R, G, B;
            with matrix 0 the planes of 4:4:4 are G, B, R, and gray is BT.709's luma.
        Raises ValueError for matrices other than 0, 1 and 4 to 9 (0 only where the planes have one
        size) and depths other than 8 to 16.
        """
        if not 8 <= layout.depth <= 16:
            raise ValueError(f"expected 8 to 16 bits per sample, got {layout.depth}")
        self._layout = layout
        self._siting = siting
        self._max = 2**layout.depth - 1
        luma, differences = _find_formulas(layout, color.matrix)
        scales, self._zeros = _find_ranges(layout, color)
        self._first = (scales[0] * luma).tolist()  # over R, G, B
        self._others: _Rows = [  # over the first plane, R, G, B
            [row[0] * scale / scales[0], *(row[1:] * scale).tolist()]
            for row, scale in zip(differences, scales[1:], strict=True)
        ]
        self._decoding: _Rows  # R, G, B over the planes
        if layout.kind == "gray":
            self._decoding = [[1 / scales[0]]] * 3
        else:
            encoding = np.stack((luma, *(row[0] * luma + row[1:] for row in differences)))
            decoding = np.linalg.inv(encoding * np.array(scales)[:, None])
            decoding[np.abs(decoding) < 1e-12] = 0  # rounding, where the formula has no term
            self._decoding = decoding.tolist()

    def to_rgb(self, planes: Sequence[Tensor]) -> Tensor:
        """Convert to (1, 3, H, W) RGB, nominally in [0, 1] but not clamped, on the planes' device.

        With alpha as the fourth channel where the layout has it: (1, 4, H, W).
        planes: levels in integers of any type, shapes as `Layout.shapes` says for H and W.
        Raises ValueError for other shapes.
        """
        height, width = planes[0].shape
        shapes = tuple(tuple(plane.shape) for plane in planes)
        expected = self._layout.shapes(height, width)
        if shapes != expected:
            raise ValueError(
                f"expected planes of {expected} for {self._layout.pix_fmt}, got {shapes}"
            )
        first = planes[0].to(torch.float32).sub_(self._zeros[0])
        sources = [first]
        num_colors = len(planes) - self._layout.alpha
        if num_colors > 1:
            others = torch.stack([plane.to(torch.float32) for plane in planes[1:num_colors]])
            others.sub_(self._zeros[1])
            sources.extend(
                chroma.upsample(others, (height, width), self._layout.chroma_shift, self._siting)
            )
        rgb = first.new_empty(1, 3 + self._layout.alpha, height, width)
        for out, weights in zip(rgb[0, :3], self._decoding, strict=True):
            _sum_into(out, sources, weights)
        if self._layout.alpha:
            rgb[0, 3] = planes[-1].to(torch.float32) / self._max
        return rgb

    def from_rgb(self, rgb: Tensor) -> tuple[Tensor, ...]:
        """Convert to planes of levels on RGB's device: uint8, or uint16 for more than 8 bits.

        rgb: (1, 3, H, W), or (1, 4, H, W) with alpha where the layout has it; any range. Levels
            are rounded to nearest, then clamped to those that exist, 0 to 2^depth - 1, also in
            limited range.
        Raises ValueError for other shapes and types.
        """
        num_channels = 3 + self._layout.alpha
        if rgb.dim() != 4 or rgb.shape[:2] != (1, num_channels) or rgb.dtype != torch.float32:
            raise ValueError(
                f"expected float32 RGB of (1, {num_channels}, H, W), got {tuple(rgb.shape)} of"
                f" {rgb.dtype}"
            )
        sources = list(rgb[0, :3])
        first = _sum_into(rgb.new_empty(rgb.shape[2:]), sources, self._first)
        others = rgb.new_empty(len(self._others), *rgb.shape[2:])
        for out, weights in zip(others, self._others, strict=True):
            _sum_into(out, [first, *sources], weights)
        others = chroma.downsample(others, self._layout.chroma_shift, self._siting)
        colors = tuple(
            self._round_levels(values, zero)
            for values, zero in zip((first, *others), self._zeros, strict=True)
        )
        if not self._layout.alpha:
            return colors
        return (*colors, self._round_levels(rgb[0, 3] * self._max, 0))

    def _round_levels(self, values: Tensor, zero: float) -> Tensor:
        """Round values that count from `zero` to levels; overwrites them."""
        dtype = torch.uint8 if self._layout.depth == 8 else torch.uint16
        return values.add_(zero).round_().clamp_(0, self._max).to(dtype)


def planes_to_tensors(planes: Planes, device: torch.device) -> tuple[Tensor, ...]:
    """Move planes to a device as the integers they are; on the CPU their memory is shared."""
    return tuple(_as_tensor(plane).to(device) for plane in planes)


def tensors_to_planes(tensors: Sequence[Tensor], layout: Layout) -> Planes:
    """Move levels from any device to contiguous arrays; memory on the CPU is shared."""
    return tuple(
        np.ascontiguousarray(copy_to_cpu(tensor).numpy(), layout.dtype) for tensor in tensors
    )


def _as_tensor(plane: npt.NDArray[np.generic]) -> Tensor:
    if not plane.flags.writeable or min(plane.strides) < 0:  # tensors are always writeable
        plane = plane.copy()
    return torch.from_numpy(plane)


def _find_formulas(
    layout: Layout, matrix: int
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Return the first plane over E'R, E'G, E'B; the others over (it, E'R, E'G, E'B), (n, 4)."""
    none = np.empty((0, 4))
    if layout.kind == "rgb":
        return np.array([1.0, 0, 0]), np.array([[0.0, 0, 1, 0], [0, 0, 0, 1]])
    if matrix == _YCGCO:
        rows = np.array([[-1, 0, 1, 0], [0, 0.5, 0, -0.5]])
        return np.array([0.25, 0.5, 0.25]), rows if layout.kind == "yuv" else none
    if matrix == _GBR and layout.kind == "yuv" and layout.chroma_shift == (0, 0):
        return np.array([0.0, 1, 0]), np.array([[0.0, 0, 0, 1], [0, 1, 0, 0]])
    if matrix == _GBR and layout.kind == "gray":
        matrix = 1
    if matrix not in _CONSTANTS:
        raise ValueError(
            f"expected matrix 1 or 4 to 9 of H.273, or 0 where no plane is subsampled, got {matrix}"
            f" for {layout.pix_fmt}"
        )
    red, blue = _CONSTANTS[matrix]
    rows = np.array([[-1, 0, 0, 1], [-1, 1, 0, 0]]) / (2 * (1 - np.array([[blue], [red]])))
    return np.array([red, 1 - red - blue, blue]), rows if layout.kind == "yuv" else none


def _find_ranges(layout: Layout, color: Color) -> tuple[list[float], list[float]]:
    """Return, for each plane, by how many levels 1 is above 0, and which level 0 is."""
    middle = 2.0 ** (layout.depth - 1)
    unit = 2.0 ** (layout.depth - 8)
    if color.full_range:
        scale, zero, difference = 2.0**layout.depth - 1, 0.0, 2.0**layout.depth - 1
    else:
        scale, zero, difference = 219 * unit, 16 * unit, 224 * unit
    if layout.kind == "gray":
        return [scale], [zero]
    if layout.kind == "rgb" or color.matrix == _GBR:
        return [scale] * 3, [zero] * 3
    if color.matrix == _YCGCO:
        difference = scale
    return [scale, difference, difference], [zero, middle, middle]


def _sum_into(out: Tensor, sources: Sequence[Tensor], weights: Sequence[float]) -> Tensor:
    """Write the weighted sum of planes to `out`; terms of weight 0 cost nothing."""
    terms = [(source, weight) for source, weight in zip(sources, weights, strict=True) if weight]
    torch.mul(terms[0][0], terms[0][1], out=out)
    for source, weight in terms[1:]:
        out.add_(source, alpha=weight)
    return out
