from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import torch

from sr.data.clips import Clip, ClipArrays, Downscaling, FlowStore, find_scene, load_samples
from sr.data.sources import Image, Pair, Source, count_pair_bytes
from sr.motion.frame_window import Alignment, Window, gather_window
from sr.motion.methods import DIS

LR = np.random.default_rng(0).integers(0, 256, (6, 8, 3), dtype=np.uint8)


@dataclass
class Single:
    """An image."""

    name: str = "image"
    hr_size: tuple[int, int] = (12, 16)
    num_bytes: int = count_pair_bytes((12, 16))

    def load(self) -> Pair:
        return LR, LR.repeat(2, axis=0).repeat(2, axis=1)


@dataclass(frozen=True)
class Moving:
    """Three frames of noise that moves."""

    name: str = "moving"
    size: tuple[int, int] = (32, 48)
    num_frames: int = 3
    identity: str = "moving"

    def read(self) -> list[Image]:
        noise = np.random.default_rng(0).integers(0, 256, (40, 60, 3), dtype=np.uint8)
        return [noise[t : t + 32, 4 * t : 4 * t + 48] for t in range(3)]


@pytest.fixture
def clip(tmp_path: Path) -> Clip:
    return Clip(Moving(), Downscaling(2), flow=FlowStore(DIS(), tmp_path))


def test_a_image_is_one_sample() -> None:
    source: Source[Pair] = Single()
    ((inputs, hr),) = load_samples(source, None)
    assert len(inputs) == 1
    assert inputs[0].shape == (1, 3, 6, 8)
    assert hr is not None
    assert hr.shape == (1, 3, 12, 16)
    np.testing.assert_allclose(inputs[0][0].permute(1, 2, 0) * 255, LR, atol=1e-4)


def test_every_frame_of_a_clip_is_a_sample_without_a_window_lr_alone(clip: Clip) -> None:
    arrays = clip.load()
    found = list(load_samples(clip, None))
    assert len(found) == 3
    for number, (inputs, hr) in enumerate(found):
        assert len(inputs) == 1
        assert hr is not None
        np.testing.assert_allclose(
            inputs[0][0].permute(1, 2, 0) * 255, arrays.lr[number], atol=1e-4
        )
        np.testing.assert_allclose(hr[0].permute(1, 2, 0) * 255, arrays.hr[number], atol=1e-4)


@pytest.mark.parametrize("alignment", ["none", "nearest"])
def test_with_a_window_each_frame_comes_with_its_neighbors_and_the_flow(
    clip: Clip, alignment: Alignment
) -> None:
    window = Window((-1, 1, -2, 2), alignment=alignment)
    arrays: ClipArrays = clip.load()
    for number, ((lr, neighbors, flows), hr) in enumerate(load_samples(clip, window)):
        assert hr is not None
        assert hr.shape == (1, 3, 32, 48)
        assert lr.shape == (1, 3, 16, 24)
        assert neighbors.shape == (1, 4, 3, 16, 24)
        assert flows.shape == (1, 4, 2, 16, 24)
        expected = gather_window(window, find_scene(arrays, number), number)
        assert torch.equal((neighbors[0] * 255).round(), expected[0].float())
        assert 0.5 < neighbors.max() <= 1
        assert torch.equal(flows[0], expected[1])
        assert flows.dtype == torch.float32
