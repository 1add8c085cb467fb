"""Whether tiles show: some are computed again with more of the image around them."""

import random
from dataclasses import dataclass

from sr.tiling.read_ahead import Read
from sr.tiling.tiles import Box, Tile, add_halo
from sr.tiling.upscaler import Upscaler

NUM_TILES = 4
EXTRA_HALO = 64  # LR pixels beyond the halo that is verified
SMALL_IMAGE = 256 * 256  # LR pixels; up to here the context is the whole image


@dataclass(frozen=True)
class Verification:
    """How far tiles are from what they would be as parts of a larger one."""

    num_tiles: int
    """How many were compared; 0 for an image of one tile."""
    max_difference: float
    """The largest absolute difference, in units of the [0, 1] range."""
    place: Box | None
    """The pixel where that is, on the SR grid; None if there is no difference."""


def verify_tiles(
    upscaler: Upscaler,
    height: int,
    width: int,
    read: Read,
    *,
    num_tiles: int = NUM_TILES,
    seed: int = 0,
) -> Verification:
    """Compare tiles drawn at random with the same cores computed from a larger context.

    The first is one of those with the most neighbors. In a reduced precision, rounding differs
    a little between sizes. Raises what torch raises where there is too little memory for the
    larger context, which is not cut.

    read: as in `Upscaler.upscale`, of an image of height x width LR pixels.
    """
    tiles = upscaler.list_tiles(height, width)
    compared = _draw_tiles(tiles, num_tiles, seed) if len(tiles) > 1 else []
    worst, place = 0.0, None
    for tile in compared:
        difference, pixel = _compare(
            upscaler, tile, _with_context(upscaler, tile, height, width), read
        )
        if difference > worst:
            worst, place = difference, pixel
    return Verification(len(compared), worst, place)


def _draw_tiles(tiles: list[Tile], num_tiles: int, seed: int) -> list[Tile]:
    shuffled = random.Random(seed).sample(tiles, len(tiles))
    image = Box(0, 0, tiles[-1].core.bottom, tiles[-1].core.right)
    first = max(shuffled, key=lambda tile: _num_inner_borders(tile.core, image))
    return [first, *(tile for tile in shuffled if tile is not first)][:num_tiles]


def _num_inner_borders(core: Box, image: Box) -> int:
    return sum(
        (
            core.top > image.top,
            core.left > image.left,
            core.bottom < image.bottom,
            core.right < image.right,
        )
    )


def _with_context(upscaler: Upscaler, tile: Tile, height: int, width: int) -> Tile:
    image = Box(0, 0, height, width)
    if image.area <= SMALL_IMAGE:
        return Tile(tile.core, image)
    halo = upscaler.halo + EXTRA_HALO
    return add_halo(tile.core, image, halo=halo, multiple=upscaler.multiple)


def _compare(upscaler: Upscaler, tile: Tile, context: Tile, read: Read) -> tuple[float, Box]:
    """The largest difference between a tile's core and itself in its context, and the pixel."""
    cores = [upscaler.upscale_tile((each, read(each.haloed))) for each in (tile, context)]
    differences = (cores[0] - cores[1]).abs().amax((0, 1))  # (s*core.height, s*core.width)
    row, column = divmod(int(differences.argmax()), differences.shape[1])
    core = tile.core.multiply(upscaler.scale)
    top, left = core.top + row, core.left + column
    return float(differences[row, column]), Box(top, left, top + 1, left + 1)
