"""Tiles: cores cover the image once, haloed boxes stay inside it."""

import numpy as np
import pytest

from sr.tiling.tiles import Box, Tile, add_halo, halve_box, split_image

SIZES = [(1, 1), (1, 50), (7, 5), (16, 16), (17, 33), (40, 64)]


@pytest.mark.parametrize(("height", "width"), SIZES)
@pytest.mark.parametrize("tile_size", [0, 1, 5, 16, 100])
@pytest.mark.parametrize("halo", [0, 3, 40])
def test_cores_cover_each_pixel_once(height: int, width: int, tile_size: int, halo: int) -> None:
    covered = np.zeros((height, width), int)
    for tile in split_image(height, width, tile_size=tile_size, halo=halo):
        covered[tile.core.rows, tile.core.columns] += 1
    assert (covered == 1).all()


@pytest.mark.parametrize(("height", "width"), SIZES)
@pytest.mark.parametrize("tile_size", [1, 5, 16])
def test_cores_are_even_and_no_larger_than_asked(height: int, width: int, tile_size: int) -> None:
    cores = [tile.core for tile in split_image(height, width, tile_size=tile_size, halo=2)]
    for sides in ([core.height for core in cores], [core.width for core in cores]):
        assert max(sides) <= tile_size
        assert max(sides) - min(sides) <= 1


@pytest.mark.parametrize(("height", "width"), SIZES)
@pytest.mark.parametrize("halo", [0, 3, 40])
def test_halos_are_whole_but_for_the_images_edge(height: int, width: int, halo: int) -> None:
    for tile in split_image(height, width, tile_size=6, halo=halo):
        assert tile.haloed.top == max(tile.core.top - halo, 0)
        assert tile.haloed.left == max(tile.core.left - halo, 0)
        assert tile.haloed.bottom == min(tile.core.bottom + halo, height)
        assert tile.haloed.right == min(tile.core.right + halo, width)


def test_tile_size_zero_gives_the_whole_image() -> None:
    (tile,) = split_image(700, 500, tile_size=0, halo=9)
    assert tile.core == tile.haloed == Box(0, 0, 700, 500)


def test_a_image_just_larger_than_a_tile_is_halved() -> None:
    first, second = split_image(385, 10, tile_size=384, halo=0)
    assert (first.core.height, second.core.height) == (192, 193)


def test_boxes_scale_and_move() -> None:
    box = Box(top=3, left=4, bottom=7, right=10)
    assert (box.height, box.width) == (4, 6)
    assert box.multiply(2) == Box(6, 8, 14, 20)
    assert box.relative_to(Box(1, 1, 20, 20)) == Box(2, 3, 6, 9)


@pytest.mark.parametrize(
    ("height", "width", "tile_size", "halo"),
    [(0, 5, 4, 1), (5, 0, 4, 1), (5, 5, -1, 1), (5, 5, 4, -1)],
)
def test_impossible_sizes_are_refused(height: int, width: int, tile_size: int, halo: int) -> None:
    with pytest.raises(ValueError, match="expected"):
        split_image(height, width, tile_size=tile_size, halo=halo)


@pytest.mark.parametrize(("height", "width"), [(1, 1), (7, 130), (64, 65), (100, 33)])
@pytest.mark.parametrize("multiple", [2, 4])
@pytest.mark.parametrize(("tile_size", "halo"), [(0, 0), (3, 1), (16, 5), (17, 8)])
def test_tiles_begin_at_multiples_and_still_cover_the_image_once(
    height: int, width: int, multiple: int, tile_size: int, halo: int
) -> None:
    covered = np.zeros((height, width), int)
    for tile in split_image(height, width, tile_size=tile_size, halo=halo, multiple=multiple):
        covered[tile.core.rows, tile.core.columns] += 1
        for box in (tile.core, tile.haloed):
            assert box.top % multiple == box.left % multiple == 0
            assert box.bottom % multiple == 0 or box.bottom == height
            assert box.right % multiple == 0 or box.right == width
        assert tile.core.height <= max(tile_size, multiple) or not tile_size
        assert min(tile.core.top, tile.core.top - tile.haloed.top) in (0, *range(halo, halo + 4))
    assert (covered == 1).all()


@pytest.mark.parametrize("multiple", [1, 2, 4])
@pytest.mark.parametrize(("height", "width"), [(8, 8), (9, 4), (5, 17), (1, 3), (30, 7)])
def test_halves_cover_a_box_once_and_the_second_begins_at_a_multiple(
    multiple: int, height: int, width: int
) -> None:
    box = Box(8, 4, 8 + height, 4 + width)
    parts = halve_box(box, multiple)
    longer = max(height, width)
    if longer <= multiple:
        assert parts is None
        return
    assert parts is not None
    first, second = parts
    assert (first.top, first.left) == (box.top, box.left)
    assert (second.bottom, second.right) == (box.bottom, box.right)
    assert first.area + second.area == box.area == height * width
    assert first.area >= second.area > 0
    assert max(first.area / box.area - 0.5, 0) * longer <= multiple
    assert second.top % multiple == second.left % multiple == 0
    assert (first.width == width) == (height >= width)  # cut across the longer side


def test_a_half_tiles_halo_is_the_images_cut_off_at_what_was_read() -> None:
    image = Box(0, 0, 60, 100)
    for tile in split_image(60, 100, tile_size=30, halo=7):
        for half in halve_box(tile.core) or ():
            assert add_halo(half, tile.haloed, halo=7) == add_halo(half, image, halo=7)


def test_a_halo_is_rounded_up_to_a_multiple() -> None:
    core = Box(8, 12, 16, 20)
    tile = add_halo(core, Box(0, 0, 30, 21), halo=5, multiple=4)
    assert tile == Tile(core, Box(0, 4, 24, 21))
