"""Read videos frame by frame, each with its time, its colors as they are, and its faults noted.

The samples are the decoder's own: the only conversion is that of packed formats to planes.
"""

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from itertools import chain, islice
from pathlib import Path

import av
from av.container import InputContainer
from av.video.reformatter import Interpolation
from av.video.stream import VideoStream

from sr.io.read_policy import DEFAULT_MAX_PIXELS, Damaged
from sr.io.video.filter_options import NO_FILTERS, FilterOptions
from sr.io.video.frame import Frame, Planes, VideoError, VideoInfo
from sr.io.video.pixels.planes import (
    choose_equal_format,
    extract_planes,
)
from sr.io.video.read.black_bars import find_bars
from sr.io.video.read.container import check_num_pixels, choose_stream, open_container
from sr.io.video.read.decode_errors import DamageError, DecodeErrors
from sr.io.video.read.decoder import Decoder
from sr.io.video.read.field_filter import FieldFilter
from sr.io.video.read.frame_monitor import FrameMonitor, describe_size
from sr.io.video.read.probe import probe_stream
from sr.io.video.read.stream_info import change_times, make_info
from sr.io.video.read.stream_side_data import (
    NO_CROPPING,
    Cropping,
    parse_cropping,
    read_stream_side_data,
)

_MAX_LAST_DURATION = 10  # seconds, of the last frame; longer ones are faults
NUM_AHEAD = 24  # frames decoded before any work: about a second


