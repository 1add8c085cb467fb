"""Images as frames of a video: numbered files at a constant rate, or an animation's own frames.

Samples stay as they are; RGB is full range. Transparent pixels are put over black, unless alpha is
asked for.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from sr.io.image_formats import ImageError
from sr.io.image_metadata import Metadata, is_srgb
from sr.io.image_reader import DEFAULT_MAX_PIXELS, Header, ImageReader, open_image, read_header
from sr.io.video.formats import format_frame_path, is_pattern, list_frame_numbers
from sr.io.video.frame import Frame, Layout, Planes, VideoError, VideoInfo
from sr.io.video.pixels.color import resolve_color

_FULL_RANGE = 2  # FFmpeg's number
_SHORTEST_DELAY, _USUAL_DELAY = 10, 100  # ms; shorter ones are shown as usual ones, by browsers


class ImageSequence:
    """Image files, each a frame.

    info: known from their headers. damage, found: stay empty. paths: the files, in order.
    """

    def __init__(
        self, paths: Sequence[Path], rate: Fraction, *, alpha: bool, max_pixels: int
    ) -> None:
        if not paths:
            raise VideoError("expected at least one image, got none")
        first, metadata = _read_first(paths[0], max_pixels)
        depth, has_alpha = first.depth, _has_alpha(first.num_bands)
        for path in paths[1:]:
            header = _read_header(path, max_pixels)
            _check_like(path, header, paths[0], first)
            depth = max(depth, header.depth)
            has_alpha = has_alpha or _has_alpha(header.num_bands)
        self.damage: list[str] = []
        self.found: list[str] = []
        self.info = _make_info(
            str(paths[0].parent),
            first,
            metadata,
            depth,
            has_alpha=has_alpha,
            alpha=alpha,
            time_base=1 / rate,
            rate=rate,
            num_frames=len(paths),
        )
        self.paths = list(paths)
        self._max_pixels = max_pixels

    def frames(self) -> Iterator[Frame]:
        """Read all images in the order given; `VideoError` names one that cannot be read."""
        for number, path in enumerate(self.paths):
            try:
                # checked by its header at the start, with the user's limit
                with open_image(path, max_pixels=self._max_pixels) as image:
                    pixels = image.read()
            except ImageError as error:
                raise VideoError(str(error)) from error
            yield Frame(number, number, 1, _split_planes(pixels, self.info.layout))


class Animation:
    """An open GIF, WebP or other image of several frames, with its own times."""

    def __init__(self, path: Path, image: ImageReader, *, alpha: bool) -> None:
        header = image.header
        delays = image.metadata.delays or ()
        known = (*delays, *([0] * header.num_frames))[: header.num_frames]
        self._durations = [
            delay if delay > _SHORTEST_DELAY else _USUAL_DELAY for delay in known
        ]  # ms
        self._image = image
        self.damage: list[str] = []
        self.found: list[str] = []
        self.info = _make_info(
            str(path),
            header,
            image.metadata,
            header.depth,
            has_alpha=_has_alpha(header.num_bands),
            alpha=alpha,
            time_base=Fraction(1, 1000),
            rate=Fraction(1000 * header.num_frames, sum(self._durations)),
            num_frames=header.num_frames,
        )

    def frames(self) -> Iterator[Frame]:
        """Read all frames; raises `VideoError` naming the file if it is damaged."""
        pts = 0
        for number, duration in enumerate(self._durations):
            try:
                pixels = self._image.read(frame=number)
            except ImageError as error:
                raise VideoError(f"{error}, at frame {number}") from error
            yield Frame(number, pts, duration, _split_planes(pixels, self.info.layout))
            pts += duration


Images = ImageSequence | Animation
"""Open images, used as a `sr.io.video.read.reader.VideoReader` is."""


@contextmanager
def open_image_sequence(
    paths: Sequence[Path],
    rate: Fraction,
    *,
    alpha: bool = False,
    max_pixels: int = DEFAULT_MAX_PIXELS,
) -> Iterator[ImageSequence]:
    """Open image files as frames, `rate` per second, all of one size and all gray or all RGB.

    alpha: hand out transparency, if any image has it. max_pixels: of an image. Raises `VideoError`
    naming the first that cannot be read or differs.
    """
    yield ImageSequence(paths, rate, alpha=alpha, max_pixels=max_pixels)


@contextmanager
def open_animation(
    path: Path, *, alpha: bool = False, max_pixels: int = DEFAULT_MAX_PIXELS
) -> Iterator[Animation]:
    """Open an animated GIF or WebP (or several pages of one size); one frame will do, too.

    alpha: hand out transparency, if there is any. max_pixels: of all frames together. Raises
    `VideoError` naming the file if it cannot be read.
    """
    try:
        with open_image(path, frames="each", max_pixels=max_pixels) as image:
            yield Animation(path, image, alpha=alpha)
    except ImageError as error:
        raise VideoError(str(error)) from error


def list_pattern_files(pattern: Path) -> list[Path]:
    """List the files of a pattern, from the lowest number on without a gap.

    Raises `VideoError` if there is none, or naming the first that is missing among them.
    """
    if not is_pattern(pattern):
        raise VideoError(f"{pattern}: expected a name with one %d or the like, got none")
    numbers = list_frame_numbers(pattern)
    if not numbers:
        raise VideoError(f"{pattern}: expected numbered images, got no such file")
    for expected, number in enumerate(numbers, numbers[0]):
        if number != expected:
            missing = format_frame_path(pattern, expected)
            raise VideoError(
                f"{missing}: expected images without a gap, up to number {numbers[-1]},"
                " got no such file"
            )
    return [format_frame_path(pattern, number) for number in numbers]


def _read_header(path: Path, max_pixels: int) -> Header:
    try:
        return read_header(path, max_pixels=max_pixels)
    except ImageError as error:
        raise VideoError(str(error)) from error


def _read_first(path: Path, max_pixels: int) -> tuple[Header, Metadata]:
    """Return the header of an image, and its metadata, which are those of the video."""
    try:
        with open_image(path, max_pixels=max_pixels) as image:
            return image.header, image.metadata
    except ImageError as error:
        raise VideoError(str(error)) from error


def _check_like(path: Path, header: Header, first_path: Path, first: Header) -> None:
    expected, got = _describe_header(first), _describe_header(header)
    if got != expected:
        raise VideoError(f"{path}: expected {expected}, as {first_path.name} is, got {got}")


def _has_alpha(num_bands: int) -> bool:
    return num_bands in (2, 4)


def _describe_header(header: Header) -> str:
    return f"{header.width}x{header.height} {'gray' if header.num_bands <= 2 else 'RGB'}"


def _make_info(
    name: str,
    header: Header,
    metadata: Metadata,
    depth: int,
    *,
    has_alpha: bool,
    alpha: bool,
    time_base: Fraction,
    rate: Fraction,
    num_frames: int,
) -> VideoInfo:
    kind: Literal["gray", "rgb"] = "gray" if header.num_bands <= 2 else "rgb"
    layout = Layout(kind, min(depth, 16), alpha=has_alpha and alpha)
    encoding = metadata.encoding
    codes = (1, 13) if encoding is None or encoding.codes is None else encoding.codes
    color, _ = resolve_color(
        2, *codes, _FULL_RANGE, layout=layout, width=header.width, height=header.height
    )
    notes = list(header.notes)
    if metadata.profile is not None and not is_srgb(metadata.profile, header.num_bands):
        notes.append("color profile is not carried to videos")
    if encoding is not None and encoding.codes is None:
        notes.append("color encoding (gAMA, cHRM) is not carried to videos")
    return VideoInfo(
        name=name,
        stream=0,
        width=header.width,
        height=header.height,
        layout=layout,
        color=color,
        siting="center",
        time_base=time_base,
        rate=rate,
        num_frames=num_frames,
        sample_aspect_ratio=Fraction(1),
        display_matrix=None,
        mastering=None,
        notes=tuple(notes),
        has_alpha=has_alpha,
    )


def _split_planes(pixels: npt.NDArray[Any], layout: Layout) -> Planes:
    """pixels: (h, w, bands), as `ImageReader.read` has them; maybe of fewer bits than `layout`."""
    if pixels.dtype == np.float32:
        pixels = (pixels * 65535 + 0.5).astype(np.uint16)
    num_colors = pixels.shape[2] - _has_alpha(pixels.shape[2])
    white = np.iinfo(pixels.dtype).max
    bands = pixels
    if layout.alpha and num_colors == pixels.shape[2]:  # others of the images have it
        bands = np.concatenate([pixels, np.full_like(pixels[..., :1], white)], axis=2)
    elif not layout.alpha and num_colors != pixels.shape[2]:
        alpha = pixels[..., num_colors:].astype(np.uint32)
        bands = pixels[..., :num_colors]
        bands = ((bands * alpha + white // 2) // white).astype(pixels.dtype)
    if bands.dtype != layout.dtype:
        bands = bands.astype(layout.dtype) * 257  # 255 becomes 65535
    return tuple(np.ascontiguousarray(bands[..., band]) for band in range(bands.shape[2]))
