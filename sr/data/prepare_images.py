"""Decode images into the shards of `prepared_images`, and go on where a killed process stopped."""

import os
import shutil
import zlib
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path
from typing import IO

import numpy as np

from sr.data.hr_only import compute_hr_size, downscale_hr
from sr.data.imresize import imresize
from sr.data.prepared_images import (
    HEADER,
    INDEX,
    ROWS,
    Block,
    PreparedImages,
    Row,
    Variant,
    decode_path,
    encode_path,
)
from sr.data.sources import DataError, Image
from sr.io.image_formats import ImageError
from sr.io.process_lock import hold_lock
from sr.io.rgb8 import read_kind, read_rgb8

SHARD_BYTES = 2**30  # a shard is closed when it has reached them
_ALIGNMENT = 64  # bytes


@dataclass(frozen=True)
class Recipe:
    """What is to be made of a file."""

    path: Path
    variants: tuple[Variant, ...]


@dataclass(frozen=True)
class Preparation:
    """What `prepare_images` did."""

    num_files: int  # decoded now
    num_present: int  # prepared before
    num_damaged: int  # whose checksum was wrong; prepared again
    stale_bytes: int  # of files that are gone or have changed
    faults: tuple[str, ...]  # files that cannot be used


Result = tuple[Row, list[Image]]  # the row's blocks have no place yet


def prepare_images(
    recipes: Sequence[Recipe],
    folder: Path,
    *,
    verify: bool = False,
    report: Callable[[int, int], None] = lambda _done, _total: None,
) -> Preparation:
    """Decode what is missing of the recipes into a folder that one process at a time writes.

    verify: read all that is there and compare checksums. report: gets the numbers of files done and
    to do. Raises DataError when the disk is too full, or where the folder is damaged, and
    LockedError.
    """
    with _name_disk_errors(folder):
        folder.parent.mkdir(parents=True, exist_ok=True)
        with hold_lock(folder):
            folder.mkdir(exist_ok=True)
            images = PreparedImages(folder)
            recipes = _merge_recipes(recipes)
            missing, num_damaged = _list_missing(images, recipes, verify)
            faults = _add_images(images, missing, report)
    num_files, num_present = len(missing) - len(faults), len(recipes) - len(missing)
    return Preparation(
        num_files, num_present, num_damaged, _count_stale_bytes(images), tuple(faults)
    )


def _add_images(
    images: PreparedImages, missing: Sequence[Recipe], report: Callable[[int, int], None]
) -> list[str]:
    """Decode and write what is missing. Return the faults of files that cannot be used."""
    faults = []
    with ThreadPoolExecutor(os.cpu_count()) as pool, _open_index(images.folder) as index:
        _check_space(images.folder, missing, pool)
        writer = _Writer(images, index)
        for done, result in enumerate(_decode_ahead(pool, missing), start=1):
            if isinstance(result, str):
                faults.append(result)
            else:
                writer.append(*result)
            report(done, len(missing))
    return faults


class _Writer:
    """Appends images to shards, then their row to the index: an image without a row is no image."""

    def __init__(self, images: PreparedImages, index: IO[bytes]) -> None:
        self._images, self._index = images, index
        self._shard = max(images.ends, default=0)
        self._end = images.ends.get(self._shard, 0)

    def append(self, row: Row, arrays: Sequence[Image]) -> None:
        if self._end >= SHARD_BYTES:
            self._shard, self._end = self._shard + 1, 0
        file, blocks = self._images.locate_shard(self._shard), []
        with file.open("r+b" if self._end else "wb") as stream:
            for block, array in zip(row.blocks, arrays, strict=True):
                pixels = np.ascontiguousarray(array).data
                offset = self._end + -self._end % _ALIGNMENT
                stream.seek(offset)
                stream.write(pixels)
                crc32 = zlib.crc32(pixels)
                blocks.append(replace(block, shard=self._shard, offset=offset, crc32=crc32))
                self._end = blocks[-1].end
            stream.truncate()  # of what a killed process has left
            stream.flush()
            os.fsync(stream.fileno())
        self._index.write(ROWS.dump_json(replace(row, blocks=tuple(blocks))) + b"\n")
        self._index.flush()


@contextmanager
def _open_index(folder: Path) -> Iterator[IO[bytes]]:
    """Open the index for appending, without the half of a line of a killed process."""
    file = folder / INDEX
    content = file.read_bytes() if file.exists() else b""
    with file.open("r+b" if content else "wb") as stream:
        stream.truncate(content.rfind(b"\n") + 1)
        stream.seek(0, os.SEEK_END)
        if stream.tell() == 0:
            stream.write(f"{HEADER}\n".encode())
            stream.flush()
        yield stream
        stream.flush()
        os.fsync(stream.fileno())


