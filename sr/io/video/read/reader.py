"""Read videos frame by frame, each with its time, its colors as they are, and its faults noted.

The samples are the decoder's own: the only conversion is that of packed formats to planes.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import replace
from fractions import Fraction
from itertools import chain, islice
from pathlib import Path

import av
from av.container import InputContainer
from av.sidedata.sidedata import Type as Kind
from av.video.reformatter import Interpolation
from av.video.stream import VideoStream

from sr.io.image_reader import DEFAULT_MAX_PIXELS
from sr.io.video.frame import Frame, Planes, VideoError, VideoInfo
from sr.io.video.pixels.color import resolve_color
from sr.io.video.pixels.planes import (
    choose_equal_format,
    detect_layout,
    extract_planes,
    is_transparent,
)
from sr.io.video.read.container import check_num_pixels, choose_stream, open_container
from sr.io.video.read.decode_errors import Damaged, DamageError, DecodeErrors
from sr.io.video.read.decoder import Decoder, has_hidden_alpha
from sr.io.video.read.frame_metadata import (
    is_copyable,
    list_spatial,
    parse_display_matrix,
    parse_mastering,
    read_frame_side_data,
)
from sr.io.video.read.frame_monitor import FrameMonitor, describe_size
from sr.io.video.read.probe import Probe, probe_stream
from sr.io.video.read.stream_side_data import NO_CROPPING, parse_cropping, read_stream_side_data

_CHROMA_IN_THE_MIDDLE = ("mjpeg", "mjpegb", "mpeg1video", "webp")
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
    ) -> None:
        name = str(path)
        probe = probe_stream(path, container, stream)
        self._errors = DecodeErrors(name, damaged)
        self.damage = self._errors.record
        self.found: list[str] = []
        self._decoder = Decoder(
            container, stream, probe, self._errors, alpha=alpha, max_pixels=max_pixels
        )
        self._decoded = self._decode_frames()
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
        info = _make_info(name, stream, probe, first[0], side_data, alpha=alpha)
        self._decoded_size = (info.width, info.height)
        self._format = choose_equal_format(first[0].format, info.layout)
        self._cropping = parse_cropping(side_data)
        cropping_notes: tuple[str, ...] = ()
        if not self._cropping.fits(info.layout, info.height, info.width):
            cropping_notes = ("cropping is left out: it would cut through chroma samples",)
            self._cropping = NO_CROPPING
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
        monitor = FrameMonitor()
        for number, (frame, time) in enumerate(self._decoder.decode_frames()):
            if notes := monitor.find_new(frame, self._decoder.aspect_ratio):
                place = self._decoder.describe_place(time, number)
                where = f", from {place} on" if number else ""
                self.found += [note + where for note in notes]
            yield frame, time

    def _extract(self, frame: av.VideoFrame, number: int, time: int | None) -> Planes:
        """Return a frame's planes, of the first one's size and format."""
        size = describe_size(frame)
        if size != self._original and self._errors.stop:
            place = self._decoder.describe_place(time, number)
            self._errors.add(f"{place} of {size} after {self._original}")
        try:
            if size != self._original:
                width, height = self._decoded_size
                frame = frame.reformat(
                    width, height, self._format, interpolation=Interpolation.BICUBIC, threads=1
                )
            planes = extract_planes(frame, self.info.layout)
        except (av.FFmpegError, ValueError) as error:
            place = self._decoder.describe_place(time, number)
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
) -> Iterator[VideoReader]:
    """Open a video and decode its first frame.

    stream: index in the file of the video stream; None for the one that players would show.
    damaged: whether to pass over faults in the middle, or to end with `DamageError` at the first.
    alpha: hand out transparency, if there is any; else it is left out. max_pixels: of a frame.
    Raises `VideoError` naming the file for what cannot be read.
    """
    with open_container(path, max_pixels=max_pixels) as container:
        chosen = choose_stream(container, path, stream)
        check_num_pixels(chosen, path, max_pixels)
        yield VideoReader(path, container, chosen, damaged, alpha=alpha, max_pixels=max_pixels)


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


def _make_info(
    name: str,
    stream: VideoStream,
    probe: Probe,
    frame: av.VideoFrame,
    side_data: Mapping[str, str],
    *,
    alpha: bool,
) -> VideoInfo:
    """Return what is known of a stream with its first frame; side_data: the container's."""
    codec = stream.codec_context
    pixels = frame.format
    try:
        layout = detect_layout(pixels, alpha=alpha)
        color, notes = resolve_color(
            frame.colorspace,
            frame.color_primaries,
            frame.color_trc,
            2 if pixels.name.startswith("yuvj") else frame.color_range,
            layout=layout,
            width=frame.width,
            height=frame.height,
            codec=codec.name,
        )
    except ValueError as error:
        raise VideoError(f"{name}: {error}") from error
    contents = read_frame_side_data(frame)
    mastering = parse_mastering(contents)
    spatial = list_spatial(contents, side_data)
    if Kind.CONTENT_LIGHT_LEVEL in contents and mastering is None:
        notes += ("the content's light level is left out, as the mastering display is unknown",)
    return VideoInfo(
        name=name,
        stream=stream.index,
        width=frame.width,
        height=frame.height,
        layout=layout,
        color=color,
        siting="center" if codec.name in _CHROMA_IN_THE_MIDDLE else "left",
        time_base=stream.time_base or 1 / probe.rate,
        rate=probe.rate,
        num_frames=probe.num_frames,
        sample_aspect_ratio=stream.sample_aspect_ratio or Fraction(1),
        display_matrix=parse_display_matrix(contents),
        mastering=mastering,
        notes=probe.notes + notes,
        codec=codec.codec.canonical_name,
        has_alpha=is_transparent(frame) or has_hidden_alpha(stream),
        spatial=spatial,
        is_spatial_copyable=is_copyable(spatial, side_data),
    )
