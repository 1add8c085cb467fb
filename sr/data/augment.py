"""Aligned random crops and orientations of an lr/hr pair, as pure functions of a random generator.

Images are (H, W, 3) uint8 arrays; hr is `scale` times as large as lr.
"""

from collections.abc import Callable
from dataclasses import dataclass

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

Image = NDArray[np.uint8]
Pair = tuple[Image, Image]  # lr, hr
Place = tuple[int, int]  # top, left


def draw_place(
    lr: Image,
    lr_size: int,
    candidates: int,
    rng: np.random.Generator,
    quantile: float = 1.0,
    measure: Callable[[Place], float] | None = None,
) -> Place:
    """Where a square crop of lr_size pixels lies in lr.

    Of `candidates` random places, sorted by their detail, the one at the quantile is taken: at 1
    that with the most. measure: of a place; by default the mean absolute difference of
    neighboring lr pixels.
    """
    places = [
        (int(rng.integers(lr.shape[0] - lr_size + 1)), int(rng.integers(lr.shape[1] - lr_size + 1)))
        for _ in range(candidates)
    ]
    if candidates > 1:
        places.sort(key=measure or (lambda place: measure_detail(cut_square(lr, place, lr_size))))
    return places[round(quantile * (candidates - 1))]


def cut_square(image: Image, place: Place, size: int, margin: int = 0) -> Image:
    """The square of `size` pixels at a place, with `margin` more on each side.

    What the margin lacks beyond the image's borders is mirrored.
    """
    top, left = place[0] - margin, place[1] - margin
    bottom, right = place[0] + size + margin, place[1] + size + margin
    height, width = image.shape[:2]
    inside = image[max(top, 0) : bottom, max(left, 0) : right]
    lacking = [
        (max(-top, 0), max(bottom - height, 0)),
        (max(-left, 0), max(right - width, 0)),
        (0, 0),
    ]
    if not any(sum(sides) for sides in lacking):
        return inside
    return np.pad(inside, lacking, mode="symmetric")


def measure_detail(image: Image) -> float:
    """Mean absolute difference of neighboring pixels, down and across, in 8-bit levels."""
    values = image.astype(np.int16)
    down = np.abs(np.diff(values, axis=0)).mean()
    across = np.abs(np.diff(values, axis=1)).mean()
    return float(down + across)


def measure_bicubic_residual(hr: Image, size: int, scale: int) -> float:
    """Mean absolute error of bicubic upscaling of the downscaled crop, in 8-bit levels.

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
    """One of the eight ways to turn and mirror an image: flips first, then the transposition."""

    down: bool  # rows from the last to the first
    across: bool  # columns likewise
    swap: bool  # rows become columns

    def apply(self, image: Image) -> Image:
        """(H, W, 3); or (W, H, 3) where rows and columns are swapped."""
        if self.down:
            image = image[::-1]
        if self.across:
            image = image[:, ::-1]
        return image.transpose(1, 0, 2) if self.swap else image

    def apply_to_frames(self, frames: Tensor) -> Tensor:
        """(..., H, W)."""
        if self.down:
            frames = frames.flip(-2)
        if self.across:
            frames = frames.flip(-1)
        return frames.transpose(-1, -2) if self.swap else frames

    def apply_to_flows(self, flows: Tensor) -> Tensor:
        """(..., 2, H, W): flow, across and down, which turns with the frames."""
        across, down = self.apply_to_frames(flows).unbind(-3)
        across = -across if self.across else across
        down = -down if self.down else down
        return torch.stack([down, across] if self.swap else [across, down], dim=-3)


def draw_augmentation(flips: bool, transposes: bool, rng: np.random.Generator) -> Augmentation:
    """Each flip and the transposition with probability 1/2 where allowed."""
    down, across, swap = (bool(chance < 0.5) for chance in rng.random(3))
    return Augmentation(flips and down, flips and across, transposes and swap)
