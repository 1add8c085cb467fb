"""Which bundled model suits an input: a look at its file and pixels, without a network.

Models for clean images draw rings and worms into the blocks of a JPEG and into noise. So where an
input is visibly compressed or noisy, the model for that is the better one.
"""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from io import BytesIO
from pathlib import Path

import numpy as np
import numpy.typing as npt

from sr.inference.options import InferOptions
from sr.inference.tasks import Task
from sr.io import jpeg_segments
from sr.io.archive import list_pages, open_archive, read_page
from sr.io.degradation_signs import estimate_noise, is_pixel_art, measure_blockiness
from sr.io.image_reader import open_image
from sr.io.read_policy import DEFAULT_MAX_PIXELS
from sr.models.bundled import name_for_degraded

JPEG_QUALITY = 85  # below it blocks and rings show in results of models for clean images
BLOCKINESS = 0.7  # levels; a JPEG of about 80 that was saved again as another file
NOISE = 6.0  # levels
NOISE_OF_COLOR = 3.0  # levels, of the difference of red and green, where texture hardly shows
BITS_PER_PIXEL = 0.05  # of H.264
NUM_LOOKED_AT = 32  # inputs of a run that are looked at for a hint
_NUM_THREADS = 4
_NUM_PAGES = 4  # of an archive that are looked at
_SAMPLE = 768  # pixels a side, from the middle
_MAX_PIXEL_ART = 1024  # pixels of the longer side
_LUMA = np.array([0.299, 0.587, 0.114], np.float32)
_HALF = np.float32(0.5**0.5)  # of the sum of two variances
_MAX_LEVELS = {"uint8": 255.0, "uint16": 65535.0, "float32": 1.0}


@dataclass(frozen=True)
class Signs:
    """What an input looks like. reason: that it is degraded, in words; empty for a clean one."""

    reason: str = ""
    is_pixel_art: bool = False


def suggest_model(source: Path | bytes, options: InferOptions | None = None) -> str | None:
    """Return the bundled model for degraded images where an image is one, else None.

    source: a file, or its content. Raises ImageError for what is no image.
    """
    if not look_at_image(source, options).reason:
        return None
    return name_for_degraded(None if options is None else options.output.outscale)


def look_at_tasks(tasks: Sequence[Task], options: InferOptions) -> list[Signs]:
    """Return the signs of each input; none of one that cannot be read, which is reported later."""

    def look(task: Task) -> Signs:
        try:
            if task.kind == "video":
                return _look_at_video(task.source, options)
            if task.kind == "archive":
                return _look_at_archive(task.source, options)
            source = task.source if task.content is None else task.content
            return look_at_image(source, options, task.page)
        except Exception:  # noqa: BLE001, the probe meets it too, and it costs that input alone
            return Signs()

    with ThreadPoolExecutor(_NUM_THREADS, thread_name_prefix="sr-look") as threads:
        return list(threads.map(look, tasks))


