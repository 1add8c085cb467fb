from collections.abc import Iterator

import cv2
import numpy as np
import pytest
import torch
from torch import Tensor

from sr.inference.video.temporal_filter import TemporalFilter

Pair = tuple[int, Tensor, Tensor]

SCALE = 2
HEIGHT, WIDTH = 32, 40  # of lr


def scene(seed: int, height: int = 120, width: int = 160) -> Tensor:
    """(1, 3, height, width): smooth noise, in [0, 1]."""
    noise = np.random.default_rng(seed).random((height, width, 3), np.float32)
    blurred = cv2.GaussianBlur(noise, (0, 0), 3)
    rows = (0.1 + 0.8 * (blurred - blurred.min()) / np.ptp(blurred)).astype(np.float32)
    return torch.from_numpy(rows).permute(2, 0, 1)[None].contiguous()


def flicker(number: int) -> Tensor:
    """Fine detail that is another in each frame: (1, 3, SCALE*HEIGHT, SCALE*WIDTH)."""
    random = torch.Generator().manual_seed(number)
    return 0.05 * torch.randn((1, 3, SCALE * HEIGHT, SCALE * WIDTH), generator=random)


def clip(num_frames: int, *, speed: int = 1, seed: int = 0, first: int = 0) -> list[Pair]:
    """A scene that moves `speed` LR pixels to the right a frame; sr is right but for flicker."""
    whole = scene(seed)
    pairs = []
    for number in range(first, first + num_frames):
        left = 2 * (20 - speed * number)
        hr = whole[..., 20 : 20 + 2 * HEIGHT, left : left + 2 * WIDTH]
        lr = torch.nn.functional.avg_pool2d(hr, SCALE)
        pairs.append((number, lr, hr + flicker(number)))
    return pairs


def without_flicker(pairs: list[Pair]) -> list[Tensor]:
    return [sr - flicker(number) for number, _, sr in pairs]


def distance(a: Tensor, b: Tensor) -> float:
    """Root mean square, without a border where neighbors show nothing."""
    border = (..., slice(12, -12), slice(12, -12))
    return float((a[border] - b[border]).square().mean().sqrt())


@pytest.mark.parametrize("radius", [1, 2])
@pytest.mark.parametrize("speed", [0, 1, 2])
def test_flicker_of_a_moving_scene_is_averaged_away(speed: int, radius: int) -> None:
    pairs = clip(6, speed=speed)
    filtered = list(TemporalFilter(radius=radius).filter(pairs))
    number, middle = filtered[3]
    expected = without_flicker(pairs)[3]
    before = distance(pairs[3][2], expected)
    # Equal parts of 2r+1 frames leave 1 / sqrt(2r+1).
    assert distance(middle, expected) < 1.15 * before / np.sqrt(2 * radius + 1)
    assert number == 3


@pytest.mark.parametrize("radius", [1, 2, 3])
@pytest.mark.parametrize("num_frames", [0, 1, 2, 7])
def test_each_frame_comes_once_and_in_order(num_frames: int, radius: int) -> None:
    filtered = list(TemporalFilter(radius=radius).filter(clip(num_frames)))
    assert [number for number, _ in filtered] == list(range(num_frames))
    for _, frame in filtered:
        assert frame.shape == (1, 3, SCALE * HEIGHT, SCALE * WIDTH)
        assert frame.dtype == torch.float32
        assert frame.is_contiguous()


def test_a_lone_frame_is_the_networks_own() -> None:
    ((_, lr, sr),) = clip(1)
    ((_, frame),) = TemporalFilter().filter([(0, lr, sr)])
    assert torch.allclose(frame, sr, atol=1e-6)


@pytest.mark.parametrize("radius", [1, 2])
def test_a_job_that_begins_in_the_middle_gives_the_very_same_frames(radius: int) -> None:
    pairs = clip(8)
    whole = dict(TemporalFilter(radius=radius).filter(pairs))
    begun = dict(TemporalFilter(radius=radius).filter(pairs[4 - radius :]))
    for number in range(4, 8):
        assert torch.equal(whole[number], begun[number])


