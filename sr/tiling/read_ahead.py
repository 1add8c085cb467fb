"""Reading ahead and writing behind: one thread each next to the one that computes.

An error in either thread comes out in the caller, at the next image part that is read or
written. Leaving a block, in whatever way, drops what waits and ends its thread.
"""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial

import torch
from torch import Tensor

from sr.memory import fall_back_to_cpu, pin
from sr.tiling.streams import on_own_stream
from sr.tiling.tiles import Box, Tile

Read = Callable[[Box], Tensor]
"""LR box -> (B, 3, h, w), float32, RGB in [0, 1], in CPU memory or on the device. B images of the
same box, e.g. colors and alpha; or packed windows of more channels. Called in a thread of its
own."""

Write = Callable[[Box, Tensor], None]
"""Box on the SR grid and its (B, 3, s*h, s*w), float32, not clamped, on the device (instead of MPS
on the CPU); the tensor is the callee's to keep or change. Called in a thread of its own, never
twice at a time."""

NUM_WAITING = 2  # parts written or waiting for it while the next one is computed


@contextmanager
def read_ahead(
    read: Read,
    tiles: Iterable[Tile],
    device: torch.device,
    num_ahead: int,
    num_channels: int = 3,
) -> Iterator[Iterator[tuple[Tile, Tensor]]]:
    """Give the tiles in turn with their haloed boxes as read, `num_ahead` read in advance."""

    def read_tile(tile: Tile) -> Tensor:
        box = tile.haloed
        lr = read(box)
        shape = (num_channels, box.height, box.width)
        fits = lr.ndim == 4 and lr.shape[0] > 0 and lr.shape[1:] == shape
        if not fits or lr.dtype != torch.float32:
            expected = f"(B, {num_channels}, {box.height}, {box.width}), torch.float32"
            raise ValueError(f"{box}: expected {expected}, got {tuple(lr.shape)}, {lr.dtype}")
        return pin(lr) if device.type == "cuda" and lr.device.type == "cpu" else lr

    def in_turn(thread: ThreadPoolExecutor) -> Iterator[tuple[Tile, Tensor]]:
        under_way: deque[tuple[Tile, Future[Tensor]]] = deque()
        for tile in tiles:
            under_way.append((tile, thread.submit(read_tile, tile)))
            if len(under_way) > num_ahead:
                yield _wait_for_first(under_way)
        while under_way:
            yield _wait_for_first(under_way)

    with _start_thread("read") as thread:
        yield in_turn(thread)


@contextmanager
def write_behind(write: Write, device: torch.device) -> Iterator[Write]:
    """Give a `write` that returns before it is done, which it is when the block has ended."""
    waiting: deque[Future[None]] = deque()
    is_broken = False

    def write_unless_broken(box: Box, sr: Tensor, ready: torch.cuda.Event | None) -> None:
        nonlocal is_broken
        if not is_broken:  # what follows a part that failed is not written
            is_broken = True
            if ready is not None:
                ready.wait(torch.cuda.current_stream(device))
            fall_back_to_cpu(partial(write, box), sr)
            is_broken = False

    write_part = on_own_stream(write_unless_broken, device)

    with _start_thread("write") as thread:

        def put(box: Box, sr: Tensor) -> None:
            while waiting and (len(waiting) >= NUM_WAITING or waiting[0].done()):
                waiting.popleft().result()
            ready = None
            if device.type == "cuda":  # the other stream waits for it, not this thread
                ready = torch.cuda.current_stream(device).record_event()
            waiting.append(thread.submit(write_part, box, sr, ready))

        yield put
        while waiting:
            waiting.popleft().result()


def _wait_for_first(under_way: deque[tuple[Tile, Future[Tensor]]]) -> tuple[Tile, Tensor]:
    tile, future = under_way.popleft()
    return tile, future.result()


@contextmanager
def _start_thread(name: str) -> Iterator[ThreadPoolExecutor]:
    executor = ThreadPoolExecutor(max_workers=1, thread_name_prefix=f"sr-{name}")
    try:
        yield executor
    finally:
        executor.shutdown(wait=True, cancel_futures=True)
