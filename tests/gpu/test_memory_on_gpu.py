"""A GPU whose memory does not suffice, and one that is filled."""

from collections.abc import Iterator

import pytest
import torch
from torch import Tensor

from sr.networks.compact import Compact
from sr.networks.span import SPAN
from sr.tiling.auto_tile_size import choose_batch_size, choose_tile_size
from sr.tiling.tiles import Box
from sr.tiling.upscaler import Upscaler

# Warnings that nobody has seen yet are no reason to fail.
pytestmark = [pytest.mark.gpu, pytest.mark.filterwarnings("default")]

CPU = torch.device("cpu")
MIB = 2**20


@pytest.fixture
def limited(gpu: torch.device) -> Iterator[torch.device]:
    """A GPU on which this process may take 512 MiB more."""
    _, total = torch.cuda.mem_get_info(gpu)
    limit = torch.cuda.memory_reserved(gpu) + 512 * MIB
    torch.cuda.set_per_process_memory_fraction(limit / total, gpu)
    yield gpu
    torch.cuda.set_per_process_memory_fraction(1.0, gpu)


def make_upscaler(device: torch.device, tile_size: int, warnings: list[str]) -> Upscaler:
    torch.manual_seed(0)
    return Upscaler(
        Compact(2, num_features=64, num_convs=2),
        scale=2,
        halo=5,
        tile_size=tile_size,
        device=device,
        dtype=torch.float32,
        on_warning=warnings.append,
    )


def test_tiles_that_do_not_fit_are_cut(limited: torch.device) -> None:
    """A whole image whose every feature map takes 512 MiB."""
    warnings: list[str] = []
    lr = torch.rand(1, 3, 1024, 2048)
    upscaler = make_upscaler(limited, 0, warnings)
    sr = upscaler(lr)
    assert warnings
    assert 0 < upscaler.tile_size < 2048
    part = make_upscaler(CPU, 0, [])(lr[:, :, 500:600, 900:1100])[:, :, 20:-20, 20:-20]
    assert (sr[:, :, 1020:1180, 1820:2180] - part).abs().max() < 1e-4


def test_a_result_that_does_not_fit_is_put_together_on_the_cpu(limited: torch.device) -> None:
    """Of a writer that asks for all memory there is."""
    seen: list[str] = []

    def write(box: Box, sr: Tensor) -> None:
        if sr.device.type == "cuda":
            torch.empty(4096 * MIB, dtype=torch.uint8, device=sr.device)
        seen.append(sr.device.type)

    make_upscaler(limited, 64, []).upscale(
        128, 128, lambda box: torch.rand(1, 3, box.height, box.width), write
    )
    assert seen == ["cpu"] * 4


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16])
def test_the_tile_size_that_is_chosen_fits(gpu: torch.device, dtype: torch.dtype) -> None:
    network, warnings = SPAN(4), list[str]()
    given = {"scale": 4, "halo": 21, "device": gpu, "dtype": dtype, "num_patches": 2}
    tile_size = choose_tile_size(network, **given)  # type: ignore[arg-type]
    assert choose_batch_size(network, 64, **given) >= 1  # type: ignore[arg-type]
    upscaler = Upscaler(
        network,
        scale=4,
        halo=21,
        tile_size=tile_size,
        device=gpu,
        dtype=dtype,
        on_warning=warnings.append,
    )
    side = min(tile_size, 1920)
    sr = upscaler.upscale_whole(torch.rand(2, 3, side, side, device=gpu), gpu)
    assert sr.shape == (2, 3, 4 * side, 4 * side)
    assert not warnings


def test_a_compiled_network_gives_the_same(gpu: torch.device) -> None:
    torch.manual_seed(0)
    network, lr = Compact(2, num_features=32, num_convs=4), torch.rand(1, 3, 96, 160)
    results = [
        Upscaler(
            network,
            scale=2,
            halo=8,
            tile_size=64,
            device=gpu,
            dtype=torch.float16,
            compiled=compiled,
        )(lr)
        for compiled in (False, True)
    ]
    assert (results[0] - results[1]).abs().max() < 1e-2