def _merge_recipes(recipes: Sequence[Recipe]) -> list[Recipe]:
    """Return a recipe for each file, in the order in which they are first named."""
    variants: dict[Path, dict[Variant, None]] = {}
    for recipe in recipes:
        variants.setdefault(recipe.path.resolve(), {}).update(dict.fromkeys(recipe.variants))
    return [Recipe(path, tuple(wanted)) for path, wanted in variants.items()]


def _list_missing(
    images: PreparedImages, recipes: Sequence[Recipe], verify: bool
) -> tuple[list[Recipe], int]:
    """Return what is still to be made, and the number of images whose checksum is wrong."""
    missing, num_damaged = [], 0
    for recipe in recipes:
        file = images.find(recipe.path)
        found = {} if file is None else file.images
        absent = [variant for variant in recipe.variants if variant not in found]
        if verify:
            there = [variant for variant in recipe.variants if variant in found]
            damaged = [variant for variant in there if not found[variant].is_intact()]
            num_damaged += len(damaged)
            absent += damaged
        if absent:
            missing.append(Recipe(recipe.path, tuple(absent)))
    return missing, num_damaged


def _check_space(folder: Path, recipes: Sequence[Recipe], pool: ThreadPoolExecutor) -> None:
    needed, free = sum(pool.map(_count_bytes, recipes)), shutil.disk_usage(folder).free
    if needed > free:
        raise DataError(
            f"{folder}: expected {needed / 2**30:.1f} GiB of free space for prepared images, got "
            f"{free / 2**30:.1f} GiB"
        )


def _count_bytes(recipe: Recipe) -> int:
    """Return the bytes that a file's images will have; none of one that cannot be read."""
    try:
        size = read_kind(recipe.path).size
    except ImageError:
        return 0
    total = 0
    for downscale, lr_scale in recipe.variants:
        height, width = compute_hr_size(size, float(Fraction(downscale)), lr_scale)
        total += 3 * height * width // lr_scale**2
    return total


def _decode(recipe: Recipe) -> Result | str:
    """Return the images of a file, or the fault of one that cannot be used."""
    path, images, blocks = recipe.path, [], []
    try:
        status = path.stat()
        size, conversions = read_kind(path)
        image = read_rgb8(path, convert=True)
    except (ImageError, OSError) as error:
        return str(error)
    whole: dict[str, Image] = {}
    for variant in recipe.variants:
        if variant.downscale not in whole:
            whole[variant.downscale] = downscale_hr(image, float(Fraction(variant.downscale)), 1)
        made = whole[variant.downscale]
        if variant.lr_scale != 1:
            height, width = (side - side % variant.lr_scale for side in made.shape[:2])
            if min(height, width) == 0:
                return f"{path}: {image.shape[1]}x{image.shape[0]} (width x height) is too small"
            made = imresize(made[:height, :width], Fraction(1, variant.lr_scale))
        images.append(made)
        blocks.append(Block(variant, 0, 0, (made.shape[0], made.shape[1]), 0))
    name, stamp = encode_path(path), (status.st_size, status.st_mtime_ns)
    return Row(name, *stamp, size, conversions, tuple(blocks)), images


def _decode_ahead(pool: ThreadPoolExecutor, recipes: Sequence[Recipe]) -> Iterator[Result | str]:
    """Decode in order, by all threads, but only so many images as there are threads at a time."""
    pending: deque[Future[Result | str]] = deque()
    for recipe in recipes:
        pending.append(pool.submit(_decode, recipe))
        if len(pending) > (os.cpu_count() or 1):
            yield pending.popleft().result()
    while pending:
        yield pending.popleft().result()


def _count_stale_bytes(images: PreparedImages) -> int:
    """Return the bytes of images whose file is gone or has changed."""
    stale = 0
    for row in images.rows:
        try:
            status = decode_path(row.path).stat()
            stamp = status.st_size, status.st_mtime_ns
        except OSError:
            stamp = (-1, -1)
        if stamp != (row.num_bytes, row.mtime_ns):
            stale += sum(block.end - block.offset for block in row.blocks)
    return stale


@contextmanager
def _name_disk_errors(folder: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise DataError(
            f"{folder}: prepared images cannot be written: {error.strerror}; what is complete stays"
        ) from error
