"""Decoded images and clips in one memory-mapped file, so that nothing is decoded twice.

The file is in the run's folder. Worker processes share its pages, however they were started, and
the system drops pages when memory is short.
"""

import json
import os
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Generic, cast

import numpy as np
from numpy.typing import NDArray

from sr.data.bounded_map import map_bounded
from sr.data.sources import ArraysT, DataError, Source, raise_faults
from sr.io.image_formats import ImageError

_ALIGNMENT = 8  # bytes; arrays of larger numbers begin at multiples of it


_Block = tuple[int, tuple[int, ...], str]  # an array in the file: offset, shape, dtype


class SourceCache(Generic[ArraysT]):
    """The arrays of sources by index, from the cache file, or loaded again if they did not fit."""

    def __init__(
        self,
        sources: Sequence[Source[ArraysT]],
        file: Path,
        blocks: Sequence[Sequence[_Block]],
    ) -> None:
        """blocks: of the first len(blocks) sources in `file`; empty for a source that is never
        kept. Use `fill_cache`.
        """
        self.sources = sources
        self.file = file
        self.blocks = blocks
        self._map: np.memmap[Any, np.dtype[np.uint8]] | None = None

    def __len__(self) -> int:
        return len(self.sources)

    def __getitem__(self, index: int) -> ArraysT:
        """Return the arrays of a source, which must not be written to."""
        if not self.holds(index):
            return self.sources[index].load()
        if self._map is None:
            self._map = self._map_file()
        return cast(ArraysT, tuple(map(self._view, self.blocks[index])))

    def holds(self, index: int) -> bool:
        """Return whether a source is in the file."""
        return index < len(self.blocks) and bool(self.blocks[index])

    def check_map(self) -> None:
        """Raise DataError, here and not in a worker process, if the file cannot be mapped."""
        self._map = self._map_file()

    def __getstate__(self) -> dict[str, Any]:
        """Leave out the map: a worker process maps the file itself."""
        return {**self.__dict__, "_map": None}

    def _map_file(self) -> "np.memmap[Any, np.dtype[np.uint8]]":
        try:
            # Copy-on-write, since torch takes no read-only arrays; nothing is written or copied.
            return np.memmap(self.file, np.uint8, mode="c")
        except (OSError, ValueError) as error:  # no such file, no room, an empty file
            raise DataError(
                f"{self.file}: expected a file of decoded images that can be mapped into memory, "
                f"got {getattr(error, 'strerror', None) or error}; datasets.train.cache_gib=0 "
                "works without it"
            ) from error

    def _view(self, block: _Block) -> NDArray[Any]:
        assert self._map is not None
        offset, shape, dtype = block
        size = int(np.prod(shape)) * np.dtype(dtype).itemsize
        return np.asarray(self._map[offset : offset + size]).view(dtype).reshape(shape)


def fill_cache(
    sources: Sequence[Source[ArraysT]], file: Path, limit_bytes: int
) -> SourceCache[ArraysT]:
    """Load the sources, in order, into `file` until it holds `limit_bytes`.

    Raises DataError naming all that cannot be decoded, or when the disk is too full.
    """
    file.unlink(missing_ok=True)  # of a run that was killed
    fitting = _count_fitting(sources, limit_bytes)
    needed = sum(source.num_bytes for source in sources[:fitting])
    free = shutil.disk_usage(file.parent).free
    if needed > free:
        raise DataError(
            f"{file}: expected {needed / 2**30:.1f} GiB of free space for decoded images, got "
            f"{free / 2**30:.1f} GiB; lower datasets.train.cache_gib"
        )
    blocks: list[list[_Block]] = []
    faults: list[str] = []
    with _name_disk_errors(file), file.open("wb") as stream:
        for result in map_bounded(_load, sources[:fitting], os.cpu_count() or 1):
            if isinstance(result, str):
                faults.append(result)
                continue
            blocks.append([_append(stream, array) for array in result])
    raise_faults("images that cannot be decoded", faults)
    return SourceCache(sources, file, blocks)


def write_index(cached: SourceCache[ArraysT]) -> None:
    """Write the index of a cache, for other processes on this machine; see `open_cache`."""
    index = get_index_path(cached.file)
    with _name_disk_errors(index):
        index.write_text(json.dumps(cached.blocks), encoding="utf-8")


def open_cache(sources: Sequence[Source[ArraysT]], file: Path) -> SourceCache[ArraysT]:
    """Open what another process has decoded into `file`, after its `write_index`."""
    rows = json.loads(get_index_path(file).read_text(encoding="utf-8"))
    blocks = [[(offset, tuple(shape), dtype) for offset, shape, dtype in row] for row in rows]
    cached = SourceCache(sources, file, blocks)
    if any(blocks):
        cached.check_map()
    return cached


def get_index_path(file: Path) -> Path:
    """Return the path of the index of a cache file."""
    return file.with_suffix(".json")


@contextmanager
def _name_disk_errors(file: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise DataError(
            f"{file}: decoded images cannot be written: {error.strerror}; make room, or lower "
            "datasets.train.cache_gib"
        ) from error


def _load(source: Source[ArraysT]) -> ArraysT | tuple[()] | str:
    """Return the arrays, none of a source that is never kept, or the fault of a file."""
    if source.num_bytes == 0:
        return ()
    try:
        return source.load()
    except ImageError as error:
        return str(error)


def _append(stream: Any, array: NDArray[Any]) -> _Block:
    stream.write(bytes(-stream.tell() % _ALIGNMENT))
    offset = stream.tell()
    stream.write(np.ascontiguousarray(array).data)
    return offset, array.shape, array.dtype.str


def _count_fitting(sources: Sequence[Source[ArraysT]], limit_bytes: int) -> int:
    """Return how many sources, from the first on, fit into the limit."""
    total = 0
    for index, source in enumerate(sources):
        total += source.num_bytes
        if total > limit_bytes:
            return index
    return len(sources)
