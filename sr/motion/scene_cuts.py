"""The motion between two frames that follow each other, and where they show the same along it;
scene cuts, where they hardly do.

Letters: h, w height and width of the frames.
"""

from dataclasses import dataclass

import cv2
import numpy as np
import torch

from sr.motion.methods import RGB8, Flow, FlowMethod, check_frames
from sr.motion.warp import Image, find_consistent, warp_image

_SIGMA = 4 / 255  # of e, in units of the frames
_ERROR_BLUR = 0.7  # pixels; aliasing, which moves otherwise than the scene, is no error
_ERROR_WINDOW = 5  # pixels per side
# In twelve real clips at 112x64 to 320x180 the mean agreement was 0.48 or more within scenes, and
# 0.015 or less between clips or photos that have nothing in common. Noise of 16 levels brings it
# down to that, but not the share of pixels that are found again: with and without noise this was
# 0.35 or more within scenes, and 0.08 or less between what has nothing in common.
_CUT_AGREEMENT = 0.1
_CUT_SHARE = 0.25

CUT_RULE = f"cut below {_CUT_AGREEMENT} and {_CUT_SHARE}"
"""Another text where cuts are found otherwise; for caches."""


@dataclass(frozen=True)
class PairMotion:
    """forward: the flow from the first frame to the second, backward: the one back; (h, w, 2).

    is_cut: a scene ends between the frames; then the flows mean nothing.
    """

    forward: Flow
    backward: Flow
    is_cut: bool


def measure_motion(a: RGB8, b: RGB8, method: FlowMethod) -> PairMotion:
    """Measure the motion between consecutive frames, (h, w, 3) each, a first.

    Equal frames have no motion, and no flow is measured.
    """
    check_frames(a, b)
    if np.array_equal(a, b):
        still = np.zeros((*a.shape[:2], 2), np.float32)
        return PairMotion(still, still.copy(), is_cut=False)
    forward, backward = method(a, b), method(b, a)
    first, second = _to_float(a), _to_float(b)
    there = measure_agreement(first, second, forward, backward)
    back = measure_agreement(second, first, backward, forward)
    return PairMotion(forward, backward, is_cut(there, back))


def measure_agreement(frame: Image, other: Image, forward: Image, backward: Image) -> Image:
    """Return exp(-(e / sigma)^2), 0 where the flow is not consistent: (h, w), in [0, 1].

    e is the root mean square of frame - other(x + forward) around the pixel. Flow is consistent
    where it stays in the image and leads back (`find_consistent`).

    frame, other: (h, w, 3), RGB in [0, 1]. forward: the flow from frame to other, backward: the
    one back; (h, w, 2).
    """
    difference = cv2.GaussianBlur(frame - warp_image(other, forward), (0, 0), _ERROR_BLUR)
    squares = np.square(difference).mean(axis=-1)
    # blur keeps running sums, whose rounding can leave less than nothing.
    squares = np.maximum(cv2.blur(squares, (_ERROR_WINDOW, _ERROR_WINDOW)), 0)
    sure = find_consistent(torch.from_numpy(forward), torch.from_numpy(backward)).numpy()
    return np.asarray(np.exp(-squares / _SIGMA**2) * sure, np.float32)


def is_cut(there: Image, back: Image) -> bool:
    """Return whether a scene ends between two frames: they hardly agree, and few pixels are found
    again, that is, have an agreement above 0: a flow that leads back, and e below ten sigma.

    there: `measure_agreement` of the first with the second, back: of the second with the first.
    """
    hardly = min(there.mean(), back.mean()) < _CUT_AGREEMENT
    return bool(hardly and min((there > 0).mean(), (back > 0).mean()) < _CUT_SHARE)


def _to_float(frame: RGB8) -> Image:
    return np.asarray(frame / np.float32(255), np.float32)
