"""Memory a pixel: measured small, right when large; tiles as large as it allows."""

from collections.abc import Callable
from typing import Any

import psutil
import pytest
import torch
from torch import Tensor, nn

from sr.networks.compact import Compact
from sr.networks.rrdb import RRDBNet
from sr.networks.srresnet import SRResNet
from sr.tiling import auto_tile_size as memory
from sr.tiling.auto_tile_size import (
    MIN_TILE_SIZE,
    choose_batch_size,
    choose_tile_size,
    measure_bytes_per_pixel,
    measure_peak_bytes,
)
from sr.tiling.tiles import split_image
from sr.tiling.upscaler import DEFAULT_TILE_SIZE

CPU = torch.device("cpu")
FP32 = torch.float32
NETWORKS: dict[str, Callable[[], nn.Module]] = {
    "Compact": lambda: Compact(4, num_features=24, num_convs=2),
    "SRResNet": lambda: SRResNet(4, num_features=16, num_blocks=2),
    "RRDBNet": lambda: RRDBNet(4, num_features=16, num_blocks=1, num_growth=8),
}


@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.parametrize("dtype", [FP32, torch.bfloat16])
@pytest.mark.parametrize(("height", "width"), [(90, 50), (17, 110)])
def test_other_sizes_take_what_was_predicted(
    name: str, dtype: torch.dtype, height: int, width: int
) -> None:
    network = NETWORKS[name]()
    foretold = measure_bytes_per_pixel(network, CPU, dtype) * height * width
    measured = measure_peak_bytes(network, torch.rand(1, 3, height, width), dtype)
    assert abs(foretold / measured - 1) < 0.15


