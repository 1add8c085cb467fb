"""Too little memory: tiles are cut until they fit, and none is lost, doubled or moved."""

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from sr.tiling.tiles import Box
from sr.tiling.upscaler import Upscaler

CPU = torch.device("cpu")
ERRORS = [
    torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB"),
    MemoryError(),
    RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes"),
    RuntimeError("DefaultCPUAllocator: not enough memory: you tried to allocate 9 bytes"),
]


class Limited(nn.Module):
    """A convolution of radius 2 that enlarges twice, for so many pixels at a time."""

    def __init__(self, max_pixels: int, error: Exception | None = None) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.body = nn.Sequential(nn.Conv2d(3, 12, 5, padding=2), nn.PixelShuffle(2))
        self.max_pixels = max_pixels
        self.error = error or MemoryError()
        self.num_failures = 0
        self.shapes: list[tuple[int, ...]] = []

    def forward(self, lr: Tensor) -> Tensor:
        if lr.shape[0] * lr.shape[2] * lr.shape[3] > self.max_pixels:
            self.num_failures += 1
            raise self.error
        self.shapes.append(tuple(lr.shape))
        sr: Tensor = self.body(lr)
        return sr


def upscaler(network: nn.Module, tile_size: int, **more: Any) -> Upscaler:
    return Upscaler(
        network, scale=2, halo=2, tile_size=tile_size, device=CPU, dtype=torch.float32, **more
    )


def image(height: int, width: int) -> Tensor:
    return torch.rand(1, 3, height, width, generator=torch.Generator().manual_seed(1))


def check(upscale: Upscaler, network: Limited, lr: Tensor) -> None:
    """The result is the whole one, each pixel of it written once, each tile reported once."""
    height, width = lr.shape[2:]
    with torch.inference_mode():
        whole = network.body(lr)
    written = torch.zeros(2 * height, 2 * width)
    reported: list[tuple[int, int]] = []
    sr = torch.full_like(whole, -9.0).clone()

    def read(box: Box) -> Tensor:
        return lr[:, :, box.rows, box.columns]

    def write(box: Box, part: Tensor) -> None:
        written[box.rows, box.columns] += 1
        sr[:, :, box.rows, box.columns] = part

    num_tiles = len(upscale.list_tiles(height, width))
    upscale.upscale(height, width, read, write, lambda tile, tiles: reported.append((tile, tiles)))
    assert (written == 1).all()
    assert (sr - whole).abs().max() < 1e-6
    assert reported == [(number, num_tiles) for number in range(1, num_tiles + 1)]


@pytest.mark.parametrize("error", ERRORS)
@pytest.mark.parametrize("tile_size", [0, 64])
def test_a_tile_too_large_is_cut_and_all_after_it(error: Exception, tile_size: int) -> None:
    network = Limited(50 * 50, error)
    warnings: list[str] = []
    upscale = upscaler(network, tile_size, on_warning=warnings.append)
    check(upscale, network, image(130, 150))
    assert network.num_failures == len(warnings) > 0  # none is tried that is known to be too large
    assert all("not enough memory for a tile of" in warning for warning in warnings)
    assert 32 <= upscale.tile_size < 50
    assert f"tiles of {upscale.tile_size}" in warnings[-1]
    network.num_failures = 0
    check(upscale, network, image(140, 99))  # the next image
    assert network.num_failures == 0


@pytest.mark.parametrize("multiple", [2, 4])
def test_cut_tiles_begin_at_multiples(multiple: int) -> None:
    network, boxes = Limited(40 * 40), []
    upscale = upscaler(network, 70, multiple=multiple, on_warning=lambda _: None)
    check(upscale, network, image(131, 97))
    assert upscale.tile_size % multiple == 0

    def write(box: Box, part: Tensor) -> None:
        boxes.append(box)

    network.max_pixels = 32 * 32
    upscale.upscale(131, 97, lambda box: torch.rand(1, 3, box.height, box.width), write)
    assert all(box.top % (2 * multiple) == box.left % (2 * multiple) == 0 for box in boxes)


