"""One image file -> its upscaled file: probe, read, upscale tile by tile, write.

A result larger than memory is held in a mapped file (`sr.io.canvas`); neither the image nor the
result is ever whole in memory then.
"""

import os
import sys
import time
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from tempfile import gettempdir
from typing import TYPE_CHECKING, Any
from zlib import crc32

import numpy as np
import numpy.typing as npt
from torch import Tensor

from sr.device import name_precision
from sr.inference.channels import Channels, ReadPixels, quantize
from sr.inference.events import Emit
from sr.inference.mask import Mask
from sr.inference.options import STREAM, InferOptions
from sr.inference.output_size import choose_size, count_megapixels, count_passes
from sr.io.canvas import allocate_canvas
from sr.io.film_grain import FilmGrain
from sr.io.image_formats import check_writable, describe_losses, has_alpha, limit_depth
from sr.io.image_metadata import fit_encoding
from sr.io.image_reader import Header, ImageReader, open_image
from sr.io.image_writer import write_image
from sr.memory import is_out_of_memory, measure_peak_gib
from sr.tiling.multi_device import DevicePool, find_smallest_tiles, upscale_on_devices
from sr.tiling.read_ahead import Read, Write
from sr.tiling.tiles import Box
from sr.tiling.upscaler import StoppedError, Upscaler
from sr.tiling.verify_tiles import verify_tiles

if TYPE_CHECKING:
    from sr.inference.tasks import Task


@dataclass(frozen=True)
class ImagePlan:
    """What is to be done with one image; known from its header alone."""

    header: Header
    size: tuple[int, int]
    """(height, width) of the result, of one frame."""
    num_passes: int
    num_bands: int
    """Of the result."""
    depth: int
    """Bits per channel of the result: 8, or more; 32 of float."""
    is_unfinished: bool
    """The result of the last pass is not of this size yet, or gets grain."""
    megapixels: float
    """What the network reads, over all passes and frames, in millions."""

    def check_mask(self, mask: Mask) -> None:
        """Raise UserError for a mask that does not fit."""
        mask.check_aspect(self.header.height, self.header.width)


def count_result_bytes(plan: ImagePlan) -> int:
    """Return the bytes of a result in memory while it is upscaled and written."""
    height, width = plan.size
    sample = 4 if plan.is_unfinished or plan.num_passes > 1 else plan.depth // 8
    return height * width * plan.num_bands * plan.header.num_frames * sample


def probe_image(task: "Task", options: InferOptions, scale: int) -> ImagePlan:
    """Plan one image by its header; what its result cannot keep is added to `task.warnings`.

    Raises ImageError for an image that cannot be read, or a result that its format cannot hold,
    and TargetError for a size that is out of reach.
    """
    with _open_source(task, options) as image:
        header, bits, metadata = image.header, image.bits, image.metadata
    suffix = _choose_suffix(task, options)
    depth = limit_depth(suffix, header.depth, name=task.output)
    size = choose_size(options.output, header.height, header.width, scale)
    passes = count_passes((header.height, header.width), size, scale)
    num_bands = header.num_bands - (has_alpha(header.num_bands) and options.output.alpha == "drop")
    shape = {"num_bands": num_bands, "num_frames": header.num_frames}
    check_writable(suffix, height=size[0], width=size[1], name=task.output, **shape)
    kinds = fit_encoding(metadata, suffix, num_bands).kinds
    task.warnings += [*header.notes, *describe_losses(suffix, depth=bits, kinds=kinds, **shape)]
    return ImagePlan(
        header,
        size,
        passes,
        num_bands,
        depth,
        is_unfinished=options.texture.grain > 0
        or size != (header.height * scale**passes, header.width * scale**passes),
        megapixels=count_megapixels(
            header.height * header.width * header.num_frames, scale, passes
        ),
    )


def upscale_image(
    task: "Task",
    plan: ImagePlan,
    options: InferOptions,
    pool: DevicePool,
    emit: Emit,
    mask: Mask | None = None,
) -> dict[str, Any]:
    """Read, upscale and write one image. Returns the fields of its event `item_done`.

    Raises as `open_image`, `Upscaler.upscale` and `write_image`, and StoppedError at the next tile
    once `pool` is stopped.
    """
    header, scale, alpha = plan.header, pool.scale, options.output.alpha
    levels = np.uint8 if plan.depth == 8 else np.uint16 if plan.depth <= 16 else np.float32
    folder = Path(gettempdir()) if task.output == STREAM else task.output.parent
    upscaler = _PoolUpscaler(pool, emit, verify=options.runtime.verify_tiles)
    with _open_source(task, options) as image:
        frames: list[ReadPixels] = [partial(_read_box, image, i) for i in range(header.num_frames)]
        height, width, num_bands = header.height, header.width, header.num_bands
        for number in range(1, plan.num_passes + 1):
            shape = (len(frames) * scale * height, scale * width, plan.num_bands)
            is_final = number == plan.num_passes and not plan.is_unfinished
            canvas = allocate_canvas(shape, levels if is_final else np.float32, folder=folder)
            for frame, read_pixels in enumerate(frames):
                channels = Channels(read_pixels, height, width, num_bands, scale, alpha)
                part = canvas[frame * scale * height : (frame + 1) * scale * height]
                write = make_array_writer(part, channels, mask)
                upscaler.upscale(height, width, channels.read, write)
                del channels, read_pixels, write  # and what was read, before the next canvas
            height, width, num_bands = scale * height, scale * width, plan.num_bands
            frames = [
                partial(_read_canvas, canvas[i * height : (i + 1) * height])
                for i in range(header.num_frames)
            ]
        write_image(
            sys.stdout.buffer if task.output == STREAM else task.output,
            canvas,
            suffix=_choose_suffix(task, options),
            like=image,
            quality=options.output.quality,
            lossless=options.output.lossless,
            size=plan.size,
            num_frames=header.num_frames,
            grain=_make_grain(task, options),
        )
    return {
        "lr_size": (header.width, header.height),
        "sr_size": (plan.size[1], plan.size[0]),
        "passes": plan.num_passes,
        **upscaler.fields(),
    }


