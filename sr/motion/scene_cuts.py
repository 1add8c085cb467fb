"""Where two frames show the same, seen along the flow; and scene cuts, where they hardly do.

Letters: h, w height and width of the frames.
"""

import cv2
import numpy as np
import torch

from sr.metrics.flicker import find_consistent
from sr.motion.flow import Image, warp_image

_SIGMA = 4 / 255  # of e, in units of the frames
_ERROR_BLUR = 0.7  # pixels; aliasing, which moves otherwise than the scene, is no error
_ERROR_WINDOW = 5  # pixels a side
# In twelve real clips at 112x64 to 320x180 the mean agreement was 0.48 or more within scenes, and
# 0.015 or less between clips or photos that have nothing in common. Noise of 16 levels brings it
# down to that, but not the share of pixels that are found again: with and without noise this was
# 0.35 or more within scenes, and 0.08 or less between what has nothing in common.
_CUT_AGREEMENT = 0.1
_CUT_SHARE = 0.25

CUT_RULE = f"cut below {_CUT_AGREEMENT} and {_CUT_SHARE}"
"""Another text where cuts are found otherwise; for caches."""


def measure_agreement(frame: Image, other: Image, forward: Image, backward: Image) -> Image:
    """exp(-(e / sigma)^2), 0 where the flow is not consistent: (h, w), in [0, 1].

    e is the root mean square of frame - other(x + forward) around the pixel. Flow is consistent
    where it stays in the image and leads back (`sr.metrics.flicker.find_consistent`).

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
    """Whether a scene ends between two frames: they hardly agree, and few pixels are found again,
    that is, have an agreement above 0: a flow that leads back, and e below ten sigma.

    there: `measure_agreement` of the first with the second, back: of the second with the first.
    """
    hardly = min(there.mean(), back.mean()) < _CUT_AGREEMENT
    return bool(hardly and min((there > 0).mean(), (back > 0).mean()) < _CUT_SHARE)