@pytest.mark.parametrize("first_failure", [2, 5, 7])
def test_memory_may_run_out_in_the_middle_of_a_row(first_failure: int) -> None:
    class LimitedLater(Limited):
        def forward(self, lr: Tensor) -> Tensor:
            self.max_pixels = 30 * 30 if len(self.shapes) + 1 >= first_failure else 10**9
            return super().forward(lr)

    network = LimitedLater(0)
    warnings: list[str] = []
    upscale = upscaler(network, 48, on_warning=warnings.append)
    check(upscale, network, image(140, 140))  # 3 x 3 tiles
    assert len(network.shapes) > 9
    assert len(warnings) == network.num_failures > 0
    assert upscale.tile_size < 48


@pytest.mark.parametrize(("max_pixels", "batch_size"), [(2 * 20 * 20, 2), (20 * 20, 1)])
def test_memory_may_run_out_in_a_batch(max_pixels: int, batch_size: int) -> None:
    network = Limited(max_pixels)
    warnings: list[str] = []
    upscale = upscaler(network, 16, batch_size=4, on_warning=warnings.append)
    check(upscale, network, image(64, 160))
    assert upscale.batch_size == batch_size
    assert upscale.tile_size == 16
    assert max(shape[0] for shape in network.shapes) == batch_size
    assert len(warnings) == network.num_failures == (1 if batch_size == 2 else 2)


def test_a_batch_is_taken_apart_before_its_tiles_are_cut() -> None:
    network = Limited(40 * 40)
    warnings: list[str] = []
    upscale = upscaler(network, 37, batch_size=4, on_warning=warnings.append)
    check(upscale, network, image(111, 259))  # 3 x 7 tiles, 41 x 41 with the whole halo
    assert "for 4 tiles" in next(warning for warning in warnings if " tiles of 41x" in warning)
    assert (upscale.batch_size, upscale.tile_size) == (1, 26)
    assert network.num_failures == len(warnings)


def test_where_one_tile_is_too_large_no_batch_is_tried() -> None:
    network = Limited(40 * 30)
    warnings: list[str] = []
    upscale = upscaler(network, 40, batch_size=4, on_warning=warnings.append)
    check(upscale, network, image(120, 280))  # the first corner is alone in its batch
    assert (upscale.batch_size, upscale.tile_size) == (1, 28)
    assert network.num_failures == len(warnings) == 1


def test_memory_for_no_tile_at_all_names_the_size() -> None:
    network = Limited(10)
    warnings: list[str] = []
    upscale = upscaler(network, 64, on_warning=warnings.append)
    with pytest.raises(
        MemoryError, match=r"not enough memory on cpu for a tile of \d+x\d+ LR pixe"
    ):
        upscale(image(64, 64))
    assert len(warnings) == network.num_failures - 1
    assert 16 <= upscale.tile_size < 32


def test_memory_for_no_tile_at_all_gives_the_last_reason() -> None:
    fault = RuntimeError("GET was unable to find an engine to execute this computation")
    with pytest.raises(MemoryError, match="LR pixels and halo: GET was unable to find an engine"):
        upscaler(Limited(10, fault), 64, on_warning=lambda _: None)(image(64, 64))


def test_memory_that_a_precision_too_narrow_takes_twice_is_found_by_cutting() -> None:
    class Widened(Limited):
        """As if fp32 took twice the memory, with values that bf16 does not hold."""

        def forward(self, lr: Tensor) -> Tensor:
            reduced = torch.is_autocast_enabled("cpu")
            if not reduced and lr.shape[2] * lr.shape[3] > self.max_pixels / 2:
                raise MemoryError
            sr: Tensor = self.body(lr)
            return sr * float("nan") if reduced else sr

    network = Widened(60 * 60)
    warnings: list[str] = []
    upscale = Upscaler(
        network,
        scale=2,
        halo=2,
        tile_size=52,
        device=CPU,
        dtype=torch.bfloat16,
        on_warning=warnings.append,
    )
    check(upscale, network, image(100, 100))
    assert (len(warnings), upscale.dtype, upscale.tile_size) == (2, torch.float32, 35)


def test_other_errors_are_not_taken_for_too_little_memory() -> None:
    network = Limited(0, RuntimeError("mat1 and mat2 shapes cannot be multiplied"))
    with pytest.raises(RuntimeError, match="mat1"):
        upscaler(network, 64)(image(64, 64))
    assert network.num_failures == 1


def test_without_a_listener_the_log_gets_the_warning(caplog: pytest.LogCaptureFixture) -> None:
    upscaler(Limited(50 * 50), 64)(image(64, 64))
    assert "not enough memory for a tile of 64x64 LR pixels" in caplog.text
