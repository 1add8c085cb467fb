"""What is known of the motion between two frames that follow each other."""

from dataclasses import dataclass

import numpy as np

from sr.motion.flow import Image
from sr.motion.methods import RGB8, Flow, FlowMethod, check_frames
from sr.motion.scene_cuts import is_cut, measure_agreement


@dataclass(frozen=True)
class PairMotion:
    """forward: the flow from the first frame to the second, backward: the one back; (h, w, 2).

    is_cut: a scene ends between the frames; then the flows mean nothing.
    """

    forward: Flow
    backward: Flow
    is_cut: bool


def measure_motion(a: RGB8, b: RGB8, method: FlowMethod) -> PairMotion:
    """The motion between consecutive frames, (h, w, 3) each, a first.

    Equal frames have no motion, and no flow is measured.
    """
    check_frames(a, b)
    if np.array_equal(a, b):
        height, width = a.shape[:2]
        still = np.zeros((height, width, 2), np.float32)
        return PairMotion(still, still.copy(), is_cut=False)
    forward, backward = method(a, b), method(b, a)
    first, second = _floats(a), _floats(b)
    there = measure_agreement(first, second, forward, backward)
    back = measure_agreement(second, first, backward, forward)
    return PairMotion(forward, backward, is_cut(there, back))


def _floats(frame: RGB8) -> Image:
    return np.asarray(frame / np.float32(255), np.float32)
