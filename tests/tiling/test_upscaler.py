"""The upscaler: tiled equals whole, at every size."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from sr.tiling.runner import NetworkError, NumericError
from sr.tiling.tiles import Box
from sr.tiling.upscaler import Upscaler

CPU = torch.device("cpu")
RADIUS = 6  # LR pixels, of `convolutions`


def convolutions(scale: int) -> nn.Sequential:
    """Five layers that reach 1 + 2 + 1 + 1 + 1 pixels far, with zero padding."""
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(3, 8, 3, padding=1),
        nn.PReLU(8),
        nn.Conv2d(8, 8, 5, padding=2),
        nn.PReLU(8),
        nn.Conv2d(8, 8, 3, padding=1),
        nn.PReLU(8),
        nn.Conv2d(8, 8, 3, padding=1),
        nn.Conv2d(8, 3 * scale**2, 3, padding=1),
        nn.PixelShuffle(scale),
    )


def upscaler(
    network: nn.Module,
    *,
    scale: int = 2,
    halo: int = RADIUS,
    tile_size: int = 16,
    dtype: torch.dtype = torch.float32,
    **more: Any,
) -> Upscaler:
    return Upscaler(
        network, scale=scale, halo=halo, tile_size=tile_size, device=CPU, dtype=dtype, **more
    )


def random_image(height: int, width: int) -> Tensor:
    return torch.rand(1, 3, height, width, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize(
    ("height", "width"), [(1, 1), (1, 40), (40, 1), (2, 3), (9, 12), (16, 16), (17, 31), (45, 50)]
)
@pytest.mark.parametrize("scale", [2, 3])
@pytest.mark.parametrize("tile_size", [8, 16])
def test_tiled_equals_whole_when_the_halo_is_the_receptive_radius(
    height: int, width: int, scale: int, tile_size: int
) -> None:
    network = convolutions(scale)
    lr = random_image(height, width)
    with torch.no_grad():
        whole = network(lr)
    tiled = upscaler(network, scale=scale, tile_size=tile_size)(lr)
    assert tiled.shape == (1, 3, scale * height, scale * width)
    assert (tiled - whole).abs().max() < 1e-5


def test_a_halo_one_pixel_too_small_shows() -> None:
    network = convolutions(2)
    for layer in network:
        if isinstance(layer, nn.Conv2d):  # let the farthest pixels count
            nn.init.constant_(layer.weight, 0.1)
    lr = random_image(40, 40)
    whole = upscaler(network, tile_size=0)(lr)
    exact = upscaler(network, halo=RADIUS)(lr)
    short = upscaler(network, halo=RADIUS - 1)(lr)
    assert (exact - whole).abs().max() < 1e-5 * whole.abs().max()
    assert (short - whole).abs().max() > 1e-3 * whole.abs().max()


@pytest.mark.parametrize("tile_size", [0, 1, 7, 64])
def test_an_identity_network_returns_the_image(tile_size: int) -> None:
    lr = random_image(33, 20)
    assert torch.equal(upscaler(nn.Identity(), scale=1, tile_size=tile_size)(lr), lr)


def test_repeated_pixels_come_out_in_place() -> None:
    lr = random_image(13, 21)
    network = nn.Upsample(scale_factor=3, mode="nearest")
    expected = lr.repeat_interleave(3, 2).repeat_interleave(3, 3)
    assert torch.equal(upscaler(network, scale=3, tile_size=6)(lr), expected)


def test_bf16_stays_near_fp32_and_returns_fp32() -> None:
    network, lr = convolutions(2), random_image(20, 20)
    exact = upscaler(network)(lr)
    rounded = upscaler(network, dtype=torch.bfloat16)(lr)
    assert rounded.dtype == torch.float32
    assert 0 < (rounded - exact).abs().max() < 0.02


def test_each_tile_is_reported_in_turn() -> None:
    reported: list[tuple[int, int]] = []
    upscale = upscaler(nn.Identity(), scale=1, tile_size=10)
    upscale(random_image(20, 25), lambda tile, tiles: reported.append((tile, tiles)))
    assert reported == [(number, 6) for number in range(1, 7)]
    assert len(upscale.list_tiles(20, 25)) == 6


def test_no_gradient_and_no_training_mode() -> None:
    network = nn.Sequential(nn.Conv2d(3, 3, 1), nn.Dropout(0.9))
    sr = upscaler(network, scale=1)(random_image(5, 5))
    assert not sr.requires_grad
    assert not network.training
    sr.clamp_(0, 1)  # the result is an ordinary tensor


def test_a_network_of_another_scale_is_refused() -> None:
    with pytest.raises(NetworkError, match=r"scale 4: expected \(1, 3, 20, 20\), got \(1, 3, 10"):
        upscaler(convolutions(2), scale=4)(random_image(5, 5))


def test_only_single_rgb_images_are_taken() -> None:
    for shape in ((3, 5, 5), (2, 3, 5, 5), (1, 4, 5, 5)):
        with pytest.raises(ValueError, match="expected an image"):
            upscaler(nn.Identity(), scale=1)(torch.zeros(shape))


def test_colors_and_alpha_go_through_the_network_together() -> None:
    network = convolutions(2)
    both = torch.rand(2, 3, 40, 33, generator=torch.Generator().manual_seed(2))
    upscale = upscaler(network)
    sr = torch.empty(2, 3, 80, 66)

    def read(box: Box) -> Tensor:
        return both[:, :, box.rows, box.columns]

    def write(box: Box, part: Tensor) -> None:
        assert part.dtype == torch.float32
        sr[:, :, box.rows, box.columns] = part.clamp_(-9, 9)  # an ordinary tensor

    upscale.upscale(40, 33, read, write)
    for index in range(2):
        assert (sr[index : index + 1] - upscale(both[index : index + 1])).abs().max() < 1e-6


def test_tiles_are_read_and_written_once_row_by_row() -> None:
    reads: list[Box] = []
    writes: list[Box] = []

    def read(box: Box) -> Tensor:
        reads.append(box)
        return torch.zeros(1, 3, box.height, box.width)

    upscale = upscaler(nn.Identity(), scale=1, halo=3, tile_size=10)
    upscale.upscale(30, 25, read, lambda box, _: writes.append(box))
    tiles = upscale.list_tiles(30, 25)
    assert reads == [tile.haloed for tile in tiles]
    assert writes == [tile.core for tile in tiles]


def test_a_precision_too_narrow_for_one_tile_is_widened_for_those_after_it() -> None:
    class Overflows(nn.Module):
        def forward(self, lr: Tensor) -> Tensor:
            bright = lr.amax() > 1.5
            sr = lr * float("inf") if bright and torch.is_autocast_enabled("cpu") else lr * 1
            return sr.to(torch.bfloat16) if torch.is_autocast_enabled("cpu") else sr

    warnings: list[str] = []
    upscale = upscaler(
        Overflows(),
        scale=1,
        halo=0,
        tile_size=10,
        dtype=torch.bfloat16,
        on_warning=warnings.append,
    )
    lr = random_image(10, 40)
    lr[0, 0, 5, 25] = 2  # in the third of four tiles
    sr = upscale(lr)
    assert torch.equal(sr[..., 20:], lr[..., 20:])
    assert torch.equal(sr[..., :20], lr[..., :20].bfloat16().float())
    assert upscale.dtype == torch.float32
    assert len(warnings) == 1


def test_a_result_that_is_no_image_is_an_error() -> None:
    class NotFinite(nn.Module):
        def forward(self, lr: Tensor) -> Tensor:
            return lr * float("nan")

    with pytest.raises(NumericError, match="not finite, in fp32 too"):
        upscaler(NotFinite(), scale=1)(random_image(5, 5))


@pytest.mark.parametrize("batch_size", [2, 3, 16])
@pytest.mark.parametrize(("height", "width"), [(80, 96), (50, 77), (9, 9)])
def test_a_batch_of_tiles_gives_what_they_give_one_by_one(
    batch_size: int, height: int, width: int
) -> None:
    network, sizes = convolutions(2), []
    network.register_forward_pre_hook(lambda _, arguments: sizes.append(len(arguments[0])))
    lr = random_image(height, width)
    one_by_one = upscaler(network)(lr)
    sizes.clear()
    reported: list[int] = []
    batched = upscaler(network, batch_size=batch_size)
    assert (batched(lr, lambda tile, _: reported.append(tile)) - one_by_one).abs().max() < 1e-6
    assert reported == list(range(1, len(batched.list_tiles(height, width)) + 1))
    assert sum(sizes) == len(batched.list_tiles(height, width))
    assert max(sizes) <= batch_size
    if (height, width, batch_size) == (80, 96, 16):  # five rows, each of a tile, four and a tile
        assert sizes == [1, 4, 1, 1, 4, 2, 4, 2, 4, 1, 1, 4, 1]


def test_a_device_for_one_thread_is_held_while_the_network_runs(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    held: list[torch.device] = []

    @contextmanager
    def hold(device: torch.device) -> Iterator[None]:
        held.append(device)
        yield
        held.pop()

    monkeypatch.setattr("sr.tiling.upscaler.hold_device", hold)
    network, seen = convolutions(2), []
    network.register_forward_pre_hook(lambda *_: seen.append(list(held)))
    upscaler(network)(random_image(20, 20))
    assert seen
    assert all(devices == [CPU] for devices in seen)
    assert not held


def test_a_batch_of_no_tile_is_refused() -> None:
    with pytest.raises(ValueError, match="batch_size of 1 or more tiles, got 0"):
        upscaler(nn.Identity(), batch_size=0)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_fp32_on_a_gpu_is_full_fp32() -> None:
    network, lr = convolutions(2), random_image(45, 50)
    whole = upscaler(network, tile_size=0)(lr)
    on_gpu = Upscaler(
        network,
        scale=2,
        halo=RADIUS,
        tile_size=16,
        device=torch.device("cuda"),
        dtype=torch.float32,
    )
    assert (on_gpu(lr) - whole).abs().max() < 1e-5
