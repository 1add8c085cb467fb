"""The ways to measure optical flow, behind one protocol; those that need no weights are here.

A flow from a to b says for each pixel of a where its point lies in b, as in `sr.motion.flow`. The
same frames give the same flow from run to run, whatever the number of threads.

Letters: h, w height and width of the frames.
"""

from typing import Protocol

import cv2
import numpy as np
import numpy.typing as npt

from sr.errors import UserError
from sr.motion.flow import DIS_SETTINGS, measure_flow, to_luma

RGB8 = npt.NDArray[np.uint8]
"""A frame: (h, w, 3), RGB, 0 to 255."""
Flow = npt.NDArray[np.float32]
"""(h, w, 2): across, down; in pixels of the frame that it leads from."""


# Scale from level to level, number of levels (OpenCV makes none below 32 pixels), window,
# iterations, size and sigma of the polynomials. On photos that had been moved a window of 21 was
# nearer than 15, and more iterations made no difference.
_FARNEBACK = (0.5, 5, 21, 3, 5, 1.1)


class FlowMethod(Protocol):
    """Measures the flow from one frame to another of the same size."""

    @property
    def name(self) -> str:
        """The method, its settings and weights in words: another name where flow is another."""
        ...

    def __call__(self, a: RGB8, b: RGB8) -> Flow:
        """Return the flow from a to b. Raises UserError for what is not two frames of one size."""
        ...


class DIS:
    """Dense inverse search on luma, Kroeger et al. 2016; see `sr.motion.flow`."""

    name = f"DIS ({DIS_SETTINGS})"

    def __call__(self, a: RGB8, b: RGB8) -> Flow:
        """a, b: (h, w, 3), uint8, of any one size. Returns (h, w, 2)."""
        check_frames(a, b)
        return measure_flow(to_luma(a), to_luma(b))


class Farneback:
    """Polynomial expansion of luma, as OpenCV has it: Farneback 2003, "Two-Frame Motion Estimation
    Based on Polynomial Expansion", SCIA.

    Coarser than DIS, and lost where small frames move by more than a few pixels.
    """

    name = f"Farneback {_FARNEBACK}"

    def __call__(self, a: RGB8, b: RGB8) -> Flow:
        """a, b: (h, w, 3), uint8, of any one size. Returns (h, w, 2)."""
        check_frames(a, b)
        start = np.zeros((*a.shape[:2], 2), np.float32)
        found = cv2.calcOpticalFlowFarneback(to_luma(a), to_luma(b), start, *_FARNEBACK, 0)
        return np.ascontiguousarray(found, np.float32)


def check_frames(a: RGB8, b: RGB8) -> None:
    """Raise UserError for what is not two frames of one size."""
    for frame in (a, b):
        if frame.ndim != 3 or frame.shape[2] != 3 or frame.dtype != np.uint8 or not frame.size:
            break
    else:
        if a.shape == b.shape:
            return
    raise UserError(
        "optical flow: expected two uint8 frames (height, width, 3) of one size, "
        f"got {a.dtype} {a.shape} and {b.dtype} {b.shape}"
    )
