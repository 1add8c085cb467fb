"""Whole images and frames of clips to measure a generator on."""

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor

from sr.data.clips import ClipArrays, find_scene
from sr.data.sources import Source
from sr.io.rgb8 import image_to_tensor
from sr.motion.frame_window import Window, gather_window

Sample = tuple[tuple[Tensor, ...], Tensor]
"""The generator's arguments, lr (1, 3, h, w) the first, and hr (1, 3, scale*h, scale*w)."""


def load_samples(source: Source[Any], window: Window | None) -> Iterator[Sample]:
    """The image of a source, or every frame of a clip; RGB in [0, 1].

    window: of a generator that sees neighbors, which are then (1, n, 3, h, w) and the flow to them
    (1, n, 2, h, w).
    """
    arrays = source.load()
    if not isinstance(arrays, ClipArrays):
        lr, hr = arrays
        yield (image_to_tensor(lr),), image_to_tensor(hr)
        return
    for position in range(len(arrays.lr)):
        inputs: tuple[Tensor, ...] = (image_to_tensor(arrays.lr[position]),)
        if window is not None:
            neighbors, flows = gather_window(window, find_scene(arrays, position), position)
            inputs += (neighbors[None].to(torch.float32) / 255, flows[None])
        yield inputs, image_to_tensor(arrays.hr[position])
