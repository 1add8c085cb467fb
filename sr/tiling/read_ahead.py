"""Reading ahead and writing behind: one thread each next to the one that computes.

An error in either thread comes out in the caller, at the next image part that is read or
written. Leaving a block, in whatever way, drops what waits and ends its thread.
"""

from collections import defaultdict, deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from typing import ParamSpec, TypeVar

import torch
from torch import Tensor

from sr.device import pin, release_memory
from sr.tiling.runner import is_out_of_memory
from sr.tiling.tiles import Box, Tile

P = ParamSpec("P")
R = TypeVar("R")

Read = Callable[[Box], Tensor]
"""LR box -> (B, 3, h, w), float32, RGB in [0, 1], in CPU memory or on the device. B images of the
same box, e.g. colors and alpha; or packed windows of more channels. Called in a thread of its
own."""

Write = Callable[[Box, Tensor], None]
"""Box on the SR grid and its (B, 3, s*h, s*w), float32, not clamped, on the device (instead of MPS
on the CPU); the tensor is the callee's to keep or change. Called in a thread of its own, never
twice at a time."""

_idle_streams: defaultdict[torch.device, list[torch.cuda.Stream]] = defaultdict(list)

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


def on_own_stream(function: Callable[P, R], device: torch.device) -> Callable[P, R]:
    """Wrap a function so that its CUDA kernels and copies do not wait for those of other threads.

    Done when it returns, so that its tensors may be used anywhere and their memory freed.
    """
    if device.type != "cuda":
        return function

    def on_stream(*args: P.args, **kwargs: P.kwargs) -> R:
        with _borrow_stream(device) as stream, torch.cuda.stream(stream):
            result = function(*args, **kwargs)
            stream.synchronize()
        return result

    return on_stream


@contextmanager
def _borrow_stream(device: torch.device) -> Iterator[torch.cuda.Stream]:
    """Lend a stream that nobody else uses meanwhile.

    There are as many as were ever in use at once: each keeps memory of its own.
    """
    idle = _idle_streams[device]
    try:
        stream = idle.pop()
    except IndexError:
        stream = torch.cuda.Stream(device)
    try:
        yield stream
    finally:
        idle.append(stream)


def fall_back_to_cpu(function: Callable[[Tensor], R], x: Tensor) -> R:
    """Call a function with x; where the GPU has too little memory for it, with x on the CPU.

    The function may have begun when it is called again.
    """
    try:
        return function(x)
    except (MemoryError, RuntimeError) as error:
        if x.device.type == "cpu" or not is_out_of_memory(error):
            raise
    release_memory(x.device)  # out here, where no traceback holds the tensors any more
    return function(x.cpu())


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
