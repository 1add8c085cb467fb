"""What happens to frames between decoder and encoder: each function is a stage of the pipeline.

n distinct frames of a batch, h x w LR pixels, H x W pixels of the result.
"""

import threading
import time
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import partial

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from sr.inference.mask import Mask
from sr.inference.options import Alpha
from sr.inference.video.alpha import upscale_transparent
from sr.io.video.frame import Frame, Layout, Planes
from sr.io.video.pixels.yuv import Conversion, planes_to_tensors, tensors_to_planes
from sr.memory import fall_back_to_cpu, is_out_of_memory
from sr.tiling.runner import NumericError
from sr.tiling.streams import on_own_stream
from sr.tiling.upscaler import StoppedError, Upscaler

MAX_FRAMES = 32  # of a batch, repeated ones included, so that a still scene does not hold up all

Upscaled = tuple[Frame, Tensor, Tensor]
"""A frame, lr (1, 3, h, w) and sr (1, 3, H, W), both RGB, not clamped, on the network's device
(instead of MPS on the CPU); of transparent frames both have alpha as a fourth channel. The very
tensors of the frame before where both are equal."""


@dataclass
class Batch:
    """Consecutive frames that go through the network together."""

    turn: int
    """Number of the device that they are on."""
    frames: list[Frame] = field(default_factory=list)
    is_new: list[bool] = field(default_factory=list)
    """Of each frame: it differs from the one before."""
    lr: list[Tensor] = field(default_factory=list)
    """Of each new frame: (1, 3, h, w), RGB, not clamped, on the device; or with alpha (1, 4, h,
    w)."""
    windows: list[Tensor] = field(default_factory=list)
    """Of each new frame, for a network that sees several: (1, C, h, w), packed, on the device.
    Empty for others, which take `lr`."""


def convert_to_rgb(
    frames: Iterable[Frame],
    conversion: Conversion,
    devices: Sequence[torch.device],
    batch_size: int,
) -> Iterator[Batch]:
    """Yield frames in batches of `batch_size` distinct ones, on the devices in turn."""

    def convert(planes: Planes, device: torch.device) -> Tensor:
        return conversion.to_rgb(planes_to_tensors(planes, device))

    converts = [on_own_stream(partial(convert, device=device), device) for device in devices]
    batch = Batch(turn=0)
    last: Planes | None = None
    for frame in frames:
        is_new = last is None or not are_equal(frame.planes, last)
        if (is_new and len(batch.lr) == batch_size) or len(batch.frames) == MAX_FRAMES:
            yield batch
            batch = Batch((batch.turn + 1) % len(devices))
        if is_new:
            batch.lr.append(converts[batch.turn](frame.planes))
        batch.frames.append(frame)
        batch.is_new.append(is_new)
        last = frame.planes
    if batch.frames:
        yield batch


def are_equal(planes: Planes, others: Planes) -> bool:
    """Return whether two frames show the same."""
    return planes is others or all(map(np.array_equal, planes, others))