def make_array_writer(
    part: npt.NDArray[Any], channels: Channels, mask: Mask | None = None
) -> Write:
    """Make a `Write` that puts the network's results into an array (H, W, C) of any levels."""

    def write(box: Box, sr: Tensor) -> None:
        core = box.divide(channels.scale)
        if mask is not None:
            sr = mask.blend_box(channels, core, sr)
        bands = channels.merge(core, sr)
        part[box.rows, box.columns] = quantize(bands, part.dtype)

    return write


class _PoolUpscaler:
    """Runs the network of one task on devices as they become free, and counts what that takes."""

    def __init__(self, pool: DevicePool, emit: Emit, *, verify: bool) -> None:
        self._pool = pool
        self._emit = emit
        self._verify = verify
        self._seconds = self._seconds_waited = 0.0  # for a device that others used
        self._num_tiles = 0
        self._tile_size = 0
        self._precision = ""
        self._difference: float | None = None

    def upscale(self, height: int, width: int, read: Read, write: Write) -> None:
        """Upscale as `Upscaler.upscale` does, on all devices that are free at the start."""
        asked = time.perf_counter()
        with self._pool.lend() as upscalers:
            started = time.perf_counter()
            if len(upscalers) == 1:
                upscalers[0].upscale(height, width, read, write, self._on_tile)
            else:
                upscale_on_devices(upscalers, height, width, read, write, self._on_tile)
            self._seconds += time.perf_counter() - started
            used = find_smallest_tiles(upscalers)
            if self._verify:
                self._verify_tiles(used, height, width, read)
        self._seconds_waited += started - asked
        self._tile_size, self._precision = used.tile_size, name_precision(used.dtype)

    def fields(self) -> dict[str, Any]:
        """Return the counts for an event."""
        fields: dict[str, Any] = {
            "tiles": self._num_tiles,
            "tile_size": self._tile_size,
            "precision": self._precision,
            "network_seconds": round(self._seconds, 3),
            "seconds_waited": self._seconds_waited,
            "peak_gib": measure_peak_gib(),
        }
        if self._difference is not None:
            fields["tile_difference"] = self._difference
        return fields

    def _verify_tiles(self, upscaler: Upscaler, height: int, width: int, read: Read) -> None:
        try:
            found = verify_tiles(upscaler, height, width, read)
        except (MemoryError, RuntimeError) as error:
            if not is_out_of_memory(error):
                raise
            self._emit("warning", message="tiles not verified: not enough memory for larger ones")
            return
        if found.num_tiles:
            self._difference = max(self._difference or 0.0, found.max_difference)

    def _on_tile(self, tile: int, tiles: int) -> None:
        if self._pool.stopped.is_set():
            raise StoppedError
        self._num_tiles += 1
        self._emit("progress", tile=tile, tiles=tiles)


def _open_source(task: "Task", options: InferOptions) -> AbstractContextManager[ImageReader]:
    source = task.source if task.content is None else task.content
    return open_image(
        source,
        max_pixels=options.runtime.max_pixels,
        frames=options.output.load_frames,
        page=task.page or options.output.page,
        damaged=options.video.damaged or "stop",
        name=task.name,
        above_white=options.output.above_white,
    )


def _make_grain(task: "Task", options: InferOptions) -> FilmGrain | None:
    """Return the grain of an image: that of its name, so that it is the same at every run."""
    levels, name = options.texture.grain, os.fsencode(task.source.name)
    if task.page is not None:
        name += b"/%d" % task.page
    return FilmGrain(levels, crc32(name)) if levels else None


def _choose_suffix(task: "Task", options: InferOptions) -> str:
    """Return the suffix of the result's format."""
    if task.output != STREAM:
        return task.output.suffix.lower()
    return ".png" if options.output.ext == "auto" else f".{options.output.ext}"


def _read_box(image: ImageReader, frame: int, box: Box) -> npt.NDArray[Any]:
    return image.read(box.rows, box.columns, frame)


def _read_canvas(part: npt.NDArray[Any], box: Box) -> npt.NDArray[Any]:
    return part[box.rows, box.columns]
