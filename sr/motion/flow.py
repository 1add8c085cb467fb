"""Optical flow between frames: Kroeger, Timofte, Dai, Van Gool 2016, "Fast Optical Flow using Dense
Inverse Search" (DIS), arXiv 1603.03590, as OpenCV has it.

A flow from a to b says for each pixel of a where its point lies in b:
`b(x + flow[y, x, 0], y + flow[y, x, 1]) ~ a(x, y)`, in pixels. On the CPU; the same frames give the
same flow from run to run, whatever the number of threads.

Letters: h, w height and width of the frames, c channels.
"""

import cv2
import numpy as np
import numpy.typing as npt
from torch import Tensor

from sr.io.rgb8 import tensor_to_rgb8
from sr.motion.warp import Image

_MIN_SIZE = 16  # pixels; OpenCV's DIS refuses small frames, or crashes on them
# Full size. With half size, the preset's, flow was worse; and OpenCV 5.0 crashed on wide frames.
_FINEST_SCALE = 0
DIS_SETTINGS = f"medium, finest scale {_FINEST_SCALE}"
"""What is not OpenCV's default: other words where `measure_flow` gives another flow."""


def to_luma8(image: Tensor) -> npt.NDArray[np.uint8]:
    """Return what flow is computed on.

    image: (1, 3, h, w), RGB in [0, 1], on any device. Returns (h, w), BT.601, full range.
    """
    return to_luma(tensor_to_rgb8(image))


def to_luma(frame: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    """Turn (h, w, 3), RGB, into (h, w), BT.601, full range."""
    return np.asarray(cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY), np.uint8)


def measure_flow(a: npt.NDArray[np.uint8], b: npt.NDArray[np.uint8]) -> Image:
    """Return the flow from a to b, (h, w, 2): across, down; in pixels.

    a, b: (h, w), uint8, of any one size. Raises ValueError for others.
    """
    if a.ndim != 2 or a.shape != b.shape or a.dtype != np.uint8 or b.dtype != np.uint8:
        raise ValueError(
            "optical flow: expected two uint8 arrays (h, w) of one size, "
            f"got {a.dtype} {a.shape} and {b.dtype} {b.shape}"
        )
    height, width = a.shape
    padding = (0, max(0, _MIN_SIZE - height)), (0, max(0, _MIN_SIZE - width))
    search = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)
    search.setFinestScale(_FINEST_SCALE)
    start = np.zeros((height + padding[0][1], width + padding[1][1], 2), np.float32)
    found = search.calc(np.pad(a, padding, "edge"), np.pad(b, padding, "edge"), start)
    return np.ascontiguousarray(found[:height, :width], np.float32)


def resize_flow(flow: Image, height: int, width: int) -> Image:
    """Return the flow for frames of another size: (height, width, 2), in their pixels."""
    factors = np.array([width / flow.shape[1], height / flow.shape[0]], np.float32)
    enlarged = cv2.resize(flow, (width, height), interpolation=cv2.INTER_LINEAR)
    return np.asarray(enlarged * factors, np.float32)