class NetworkStage:
    """Upscales batches, each device its own in turn, and keeps the order of frames.

    size: (height, width) of the results, which are resampled to it after `num_passes` runs of the
    network. alpha: how transparency is upscaled. mask: where the model's results show.
    """

    def __init__(
        self,
        upscalers: Sequence[Upscaler],
        size: tuple[int, int],
        num_passes: int,
        stopped: threading.Event,
        alpha: Alpha = "model",
        mask: Mask | None = None,
    ) -> None:
        self._upscalers = upscalers
        self._alpha: Alpha = alpha
        self._mask = mask
        self._size = size
        self._num_passes = num_passes
        self._stopped = stopped
        # Upscalers on one CPU share its cores, instead of waiting for each other's threads.
        num_sharing = sum(upscaler.device.type == "cpu" for upscaler in upscalers)
        self._num_threads = max(1, torch.get_num_threads() // max(1, num_sharing))
        self.num_tiles = 0
        self.seconds = 0.0
        """Of all devices together."""
        self._counting = threading.Lock()

    def upscale(self, batches: Iterable[Batch]) -> Iterator[Upscaled]:
        """Yield frames with their results, computed for new ones only.

        Raises NumericError and MemoryError with the number of the frame, and StoppedError.
        """
        waiting: deque[tuple[Batch, Future[list[Tensor]]]] = deque()
        last: tuple[Tensor, Tensor] | None = None
        with ExitStack() as stack:
            threads = [
                stack.enter_context(_start_network_thread(self._num_threads))
                for _ in self._upscalers
            ]
            for batch in batches:
                waiting.append((batch, threads[batch.turn].submit(self._upscale_batch, batch)))
                if len(waiting) > len(threads):
                    last = yield from _wait_for_batch(*waiting.popleft(), last)
            while waiting:
                last = yield from _wait_for_batch(*waiting.popleft(), last)

    def _upscale_batch(self, batch: Batch) -> list[Tensor]:
        """Return (1, 3, H, W), RGB, not clamped, on the device, of each new frame."""
        if not batch.lr:
            return []
        if self._stopped.is_set():
            raise StoppedError
        started = time.perf_counter()
        upscaler = self._upscalers[batch.turn]
        given = batch.windows or batch.lr
        upscale = partial(self._run_network, upscaler)
        try:
            lr = torch.cat(given) if len(given) > 1 else given[0]
            if not batch.windows and lr.shape[1] == 4:
                # Done when it returns: other threads read it on streams of their own.
                sr = on_own_stream(upscale_transparent, lr.device)(lr, self._alpha, upscale)
            else:
                sr = upscale(lr)
        except (NumericError, MemoryError, RuntimeError) as error:
            if isinstance(error, RuntimeError) and not is_out_of_memory(error):
                error.add_note(f"at frame {batch.frames[0].number}")
                raise
            kind = NumericError if isinstance(error, NumericError) else MemoryError
            raise kind(f"frame {batch.frames[0].number}: {error}") from error
        with self._counting:
            self.seconds += time.perf_counter() - started
        return [one[None] for one in sr]

    def _run_network(self, upscaler: Upscaler, sr: Tensor) -> Tensor:
        """(n, C, h, w) to (n, 3, H, W)."""
        for _ in range(self._num_passes):
            lr, sr = sr, upscaler.upscale_whole(sr, sr.device, self._on_tile)
            if self._mask is not None:
                sr = on_own_stream(self._mask.blend_frame, sr.device)(lr, sr, upscaler.scale)
            del lr
        if sr.shape[2:] != self._size:
            sr = on_own_stream(_resize, sr.device)(sr, self._size)
        return sr

    def _on_tile(self, _tile: int, _tiles: int) -> None:
        with self._counting:
            self.num_tiles += 1
        if self._stopped.is_set():
            raise StoppedError


def _resize(sr: Tensor, size: tuple[int, int]) -> Tensor:
    """(n, 3, h, w) to (n, 3, height, width). size: (height, width)."""
    return functional.interpolate(sr, size, mode="bicubic", antialias=True)


def _start_network_thread(num_threads: int) -> ThreadPoolExecutor:
    """Start a thread whose operations use `num_threads`, whatever others have set since."""
    return ThreadPoolExecutor(
        1,
        thread_name_prefix="sr-network",
        initializer=torch.set_num_threads,
        initargs=(num_threads,),
    )


def _wait_for_batch(
    batch: Batch, future: Future[list[Tensor]], last: tuple[Tensor, Tensor] | None
) -> Generator[Upscaled, None, tuple[Tensor, Tensor] | None]:
    """Yield the frames of a batch. last: lr and sr of the last new frame; returned in turn."""
    new = zip(batch.lr, future.result(), strict=True)
    for frame, is_new in zip(batch.frames, batch.is_new, strict=True):
        if is_new:
            last = next(new)
        assert last is not None
        yield frame, *last
    return last


def convert_to_planes(
    results: Iterable[tuple[Frame, Tensor]],
    conversion: Conversion,
    layout: Layout,
    pad: tuple[int, int],
) -> Iterator[tuple[Frame, Planes]]:
    """Yield each frame with the planes to encode.

    results: (1, 3, H, W), or (1, 4, H, W) where `layout` has alpha; the very tensor of the frame
    before where both are equal. pad: rows and columns to repeat at the bottom and right.
    """
    rows, columns = pad
    last: tuple[Tensor, Planes] | None = None

    def convert(sr: Tensor) -> Planes:
        if rows or columns:
            sr = functional.pad(sr, (0, columns, 0, rows), mode="replicate")
        return tensors_to_planes(conversion.from_rgb(sr), layout)

    converts: dict[torch.device, Callable[[Tensor], Planes]] = {}
    for frame, sr in results:
        if last is None or sr is not last[0]:
            if sr.device not in converts:
                converts[sr.device] = on_own_stream(convert, sr.device)
            last = (sr, fall_back_to_cpu(converts[sr.device], sr))
        yield frame, last[1]
