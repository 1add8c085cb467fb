"""Clips for training: consecutive HR frames, their LR frames, and the optical flow between.

LR is made from whole frames, and flow is measured on whole LR frames, since what moves across the
borders of a crop would be missing. Flow comes from LR as in inference. It is slow to measure, so it
is cached on disk, keyed by the frames, the downscaling and the method, in half precision (1/1000 of
its length).

Letters: t frames of a clip, h x w LR pixels, H x W HR pixels.
"""

import hashlib
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from sr.data.hr_only import compute_hr_size, downscale_hr, format_name
from sr.data.imresize import imresize
from sr.data.sources import DataError, Image, Source
from sr.io.atomic_write import atomic_write, remove_abandoned
from sr.io.rgb8 import image_to_tensor
from sr.motion.frame_window import Scene, Window, gather_window
from sr.motion.methods import FlowMethod
from sr.motion.scene_cuts import CUT_RULE, PairMotion, measure_motion

Flows = NDArray[np.float16]
Sample = tuple[tuple[Tensor, ...], Tensor | None]
"""The generator's arguments, lr (1, 3, h, w) the first, and hr (1, 3, scale*h, scale*w), if known.
"""


class ClipArrays(NamedTuple):
    """A clip in memory; images uint8 RGB, flow in LR pixels, across and down."""

    lr: NDArray[np.uint8]  # (t, h, w, 3)
    hr: NDArray[np.uint8]  # (t, H, W, 3)
    to_next: Flows  # (t - 1, 2, h, w), from each frame but the last to the one after it
    to_previous: Flows  # (t - 1, 2, h, w), from each frame but the first to the one before it
    cuts: NDArray[np.bool_]  # (t - 1,), whether the scene changes after a frame; (0,), as flow,
    # where no flow is wanted


class Frames(Protocol):
    """The HR frames of a clip, wherever they come from."""

    @property
    def name(self) -> str:
        """For messages."""

    @property
    def size(self) -> tuple[int, int]:
        """(height, width)."""

    @property
    def num_frames(self) -> int: ...

    @property
    def identity(self) -> str:
        """Differs where the frames do."""

    def read(self) -> list[Image]:
        """Read all frames, (height, width, 3), uint8 RGB. Raises ImageError."""


@dataclass(frozen=True)
class Downscaling:
    """Makes LR frames from HR ones.

    blur_sigma: None for MATLAB's bicubic downscaling. Else BD, as in the literature on video: a
    Gaussian blur of this sigma in HR pixels, 1.6 at x4, and every `scale`-th pixel from the first.
    """

    scale: int
    blur_sigma: float | None = None

    def __call__(self, hr: Image) -> Image:
        """Downscale (scale*h, scale*w, 3) to (h, w, 3)."""
        if self.blur_sigma is None:
            return imresize(hr, Fraction(1, self.scale))
        # 13 taps at 1.6, as published; OpenCV's own choice is wider.
        side = 2 * round(3.75 * self.blur_sigma) + 1
        border = cv2.BORDER_REFLECT_101
        blurred = cv2.GaussianBlur(hr, (side, side), self.blur_sigma, borderType=border)
        return np.ascontiguousarray(blurred[:: self.scale, :: self.scale], np.uint8)


@dataclass(frozen=True)
class FlowStore:
    """The method that measures flow, and the folder of its cache."""

    method: FlowMethod
    folder: Path