def test_no_more_frames_are_asked_for_than_the_radius_needs() -> None:
    taken = []

    def watched() -> Iterator[Pair]:
        for pair in clip(6):
            taken.append(pair[0])
            yield pair

    filtered = TemporalFilter(radius=2).filter(watched())
    for number in range(4):
        assert next(filtered)[0] == number
        assert taken[-1] == number + 2


@pytest.mark.parametrize("radius", [1, 2])
def test_nothing_comes_across_a_scene_cut(radius: int) -> None:
    before, after = clip(3, seed=0), clip(3, seed=1, first=3)
    joined = dict(TemporalFilter(radius=radius).filter([*before, *after]))
    apart = dict(TemporalFilter(radius=radius).filter(before))
    apart |= dict(TemporalFilter(radius=radius).filter(after))
    for number, frame in joined.items():
        assert torch.equal(frame, apart[number])


def test_a_change_of_light_stays_as_it_is() -> None:
    ((_, lr, sr),) = clip(1)
    steady = sr - flicker(0)
    lights = [0.0, 0.0, 0.02, 0.04, 0.04]
    pairs = [(t, lr + light, steady + light) for t, light in enumerate(lights)]
    for number, frame in TemporalFilter().filter(pairs):
        assert distance(frame, steady + lights[number]) < 1e-3


def test_an_object_that_appears_leaves_no_ghost() -> None:
    pairs = clip(3, speed=0)
    pairs = [(number, lr, sr - flicker(number)) for number, lr, sr in pairs]
    _, lr, sr = pairs[1]
    lr, sr = lr.clone(), sr.clone()
    lr[..., 12:20, 16:24] = 1
    sr[..., 24:40, 32:48] = 1
    sr[..., 28:36, 36:44] = 0.7  # detail of its own
    pairs[1] = (1, lr, sr)
    filtered = dict(TemporalFilter().filter(pairs))
    for number, _, expected in pairs:
        assert float((filtered[number] - expected).abs().max()) < 0.02


def test_equal_frames_are_averaged_as_they_are() -> None:
    _, lr, _ = clip(1)[0]
    noise = torch.rand((3, *lr.shape), generator=torch.Generator().manual_seed(0))
    frames = [noise[index].repeat_interleave(2, -1).repeat_interleave(2, -2) for index in range(3)]
    pairs = [(index, lr, frame) for index, frame in enumerate(frames)]
    filtered = dict(TemporalFilter(strength=0.5).filter(pairs))
    expected = (0.5 * frames[0] + frames[1] + 0.5 * frames[2]) / 2
    assert torch.allclose(filtered[1], expected, atol=1e-6)
    assert torch.allclose(filtered[0], (frames[0] + 0.5 * frames[1]) / 1.5, atol=1e-6)


def test_ratios_need_not_be_whole_numbers() -> None:
    pairs = [
        (number, lr, torch.nn.functional.interpolate(sr, size=(75, 50), mode="area"))
        for number, lr, sr in clip(3)
    ]
    filtered = list(TemporalFilter().filter(pairs))
    assert [tuple(frame.shape) for _, frame in filtered] == [(1, 3, 75, 50)] * 3
    assert distance(filtered[1][1], pairs[1][2]) < 0.05


def test_what_is_given_is_not_changed() -> None:
    pairs = clip(3)
    copies = [(lr.clone(), sr.clone()) for _, lr, sr in pairs]
    list(TemporalFilter().filter(pairs))
    for (_, lr, sr), (lr_before, sr_before) in zip(pairs, copies, strict=True):
        assert torch.equal(lr, lr_before)
        assert torch.equal(sr, sr_before)


def test_half_precision_is_taken() -> None:
    pairs = [(number, lr.half(), sr.half()) for number, lr, sr in clip(2)]
    assert all(frame.dtype == torch.float32 for _, frame in TemporalFilter().filter(pairs))


def test_unusable_strengths_and_radii_are_refused() -> None:
    with pytest.raises(ValueError, match="strength above 0, got 0"):
        TemporalFilter(strength=0)
    with pytest.raises(ValueError, match="strength above 0, got nan"):
        TemporalFilter(strength=float("nan"))
    with pytest.raises(ValueError, match="radius of 1 or more, got 0"):
        TemporalFilter(radius=0)
