from collections.abc import Callable

import cv2
import numpy as np
import pytest

from sr.motion.methods import DIS, RGB8, Flow
from sr.motion.scene_cuts import is_cut, measure_agreement, measure_motion
from sr.motion.warp import Image

Moved = Callable[..., RGB8]


def to_float(frame: RGB8) -> Image:
    return np.divide(frame, 255, dtype=np.float32)


def agreements(a: RGB8, b: RGB8) -> tuple[Image, Image]:
    forward, backward = DIS()(a, b), DIS()(b, a)
    first, second = (to_float(frame) for frame in (a, b))
    return measure_agreement(first, second, forward, backward), measure_agreement(
        second, first, backward, forward
    )


def noisy(frame: RGB8, levels: float, seed: int) -> RGB8:
    noise = np.random.default_rng(seed).normal(0, levels, frame.shape)
    return np.clip(frame + noise, 0, 255).astype(np.uint8)


def test_a_frame_agrees_with_itself(moved: Moved) -> None:
    still = np.zeros((64, 112, 2), np.float32)
    frame = to_float(moved(0, 0))
    assert np.allclose(measure_agreement(frame, frame, still, still), 1)


def test_frames_agree_along_their_motion_alone(moved: Moved) -> None:
    first, second = (to_float(frame) for frame in (moved(0, 0), moved(3, 1)))
    flow = np.full((64, 112, 2), [3, 1], np.float32)
    inside = (slice(8, -8), slice(8, -8))
    assert measure_agreement(first, second, flow, -flow)[inside].min() > 0.9
    assert measure_agreement(first, second, -flow, flow)[inside].mean() < 0.5


def test_nothing_agrees_where_flow_does_not_lead_back_or_leaves_the_frame() -> None:
    gray = np.full((20, 30, 3), 0.5, np.float32)
    flow = np.full((20, 30, 2), [4, 0], np.float32)
    assert not measure_agreement(gray, gray, flow, flow).any()
    there = measure_agreement(gray, gray, flow, -flow)
    assert not there[:, -4:].any()
    assert (there[:, :-4] == 1).all()


@pytest.mark.parametrize("size", [(64, 112), (120, 160)])
@pytest.mark.parametrize("levels", [0, 16])
def test_other_scenes_are_cuts_and_moving_ones_are_not_also_with_noise(
    size: tuple[int, int], levels: float, moved: Moved
) -> None:
    frames = [moved(0, 0, *size), moved(3, -2, *size), moved(3, -2, *size, seed=1)]
    here, next_, other = (noisy(frame, levels, seed) for seed, frame in enumerate(frames))
    assert not is_cut(*agreements(here, next_))
    assert is_cut(*agreements(here, other))
    assert is_cut(*agreements(next_, other))


def test_a_thing_that_comes_into_the_image_is_no_cut(moved: Moved) -> None:
    before = moved(0, 0)
    after = moved(1, 0)
    cv2.rectangle(after, (20, 10), (70, 50), (250, 20, 30), -1)
    assert not is_cut(*agreements(before, after))


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
