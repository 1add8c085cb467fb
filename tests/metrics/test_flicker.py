import pytest
import torch
from torch import Tensor

from sr.metrics.flicker import find_visible, measure_pair_error, warping_error


def smooth(height: int, width: int) -> Tensor:
    """(1, 3, height, width), waves that bicubic follows."""
    y = torch.arange(height, dtype=torch.float32)[:, None]
    x = torch.arange(width, dtype=torch.float32)
    waves = [torch.sin(x / 5 + y / 7 + phase) for phase in (0, 1, 2)]
    return 0.5 + 0.3 * torch.stack(waves)[None]


def constant(height: int, width: int, across: float, down: float) -> Tensor:
    return torch.tensor([across, down], dtype=torch.float32).expand(height, width, 2).clone()


def moving(num_frames: int) -> tuple[list[Tensor], list[tuple[Tensor, Tensor]]]:
    """A scene that moves 2 px to the right and 1 px down a frame, and its flow."""
    scene = smooth(60, 80)
    frames = [scene[..., 20 - t : 52 - t, 30 - 2 * t : 70 - 2 * t] for t in range(num_frames)]
    flow = constant(32, 40, 2, 1)
    return frames, [(flow, -flow)] * (num_frames - 1)


def test_a_moving_scene_without_flicker_has_no_error() -> None:
    frames, flows = moving(4)
    assert warping_error(frames, flows) < 1e-10


def test_the_error_of_a_step_in_brightness_is_its_square() -> None:
    frames, flows = moving(3)
    frames[1] = frames[1] + 0.1
    assert warping_error(frames, flows) == pytest.approx(0.01, rel=1e-4)
    frames[2] = frames[2] + 0.1  # now one step in two pairs
    assert warping_error(frames, flows) == pytest.approx(0.005, rel=1e-4)


def test_flow_of_the_wrong_direction_has_an_error() -> None:
    frames, flows = moving(2)
    wrong = [(backward, forward) for forward, backward in flows]
    assert warping_error(frames, wrong) > 1e-3


def test_flipping_frames_and_flow_changes_nothing() -> None:
    frames, flows = moving(2)
    noise = torch.rand(frames[1].shape, generator=torch.Generator().manual_seed(0))
    frames[1] = 0.9 * frames[1] + 0.1 * noise
    expected = warping_error(frames, flows)
    turned = torch.tensor([-1.0, 1.0])
    flipped = [(a.flip(1) * turned, b.flip(1) * turned) for a, b in flows]
    assert warping_error([frame.flip(-1) for frame in frames], flipped) == pytest.approx(expected)


def test_values_beyond_white_are_those_of_white() -> None:
    frames, flows = moving(2)
    white = [torch.ones_like(frame) for frame in frames]
    assert warping_error([white[0], white[1] + 0.3], flows) < 1e-10


def test_pixels_that_leave_the_image_do_not_count() -> None:
    frames, flows = moving(2)
    frames[0] = frames[0].clone()
    frames[0][..., -2:] = 0  # 2 px to the right is beyond frame 1
    frames[0][..., -1:, :] = 1
    assert warping_error(frames, flows) < 1e-10


def test_covered_pixels_do_not_count() -> None:
    frames, _ = moving(1)
    following = frames[0].clone()
    following[..., 10:20, 10:20] = 0  # something new covers the scene
    still = torch.zeros(32, 40, 2)
    assert warping_error([frames[0], following], [(still, still)]) > 1e-3
    backward = still.clone()
    backward[10:20, 10:20] = 5  # what is there comes from elsewhere
    assert warping_error([frames[0], following], [(still, backward)]) < 1e-10


def test_pixels_where_motion_changes_abruptly_do_not_count() -> None:
    (frame,), _ = moving(1)
    still = torch.zeros(32, 40, 2)
    forward = still.clone()
    forward[:, 20:, 0] = 0.4  # too little for the way back to show
    damaged = frame.clone()
    damaged[..., 19] = 0
    expected = warping_error([frame, frame], [(forward, still)])
    assert warping_error([damaged, frame], [(forward, still)]) == expected
    assert warping_error([damaged, frame], [(still, still)]) > 1e-3


def test_wrong_numbers_and_shapes_are_refused() -> None:
    frames, flows = moving(3)
    with pytest.raises(ValueError, match="got 3 frames and 1 pairs of flows"):
        warping_error(frames, flows[:1])
    with pytest.raises(ValueError, match="got 1 frames"):
        warping_error(frames[:1], [])
    with pytest.raises(ValueError, match=r"frame 1 or 2: .* got torch.float32 \(1, 3, 32, 39\)"):
        warping_error([*frames[:2], frames[2][..., 1:]], flows)
    with pytest.raises(ValueError, match=r"flow between frames 0 and 1: .*\(32, 40, 2\), got"):
        warping_error(frames, [(flows[0][0][1:], flows[0][1]), flows[1]])
    with pytest.raises(ValueError, match="uint8"):
        warping_error([(frame * 255).byte() for frame in frames], flows)


def test_a_pair_with_nothing_in_common_is_named() -> None:
    frames, flows = moving(3)
    away = constant(32, 40, 100, 0)
    with pytest.raises(ValueError, match="expected frames 1 and 2 to show the same"):
        warping_error(frames, [flows[0], (away, -away)])


def test_a_clips_error_is_the_mean_over_its_pairs() -> None:
    frames, flows = moving(3)
    frames[1] = 0.8 * frames[1] + 0.1
    visible = [find_visible(*pair) for pair in flows]
    errors = [measure_pair_error(frames[t], frames[t + 1], flows[t][0], visible[t]) for t in (0, 1)]
    assert sum(errors) / 2 == pytest.approx(warping_error(frames, flows))
