"""Decoded images on disk that runs share: an index, and shards that are mapped into memory.

    images/index.jsonl        a line on the format; then a line for each file that was prepared
    images/0000.bin, ...      8-bit RGB pixels, row by row, one image after the other

Whole images are kept, not tiles of them: a crop may lie anywhere, as in a file, and reads the pages
of its own rows. Shards of many images, not a file for each: mapping a file takes as long as
cutting a crop, and there may be more images than a process can map files.

An image is found by the path, length and time of change of its file. `prepare_images` writes.
"""

import mmap
import os
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import quote, unquote_to_bytes

import numpy as np
import psutil
from numpy.typing import NDArray
from pydantic import NonNegativeInt, PositiveInt, TypeAdapter, ValidationError

from sr.data.sources import DataError, Image
from sr.io.rgb8 import ImageKind

INDEX = "index.jsonl"
HEADER = '{"format": "sr prepared images", "version": 1}'


class Variant(NamedTuple):
    """What is made of a file: hr at `downscale` of its size, or the bicubic lr of that."""

    downscale: str  # a fraction, "1" or "1/2"
    lr_scale: int  # 1: hr; else lr of hr cut to a multiple of it


WHOLE = Variant("1", 1)  # a file as it is


@dataclass(frozen=True)
class Block:
    """An image in a shard."""

    variant: Variant
    shard: NonNegativeInt
    offset: NonNegativeInt
    size: tuple[PositiveInt, PositiveInt]  # (H, W)
    crc32: int

    @property
    def end(self) -> int:
        return self.offset + 3 * self.size[0] * self.size[1]


@dataclass(frozen=True)
class Row:
    """A line of the index: images made of one file."""

    path: str  # see `encode_path`
    num_bytes: int
    mtime_ns: int
    size: tuple[int, int]  # (H, W) of the file
    conversions: tuple[str, ...]  # to 8-bit RGB
    blocks: tuple[Block, ...]


ROWS: TypeAdapter[Row] = TypeAdapter(Row)


class PreparedImages:
    """The prepared images of a folder; none where it does not exist. Pickled, it is small.

    exceed_memory: whether many of their pages have to be read from the disk again and again.
    """

    def __init__(self, folder: Path) -> None:
        """Raises DataError where the index or a shard is damaged."""
        self.folder = folder
        self.rows = list(_read_rows(folder / INDEX))
        self.ends = _find_ends(self.rows)  # of the shards
        self.exceed_memory = 2 * sum(self.ends.values()) > psutil.virtual_memory().total
        self._by_path: dict[str, list[Row]] = {}
        for row in self.rows:
            self._by_path.setdefault(row.path, []).append(row)
        self._maps: dict[int, NDArray[np.uint8]] = {}
        for shard, end in self.ends.items():
            _check_length(self.locate_shard(shard), end)

    def __getstate__(self) -> dict[str, Any]:
        """Leave out the index and the maps: a worker maps what the sources name."""
        return {**self.__dict__, "rows": [], "_by_path": {}, "_maps": {}}

    def find(self, path: Path) -> "PreparedFile | None":
        """Return what was prepared of a file as it is now."""
        rows = self._by_path.get(encode_path(path))
        if rows is None:
            return None
        status = path.stat()
        now = (status.st_size, status.st_mtime_ns)
        rows = [row for row in rows if (row.num_bytes, row.mtime_ns) == now]
        if not rows:
            return None
        blocks = {block.variant: block for row in rows for block in row.blocks}
        images = {variant: PreparedImage(self, block) for variant, block in blocks.items()}
        return PreparedFile(ImageKind(rows[0].size, rows[0].conversions), images)

    def map(self, block: Block) -> Image:
        """Return an image, (H, W, 3), which must not be written to."""
        if block.shard not in self._maps:
            file = self.locate_shard(block.shard)
            try:
                self._maps[block.shard] = np.asarray(np.memmap(file, np.uint8, mode="r"))
            except (OSError, ValueError) as error:
                raise DataError(f"{file}: cannot be read: {error}") from error
        height, width = block.size
        return self._maps[block.shard][block.offset : block.end].reshape(height, width, 3)

    def locate_shard(self, number: int) -> Path:
        """Return the path of a shard."""
        return self.folder / f"{number:04d}.bin"


@dataclass(frozen=True)
class PreparedImage:
    """One image of `PreparedImages`."""

    images: PreparedImages
    block: Block

    def map(self) -> Image:
        """Return it, (H, W, 3), which must not be written to."""
        return self.images.map(self.block)

    def is_intact(self) -> bool:
        """Read the whole image and return whether its checksum is right."""
        return zlib.crc32(self.map().data) == self.block.crc32


@dataclass(frozen=True)
class PreparedFile:
    """What was prepared of a file."""

    kind: ImageKind
    images: dict[Variant, PreparedImage]


def prefetch_rows(rows: Image) -> None:
    """Ask the system to read the pages of some rows of an image at once, if a file is mapped there.

    rows: (h, W, 3), of all columns. Page by page, with what the system reads ahead of each, a crop
    of 96 px reads its whole image of 2000 px, 7.8 MB in 8 to 12 ms; like this 0.6 MB in 2 ms. Where
    the pages are in memory it takes 0.04 ms for nothing.
    """
    if not hasattr(mmap, "MADV_WILLNEED"):  # Windows
        return
    owner: object = rows
    first = None
    while isinstance(owner, np.ndarray):
        first, owner = owner, owner.base
    if not isinstance(owner, mmap.mmap) or first is None:
        return
    start = rows.__array_interface__["data"][0] - first.__array_interface__["data"][0]
    page = start - start % mmap.PAGESIZE
    owner.madvise(mmap.MADV_WILLNEED, page, start + len(rows) * rows.strides[0] - page)


def encode_path(path: Path) -> str:
    """Return an absolute path with all but plain characters as %XX: names may be no Unicode."""
    return quote(os.fsencode(path.resolve()))


def decode_path(text: str) -> Path:
    """Return the path that `encode_path` was given, absolute."""
    return Path(os.fsdecode(unquote_to_bytes(text)))


def _read_rows(index: Path) -> Iterator[Row]:
    """Read the lines of an index. A last line without an end is of a process that was killed."""
    try:
        header, *lines = index.read_bytes().split(b"\n")[:-1] or [b""]
    except FileNotFoundError:
        return
    except OSError as error:
        raise DataError(f"{index}: cannot be read: {error.strerror}") from error
    if header and header.decode(errors="replace") != HEADER:
        raise DataError(
            f"{index}: expected an index of prepared images, {HEADER}, got "
            f"{header[:80].decode(errors='replace')!r}; delete its folder and prepare again"
        )
    for number, line in enumerate(lines, start=2):
        try:
            yield ROWS.validate_json(line)
        except ValidationError:
            raise DataError(
                f"{index}, line {number}: expected an entry of prepared images, got "
                f"{line[:80].decode(errors='replace')!r}; delete its folder and prepare again"
            ) from None


def _find_ends(rows: Iterable[Row]) -> dict[int, int]:
    ends: dict[int, int] = {}
    for row in rows:
        for block in row.blocks:
            ends[block.shard] = max(ends.get(block.shard, 0), block.end)
    return ends


def _check_length(shard: Path, expected: int) -> None:
    """Raise DataError for a shard that is too short: what is mapped beyond its end is a crash."""
    length = shard.stat().st_size if shard.is_file() else 0
    if length < expected:
        raise DataError(
            f"{shard}: expected at least {expected} bytes of prepared images, got {length}; delete "
            "its folder and prepare again"
        )
