"""Aligned random crops, flips and transposes of an lr/hr pair, from a random generator alone.

Images are (H, W, 3) uint8 arrays; hr is `scale` times as large as lr.
"""

from collections.abc import Callable
from dataclasses import dataclass

import cv2
import numpy as np
import torch
from torch import Tensor

from sr.data.sources import Image

Place = tuple[int, int]  # top, left


def draw_place(
    lr_shape: tuple[int, ...],
    lr_size: int,
    candidates: int,
    rng: np.random.Generator,
    measure: Callable[[Place], float],
    quantile: float = 1.0,
) -> Place:
    """Draw the place of a square crop of lr_size pixels in an lr of this shape, (H, W, ...).

    Of `candidates` random places, sorted by their detail, the one at the quantile is returned, at 1
    the most detailed. measure: of detail at a place; not called for a single candidate.
    """
    height, width = lr_shape[:2]
    places = [
        (int(rng.integers(height - lr_size + 1)), int(rng.integers(width - lr_size + 1)))
        for _ in range(candidates)
    ]
    if candidates > 1:
        places.sort(key=measure)
    return places[round(quantile * (candidates - 1))]


def cut_square(image: Image, place: Place, size: int, margin: int = 0) -> Image:
    """Cut out the square of `size` pixels at a place, with `margin` more on each side.

    The margin is mirrored at the borders of the image.
    """
    top, left = place[0] - margin, place[1] - margin
    bottom, right = place[0] + size + margin, place[1] + size + margin
    height, width = image.shape[:2]
    inside = image[max(top, 0) : bottom, max(left, 0) : right]
    padding = [
        (max(-top, 0), max(bottom - height, 0)),
        (max(-left, 0), max(right - width, 0)),
        (0, 0),
    ]
    if not any(sum(sides) for sides in padding):
        return inside
    return np.pad(inside, padding, mode="symmetric")


def measure_detail(image: Image) -> float:
    """Return the mean absolute difference of neighboring pixels, in 8-bit levels."""
    values = image.astype(np.int16)
    down = np.abs(np.diff(values, axis=0)).mean()
    across = np.abs(np.diff(values, axis=1)).mean()
    return float(down + across)


def measure_bicubic_residual(hr: Image, size: int, scale: int) -> float:
    """Return the mean absolute error of bicubic upscaling of the downscaled crop, in 8-bit levels.

    hr: square; it is first shrunk to `size` pixels, a multiple of the scale. A quick measure by
    OpenCV's filters (area down, bicubic up), not the exact ones that LR is made with.
    """
    crop = cv2.resize(hr, (size, size), interpolation=cv2.INTER_AREA) if len(hr) > size else hr
    small = (len(crop) // scale, len(crop) // scale)
    lr = cv2.resize(crop, small, interpolation=cv2.INTER_AREA)
    sr = cv2.resize(lr, crop.shape[1::-1], interpolation=cv2.INTER_CUBIC)
    return float(cv2.absdiff(crop, sr).mean())


@dataclass(frozen=True)
class Augmentation:
    """One of the eight combinations of flips and a transpose; the flips come first."""

    down: bool  # flips rows
    across: bool  # flips columns
    swap: bool  # transposes

    def apply(self, image: Image) -> Image:
        """Flip and transpose an image, (H, W, 3)."""
        if self.down:
            image = image[::-1]
        if self.across:
            image = image[:, ::-1]
        return image.transpose(1, 0, 2) if self.swap else image

    def apply_to_frames(self, frames: Tensor) -> Tensor:
        """Flip and transpose frames, (..., H, W)."""
        if self.down:
            frames = frames.flip(-2)
        if self.across:
            frames = frames.flip(-1)
        return frames.transpose(-1, -2) if self.swap else frames

    def apply_to_flows(self, flows: Tensor) -> Tensor:
        """Flip and transpose flow, (..., 2, H, W), whose vectors (across, down) turn, too."""
        across, down = self.apply_to_frames(flows).unbind(-3)
        across = -across if self.across else across
        down = -down if self.down else down
        return torch.stack([down, across] if self.swap else [across, down], dim=-3)


def draw_augmentation(flips: bool, transposes: bool, rng: np.random.Generator) -> Augmentation:
    """Draw each flip and the transpose with probability 1/2 where allowed."""
    down, across, swap = (bool(chance < 0.5) for chance in rng.random(3))
    return Augmentation(flips and down, flips and across, transposes and swap)
