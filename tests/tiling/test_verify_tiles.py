"""Verifying tiles: no difference where the halo suffices, and the place where it does not."""

import pytest
import torch
from torch import Tensor, nn

from sr.networks.compact import Compact
from sr.tiling import verify_tiles as verify
from sr.tiling.tiles import Box
from sr.tiling.upscaler import Upscaler
from sr.tiling.verify_tiles import verify_tiles

RADIUS = 5  # LR pixels, of `compact`


def compact() -> nn.Module:
    torch.manual_seed(0)
    return Compact(2, num_features=8, num_convs=3)


def upscaler(network: nn.Module, halo: int, multiple: int = 1) -> Upscaler:
    return Upscaler(
        network,
        scale=2,
        halo=halo,
        tile_size=24,
        device=torch.device("cpu"),
        dtype=torch.float32,
        multiple=multiple,
    )


def read(box: Box) -> Tensor:
    """An image of any size, its values a function of the place."""
    rows = torch.arange(box.top, box.bottom).view(-1, 1)
    columns = torch.arange(box.left, box.right)
    values = ((rows * 7919 + columns * 104729) % 251 / 250).float()
    return values.expand(1, 3, -1, -1)


@pytest.mark.parametrize(("height", "width"), [(100, 90), (300, 330)])  # small, and not small
@pytest.mark.parametrize("multiple", [1, 4])
def test_tiles_with_the_right_halo_are_those_of_a_larger_context(
    height: int, width: int, multiple: int
) -> None:
    verified = verify_tiles(upscaler(compact(), RADIUS, multiple), height, width, read)
    assert verified.num_tiles == 4
    assert verified.max_difference < 1e-6


@pytest.mark.parametrize(("height", "width"), [(100, 90), (300, 330)])
@pytest.mark.parametrize("seed", range(3))
def test_without_a_halo_the_difference_is_at_a_tiles_border(
    height: int, width: int, seed: int
) -> None:
    upscale = upscaler(compact(), 0)
    verified = verify_tiles(upscale, height, width, read, num_tiles=1, seed=seed)
    assert verified.num_tiles == 1
    assert verified.max_difference > 1e-3
    place = verified.place
    assert place is not None
    assert (place.height, place.width) == (1, 1)
    tiles = [tile.core.multiply(2) for tile in upscale.list_tiles(height, width)]
    (core,) = [
        core
        for core in tiles
        if core.top <= place.top < core.bottom and core.left <= place.left < core.right
    ]
    # It has a neighbor on every side, and the radius is how far the difference reaches.
    assert core.top > 0 < core.left
    assert core.bottom < 2 * height
    assert core.right < 2 * width
    distances = (
        place.top - core.top,
        place.left - core.left,
        core.bottom - place.bottom,
        core.right - place.right,
    )
    assert min(distances) < 2 * RADIUS


def test_the_difference_and_its_place_are_the_true_ones(monkeypatch: pytest.MonkeyPatch) -> None:
    upscale = upscaler(compact(), 1)
    verified = verify_tiles(upscale, 70, 50, read, num_tiles=99)
    assert verified.num_tiles == len(upscale.list_tiles(70, 50)) == 9
    whole = Upscaler(
        compact(), scale=2, halo=0, tile_size=0, device=upscale.device, dtype=torch.float32
    )
    image = read(Box(0, 0, 70, 50)).contiguous()
    differences = (upscale(image) - whole(image)).abs()
    assert verified.max_difference == pytest.approx(float(differences.max()), rel=1e-3)
    assert verified.place is not None
    at_place = differences[:, :, verified.place.rows, verified.place.columns].max()
    assert float(at_place) == pytest.approx(verified.max_difference, rel=1e-3)


def test_the_sample_depends_on_the_seed_only() -> None:
    def tops(seed: int) -> list[int]:
        seen: list[int] = []

        def noted(box: Box) -> Tensor:
            seen.extend((box.top, box.left))
            return read(box)

        verify_tiles(upscaler(compact(), RADIUS), 300, 330, noted, num_tiles=3, seed=seed)
        return seen

    assert tops(1) == tops(1) != tops(2)


def test_a_image_of_one_tile_has_no_border_to_verify() -> None:
    verified = verify_tiles(upscaler(compact(), 0), 20, 24, read)
    assert verified == verify.Verification(num_tiles=0, max_difference=0.0, place=None)