def _look_at_archive(source: Path, options: InferOptions) -> Signs:
    """Look at some pages; an archive is degraded where half of them are."""
    with open_archive(source) as archive:
        pages = list_pages(archive)
        pages = pages[:: -(-len(pages) // _NUM_PAGES) or 1]
        signs = [look_at_image(read_page(archive, page), options) for page in pages]
    degraded = [each for each in signs if each.reason]
    return degraded[0] if degraded and 2 * len(degraded) >= len(signs) else Signs()


def look_at_image(
    source: Path | bytes, options: InferOptions | None = None, page: int | None = None
) -> Signs:
    """Look at an image file, or the content of one. Raises ImageError.

    page: the only one, counted from 1; None for what the options say.
    """
    output = None if options is None else options.output
    with source.open("rb") if isinstance(source, Path) else BytesIO(source) as file:
        is_jpeg = file.read(3) == jpeg_segments.SIGNATURE
        quality = jpeg_segments.estimate_quality(file) if is_jpeg else None
    if quality is not None and quality < JPEG_QUALITY:
        return Signs(f"JPEG quality {quality}")
    with open_image(
        source,
        max_pixels=DEFAULT_MAX_PIXELS if options is None else options.runtime.max_pixels,
        frames="refuse" if output is None else output.load_frames,
        page=page or (None if output is None else output.page),
    ) as image:
        height, width = image.header.height, image.header.width
        rows, columns = _cut_middle(height), _cut_middle(width)
        pixels = image.read(rows, columns)
        pixels = np.asarray(pixels * (255.0 / _MAX_LEVELS[pixels.dtype.name]), np.float32)
    reason = describe_degradation(pixels[..., : 1 if pixels.shape[2] <= 2 else 3])
    is_small = max(height, width) <= _MAX_PIXEL_ART
    art = is_small and quality is None and is_pixel_art(pixels.round().astype(np.uint8))
    return Signs("" if art else reason, is_pixel_art=art)


def describe_degradation(colors: npt.NDArray[np.float32]) -> str:
    """Return what is wrong with pixels, (h, w, 1 or 3), in levels of 8 bits; empty for nothing."""
    is_color = colors.shape[2] == 3
    gray = colors @ _LUMA if is_color else colors[..., 0]
    if measure_blockiness(gray) > BLOCKINESS:
        return "blocks of compression"
    noise = estimate_noise(gray)
    if noise > NOISE:
        return f"noise of {noise:.0f} levels"
    if is_color:
        # Around middle gray, so that patches are not taken as cut off.
        noise = estimate_noise((colors[..., 0] - colors[..., 1]) * _HALF + 128)
        if noise > NOISE_OF_COLOR:
            return f"noise of {noise:.0f} levels"
    return ""


def describe_signs(
    tasks: Sequence[Task], signs: Sequence[Signs], *, num_inputs: int, is_auto: bool, model: str
) -> list[str]:
    """Return a line for the user on degraded inputs, and one on pixel art, where there are some.

    tasks: those that were looked at, of num_inputs to do. model: the one for degraded inputs.
    is_auto: it is taken.
    """
    notes = []
    bad = [(task, each.reason) for task, each in zip(tasks, signs, strict=True) if each.reason]
    if bad:
        task, reason = bad[0]
        found = f"{task.name}: {reason}"
        if num_inputs > 1:
            seen = f"{num_inputs} inputs"
            if len(tasks) < num_inputs:
                seen = f"the {len(tasks)} inputs looked at"
            found = f"{len(bad)} of {seen} are compressed or noisy, such as {found}"
        advice = f"-m {model} is made for that, -m auto chooses by itself"
        notes.append(f"{found}; {f'{model} is taken' if is_auto else advice}")
    art = [task for task, each in zip(tasks, signs, strict=True) if each.is_pixel_art]
    if art:
        more = f" and {len(art) - 1} more" if len(art) > 1 else ""
        notes.append(
            f"{art[0].name}{more}: few colors and no gradients, as pixel art has; --resample"
            " nearest keeps its pixels"
        )
    return notes


def _look_at_video(source: Path, options: InferOptions) -> Signs:
    """Look at a video's bit rate and its first frame."""
    from sr.inference.video.source import open_source  # codecs, which images need not
    from sr.io.video.read.bit_rate import measure_bits_per_pixel

    video = replace(options.video, start=None, end=None, fps=None)
    with open_source(source, video, max_pixels=options.runtime.max_pixels) as opened:
        info = opened.info
        frame = next(opened.frames())
    if info.codec and source.is_file():
        num_pixels = info.height * info.width
        bits = measure_bits_per_pixel(source, info.stream, info.codec, num_pixels, info.rate)
        if bits is not None and bits < BITS_PER_PIXEL:
            return Signs(f"low bit rate, {bits:.3f} bits per pixel")
    luma = frame.planes[0 if info.layout.kind != "rgb" else 1]
    luma = luma[_cut_middle(luma.shape[0]), _cut_middle(luma.shape[1])]
    levels = np.asarray(luma * (255.0 / (2**info.layout.depth - 1)), np.float32)
    return Signs(describe_degradation(levels[..., None]))


def _cut_middle(side: int) -> slice:
    start = max(side - _SAMPLE, 0) // 2
    return slice(start, min(start + _SAMPLE, side))
