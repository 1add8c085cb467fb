"""A mask over an image or a frame: the model's result where it is white, plain enlargement else.

Plain is bicubic interpolation of what the model sees, pass by pass.

Letters: h, w LR pixels, H, W pixels of the result, s scale.
"""

from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from sr.errors import UsageError, UserError
from sr.inference.channels import MARGIN, WHITE, Channels
from sr.io.image_formats import ImageError, has_alpha
from sr.io.image_reader import open_image
from sr.io.read_policy import DEFAULT_MAX_PIXELS
from sr.networks.composite import Resampler
from sr.tiling.tiles import Box, add_halo


class Mask:
    """How much of the model's result shows where. weights: of any size, in [0, 1]."""

    def __init__(self, weights: npt.NDArray[np.float32], name: str) -> None:
        self._weights = torch.from_numpy(weights)
        self._name = name
        self._of_frames: dict[tuple[int, int, torch.device], Tensor] = {}

    def check_aspect(self, height: int, width: int, pixel_aspect: float = 1.0) -> None:
        """Raise UserError for an image of another aspect ratio, to a pixel of the coarser one.

        pixel_aspect: width over height of a pixel; the mask may be as wide as the image shows.
        """
        own_height, own_width = self._weights.shape
        allowed = max(height, width, own_height, own_width)
        errors = [abs(own_width * height - own_height * w) for w in (width, width * pixel_aspect)]
        if min(errors) > allowed:
            raise UserError(
                f"--mask {self._name}: expected the aspect ratio of {width}x{height} pixels, got"
                f" {own_width}x{own_height}"
            )

    def read(self, box: Box, height: int, width: int) -> Tensor:
        """Return the weights of a box of an image of this size: (box.height, box.width)."""
        own_height, own_width = self._weights.shape
        rows, row_shares = _find_places(box.top, box.bottom, own_height, height)
        columns, column_shares = _find_places(box.left, box.right, own_width, width)
        upper, lower = self._weights[rows[0]], self._weights[rows[1]]  # (box.height, own width)
        lines = torch.lerp(upper, lower, row_shares[:, None])
        return torch.lerp(lines[:, columns[0]], lines[:, columns[1]], column_shares)

    def blend_frame(self, lr: Tensor, sr: Tensor, scale: int) -> Tensor:
        """Return (n, 3, s*h, s*w) of frames lr, (n, C, h, w), and the model's result of them."""
        plain = Resampler(scale, "bicubic")(lr)
        height, width = sr.shape[2:]
        key = (height, width, sr.device)
        if key not in self._of_frames:
            self._of_frames[key] = self.read(Box(0, 0, height, width), height, width).to(sr.device)
        return torch.lerp(plain, sr.to(plain.dtype), self._of_frames[key])

    def blend_box(self, channels: Channels, core: Box, sr: Tensor) -> Tensor:
        """Return the mix of a box of an image. core: on the LR grid. sr: (n, 3, s*h, s*w)."""
        scale = channels.scale
        around = add_halo(core, Box(0, 0, channels.height, channels.width), halo=MARGIN).haloed
        lr = channels.read(around, splits_alpha=True)[: len(sr)].to(sr.device)
        plain = Resampler(scale, "bicubic")(lr)
        inner = core.relative_to(around).multiply(scale)
        weights = self.read(core.multiply(scale), scale * channels.height, scale * channels.width)
        return torch.lerp(
            plain[:, :, inner.rows, inner.columns], sr.to(plain.dtype), weights.to(sr.device)
        )


def read_mask(path: Path | None, max_pixels: int = DEFAULT_MAX_PIXELS) -> Mask | None:
    """Read a mask: the mean of an image's colors, on black where it is transparent.

    Raises UsageError for what cannot be read.
    """
    if path is None:
        return None
    try:
        with open_image(path, max_pixels=max_pixels) as image:
            pixels = image.read()  # (h, w, bands)
    except (ImageError, OSError) as error:
        raise UsageError(f"--mask: {error}") from error
    num_bands, white = pixels.shape[2], np.float32(WHITE[pixels.dtype.name])
    weights = pixels[..., : 1 if num_bands <= 2 else 3].mean(2, dtype=np.float32) / white
    if has_alpha(num_bands):
        weights *= pixels[..., -1] / white
    return Mask(weights, path.name)


def _find_places(start: int, stop: int, own: int, side: int) -> tuple[Tensor, Tensor]:
    """Return the two nearest of `own` samples for each of start..stop-1 of `side` pixels.

    Returns (2, stop - start), and the share of the second: (stop - start).
    """
    places = (torch.arange(start, stop, dtype=torch.float64) + 0.5) * own / side - 0.5
    places = places.clamp(0, own - 1)
    first = places.floor().long()
    shares = (places - first).float()
    return torch.stack([first, (first + 1).clamp(max=own - 1)]), shares
