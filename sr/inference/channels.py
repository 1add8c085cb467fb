"""Pixels of a file <-> images of three channels that a network takes.

Gray is repeated in three channels and the mean of the three comes back. Alpha, where the network
is to upscale it, is a gray image of its own next to the colors, which are premultiplied: colors
under full transparency, which nobody sees, would else shine through at the edges.

Letters: h, w a box's height and width; bands: 1 gray, 2 gray and alpha, 3 RGB, 4 RGB and alpha.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn import functional

from sr.inference.options import Alpha
from sr.io.image_formats import has_alpha
from sr.memory import copy_to_cpu
from sr.tiling.tiles import Box

Pixels = npt.NDArray[np.uint8] | npt.NDArray[np.uint16] | npt.NDArray[np.float32]
ReadPixels = Callable[[Box], Pixels]
"""A box on the LR grid -> its pixels, (h, w, bands), of integers or float32 in [0, 1]."""

WHITE = {"uint8": 255.0, "uint16": 65535.0, "float32": 1.0}
INVISIBLE = 0.5 / 65535  # alpha that is written as 0, at 16 bits per channel
MARGIN = 4  # LR pixels around a box; more than bicubic interpolation reads


@dataclass(frozen=True)
class Channels:
    """How the bands of one image go through a network of `scale`."""

    read_pixels: ReadPixels
    height: int
    width: int
    num_bands: int
    scale: int
    alpha: Alpha

    @property
    def has_alpha(self) -> bool:
        """Of the image that is read."""
        return has_alpha(self.num_bands)

    @property
    def num_bands_out(self) -> int:
        """Of the result."""
        return self.num_bands - (self.has_alpha and self.alpha == "drop")

    def read(self, box: Box, *, splits_alpha: bool = False) -> Tensor:
        """Read what the network sees of a box: (1 or 2, 3, h, w), float32 in [0, 1].

        The second one is alpha, left out where it is the same all over the box, unless
        `splits_alpha`.
        """
        bands = self._read_bands(box)
        colors, alpha = self._split_alpha(bands)
        if alpha is None or self.alpha != "model":
            return _repeat_gray(colors)
        if not splits_alpha and alpha.amin() == alpha.amax():
            return _repeat_gray(colors * alpha)
        return torch.cat([_repeat_gray(colors * alpha), _repeat_gray(alpha)])

    def merge(self, core: Box, sr: Tensor) -> Tensor:
        """Turn the network's result of a box, without its halo, into bands of the file.

        core: on the LR grid. sr: (1 or 2, 3, scale*h, scale*w) on any device.
        Returns (num_bands_out, scale*h, scale*w), float32 in [0, 1].
        """
        sr = sr.float().clamp(0, 1)
        gray = self.num_bands <= 2
        colors = sr[0].mean(0, keepdim=True) if gray else sr[0]
        if self.num_bands_out in (1, 3):
            return colors
        if self.alpha == "bicubic":
            return torch.cat([colors, self._upscale_bicubic(core, alpha=True).to(sr.device)])
        if len(sr) == 2:
            alpha = sr[1].mean(0, keepdim=True)
        else:
            corner = self._read_bands(Box(core.top, core.left, core.top + 1, core.left + 1))
            alpha = corner[-1:].to(sr.device).expand_as(colors[:1])
        return torch.cat([self._unpremultiply(core, colors, alpha), alpha])

    def _unpremultiply(self, core: Box, colors: Tensor, alpha: Tensor) -> Tensor:
        """Divide colors by alpha; under full transparency take those that the file has."""
        visible = alpha > INVISIBLE
        if visible.all():
            return (colors / alpha).clamp(0, 1)
        hidden = self._upscale_bicubic(core, alpha=False).to(colors.device)
        return torch.where(visible, (colors / alpha.clamp(min=INVISIBLE)).clamp(0, 1), hidden)

    def _upscale_bicubic(self, core: Box, *, alpha: bool) -> Tensor:
        """Upscale a box of the file's alpha, or of its colors; seamless between boxes."""
        around = Box(
            max(core.top - MARGIN, 0),
            max(core.left - MARGIN, 0),
            min(core.bottom + MARGIN, self.height),
            min(core.right + MARGIN, self.width),
        )
        bands = self._read_bands(around)
        image = bands[-1:] if alpha else bands[:-1]
        if self.scale > 1:
            factor = float(self.scale)
            image = functional.interpolate(image[None], scale_factor=factor, mode="bicubic")[0]
        inner = core.relative_to(around).multiply(self.scale)
        return image[:, inner.rows, inner.columns].clamp(0, 1)

    def _read_bands(self, box: Box) -> Tensor:
        """(num_bands, h, w), float32 in [0, 1]."""
        pixels = self.read_pixels(box)  # (h, w, bands)
        floats = torch.from_numpy(np.ascontiguousarray(pixels.transpose(2, 0, 1), np.float32))
        return floats / WHITE[pixels.dtype.name]

    def _split_alpha(self, bands: Tensor) -> tuple[Tensor, Tensor | None]:
        return (bands[:-1], bands[-1:]) if self.has_alpha else (bands, None)


def quantize(bands: Tensor, dtype: np.dtype[Any]) -> Pixels:
    """Turn (bands, h, w) in [0, 1] into (h, w, bands) of a file's levels, rounded halves up.

    dtype: uint8, uint16, or float32 for no rounding. The rounding is done on the tensor's device.
    """
    if dtype == np.float32:
        return copy_to_cpu(bands.permute(1, 2, 0).contiguous()).numpy()
    levels = bands.mul(WHITE[dtype.name]).add_(0.5)  # the cast cuts off
    whole = levels.to(torch.uint8 if dtype == np.uint8 else torch.uint16)
    return copy_to_cpu(whole.permute(1, 2, 0).contiguous()).numpy()


def _repeat_gray(x: Tensor) -> Tensor:
    """(1 or 3, h, w) -> (1, 3, h, w)."""
    return x.expand(3, -1, -1)[None]
