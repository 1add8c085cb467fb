"""One image on several devices: each takes the next tile when it is free."""

import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor

from sr.tiling.prefetch import Read, Write
from sr.tiling.tiles import Tile
from sr.tiling.upscaler import OnTile, Upscaler


def upscale_together(
    upscalers: Sequence[Upscaler],
    height: int,
    width: int,
    read: Read,
    write: Write,
    on_tile: OnTile,
) -> None:
    """As `Upscaler.upscale`, by upscalers of the same model.

    read and write are called from several threads at once, write never for the same pixels. A
    fault of one of them ends the others at their next tile, and is raised.
    """
    if len(upscalers) == 1:
        upscalers[0].upscale(height, width, read, write, on_tile)
        return
    queue = _Queue(smallest_tiles(upscalers).tiles(height, width), on_tile)

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


def smallest_tiles(upscalers: Sequence[Upscaler]) -> Upscaler:
    """The upscaler that takes the smallest tiles, which suit the others, too."""
    return min(upscalers, key=lambda upscaler: upscaler.tile_size or float("inf"))


class _Queue:
    """Tiles that several threads draw from, and the count of those that are done."""

    def __init__(self, tiles: Sequence[Tile], on_tile: OnTile) -> None:
        self._lock = threading.Lock()
        self._waiting = list(reversed(tiles))
        self._num_done = 0
        self._num_tiles = len(tiles)
        self._on_tile = on_tile

    def __iter__(self) -> Iterator[Tile]:
        while (tile := self._draw()) is not None:
            yield tile

    def on_tile(self, *_: int) -> None:
        """Some upscaler has done a tile."""
        with self._lock:
            self._num_done += 1
            self._on_tile(self._num_done, self._num_tiles)

    def stop(self) -> None:
        """No more tiles."""
        with self._lock:
            self._waiting.clear()

    def _draw(self) -> Tile | None:
        with self._lock:
            return self._waiting.pop() if self._waiting else None