def test_the_count_is_that_of_the_tensors_alive_at_once() -> None:
    class Known(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.weight = nn.Parameter(torch.zeros(100_000))

        def forward(self, lr: Tensor) -> Tensor:
            a = lr + 1  # 12 bytes a pixel next to 12 of lr, and 12 of lr in another layout
            b = torch.cat([a, a, a, a], 1)  # 48
            b += self.weight.view(-1)[:1]  # nothing: in place, of a weight
            del a
            c = b * 2  # 48: the peak, of 120
            del b
            return c.mean(1, keepdim=True)

    assert measure_peak_bytes(Known(), torch.rand(1, 3, 10, 20), FP32) == 120 * 10 * 20
    assert measure_bytes_per_pixel(Known(), CPU, FP32) == 120


def test_a_network_is_measured_once_for_each_precision() -> None:
    passes = []
    network = Compact(2, num_features=4, num_convs=1)
    network.register_forward_pre_hook(lambda _, arguments: passes.append(arguments))
    assert measure_bytes_per_pixel(network, CPU, FP32) == measure_bytes_per_pixel(
        network, CPU, FP32
    )
    assert len(passes) == 2
    assert measure_bytes_per_pixel(network, CPU, torch.bfloat16) < measure_bytes_per_pixel(
        network, CPU, FP32
    )
    assert len(passes) == 4


class Plain(nn.Module):
    """Takes 12 bytes a pixel for lr, 12 for its copy in channels last, 12 for the result."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(()))

    def forward(self, lr: Tensor) -> Tensor:
        return lr * self.weight


def tile_size(
    monkeypatch: pytest.MonkeyPatch, free: int, halo: int = 10, multiple: int = 1, patches: int = 1
) -> int:
    monkeypatch.setattr(memory, "count_free_bytes", lambda _: free)
    return choose_tile_size(
        Plain(),
        scale=1,
        halo=halo,
        device=CPU,
        dtype=FP32,
        multiple=multiple,
        num_patches=patches,
        share=0.5,
    )


def test_more_channels_than_a_images_are_counted() -> None:
    network = Plain()
    a_channel = 3 * FP32.itemsize  # lr in two layouts and the result
    assert measure_bytes_per_pixel(network, CPU, FP32, num_channels=13) == pytest.approx(
        13 * a_channel
    )


def test_a_tile_and_its_halo_fill_their_share_of_the_free_memory(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # lr in two layouts and the result; one patch read ahead; three results not yet written
    a_pixel = 1.6 * (36 + 12 + 3 * 12)
    for size in (40, 100, 333):
        free = int(2 * a_pixel * (size + 20) ** 2)
        assert tile_size(monkeypatch, free + 100) == size
        assert tile_size(monkeypatch, free - 100) == size - 1
        assert tile_size(monkeypatch, 4 * (free + 100), patches=4) == size
        assert tile_size(monkeypatch, free + 100, halo=9, multiple=2) == size // 2 * 2


def test_tiles_stay_within_bounds(monkeypatch: pytest.MonkeyPatch) -> None:
    assert tile_size(monkeypatch, 2**50) == DEFAULT_TILE_SIZE
    assert tile_size(monkeypatch, 0) == MIN_TILE_SIZE
    assert tile_size(monkeypatch, 2**50, multiple=48) == 480
    assert tile_size(monkeypatch, 0, multiple=48) == 48


@pytest.mark.parametrize("constant", [0, 10**9])
def test_scratch_memory_that_a_library_keeps_makes_no_pixel_free(
    monkeypatch: pytest.MonkeyPatch, constant: int
) -> None:
    """Of a GPU, in whose place stands torch's device without memory."""
    passes: list[int] = []

    def measure(network: nn.Module, lr: Tensor, dtype: torch.dtype) -> int:
        assert len(passes) == 2  # before the first is measured
        return 100 * lr.shape[2] * lr.shape[3] + (constant if lr.shape[2] == 32 else 0)

    def warm_up(network: nn.Module, lr: Tensor, dtype: torch.dtype) -> Tensor:
        passes.append(1)
        return lr

    monkeypatch.setattr(memory, "measure_peak_bytes", measure)
    monkeypatch.setattr(memory, "run_network", warm_up)
    expected = 12 if constant else 100  # at least the result itself
    assert measure_bytes_per_pixel(Plain(), torch.device("meta"), FP32) == expected


def choose_on_gpu(
    monkeypatch: pytest.MonkeyPatch, free: int, tile_size: int, a_pixel: int = 48, halo: int = 8
) -> tuple[int, int]:
    """Return the tile size and the batch size for a given one."""
    monkeypatch.setattr(memory, "count_free_bytes", lambda _: free)
    monkeypatch.setattr(memory, "measure_bytes_per_pixel", lambda *_: a_pixel)
    given: Any = {
        "scale": 1, "halo": halo, "device": torch.device("cuda", 0), "dtype": FP32,
        "num_patches": 2, "share": 0.5,
    }  # fmt: skip
    return choose_tile_size(Plain(), **given), choose_batch_size(Plain(), tile_size, **given)


@pytest.mark.parametrize(
    ("tile_size", "batch_size"), [(64, 16), (128, 4), (100, 4), (129, 1), (512, 1), (0, 1)]
)
def test_small_tiles_go_through_a_gpu_together(
    monkeypatch: pytest.MonkeyPatch, tile_size: int, batch_size: int
) -> None:
    assert choose_on_gpu(monkeypatch, 2**40, tile_size)[1] == batch_size
    network = Plain()
    given: Any = {"scale": 1, "halo": 8, "dtype": FP32}
    assert choose_batch_size(network, tile_size, device=CPU, **given) == 1


@pytest.mark.parametrize("fitting", [1, 2, 7, 100])
def test_no_more_tiles_go_through_a_gpu_together_than_there_is_memory_for(
    monkeypatch: pytest.MonkeyPatch, fitting: int
) -> None:
    a_pixel = 2 * 1.6 * (48 + 12 + 3 * 12)
    free = int(2 * fitting * (32 + 16) ** 2 * a_pixel) + 1000
    chosen, batch_size = choose_on_gpu(monkeypatch, free, 32)
    assert batch_size == min(fitting, 64)
    assert batch_size * (32 + 16) ** 2 * a_pixel <= 0.5 * free
    assert (chosen + 16) ** 2 * a_pixel <= 0.5 * free or chosen == MIN_TILE_SIZE


def test_a_large_gpu_takes_frames_of_full_hd_in_one_piece(monkeypatch: pytest.MonkeyPatch) -> None:
    tile_size, _ = choose_on_gpu(monkeypatch, 2**37, 0, a_pixel=400)
    assert len(split_image(720, 1280, tile_size=tile_size, halo=8)) == 1
    assert len(split_image(1080, 1920, tile_size=tile_size, halo=8)) == 1


def test_no_tensor_on_a_gpu_has_more_elements_than_kernels_count(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    a_pixel = 8 * 64 * 16 * 2  # eight maps of 64 channels at scale 4 in 16 bits
    tile_size, _ = choose_on_gpu(monkeypatch, 2**50, 0, a_pixel=a_pixel)
    assert (tile_size + 16) ** 2 * a_pixel <= 2**31 * 4


def test_without_weights_to_be_seen_nothing_is_measured() -> None:
    class Elsewhere(nn.Module):
        def forward(self, _: Tensor) -> Tensor:
            raise AssertionError

    assert (
        choose_tile_size(Elsewhere(), scale=4, halo=9, device=CPU, dtype=FP32) == DEFAULT_TILE_SIZE
    )


def test_free_memory_is_that_of_the_machine() -> None:
    assert 0 < memory.count_free_bytes(CPU) < psutil.virtual_memory().total


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
@pytest.mark.parametrize("name", NETWORKS)
def test_on_a_gpu_too_other_sizes_take_what_was_foretold(name: str) -> None:
    device, network = torch.device("cuda"), NETWORKS[name]()
    foretold = measure_bytes_per_pixel(network, device, FP32) * 200 * 300
    measured = measure_peak_bytes(network, torch.rand(1, 3, 200, 300, device=device), FP32)
    assert abs(foretold / measured - 1) < 0.3
    assert 0 < memory.count_free_bytes(device) <= torch.cuda.mem_get_info(device)[1]
