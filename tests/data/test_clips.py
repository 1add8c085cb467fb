import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from sr.data.clips import Clip, ClipArrays, Downscaling, FlowStore, find_scene
from sr.data.frame_folders import FrameFiles
from sr.data.imresize import imresize
from sr.data.sources import Image
from sr.io.rgb8 import write_rgb8
from sr.motion.methods import DIS, RGB8, Flow


@dataclass(frozen=True)
class Given:
    """Frames that are there already."""

    images: Sequence[Image]
    identity: str = "given"
    name: str = "given"

    @property
    def size(self) -> tuple[int, int]:
        height, width, _ = self.images[0].shape
        return height, width

    @property
    def num_frames(self) -> int:
        return len(self.images)

    def read(self) -> list[Image]:
        return list(self.images)


class LevelFlow:
    """Says by how much the second frame is brighter, across, and the half of it, down."""

    def __init__(self, name: str = "levels") -> None:
        self.name = name
        self.calls = 0

    def __call__(self, a: RGB8, b: RGB8) -> Flow:
        self.calls += 1
        brighter = float(b.mean() - a.mean())
        return np.full((*a.shape[:2], 2), (brighter, brighter / 2), np.float32)


def noise(num_frames: int, height: int = 16, width: int = 24, seed: int = 0) -> Given:
    shape = (num_frames, height, width, 3)
    frames = np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)
    return Given(list(frames))


def rising(num_frames: int = 4) -> Given:
    """Flat frames, each 8 levels brighter than the one before."""
    return Given([np.full((16, 24, 3), 8 * number, np.uint8) for number in range(num_frames)])


def smooth(seed: int) -> Image:
    """(128, 192, 3)."""
    coarse = noise(1, 16, 24, seed).images[0]
    return np.asarray(cv2.resize(coarse, (192, 128), interpolation=cv2.INTER_CUBIC), np.uint8)


def same(one: tuple[NDArray[Any], ...], other: tuple[NDArray[Any], ...]) -> bool:
    return all(np.array_equal(a, b) for a, b in zip(one, other, strict=True))


@pytest.mark.parametrize("scale", [2, 3, 4])
def test_lr_of_a_clip_is_the_bicubic_downscaling_of_each_frame(scale: int) -> None:
    frames = noise(3, 12, 24)
    arrays = Clip(frames, Downscaling(scale)).load()
    for lr, hr, frame in zip(arrays.lr, arrays.hr, frames.images, strict=True):
        np.testing.assert_array_equal(hr, frame)
        np.testing.assert_array_equal(lr, imresize(frame, Fraction(1, scale)))


