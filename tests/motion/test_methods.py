from collections.abc import Callable
from typing import Any

import cv2
import numpy as np
import pytest
import torch

from sr.build import build_flow
from sr.motion import methods
from sr.motion.flow import measure_flow, to_luma
from sr.motion.methods import DIS, RGB8, Farneback, FlowMethod
from sr.options.flow import DISOptions, FarnebackOptions

Moved = Callable[..., RGB8]

METHODS: list[FlowMethod] = [DIS(), Farneback()]


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("shift", [(2.0, 1.0), (-1.5, 0.5), (0.25, -0.75)])
def test_a_scene_moved_right_and_down_gives_the_shift_as_flow_and_back(
    method: FlowMethod, shift: tuple[float, float], moved: Moved
) -> None:
    a, b = moved(0, 0), moved(*shift)
    forward, backward = method(a, b), method(b, a)
    assert forward.shape == (64, 112, 2)
    assert forward.dtype == np.float32
    inside = (slice(10, -10), slice(10, -10))
    assert np.abs(forward[inside] - shift).max() < 0.25
    assert np.abs(forward[inside] - shift).mean() < 0.1
    assert np.abs(backward[inside] + shift).mean() < 0.1


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("size", [(1, 1), (1, 300), (5, 9), (16, 128), (300, 3)])
def test_tiny_and_narrow_frames_are_taken(method: FlowMethod, size: tuple[int, int]) -> None:
    a, b = np.random.default_rng(0).integers(0, 256, (2, *size, 3), np.uint8)
    flow = method(a, b)
    assert flow.shape == (*size, 2)
    assert np.isfinite(flow).all()


@pytest.mark.parametrize("method", METHODS)
def test_flow_is_the_same_for_any_number_of_threads(method: FlowMethod, moved: Moved) -> None:
    a, b = moved(0, 0), moved(1, 2)
    expected = method(a, b)
    before = cv2.getNumThreads()
    try:
        for num_threads in (1, 2, 3):
            cv2.setNumThreads(num_threads)
            assert np.array_equal(method(a, b), expected)
    finally:
        cv2.setNumThreads(before)


@pytest.mark.parametrize("method", METHODS)
def test_frames_are_left_as_they_are_and_may_be_parts_of_others(
    method: FlowMethod, moved: Moved
) -> None:
    a, b = moved(0, 0), moved(1, 0)
    parts = a[8:56, ::-1][:, 20:90], b[8:56, ::-1][:, 20:90]
    expected = method(*(part.copy() for part in parts))
    assert np.array_equal(method(*parts), expected)
    assert np.array_equal(a, moved(0, 0))


def test_dis_is_the_flow_of_luma(moved: Moved) -> None:
    a, b = moved(0, 0), moved(2, 1)
    assert np.array_equal(DIS()(a, b), measure_flow(to_luma(a), to_luma(b)))


@pytest.mark.parametrize("method", METHODS)
def test_unlike_frames_are_refused(method: FlowMethod) -> None:
    frame = np.zeros((20, 30, 3), np.uint8)
    with pytest.raises(ValueError, match=r"one size, got uint8 \(20, 30, 3\) and uint8 \(10, 3"):
        method(frame, frame[:10])
    others: list[Any] = [frame[..., 0], frame.astype(np.float32), frame[:0], frame[..., :2]]
    for other in others:
        with pytest.raises(ValueError, match="expected two uint8 frames"):
            method(frame, other)
        with pytest.raises(ValueError, match="expected two uint8 frames"):
            method(other, other)


def test_names_differ_by_method_and_settings() -> None:
    assert DIS().name == "DIS (medium, finest scale 0)"
    assert Farneback().name == f"Farneback {methods._FARNEBACK}"


def test_options_become_methods() -> None:
    device = torch.device("cpu")
    assert isinstance(build_flow(DISOptions(type="DIS"), device), DIS)
    assert isinstance(build_flow(FarnebackOptions(type="Farneback"), device), Farneback)
