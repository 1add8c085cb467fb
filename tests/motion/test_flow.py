import numpy as np
import pytest
import torch
from helpers.images import draw_texture

from sr.motion.flow import measure_flow, resize_flow, to_luma8


def test_an_image_moved_right_and_down_gives_the_shift_as_flow() -> None:
    wide = (draw_texture(80, 100) * 255).astype(np.uint8)
    a, b = wide[10:70, 10:90], wide[8:68, 7:87]  # b shows the same 3 px further right, 2 down
    flow = measure_flow(a, b)
    assert flow.shape == (60, 80, 2)
    inside = flow[10:-10, 10:-10]
    assert np.abs(inside - [3, 2]).max() < 0.2


def test_equal_frames_have_no_flow() -> None:
    frame = (draw_texture(40, 50) * 255).astype(np.uint8)
    assert np.abs(measure_flow(frame, frame)).max() < 1e-3


def test_an_enlarged_flow_counts_in_the_larger_pixels() -> None:
    flow = np.full((10, 20, 2), [1, 2], np.float32)
    enlarged = resize_flow(flow, 25, 80)
    assert enlarged.shape == (25, 80, 2)
    assert np.allclose(enlarged, [4, 5])


def test_luma_of_gray_is_that_gray() -> None:
    gray = torch.full((1, 3, 4, 6), 100 / 255)
    luma = to_luma8(gray)
    assert luma.dtype == np.uint8
    assert (luma == 100).all()


def test_unlike_frames_are_refused() -> None:
    a = np.zeros((20, 30), np.uint8)
    with pytest.raises(ValueError, match=r"one size, got uint8 \(20, 30\) and uint8 \(30, 20\)"):
        measure_flow(a, a.T)
    with pytest.raises(ValueError, match="float32"):
        measure_flow(a, a.astype(np.float32))