class VideoReader:
    """An open video.

    info: of the chosen stream. damage: faults that were passed over, in words for the user, as
    they are found; complete when the frames are at their end. found: likewise, what is lost or
    converted, and begins after the first frame.
    """

    def __init__(
        self,
        path: Path,
        container: InputContainer,
        stream: VideoStream,
        damaged: Damaged,
        *,
        alpha: bool,
        max_pixels: int,
        filters: FilterOptions = NO_FILTERS,
    ) -> None:
        name = str(path)
        probe = probe_stream(path, container, stream)
        self._errors = DecodeErrors(name, damaged)
        self.damage = self._errors.record
        self.found: list[str] = []
        self._decoder = Decoder(
            container, stream, probe, self._errors, alpha=alpha, max_pixels=max_pixels
        )
        self._filters = filters
        self._decoded = FieldFilter(filters).filter_frames(self._decode_frames())
        first = next(self._decoded, None)
        if first is None:
            reason = f" ({self.damage[0]})" if self.damage else ""
            raise VideoError(
                f"{name}: expected frames that can be decoded, got none in stream"
                f" {stream.index}{reason}"
            )
        self._first: tuple[av.VideoFrame, int | None] | None = first
        self._original = describe_size(first[0])
        side_data = read_stream_side_data(container, stream)
        info = make_info(name, stream, probe, first[0], side_data, alpha=alpha)
        info = change_times(info, filters)
        self._decoded_size = (info.width, info.height)
        self._format = choose_equal_format(first[0].format, info.layout)
        self._cropping = parse_cropping(side_data)
        cropping_notes: tuple[str, ...] = ()
        if not self._cropping.fits(info.layout, info.height, info.width):
            cropping_notes = ("cropping is left out: it would cut through chroma samples",)
            self._cropping = NO_CROPPING
        if filters.crop_bars:
            bars = find_bars(path, stream=stream.index, layout=info.layout, max_pixels=max_pixels)
            self._cropping = self._cropping.add(bars)
            cropping_notes += (_describe_bars(bars),)
        crop = self._cropping
        self.info = replace(
            info,
            width=info.width - crop.left - crop.right,
            height=info.height - crop.top - crop.bottom,
            notes=(*info.notes, *self.found, *cropping_notes),
        )
        self.found = []  # what the first frame has is in `info`

    def look_ahead(self, num_frames: int = NUM_AHEAD) -> list[str]:
        """Decode a few frames and return what `found` then has; `frames` cannot be read then."""
        with suppress(DamageError):  # which is reported when the video is read
            for _ in islice(self._decoded, num_frames):
                pass
        return list(self.found)

    def frames(self) -> Iterator[Frame]:
        """Read all frames in the order of presentation; to be called once.

        Frames of another size or pixel format than the first one's are converted to it. Raises
        `DamageError` at the first fault, such a change too, if damage is to stop.
        """
        assert self._first is not None
        decoded, self._first = chain([self._first], self._decoded), None
        clock = _Clock(self.info)
        held: tuple[int, Planes] | None = None  # until the time of its successor is known
        number, duration = -1, 0
        try:
            for number, (frame, time) in enumerate(decoded):
                planes = self._extract(frame, number, time)
                pts = clock.place_frame(time, frame.duration)
                if held is not None:
                    yield Frame(number - 1, held[0], pts - held[0], held[1])
                held, duration = (pts, planes), frame.duration
        except DamageError:
            if held is not None:
                yield Frame(number, held[0], clock.limit_last_duration(duration), held[1])
            raise
        if held is not None:
            yield Frame(number, held[0], clock.limit_last_duration(duration), held[1])
        if clock.num_moved:
            self.damage.append(
                f"{clock.num_moved} frame(s) with times not after the one before; moved"
            )

    def _decode_frames(self) -> Iterator[tuple[av.VideoFrame, int | None]]:
        """Decode as `Decoder.decode_frames`, and add to `found` what begins with each frame."""
        monitor = FrameMonitor(self._filters)
        for number, (frame, time) in enumerate(self._decoder.decode_frames()):
            if notes := monitor.find_new(frame, self._decoder.aspect_ratio):
                place = self._describe_place(time, number)
                where = f", from {place} on" if number else ""
                self.found += [note + where for note in notes]
            yield frame, time

    def _describe_place(self, time: int | None, number: int) -> str:
        """Describe the place of a frame that is handed out."""
        ticks = self._filters.ticks_per_tick
        return self._decoder.describe_place(None if time is None else time // ticks, number)

    def _extract(self, frame: av.VideoFrame, number: int, time: int | None) -> Planes:
        """Return a frame's planes, of the first one's size and format."""
        size = describe_size(frame)
        if size != self._original and self._errors.stop:
            place = self._describe_place(time, number)
            self._errors.add(f"{place} of {size} after {self._original}")
        try:
            if size != self._original:
                width, height = self._decoded_size
                frame = frame.reformat(
                    width, height, self._format, interpolation=Interpolation.BICUBIC, threads=1
                )
            planes = extract_planes(frame, self.info.layout)
        except (av.FFmpegError, ValueError) as error:
            place = self._describe_place(time, number)
            raise VideoError(f"{self.info.name}: {place}: {error}") from error
        if self._cropping == NO_CROPPING:
            return planes
        return self._cropping.apply(planes, self.info.layout)


@contextmanager
def open_video(
    path: Path,
    *,
    stream: int | None = None,
    damaged: Damaged = "continue",
    alpha: bool = False,
    max_pixels: int = DEFAULT_MAX_PIXELS,
    filters: FilterOptions = NO_FILTERS,
) -> Iterator[VideoReader]:
    """Open a video and decode its first frame.

    stream: index in the file of the video stream; None for the one that players would show.
    damaged: whether to pass over faults in the middle, or to end with `DamageError` at the first.
    alpha: hand out transparency, if there is any; else it is left out. max_pixels: of a frame.
    filters: deinterlacing and the like. Raises `VideoError` naming the file for what cannot be
    read.
    """
    with open_container(path, max_pixels=max_pixels) as container:
        chosen = choose_stream(container, path, stream)
        check_num_pixels(chosen, path, max_pixels)
        yield VideoReader(
            path, container, chosen, damaged, alpha=alpha, max_pixels=max_pixels, filters=filters
        )


class _Clock:
    """Makes times that always increase, whatever the file has; in ticks of the time base."""

    def __init__(self, info: VideoInfo) -> None:
        self.num_moved = 0
        self._time_base = info.time_base
        self._step = max(round(1 / info.rate / info.time_base), 1)
        self._last: int | None = None
        self._next = 0  # where the last one's duration ends

    def place_frame(self, time: int | None, duration: int) -> int:
        """Return when the next frame shows; duration: 0 for unknown."""
        pts = self._next if time is None else time
        if self._last is not None and pts <= self._last:
            pts = self._last + 1
            self.num_moved += 1
        self._last, self._next = pts, pts + (duration if duration > 0 else self._step)
        return pts

    def limit_last_duration(self, duration: int) -> int:
        """Return the duration of a frame that has no successor."""
        is_usual = 0 < duration * self._time_base <= _MAX_LAST_DURATION
        return duration if is_usual else self._step


def _describe_bars(bars: Cropping) -> str:
    sides = {name: getattr(bars, name) for name in ("left", "right", "top", "bottom")}
    found = ", ".join(f"{number} at the {name}" for name, number in sides.items() if number)
    return f"black bars are cropped, in pixels: {found}" if found else "no black bars were found"
