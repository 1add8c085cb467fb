"""Less flicker where each frame is upscaled for itself: detail averaged along the motion.

A frame's detail is what the network adds to a smooth enlargement of its input,
D_t = sr_t - E(lr_t). The filtered frame is

    E(lr_t) + (D_t + sum_u W_u * D_u(x + flow_t,u)) / (1 + sum_u W_u),   u = t-r ... t+r, not t

with flow from frame t to frame u (`flow`) and the weight of each pixel

    W_u = strength * A_u

where A_u, in [0, 1], is how well lr_t agrees with lr_u along the flow
(`sr.motion.scene_cuts`). W_u is 0 for the whole frame across a scene cut. What moves or changes in
lr itself is in E(lr_t) and not averaged.

E blurs before it enlarges: a plain enlargement is itself jagged in a way that changes with each
frame, and detail that has been averaged no longer fixes that. The method and its constants are
ours, tuned by benchmarks/flicker.py. Only unfiltered frames are averaged, 2r+1 for each result, so
a frame does not depend on where a run began, but for the r frames next to the beginning.

All of it runs on the CPU, for networks on a GPU too.

Letters: h, w height and width of lr, H, W of sr, r radius.
"""

from collections import deque
from collections.abc import Iterable, Iterator
from typing import Generic, TypeVar

import cv2
import numpy as np
import torch
from torch import Tensor

from sr.memory import copy_to_cpu
from sr.motion.flow import measure_flow, resize_flow, to_luma8
from sr.motion.scene_cuts import is_cut, measure_agreement
from sr.motion.warp import Image, warp_image
from sr.tiling.streams import on_own_stream

Key = TypeVar("Key")

_BASE_BLUR = 1.0  # sigma of the Gaussian in E, in LR pixels


class TemporalFilter:
    """Averages the detail of each frame with that of its neighbors.

    strength: the largest weight of a neighbor, where a frame itself has 1; above 0.
    radius: how many neighbors on each side. Memory holds `radius + 1` frames of the result, each
    twice; results come `radius` frames late.
    """

    def __init__(self, strength: float = 1.0, radius: int = 1) -> None:
        if not strength > 0:
            raise ValueError(f"temporal filter: expected a strength above 0, got {strength}")
        if radius < 1:
            raise ValueError(f"temporal filter: expected a radius of 1 or more, got {radius}")
        self.strength = strength
        self.radius = radius

    def filter(self, frames: Iterable[tuple[Key, Tensor, Tensor]]) -> Iterator[tuple[Key, Tensor]]:
        """Yield each key with its filtered frame, (1, 3, H, W), float32, not clamped, on the CPU.

        frames: consecutive ones: a key that is handed through; lr (1, 3, h, w), RGB in [0, 1]; sr
        (1, 3, H, W). Sizes are the same in all, H/h and W/w may be any numbers. lr and sr may be on
        any device, and are not changed.
        """
        window: deque[_Frame[Key]] = deque()
        for key, lr, sr in frames:
            new = _Frame(key, lr, sr)
            for old in window:
                self._add_to_each_other(old, new)
            window.append(new)
            if len(window) > self.radius:
                done = window.popleft()
                yield done.key, done.result()
        while window:
            done = window.popleft()
            yield done.key, done.result()

    def _add_to_each_other(self, old: "_Frame[Key]", new: "_Frame[Key]") -> None:
        """Add the detail of each of two frames to the other."""
        if np.array_equal(old.lr, new.lr):
            for frame, other in ((old, new), (new, old)):
                frame.add(other.detail, np.float32(self.strength))
            return
        forward, backward = measure_flow(old.luma, new.luma), measure_flow(new.luma, old.luma)
        there = measure_agreement(old.lr, new.lr, forward, backward)
        back = measure_agreement(new.lr, old.lr, backward, forward)
        if is_cut(there, back):
            return
        size = new.detail.shape[:2]
        for frame, other, flow, weight in (
            (old, new, forward, there),
            (new, old, backward, back),
        ):
            moved = warp_image(other.detail, resize_flow(flow, *size))
            frame.add(moved, np.float32(self.strength) * _resize(weight, *size)[..., None])


class _Frame(Generic[Key]):
    """A frame and what has been added to its detail so far."""

    def __init__(self, key: Key, lr: Tensor, sr: Tensor) -> None:
        self.key = key
        # On a stream of its own, and not behind what the network is at.
        lr, sr = (on_own_stream(copy_to_cpu, x.device)(x.detach()) for x in (lr, sr))
        self.luma = to_luma8(lr)  # (h, w)
        self.lr = _to_numpy(lr)  # (h, w, 3)
        self.detail = _to_numpy(sr)  # (H, W, 3)
        self.detail -= self._upscale_base()
        self._total = self.detail.copy()
        self._weights: Image = np.ones((1, 1, 1), np.float32)  # broadcast over _total

    def add(self, detail: Image, weight: Image | np.float32) -> None:
        """Add detail (H, W, 3), warped to this frame. weight: (H, W, 1) or one for all pixels."""
        self._total += weight * detail
        self._weights = self._weights + weight

    def result(self) -> Tensor:
        """Return the filtered frame, (1, 3, H, W)."""
        filtered = self._total / self._weights
        filtered += self._upscale_base()
        return torch.from_numpy(filtered.transpose(2, 0, 1)[None]).contiguous()

    def _upscale_base(self) -> Image:
        """Return E(lr), (H, W, 3)."""
        blurred = cv2.GaussianBlur(self.lr, (0, 0), _BASE_BLUR, borderType=cv2.BORDER_REPLICATE)
        height, width = self.detail.shape[:2]
        enlarged = cv2.resize(blurred, (width, height), interpolation=cv2.INTER_CUBIC)
        return np.asarray(enlarged, np.float32)


def _resize(weights: Image, height: int, width: int) -> Image:
    resized = cv2.resize(weights, (width, height), interpolation=cv2.INTER_LINEAR)
    return np.asarray(resized, np.float32)


def _to_numpy(image: Tensor) -> Image:
    """(1, 3, h, w) to (h, w, 3), float32, own memory."""
    rows = image[0].to(torch.float32).permute(1, 2, 0)
    return np.array(rows.numpy(), order="C")
