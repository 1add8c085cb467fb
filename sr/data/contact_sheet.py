"""Training crops next to each other in one image, to check what a network is trained with."""

from collections.abc import Iterable, Iterator
from itertools import islice
from math import ceil, sqrt
from pathlib import Path

import numpy as np

from sr.data.crops import Crop
from sr.data.sources import Image
from sr.io.rgb8 import tensor_to_rgb8, write_rgb8

_GAP = 4  # pixels between pairs
_GRAY = 96  # of the gaps, in 8-bit levels


def make_contact_sheet(batches: Iterable[Crop], num_pairs: int) -> Image:
    """Show the first pairs of the batches, lr enlarged by repeating pixels, hr next to it.

    Pairs go from left to right, row by row, in an about square sheet; a place without a pair is
    gray. Fewer pairs are shown if the batches end before.

    batches: lr (B, 3, h, w), hr (B, 3, scale*h, scale*w), both RGB in [0, 1].
    Returns (H, W, 3), uint8 RGB. Raises ValueError if there is no pair.
    """
    pairs = list(islice(_join_pairs(batches), num_pairs))
    if not pairs:
        raise ValueError(f"contact sheet: expected a pair to show, got none of {num_pairs}")
    height, width, _ = pairs[0].shape
    num_columns = ceil(sqrt(len(pairs) / 2))
    num_rows = ceil(len(pairs) / num_columns)
    shape = num_rows * (height + _GAP) - _GAP, num_columns * (width + _GAP) - _GAP, 3
    sheet = np.full(shape, _GRAY, np.uint8)
    for index, pair in enumerate(pairs):
        row, column = divmod(index, num_columns)
        top, left = row * (height + _GAP), column * (width + _GAP)
        sheet[top : top + height, left : left + width] = pair
    return sheet


def write_contact_sheet(path: Path, batches: Iterable[Crop], num_pairs: int) -> None:
    """Write a contact sheet; path ends in .png. Raises ImageError where it cannot be written."""
    write_rgb8(path, make_contact_sheet(batches, num_pairs))


def _join_pairs(batches: Iterable[Crop]) -> Iterator[Image]:
    """Yield enlarged lr and hr of each crop next to each other: (scale*h, 2*scale*w, 3)."""
    for batch in batches:
        for lr, hr in zip(batch["lr"], batch["hr"], strict=True):
            scale = hr.shape[-1] // lr.shape[-1]
            small, large = tensor_to_rgb8(lr[None]), tensor_to_rgb8(hr[None])
            enlarged = small.repeat(scale, axis=0).repeat(scale, axis=1)
            yield np.concatenate([enlarged, large], axis=1)
