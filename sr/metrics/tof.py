"""tOF, how far the motion in a result is from that in the original.

Chu, Xie, Mayer, Leal-Taixe, Thuerey 2020, "Learning Temporal Coherence via Self-Supervision for
GAN-based Video Generation" (TecoGAN), arXiv 1811.09393, sec. 5:

    tOF = | OF(b_t-1, b_t) - OF(g_t-1, g_t) |

for results g and originals b; a clip's tOF is the mean over its pairs of consecutive frames. As in
the authors' code, OF is Farneback's, on luma, with their settings, and what is averaged is the
length of each pixel's difference, in pixels of the result.

Deviation: the border that is left out is the caller's; theirs is 8 to 24 pixels wide, so that
multiples of 32 are left.
"""

import cv2
import numpy as np
import numpy.typing as npt

from sr.errors import UserError

# Scale from level to level, number of levels, window, iterations, size and sigma of the
# polynomials, flags; of the authors' code.
_FARNEBACK = (0.5, 3, 15, 3, 5, 1.2, 0)


def measure_tof_flow(
    frame: npt.NDArray[np.uint8], following: npt.NDArray[np.uint8]
) -> npt.NDArray[np.float32]:
    """Return OF: (H, W, 2), across and down in pixels. frame, following: (H, W, 3), uint8, RGB."""
    if frame.ndim != 3 or frame.shape[2] != 3 or frame.shape != following.shape:
        raise UserError(
            "tOF: expected two frames (height, width, 3) of one size, "
            f"got {frame.shape} and {following.shape}"
        )
    luma, next_luma = (cv2.cvtColor(each, cv2.COLOR_RGB2GRAY) for each in (frame, following))
    start = np.zeros((*frame.shape[:2], 2), np.float32)
    return np.asarray(cv2.calcOpticalFlowFarneback(luma, next_luma, start, *_FARNEBACK), np.float32)


def tof(
    sr_flow: npt.NDArray[np.float32], hr_flow: npt.NDArray[np.float32], *, border: int
) -> float:
    """Return the tOF of one pair of frames, 0 for equal motion.

    sr_flow, hr_flow: of `measure_tof_flow`. border: pixels left out on each side.
    """
    height, width = hr_flow.shape[:2]
    if sr_flow.shape != hr_flow.shape or min(height, width) <= 2 * border:
        raise UserError(
            f"tOF: expected two flows of one size, larger than twice the border of {border} px, "
            f"got {sr_flow.shape} and {hr_flow.shape}"
        )
    inside = (slice(border, height - border), slice(border, width - border))
    return float(np.linalg.norm(sr_flow[inside] - hr_flow[inside], axis=-1).mean())
