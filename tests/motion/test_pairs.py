from collections.abc import Callable

import numpy as np
import pytest

from sr.motion.methods import DIS, RGB8, Flow
from sr.motion.pairs import measure_motion

Moved = Callable[..., RGB8]


class Counted:
    """DIS, and how often it was asked."""

    name = "counted"

    def __init__(self) -> None:
        self.calls = 0

    def __call__(self, a: RGB8, b: RGB8) -> Flow:
        self.calls += 1
        return DIS()(a, b)


def test_forward_leads_to_the_second_frame_and_backward_back(moved: Moved) -> None:
    method = Counted()
    motion = measure_motion(moved(0, 0), moved(2, -1), method)
    assert np.abs(motion.forward[10:-10, 10:-10] - [2, -1]).max() < 0.25
    assert np.abs(motion.backward[10:-10, 10:-10] + [2, -1]).max() < 0.25
    assert not motion.is_cut
    assert method.calls == 2


def test_equal_frames_are_still_without_asking_for_flow(moved: Moved) -> None:
    method = Counted()
    motion = measure_motion(moved(0, 0), moved(0, 0), method)
    assert motion.forward.shape == motion.backward.shape == (64, 112, 2)
    assert motion.forward.dtype == np.float32
    assert not motion.forward.any()
    assert not motion.backward.any()
    assert not motion.is_cut
    assert method.calls == 0


def test_frames_of_different_scenes_are_a_cut(moved: Moved) -> None:
    assert measure_motion(moved(0, 0), moved(0, 0, seed=1), DIS()).is_cut


def test_frames_of_different_sizes_are_refused(moved: Moved) -> None:
    with pytest.raises(ValueError, match=r"one size, got uint8 \(64, 112, 3\) and uint8 \(32"):
        measure_motion(moved(0, 0), moved(0, 0, height=32), DIS())