@pytest.mark.parametrize("downscale", [1.0, 0.5, 0.3])
@pytest.mark.parametrize("size", [(40, 53), (37, 50)])
def test_frames_are_cut_to_a_multiple_of_the_scale_after_their_own_downscaling(
    size: tuple[int, int], downscale: float
) -> None:
    clip = Clip(noise(2, *size), Downscaling(4), downscale)
    arrays = clip.load()
    height, width = clip.hr_size
    assert height % 4 == width % 4 == 0
    assert arrays.hr.shape == (2, height, width, 3)
    assert arrays.lr.shape == (2, height // 4, width // 4, 3)
    assert -1 < size[0] * downscale - height < 4  # rounded up before
    whole = noise(2, *size).images[1]
    if downscale < 1:
        whole = imresize(whole, Fraction(str(downscale)))
    np.testing.assert_array_equal(arrays.hr[1], whole[:height, :width])
    np.testing.assert_array_equal(arrays.lr[1], imresize(arrays.hr[1], Fraction(1, 4)))


def test_a_clips_name_has_its_size() -> None:
    assert Clip(rising(), Downscaling(4)).name == "given"
    assert Clip(rising(), Downscaling(4), 0.5).name == "given at 0.5 of its size"


@pytest.mark.parametrize("level", [0, 1, 100, 254, 255])
def test_blurred_downscaling_keeps_a_constant(level: int) -> None:
    lr = Downscaling(4, 1.6)(np.full((16, 24, 3), level, np.uint8))
    assert lr.shape == (4, 6, 3)
    assert (lr == level).all()


@pytest.mark.parametrize("place", [(16, 20), (17, 20), (18, 22), (13, 25)])
def test_blurred_downscaling_takes_every_4th_pixel_of_the_gaussian_from_the_first(
    place: tuple[int, int],
) -> None:
    hr = np.zeros((32, 40, 3), np.uint8)
    hr[place] = 255
    taps = np.exp(-(np.arange(-6.0, 7) ** 2) / (2 * 1.6**2))
    taps /= taps.sum()

    def seen(from_: int, num: int) -> NDArray[np.float64]:
        distances = np.abs(4 * np.arange(num) - from_)
        return np.where(distances <= 6, taps[np.minimum(distances, 6) + 6], 0)

    expected = 255 * np.outer(seen(place[0], 8), seen(place[1], 10))
    lr = Downscaling(4, 1.6)(hr)
    assert expected.max() > 3
    np.testing.assert_allclose(lr[..., 0], expected, atol=0.75)  # OpenCV's taps are of 8 bits
    np.testing.assert_array_equal(lr[..., 0], lr[..., 2])


def test_blurred_downscaling_sees_the_mirrored_image_beyond_its_border() -> None:
    hr = noise(1, 24, 32).images[0]
    larger = np.pad(hr, ((8, 8), (8, 8), (0, 0)), mode="reflect")
    blurred = Downscaling(4, 1.6)
    np.testing.assert_array_equal(blurred(hr), blurred(larger)[2:-2, 2:-2])


def test_a_clip_is_blurred_where_asked() -> None:
    frames = noise(2)
    bicubic, blurred = (Clip(frames, Downscaling(4, sigma)).load() for sigma in (None, 1.6))
    np.testing.assert_array_equal(bicubic.hr, blurred.hr)
    assert blurred.lr.shape == bicubic.lr.shape
    assert blurred.lr.std() < bicubic.lr.std()


def test_flow_leads_to_the_next_and_to_the_previous_frame(tmp_path: Path) -> None:
    method = LevelFlow()
    arrays = Clip(rising(), Downscaling(4), flow=FlowStore(method, tmp_path)).load()
    assert arrays.to_next.shape == arrays.to_previous.shape == (3, 2, 4, 6)
    assert arrays.cuts.shape == (3,)
    assert method.calls == 2 * 3
    for flows, sign in ((arrays.to_next, 1), (arrays.to_previous, -1)):
        assert flows.dtype == np.float16
        assert (flows[:, 0] == sign * 8).all()
        assert (flows[:, 1] == sign * 4).all()


def test_flow_that_is_kept_is_not_measured_again(tmp_path: Path) -> None:
    first, second = LevelFlow(), LevelFlow()
    measured = Clip(noise(4), Downscaling(4), flow=FlowStore(first, tmp_path)).load()
    kept = Clip(noise(4), Downscaling(4), flow=FlowStore(second, tmp_path)).load()
    assert (first.calls, second.calls) == (6, 0)
    assert same(measured, kept)


@pytest.mark.parametrize(
    "other",
    [
        lambda store: Clip(noise(4), Downscaling(4), flow=FlowStore(LevelFlow("b"), store.folder)),
        lambda store: Clip(noise(4), Downscaling(2), flow=store),
        lambda store: Clip(noise(4), Downscaling(4, 1.6), flow=store),
        lambda store: Clip(noise(4), Downscaling(4), 0.5, flow=store),
        lambda store: Clip(Given(noise(4).images, "b"), Downscaling(4), flow=store),
    ],
    ids=["method", "scale", "blur", "downscale", "frames"],
)
def test_flow_of_another_kind_is_measured(
    other: Callable[[FlowStore], Clip], tmp_path: Path
) -> None:
    Clip(noise(4), Downscaling(4), flow=FlowStore(LevelFlow(), tmp_path)).load()
    store = FlowStore(LevelFlow(), tmp_path)
    clip = other(store)
    clip.load()
    assert isinstance(clip.flow, FlowStore)
    assert isinstance(clip.flow.method, LevelFlow)
    assert clip.flow.method.calls == 6


def test_flow_is_measured_again_where_a_frames_file_has_changed(tmp_path: Path) -> None:
    paths = tuple(tmp_path / f"{number}.png" for number in range(3))
    for path, image in zip(paths, rising(3).images, strict=True):
        write_rgb8(path, image)
    method = LevelFlow()
    clip = Clip(FrameFiles(paths, (16, 24)), Downscaling(4), flow=FlowStore(method, tmp_path))
    clip.load()
    clip.load()
    assert method.calls == 4
    os.utime(paths[1], ns=(0, 0))
    clip.load()
    assert method.calls == 8


@pytest.mark.parametrize(
    "damage",
    [
        lambda content: content[: len(content) // 2],
        lambda content: content[:-5],
        lambda _: b"",
        lambda _: b"something else",
        lambda content: content.replace(b"to_next.npy", b"to_text.npy"),
        lambda content: content[:400] + bytes(100) + content[500:],
    ],
    ids=["half", "end", "empty", "other", "name", "inside"],
)
def test_a_damaged_file_of_flow_is_measured_again(
    damage: Callable[[bytes], bytes], tmp_path: Path
) -> None:
    good = Clip(noise(4), Downscaling(4), flow=FlowStore(LevelFlow(), tmp_path)).load()
    (path,) = tmp_path.rglob("*.npz")
    path.write_bytes(damage(path.read_bytes()))
    for calls in (6, 0):
        method = LevelFlow()
        arrays = Clip(noise(4), Downscaling(4), flow=FlowStore(method, tmp_path)).load()
        assert method.calls == calls
        assert same(arrays, good)


def test_flow_of_another_size_is_measured_again(tmp_path: Path) -> None:
    Clip(noise(4), Downscaling(4), flow=FlowStore(LevelFlow(), tmp_path)).load()
    method = LevelFlow()
    longer = Clip(noise(5), Downscaling(4), flow=FlowStore(method, tmp_path))
    assert longer.load().to_next.shape == (4, 2, 4, 6)
    assert method.calls == 8


def test_where_no_flow_is_wanted_nothing_is_measured(tmp_path: Path) -> None:
    arrays = Clip(noise(4), Downscaling(4)).load()
    assert arrays.to_next.shape == arrays.to_previous.shape == (0, 2, 4, 6)
    assert arrays.cuts.shape == (0,)
    assert not list(tmp_path.iterdir())


def test_a_clip_of_one_frame_has_no_flow(tmp_path: Path) -> None:
    method = LevelFlow()
    arrays = Clip(noise(1), Downscaling(4), flow=FlowStore(method, tmp_path)).load()
    assert method.calls == 0
    assert arrays.to_next.shape == (0, 2, 4, 6)
    scene = find_scene(arrays, 0)
    assert (scene.first, scene.last) == (0, 0)


def test_a_cut_between_unlike_images_is_found_and_none_between_equal_ones(
    tmp_path: Path,
) -> None:
    one, other = (smooth(seed) for seed in (1, 2))
    frames = Given([one, one, other, other, one])
    arrays = Clip(frames, Downscaling(2), flow=FlowStore(DIS(), tmp_path)).load()
    assert arrays.cuts.tolist() == [False, True, False, True]


def test_a_scene_ends_at_cuts_and_has_the_frames_and_the_flow_between_them() -> None:
    numbers = np.arange(6, dtype=np.uint8).reshape(6, 1, 1, 1)
    flows = np.arange(5, dtype=np.float16).reshape(5, 1, 1, 1)
    clip = ClipArrays(
        lr=np.broadcast_to(numbers, (6, 4, 5, 3)).copy(),
        hr=np.broadcast_to(numbers, (6, 8, 10, 3)).copy(),
        to_next=np.broadcast_to(10 + flows, (5, 2, 4, 5)).copy(),
        to_previous=np.broadcast_to(20 + flows, (5, 2, 4, 5)).copy(),
        cuts=np.array([False, False, True, False, True]),
    )
    for position, first, last in ((0, 0, 2), (1, 0, 2), (2, 0, 2), (3, 3, 4), (4, 3, 4), (5, 5, 5)):
        scene = find_scene(clip, position)
        assert (scene.first, scene.last) == (first, last)
        assert list(scene.frames) == list(range(first, last + 1))
        for number, frame in scene.frames.items():
            assert frame.shape == (3, 4, 5)
            assert (frame == number).all()
        # Between frames 3 and 4 lies pair 3.
        assert {t: float(flow[0, 0, 0]) for t, flow in scene.to_next.items()} == {
            t: 10.0 + t for t in range(first, last)
        }
        assert {t: float(flow[0, 0, 0]) for t, flow in scene.to_previous.items()} == {
            t: 20.0 + t - 1 for t in range(first + 1, last + 1)
        }
        assert all(flow.dtype == torch.float16 for flow in scene.to_next.values())


@pytest.mark.parametrize("flow", [True, False])
@pytest.mark.parametrize(
    ("num_frames", "size", "scale", "downscale"),
    [(1, (16, 24), 4, 1.0), (7, (37, 50), 3, 0.5), (15, (16, 16), 8, 1.0), (2, (24, 20), 2, 1.0)],
)
def test_a_clip_takes_no_more_bytes_than_it_says(
    num_frames: int,
    size: tuple[int, int],
    scale: int,
    downscale: float,
    flow: bool,
    tmp_path: Path,
) -> None:
    store = FlowStore(LevelFlow(), tmp_path) if flow else None
    clip = Clip(noise(num_frames, *size), Downscaling(scale), downscale, store)
    taken = sum(array.nbytes for array in clip.load())
    assert taken <= clip.num_bytes
    if num_frames > 1:
        assert clip.num_bytes < 2 * taken
