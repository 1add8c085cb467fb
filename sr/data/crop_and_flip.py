"""Aligned random crops and orientations of an lr/hr pair, as pure functions of a random generator.

Pictures are (H, W, 3) uint8 arrays; hr is `scale` times as large as lr.
"""

import numpy as np
from numpy.typing import NDArray

Picture = NDArray[np.uint8]
Pair = tuple[Picture, Picture]  # lr, hr


def random_crop(
    lr: Picture, hr: Picture, lr_size: int, candidates: int, rng: np.random.Generator
) -> Pair:
    """Square crops of lr_size and scale * lr_size pixels at the same place.

    Of `candidates` random places the one with the most detail is taken: the largest mean absolute
    difference of neighbouring lr pixels.
    """
    scale = hr.shape[0] // lr.shape[0]
    places = [
        (int(rng.integers(lr.shape[0] - lr_size + 1)), int(rng.integers(lr.shape[1] - lr_size + 1)))
        for _ in range(candidates)
    ]
    if candidates > 1:
        places.sort(key=lambda place: detail(_cut(lr, place, lr_size)))
    top, left = places[-1]
    return (
        _cut(lr, (top, left), lr_size),
        _cut(hr, (scale * top, scale * left), scale * lr_size),
    )


def detail(picture: Picture) -> float:
    """Mean absolute difference of neighbouring pixels, down and across, in 8-bit levels."""
    values = picture.astype(np.int16)
    down = np.abs(np.diff(values, axis=0)).mean()
    across = np.abs(np.diff(values, axis=1)).mean()
    return float(down + across)


def random_orientation(
    lr: Picture, hr: Picture, flips: bool, transposes: bool, rng: np.random.Generator
) -> Pair:
    """The same flips and transposition of both, each with probability 1/2 where allowed."""
    down, across, swap = rng.random(3) < 0.5
    pair = [lr, hr]
    if flips and down:
        pair = [picture[::-1] for picture in pair]
    if flips and across:
        pair = [picture[:, ::-1] for picture in pair]
    if transposes and swap:
        pair = [picture.transpose(1, 0, 2) for picture in pair]
    return pair[0], pair[1]


def _cut(picture: Picture, place: tuple[int, int], size: int) -> Picture:
    top, left = place
    return picture[top : top + size, left : left + size]
