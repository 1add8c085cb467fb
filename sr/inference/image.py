"""One image file -> its upscaled file."""

import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from queue import Empty, SimpleQueue
from tempfile import gettempdir
from typing import Any, BinaryIO, Literal

import numpy as np

from sr.device import precision_name
from sr.inference.channels import Alpha
from sr.inference.events import Emit
from sr.inference.image_plan import Work, enlarged, work_of
from sr.inference.options import STREAM, Job
from sr.inference.output_size import Factor, Target
from sr.inference.video.options import VideoMaking
from sr.io.image_formats import check_writable, describe_losses, limit_depth
from sr.io.image_reader import DEFAULT_MAX_PIXELS, ImageReader, open_image
from sr.io.image_writer import write_image
from sr.tiling.multi_device import smallest_tiles, upscale_together
from sr.tiling.prefetch import Read, Write
from sr.tiling.runner import is_out_of_memory
from sr.tiling.upscaler import StoppedError, Upscaler
from sr.tiling.verify_tiles import verify_tiles

Frames = Literal["refuse", "each"]


@dataclass(frozen=True)
class Making:
    """How results are made and written, the same for all images of a run."""

    target: Target = field(default_factory=Factor)
    """How large the results are to be."""
    alpha: Alpha = "model"
    frames: Frames = "refuse"
    """Animations and files of several pages: refused, or each frame upscaled."""
    quality: int = 95
    """Of lossy formats, 1 to 100."""
    lossless: bool = False
    """WebP and AVIF without loss."""
    max_pixels: int = DEFAULT_MAX_PIXELS
    """Images that claim to be larger are refused."""
    verify_tiles: bool = False
    """Compare some tiles with themselves in a larger context."""
    stdin: bytes = b""
    """The file that `-` as input stands for."""
    stdout: BinaryIO | None = None
    """Where the result goes whose output is `-`."""
    stream_suffix: str = ".png"
    """Format of that result."""
    video: VideoMaking = field(default_factory=VideoMaking)

    def suffix(self, job: Job) -> str:
        """The format of a job's result."""
        return self.stream_suffix if job.output == STREAM else job.output.suffix.lower()

    def target_of(self, job: Job) -> Path | BinaryIO:
        """What to write a job's result to."""
        if job.output != STREAM:
            return job.output
        assert self.stdout is not None
        return self.stdout


class Pool:
    """The upscalers of a run, one a device; whoever needs one waits for its turn.

    together: an image takes all that are free, for runs of fewer images than devices.
    """

    def __init__(self, upscalers: Sequence[Upscaler], *, together: bool = False) -> None:
        self.upscalers = list(upscalers)
        self._together = together
        self.scale = upscalers[0].scale
        self.stopped = threading.Event()
        self._idle: SimpleQueue[Upscaler] = SimpleQueue()
        for upscaler in upscalers:
            self._idle.put(upscaler)

    @contextmanager
    def free(self) -> Iterator[list[Upscaler]]:
        """One upscaler or more that nobody else uses meanwhile."""
        upscalers = [self._idle.get()]
        with suppress(Empty):
            while self._together:
                upscalers.append(self._idle.get_nowait())
        try:
            yield upscalers
        finally:
            for upscaler in upscalers:
                self._idle.put(upscaler)


def checked(job: Job, making: Making, scale: int) -> tuple[Work, list[str]]:
    """What a job needs, and what its result cannot keep of the image; from the header alone.

    Raises ImageError for an image that cannot be read, or a result that its format cannot hold,
    and TargetError for a size that is out of reach.
    """
    with _opened(job, making) as image:
        header, bits, kinds = image.header, image.bits, image.metadata.kinds
    suffix = making.suffix(job)
    depth = limit_depth(suffix, header.depth, name=job.output)
    work = work_of(header, making.target, scale, making.alpha, depth)
    height, width = work.size
    shape = {"num_bands": work.num_bands, "num_frames": header.num_frames}
    check_writable(suffix, height=height, width=width, name=job.output, **shape)
    lost = describe_losses(suffix, depth=bits, kinds=kinds, **shape)
    return work, [*header.notes, *lost]


def do(job: Job, work: Work, making: Making, pool: Pool, emit: Emit) -> dict[str, Any]:
    """Read, upscale and write one image. Returns what to tell of it.

    Raises as `open_image`, `Upscaler.upscale` and `write_image`, and StoppedError.
    """
    suffix, header = making.suffix(job), work.header
    network = _Network(pool, emit, making.verify_tiles)
    with _opened(job, making) as image:
        pixels = enlarged(
            image,
            work,
            network.enlarge,
            scale=pool.scale,
            alpha=making.alpha,
            dtype=np.dtype(np.uint8 if work.depth == 8 else np.uint16),
            folder=Path(gettempdir()) if job.output == STREAM else job.output.parent,
        )
        write_image(
            making.target_of(job),
            pixels,
            suffix=suffix,
            like=image,
            quality=making.quality,
            lossless=making.lossless,
            size=work.size,
            num_frames=header.num_frames,
        )
    fields = {
        "lr_size": (header.width, header.height),
        "sr_size": (work.size[1], work.size[0]),
        "passes": work.num_passes,
        "tiles": network.num_tiles,
        "tile_size": network.tile_size,
        "precision": network.precision,
        "network_seconds": round(network.seconds, 3),
        "seconds_waited": network.seconds_waited,
    }
    if network.difference is not None:
        fields["tile_difference"] = network.difference
    return fields


def _opened(job: Job, making: Making) -> AbstractContextManager[ImageReader]:
    source = making.stdin if job.source == STREAM else job.source
    return open_image(source, max_pixels=making.max_pixels, frames=making.frames)


class _Network:
    """The network's share of a job: runs it on an upscaler that is free, and takes the time."""

    def __init__(self, pool: Pool, emit: Emit, verify: bool) -> None:
        self._pool = pool
        self._emit = emit
        self._verify = verify
        self.difference: float | None = None
        self.seconds = 0.0
        self.seconds_waited = 0.0  # for an upscaler that others used
        self.num_tiles = 0
        self.tile_size = 0
        self.precision = ""

    def enlarge(self, height: int, width: int, read: Read, write: Write) -> None:
        """As `Upscaler.upscale`, by all upscalers that are free at the start.

        Raises StoppedError at the next tile once the run is stopped.
        """
        asked = time.perf_counter()
        with self._pool.free() as upscalers:
            started = time.perf_counter()
            self.seconds_waited += started - asked
            upscale_together(upscalers, height, width, read, write, self._on_tile)
            self.seconds += time.perf_counter() - started
            smallest = smallest_tiles(upscalers)
            if self._verify:
                self._compare(smallest, height, width, read)
            self.tile_size = smallest.tile_size
            self.precision = precision_name(smallest.dtype)

    def _compare(self, upscaler: Upscaler, height: int, width: int, read: Read) -> None:
        try:
            found = verify_tiles(upscaler, height, width, read)
        except (MemoryError, RuntimeError) as error:
            if not is_out_of_memory(error):
                raise
            self._emit("warning", message="tiles not verified: not enough memory for larger ones")
            return
        if found.num_tiles:
            self.difference = max(self.difference or 0.0, found.max_difference)

    def _on_tile(self, tile: int, tiles: int) -> None:
        if self._pool.stopped.is_set():
            raise StoppedError
        self.num_tiles += 1
        self._emit("progress", tile=tile, tiles=tiles)
