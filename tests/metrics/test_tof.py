import numpy as np
import numpy.typing as npt
import pytest

from sr.metrics.tof import measure_tof_flow, tof

SIZE = 64


def seen_from(across: int, down: int) -> npt.NDArray[np.uint8]:
    """A smooth random scene whose points lie (across, down) pixels further; (64, 64, 3)."""
    noise = np.random.default_rng(0).normal(size=(SIZE + 32, SIZE + 32))
    kernel = np.exp(-(np.arange(-8, 9) ** 2) / 18)
    for axis in (0, 1):
        noise = np.apply_along_axis(np.convolve, axis, noise, kernel, "same")
    levels = np.clip(128 + 40 * noise / noise.std(), 0, 255).astype(np.uint8)
    view = levels[16 - down : 16 - down + SIZE, 16 - across : 16 - across + SIZE]
    return np.repeat(view[..., None], 3, axis=2)


def test_flow_leads_from_the_first_frame_to_the_second() -> None:
    flow = measure_tof_flow(seen_from(0, 0), seen_from(2, -1))
    inside = flow[16:-16, 16:-16]
    assert flow.shape == (SIZE, SIZE, 2)
    assert inside[..., 0].mean() == pytest.approx(2, abs=0.1)
    assert inside[..., 1].mean() == pytest.approx(-1, abs=0.1)


def test_equal_motion_gives_0() -> None:
    flow = measure_tof_flow(seen_from(0, 0), seen_from(2, -1))
    assert tof(flow, flow, border=4) == 0


def test_a_result_that_stands_still_has_the_length_of_the_originals_motion() -> None:
    original = measure_tof_flow(seen_from(0, 0), seen_from(3, -4))
    still = measure_tof_flow(seen_from(0, 0), seen_from(0, 0))
    assert tof(still, original, border=16) == pytest.approx(5, abs=0.2)
    assert tof(original, still, border=16) == tof(still, original, border=16)


def test_the_border_does_not_count() -> None:
    still = np.zeros((20, 30, 2), np.float32)
    moved = np.full_like(still, 7)
    moved[4:-4, 4:-4] = (0, 1)
    assert tof(moved, still, border=4) == 1
    assert tof(moved, still, border=3) > 1


def test_what_is_not_two_frames_or_flows_of_one_size_is_refused() -> None:
    frame = seen_from(0, 0)
    with pytest.raises(ValueError, match=r"two frames .* got \(64, 64, 3\) and \(63, 64, 3\)"):
        measure_tof_flow(frame, frame[1:])
    with pytest.raises(ValueError, match="two frames"):
        measure_tof_flow(frame[..., 0], frame[..., 0])
    flow = np.zeros((8, 8, 2), np.float32)
    with pytest.raises(ValueError, match=r"tOF: .* got \(8, 7, 2\) and \(8, 8, 2\)"):
        tof(flow[:, 1:], flow, border=0)
    with pytest.raises(ValueError, match="larger than twice the border of 4 px"):
        tof(flow, flow, border=4)