@dataclass(frozen=True)
class Clip:
    """HR frames at `downscale` of their size, cut to a multiple of the scale, with LR and flow."""

    frames: Frames
    downscaling: Downscaling
    downscale: float = 1.0
    flow: FlowStore | None = None
    """None for networks of single images."""

    @property
    def name(self) -> str:
        return format_name(self.frames.name, self.downscale)

    @property
    def hr_size(self) -> tuple[int, int]:
        return compute_hr_size(self.frames.size, self.downscale, self.downscaling.scale)

    @property
    def num_bytes(self) -> int:
        height, width = self.hr_size
        lr_pixels = height * width // self.downscaling.scale**2
        flow_bytes = 0 if self.flow is None else 2 * 2 * 2 * lr_pixels
        return self.frames.num_frames * (3 * height * width + (3 * lr_pixels + flow_bytes))

    def load(self) -> ClipArrays:
        """Read, downscale and measure flow. Raises ImageError."""
        scale = self.downscaling.scale
        hr = [downscale_hr(frame, self.downscale, scale) for frame in self.frames.read()]
        lr = [self.downscaling(frame) for frame in hr]
        return ClipArrays(np.stack(lr), np.stack(hr), *self._motion(lr))

    def _motion(self, lr: list[Image]) -> tuple[Flows, Flows, NDArray[np.bool_]]:
        if self.flow is None:
            nothing = np.zeros((0, 2, *lr[0].shape[:2]), np.float16)
            return nothing, nothing, np.zeros(0, np.bool_)
        method = (self.flow.method.name, CUT_RULE)
        key = (self.frames.identity, self.downscale, self.downscaling, *method)
        digest = hashlib.sha256(repr(key).encode()).hexdigest()
        path = self.flow.folder / "flow" / digest[:2] / f"{digest[2:34]}.npz"
        kept = _read_motion(path, shape=(len(lr) - 1, 2, *lr[0].shape[:2]))
        if kept is not None:
            return kept
        pairs = [measure_motion(a, b, self.flow.method) for a, b in pairwise(lr)]
        arrays = _stack_motion(pairs, lr[0].shape[:2])
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            remove_abandoned(path.parent)
            with atomic_write(path) as temporary, temporary.open("wb") as stream:
                np.savez(stream, to_next=arrays[0], to_previous=arrays[1], cuts=arrays[2])
        except OSError as error:
            raise DataError(f"datasets.cache_folder: flow cannot be written: {error}") from error
        return arrays


def find_scene(clip: ClipArrays, position: int) -> Scene:
    """Find the part of a clip without a cut that has a frame in it; frames (3, h, w), uint8."""
    first = last = position
    while first > 0 and not clip.cuts[first - 1]:
        first -= 1
    while last < len(clip.lr) - 1 and not clip.cuts[last]:
        last += 1
    # Views of the memory-mapped file: nothing is read here.
    return Scene(
        frames={t: torch.from_numpy(clip.lr[t]).permute(2, 0, 1) for t in range(first, last + 1)},
        to_next={t: torch.from_numpy(clip.to_next[t]) for t in range(first, last)},
        to_previous={
            t: torch.from_numpy(clip.to_previous[t - 1]) for t in range(first + 1, last + 1)
        },
        first=first,
        last=last,
    )


def load_samples(source: Source[Any], window: Window | None) -> Iterator[Sample]:
    """Load the image of a source, or every frame of a clip, to validate on; RGB in [0, 1].

    window: of a multi-frame generator, whose neighbors are (1, n, 3, h, w) and the flow to them
    (1, n, 2, h, w).
    """
    arrays = source.load()
    if not isinstance(arrays, ClipArrays):
        lr, *hr = arrays  # without hr of an `LRImage`
        yield (image_to_tensor(lr),), image_to_tensor(hr[0]) if hr else None
        return
    for position in range(len(arrays.lr)):
        inputs: tuple[Tensor, ...] = (image_to_tensor(arrays.lr[position]),)
        if window is not None:
            neighbors, flows = gather_window(window, find_scene(arrays, position), position)
            inputs += (neighbors[None].to(torch.float32) / 255, flows[None])
        yield inputs, image_to_tensor(arrays.hr[position])


def _stack_motion(
    pairs: list[PairMotion], size: tuple[int, ...]
) -> tuple[Flows, Flows, NDArray[np.bool_]]:
    """Return to_next, to_previous, cuts; empty for a single frame."""

    def flows(each: Iterator[NDArray[np.float32]]) -> Flows:
        rows = [flow.transpose(2, 0, 1).astype(np.float16) for flow in each]
        return np.stack(rows) if rows else np.zeros((0, 2, *size), np.float16)

    cuts = np.array([pair.is_cut for pair in pairs], np.bool_)
    forward = flows(pair.forward for pair in pairs)
    return forward, flows(pair.backward for pair in pairs), cuts


def _read_motion(
    path: Path, shape: tuple[int, ...]
) -> tuple[Flows, Flows, NDArray[np.bool_]] | None:
    """Read flow of an earlier run; None where there is none, or the file is damaged."""
    try:
        with path.open("rb") as stream, np.load(stream) as file:
            to_next, to_previous, cuts = file["to_next"], file["to_previous"], file["cuts"]
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile):
        return None
    if to_next.shape != shape or to_previous.shape != shape or cuts.shape != shape[:1]:
        return None
    return to_next, to_previous, cuts
