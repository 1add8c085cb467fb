"""A video from any kind of source, cut and re-timed as asked for."""

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import replace
from fractions import Fraction
from itertools import chain
from pathlib import Path

from sr.inference.video_options import VideoOptions
from sr.io.find_files import list_files
from sr.io.image_formats import READABLE_SUFFIXES
from sr.io.read_policy import DEFAULT_MAX_PIXELS
from sr.io.video.formats import is_frames_pattern
from sr.io.video.frame import Frame, VideoError, VideoInfo
from sr.io.video.read.frame_rate import change_frame_rate, select_frames
from sr.io.video.read.image_sequence import (
    Images,
    ImageSequence,
    list_pattern_files,
    open_animation,
    open_image_sequence,
)
from sr.io.video.read.reader import VideoReader, open_video
from sr.io.video.time_range import Moment

_ANIMATION_SUFFIXES = frozenset({".gif", ".webp"})
USUAL_RATE = Fraction(24)  # frames per second, of images, which have none


class Source:
    """The frames that are wanted of an open video."""

    def __init__(self, reader: VideoReader | Images, options: VideoOptions) -> None:
        self._reader = reader
        self._options = options
        # Of images it is their rate, at which they have been opened.
        self._fps = None if isinstance(reader, ImageSequence) else options.fps
        self.info = self._cut_info(reader.info)
        """As `frames` yields them."""

    @property
    def images(self) -> list[Path]:
        """The files, where each is a frame; else empty."""
        return self._reader.paths if isinstance(self._reader, ImageSequence) else []

    @property
    def damage(self) -> list[str]:
        """Faults that were passed over; complete when the frames are at their end."""
        return self._reader.damage

    @property
    def found(self) -> list[str]:
        """What is lost or converted, and begins after the first frame; it grows with the frames."""
        return self._reader.found

    def look_ahead(self) -> list[str]:
        """Return what a few frames from the first on have of it; the frames are read by then."""
        return self._reader.look_ahead() if isinstance(self._reader, VideoReader) else []

    def frames(self) -> Iterator[Frame]:
        """Yield the frames, once.

        Raises as `VideoReader.frames`, and VideoError where there are none.
        """
        options, original = self._options, self._reader.info
        frames = self._reader.frames()
        num_frames = 0
        if (first := next(frames, None)) is not None:
            frames = select_frames(
                chain([first], frames),
                options.start,
                options.end,
                time_base=original.time_base,
                first_pts=first.pts,
            )
            del first  # which would be kept to the end
            if self._fps is not None:
                frames = change_frame_rate(frames, original.time_base, self._fps)
            for frame in frames:
                num_frames += 1
                yield frame
        if not num_frames:
            length = ""
            if original.num_frames is not None:
                seconds = float(original.num_frames / original.rate)
                length = f"; it has about {original.num_frames} frames, {seconds:.2f} s"
            raise VideoError(
                f"{original.name}: expected frames between --start and --end, got none{length}"
            )

    def _cut_info(self, info: VideoInfo) -> VideoInfo:
        rate, time_base, num_frames = info.rate, info.time_base, info.num_frames
        if self._fps is not None:
            rate, time_base = self._fps, 1 / self._fps
        if num_frames is not None:
            first = _count_frames_until(self._options.start, info.rate, default=0)
            last = _count_frames_until(self._options.end, info.rate, default=num_frames)
            num_frames = max(round((min(last, num_frames) - first) * rate / info.rate), 1)
        return replace(info, rate=rate, time_base=time_base, num_frames=num_frames)


@contextmanager
def open_source(
    path: Path,
    options: VideoOptions,
    *,
    alpha: bool = False,
    max_pixels: int = DEFAULT_MAX_PIXELS,
) -> Iterator[Source]:
    """Open a video file, an animation, or a folder or pattern of images.

    alpha: hand out transparency, if there is any. max_pixels: of a frame; of an animation, of all.
    Raises VideoError naming the file for what cannot be read.
    """
    with _open_reader(path, options, alpha, max_pixels) as reader:
        yield Source(reader, options)


def _open_reader(
    path: Path, options: VideoOptions, alpha: bool, max_pixels: int
) -> AbstractContextManager[VideoReader | Images]:
    rate = options.fps or USUAL_RATE
    is_file = not (is_frames_pattern(path) or path.is_dir())
    if not is_file or path.suffix.lower() in _ANIMATION_SUFFIXES:
        _refuse_filters(path, options)
    if is_frames_pattern(path):
        images = list_pattern_files(path)
        return open_image_sequence(images, rate, alpha=alpha, max_pixels=max_pixels)
    if path.is_dir():
        images = list_files(path, False, READABLE_SUFFIXES).files
        if not images:
            raise VideoError(f"{path}: expected images as frames in this folder, got none")
        return open_image_sequence(images, rate, alpha=alpha, max_pixels=max_pixels)
    if path.suffix.lower() in _ANIMATION_SUFFIXES:
        return open_animation(path, alpha=alpha, max_pixels=max_pixels)
    return open_video(
        path,
        stream=options.stream,
        damaged=options.damaged or "continue",
        alpha=alpha,
        max_pixels=max_pixels,
        filters=options.footage.filters,
    )


def _refuse_filters(path: Path, options: VideoOptions) -> None:
    footage = options.footage
    asked = {
        f"--deinterlace {footage.deinterlace}": footage.deinterlace in ("on", "fields"),
        "--inverse-telecine": footage.inverse_telecine,
        "--crop-bars": footage.crop_bars,
    }
    if flags := [flag for flag, is_asked in asked.items() if is_asked]:
        raise VideoError(f"{path}: expected a video file for {' and '.join(flags)}, got images")


def _count_frames_until(moment: Moment | None, rate: Fraction, default: int) -> int:
    if moment is None:
        return default
    if moment.frame is not None:
        return moment.frame
    assert moment.seconds is not None
    return round(moment.seconds * rate)
