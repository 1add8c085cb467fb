"""A video from any kind of source, cut and re-timed as asked for."""

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

from sr.inference.video.options import VideoMaking
from sr.io.find_files import search_folder
from sr.io.image_formats import READABLE_SUFFIXES
from sr.io.video.formats import is_pattern
from sr.io.video.frame import Frame, VideoError, VideoInfo
from sr.io.video.read.frame_rate import Moment, change_frame_rate, select_frames
from sr.io.video.read.image_sequence import (
    Images,
    ImageSequence,
    list_pattern_files,
    open_animation,
    open_image_sequence,
)
from sr.io.video.read.reader import VideoReader, open_video

_ANIMATION_SUFFIXES = frozenset({".gif", ".webp"})
USUAL_RATE = Fraction(24)  # frames a second, of images, which tell none


class Source:
    """The frames that are wanted of an open video."""

    def __init__(self, opened: VideoReader | Images, making: VideoMaking) -> None:
        self._opened = opened
        self._making = making
        # Of images it is their rate, at which they have been opened.
        self._is_retimed = making.fps is not None and not isinstance(opened, ImageSequence)
        self.info = self._cut_info(opened.info)
        """As `frames` gives them."""

    @property
    def images(self) -> list[Path]:
        """The files, where each is a frame; else empty."""
        return self._opened.paths if isinstance(self._opened, ImageSequence) else []

    @property
    def damage(self) -> list[str]:
        """Faults that were passed over; complete when the frames are at their end."""
        return self._opened.damage

    @property
    def begins_late(self) -> bool:
        """The source's beginning is not wanted."""
        return self._making.start is not None

    @property
    def ends_early(self) -> bool:
        """The source's end is not wanted."""
        return self._making.end is not None

    def frames(self) -> Iterator[Frame]:
        """The frames, once. Raises as `VideoReader.frames`, and VideoError where there are none."""
        making = self._making
        original = self._opened.info
        frames = _from_first(self._opened.frames(), making, original.time_base)
        if self._is_retimed:
            assert making.fps is not None
            frames = change_frame_rate(frames, original.time_base, making.fps)
        num_frames = 0
        for frame in frames:
            num_frames += 1
            yield frame
        if not num_frames:
            length = ""
            if original.num_frames is not None:
                seconds = float(original.num_frames / original.rate)
                length = f"; it has about {original.num_frames} frames, {seconds:.2f} s"
            raise VideoError(f"{original.name}: no frame between --start and --end{length}")

    def _cut_info(self, info: VideoInfo) -> VideoInfo:
        making = self._making
        rate = making.fps if self._is_retimed and making.fps is not None else info.rate
        num_frames = None
        if info.num_frames is not None:
            first = _frames_until(making.start, info.rate, default=0)
            last = min(_frames_until(making.end, info.rate, info.num_frames), info.num_frames)
            num_frames = max(round((last - first) * rate / info.rate), 1)
        time_base = 1 / rate if self._is_retimed else info.time_base
        return replace(info, rate=rate, time_base=time_base, num_frames=num_frames)


@contextmanager
def open_source(path: Path, making: VideoMaking) -> Iterator[Source]:
    """Open a video file, an animation, or a folder or pattern of images.

    Raises VideoError naming the file for what cannot be read.
    """
    with _opened(path, making) as opened:
        yield Source(opened, making)


def _opened(path: Path, making: VideoMaking) -> AbstractContextManager[VideoReader | Images]:
    if is_pattern(path) and not path.exists():
        return open_image_sequence(list_pattern_files(path), making.fps or USUAL_RATE)
    if path.is_dir():
        images = search_folder(path, False, READABLE_SUFFIXES).images
        if not images:
            raise VideoError(f"{path}: expected images as frames in this folder, got none")
        return open_image_sequence(images, making.fps or USUAL_RATE)
    if path.suffix.lower() in _ANIMATION_SUFFIXES:
        return open_animation(path)
    return open_video(path, stream=making.stream, damaged=making.damaged)


def _from_first(
    frames: Iterator[Frame], making: VideoMaking, time_base: Fraction
) -> Iterator[Frame]:
    """The frames between start and end, whose seconds count from the first frame."""
    first = next(frames, None)
    if first is None:
        return

    def all_frames() -> Iterator[Frame]:
        yield first
        yield from frames

    yield from select_frames(
        all_frames(), making.start, making.end, time_base=time_base, first_pts=first.pts
    )


def _frames_until(moment: Moment | None, rate: Fraction, default: int) -> int:
    if moment is None:
        return default
    if moment.frame is not None:
        return moment.frame
    assert moment.seconds is not None
    return round(moment.seconds * rate)
