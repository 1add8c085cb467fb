"""Channels to pixels, as PyTorch does it."""

import pytest
import torch
from torch.nn import functional

from sr.networks.compact import Compact
from sr.networks.pixel_shuffle import PixelShuffle


@pytest.mark.parametrize("memory_format", [torch.contiguous_format, torch.channels_last])
@pytest.mark.parametrize("scale", [1, 2, 3, 4])
def test_pixels_are_those_of_pytorch_and_contiguous(
    scale: int, memory_format: torch.memory_format
) -> None:
    features = torch.rand(2, 3 * scale**2, 5, 7).to(memory_format=memory_format)
    pixels = PixelShuffle(scale)(features)
    assert torch.equal(pixels, functional.pixel_shuffle(features, scale))
    assert pixels.is_contiguous() or scale == 1


@pytest.mark.parametrize("memory_format", [torch.contiguous_format, torch.channels_last])
def test_compact_adds_the_nearest_neighbor_enlargement(memory_format: torch.memory_format) -> None:
    network = Compact(scale=3, num_features=4, num_convs=1)
    lr = torch.rand(2, 3, 6, 5).to(memory_format=memory_format)
    base = functional.interpolate(lr, scale_factor=3.0, mode="nearest")
    expected = functional.pixel_shuffle(network.body(lr), 3) + base
    assert torch.equal(network(lr), expected)
