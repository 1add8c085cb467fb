"""Several devices: each takes the next image when it is free, or the next tile of one image."""

import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from queue import Empty, SimpleQueue

from sr.tiling.read_ahead import Read, Write
from sr.tiling.tiles import Tile
from sr.tiling.upscaler import OnTile, Upscaler


def upscale_on_devices(
    upscalers: Sequence[Upscaler],
    height: int,
    width: int,
    read: Read,
    write: Write,
    on_tile: OnTile,
) -> None:
    """Upscale one image as `Upscaler.upscale` does, by upscalers of the same model.

    read and write are called from several threads at once, write never for the same pixels. A
    fault of one of them ends the others at their next tile, and is raised.
    """
    queue = _TileQueue(find_smallest_tiles(upscalers).list_tiles(height, width), on_tile)

    def work(upscaler: Upscaler) -> None:
        try:
            upscaler.upscale(height, width, read, write, queue.on_tile, tiles=queue)
        except BaseException:
            queue.stop()
            raise

    with ThreadPoolExecutor(len(upscalers), thread_name_prefix="sr-device") as threads:
        futures = [threads.submit(work, upscaler) for upscaler in upscalers]
    for future in futures:
        future.result()


class DevicePool:
    """The upscalers of a run, one per device; whoever needs one waits for its turn.

    share_images: an image takes all that are free, for runs of fewer images than devices.
    """

    def __init__(self, upscalers: Sequence[Upscaler], *, share_images: bool = False) -> None:
        self.scale = upscalers[0].scale
        self.stopped = threading.Event()
        self._share_images = share_images
        self._idle: SimpleQueue[Upscaler] = SimpleQueue()
        for upscaler in upscalers:
            self._idle.put(upscaler)

    @contextmanager
    def lend(self) -> Iterator[list[Upscaler]]:
        """Lend one upscaler or more that nobody else uses meanwhile."""
        upscalers = [self._idle.get()]
        with suppress(Empty):
            while self._share_images:
                upscalers.append(self._idle.get_nowait())
        try:
            yield upscalers
        finally:
            for upscaler in upscalers:
                self._idle.put(upscaler)


def find_smallest_tiles(upscalers: Sequence[Upscaler]) -> Upscaler:
    """Return the upscaler that takes the smallest tiles, which suit the others, too."""
    return min(upscalers, key=lambda upscaler: upscaler.tile_size or float("inf"))


class _TileQueue:
    """Tiles that several threads draw from, and the count of those that are done."""

    def __init__(self, tiles: Sequence[Tile], on_tile: OnTile) -> None:
        self._lock = threading.Lock()
        self._waiting = list(reversed(tiles))
        self._num_done = 0
        self._num_tiles = len(tiles)
        self._on_tile = on_tile

    def __iter__(self) -> Iterator[Tile]:
        while (tile := self._draw_tile()) is not None:
            yield tile

    def on_tile(self, *_: int) -> None:
        """Count a tile that one of the upscalers has done."""
        with self._lock:
            self._num_done += 1
            self._on_tile(self._num_done, self._num_tiles)

    def stop(self) -> None:
        """Drop the tiles that nobody has drawn."""
        with self._lock:
            self._waiting.clear()

    def _draw_tile(self) -> Tile | None:
        with self._lock:
            return self._waiting.pop() if self._waiting else None
