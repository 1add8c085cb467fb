"""Decoded lr/hr pairs in one memory-mapped file, so that no picture is decoded twice.

The file lies in the run's folder. Worker processes share its pages, whatever way they were
started, and the system drops pages when memory is short.
"""

import json
import os
import shutil
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from sr.data.crop_and_flip import Pair, Picture
from sr.data.sources import DataError, Source, raise_faults
from sr.io.image import ImageError


@dataclass(frozen=True)
class _Block:
    """Place of one picture in the file."""

    offset: int
    shape: tuple[int, ...]


class CachedPairs:
    """lr/hr pairs by index: from the cache file, or decoded anew where they had no room in it."""

    def __init__(
        self, sources: Sequence[Source], file: Path, blocks: Sequence[tuple[_Block, _Block]]
    ) -> None:
        """Pairs of `sources`; the first len(blocks) of them lie in `file`. Use `cache_pairs`."""
        self.sources = sources
        self.file = file
        self.blocks = blocks
        self._map: np.memmap[Any, np.dtype[np.uint8]] | None = None

    def __len__(self) -> int:
        return len(self.sources)

    def __getitem__(self, index: int) -> Pair:
        """lr: (H, W, 3), hr: (scale*H, scale*W, 3), both uint8 RGB, not to be written to."""
        if index >= len(self.blocks):
            return self.sources[index].load()
        if self._map is None:
            self._map = np.memmap(self.file, np.uint8, mode="r")
        lr, hr = self.blocks[index]
        return self._view(lr), self._view(hr)

    def __getstate__(self) -> dict[str, Any]:
        """A worker process maps the file itself instead of receiving its content."""
        return {**self.__dict__, "_map": None}

    def _view(self, block: _Block) -> Picture:
        assert self._map is not None
        size = int(np.prod(block.shape))
        return np.asarray(self._map[block.offset : block.offset + size]).reshape(block.shape)


def cache_pairs(sources: Sequence[Source], file: Path, limit_bytes: int) -> CachedPairs:
    """Decode the sources, in order, into `file` until it holds `limit_bytes`.

    Raises DataError with the names of all pictures that cannot be decoded, or when the disk has
    no room.
    """
    file.unlink(missing_ok=True)  # of a run that was killed
    fitting = _num_fitting(sources, limit_bytes)
    needed = sum(_num_bytes(source) for source in sources[:fitting])
    free = shutil.disk_usage(file.parent).free
    if needed > free:
        raise DataError(
            f"{file}: decoded pictures need {needed / 2**30:.1f} GiB, free are "
            f"{free / 2**30:.1f} GiB; lower datasets.train.cache_gib"
        )
    blocks: list[tuple[_Block, _Block]] = []
    faults: list[str] = []
    with ThreadPoolExecutor(os.cpu_count()) as pool, file.open("wb") as stream:
        for result in pool.map(_load, sources[:fitting]):
            if isinstance(result, str):
                faults.append(result)
                continue
            blocks.append((_append(stream, result[0]), _append(stream, result[1])))
    raise_faults("pictures that cannot be decoded", faults)
    return CachedPairs(sources, file, blocks)


def write_index(pairs: CachedPairs) -> None:
    """Write where the pairs lie, for other processes on this machine; see `open_cached`."""
    rows = [[asdict(block) for block in pair] for pair in pairs.blocks]
    index_path(pairs.file).write_text(json.dumps(rows), encoding="utf-8")


def open_cached(sources: Sequence[Source], file: Path) -> CachedPairs:
    """The pairs that another process has decoded into `file`, after its `write_index`."""
    rows = json.loads(index_path(file).read_text(encoding="utf-8"))
    blocks = [(_block(lr), _block(hr)) for lr, hr in rows]
    return CachedPairs(sources, file, blocks)


def index_path(file: Path) -> Path:
    """The file that says where in `file` the pairs lie."""
    return file.with_suffix(".json")


def _block(row: dict[str, Any]) -> _Block:
    return _Block(row["offset"], tuple(row["shape"]))


def _load(source: Source) -> Pair | str:
    """The pair, or what is wrong with its file."""
    try:
        return source.load()
    except ImageError as error:
        return str(error)


def _append(stream: Any, picture: Picture) -> _Block:
    offset = stream.tell()
    stream.write(np.ascontiguousarray(picture).data)
    return _Block(offset, picture.shape)


def _num_fitting(sources: Sequence[Source], limit_bytes: int) -> int:
    """How many sources, from the first on, fit into the limit."""
    total = 0
    for index, source in enumerate(sources):
        total += _num_bytes(source)
        if total > limit_bytes:
            return index
    return len(sources)


def _num_bytes(source: Source) -> int:
    """At most the bytes of lr and hr (an lr picture has a quarter of hr's pixels or fewer)."""
    height, width = source.hr_size
    return 3 * height * width * 5 // 4
