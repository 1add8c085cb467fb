"""Read videos frame by frame, each with its time, its colors as they are, and its faults noted.

The samples are the decoder's own: the only conversion is that of packed formats to planes.
"""

import struct
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from fractions import Fraction
from itertools import chain
from pathlib import Path
from typing import cast

import av
from av.container import InputContainer
from av.sidedata.sidedata import SideData
from av.sidedata.sidedata import Type as Kind
from av.video.stream import VideoStream

from sr.io.video.frame import UNROTATED, Frame, Mastering, Planes, VideoError, VideoInfo
from sr.io.video.pixels.color import resolve_color
from sr.io.video.pixels.planes import detect_layout, extract_planes, has_alpha
from sr.io.video.read.container import choose_stream, open_container
from sr.io.video.read.decode_errors import Damaged, DamageError, DecodeErrors
from sr.io.video.read.decoder import Decoder
from sr.io.video.read.probe import Probe, probe_stream

_CHROMA_IN_THE_MIDDLE = ("mjpeg", "mjpegb", "mpeg1video", "webp")
_MAX_LAST_DURATION = 10  # seconds, of the last frame; longer ones are faults
_LEFT_OUT = {
    Kind.DOVI_RPU_BUFFER: "Dolby Vision's metadata is left out",
    Kind.DOVI_METADATA: "Dolby Vision's metadata is left out",
    Kind.DYNAMIC_HDR_PLUS: "HDR10+ metadata is left out",
    Kind.A53_CC: "closed captions inside the frames are left out",
}


class VideoReader:
    """An open video.

    info: of the chosen stream. damage: faults that were passed over, in words for the user, as
    they are found; complete when the frames are at their end.
    """

    def __init__(
        self, path: Path, container: InputContainer, stream: VideoStream, damaged: Damaged
    ) -> None:
        name = str(path)
        probe = probe_stream(path, container, stream)
        errors = DecodeErrors(name, damaged)
        self.damage = errors.record
        self._decoded = Decoder(container, stream, probe, errors).decode_frames()
        first = next(self._decoded, None)
        if first is None:
            reason = f" ({self.damage[0]})" if self.damage else ""
            raise VideoError(
                f"{name}: expected frames that can be decoded, got none in stream"
                f" {stream.index}{reason}"
            )
        self._first: tuple[av.VideoFrame, int | None] | None = first
        self._pix_fmt = first[0].format.name
        self.info = _make_info(name, stream, probe, first[0])

    def frames(self) -> Iterator[Frame]:
        """Read all frames in the order of presentation; to be called once.

        Raises `VideoError` naming the frame if size or pixel format change, and `DamageError`
        at the first fault if damage is to stop.
        """
        assert self._first is not None
        decoded, self._first = chain([self._first], self._decoded), None
        clock = _Clock(self.info)
        held: tuple[int, Planes] | None = None  # until the time of its successor is known
        number, duration = -1, 0
        try:
            for number, (frame, time) in enumerate(decoded):
                self._check_unchanged(frame, number)
                pts = clock.place_frame(time, frame.duration)
                if held is not None:
                    yield Frame(number - 1, held[0], pts - held[0], held[1])
                held, duration = (pts, extract_planes(frame, self.info.layout)), frame.duration
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

    def _check_unchanged(self, frame: av.VideoFrame, number: int) -> None:
        info = self.info
        got = (frame.width, frame.height, frame.format.name)
        if got != (info.width, info.height, self._pix_fmt):
            raise VideoError(
                f"{info.name}: frame {number}: expected {info.width}x{info.height}"
                f" {self._pix_fmt}, as the frames before, got {got[0]}x{got[1]} {got[2]}"
            )


@contextmanager
def open_video(
    path: Path, *, stream: int | None = None, damaged: Damaged = "continue"
) -> Iterator[VideoReader]:
    """Open a video and decode its first frame.

    stream: index in the file of the video stream; None for the one that players would show.
    damaged: whether to pass over faults in the middle, or to end with `DamageError` at the first.
    Raises `VideoError` naming the file for what cannot be read.
    """
    with open_container(path) as container:
        yield VideoReader(path, container, choose_stream(container, path, stream), damaged)


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


def _make_info(name: str, stream: VideoStream, probe: Probe, frame: av.VideoFrame) -> VideoInfo:
    codec = stream.codec_context
    pixels = frame.format
    try:
        layout = detect_layout(pixels)
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
    if has_alpha(pixels) or "alpha_mode" in stream.metadata:
        notes += ("transparency is left out",)
    if frame.interlaced_frame:
        notes += ("interlaced; upscaled as it is, deinterlace it first",)
    contents = {data.type: bytes(data) for data in cast(Iterable[SideData], frame.side_data)}
    mastering = _parse_mastering(contents)
    notes += tuple(dict.fromkeys(note for kind, note in _LEFT_OUT.items() if kind in contents))
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
        display_matrix=_parse_display_matrix(contents),
        mastering=mastering,
        notes=probe.notes + notes,
    )


def _parse_display_matrix(contents: dict[Kind, bytes]) -> tuple[int, ...] | None:
    """Return nine numbers of ISO/IEC 14496-12; None where frames show as they are."""
    if Kind.DISPLAYMATRIX not in contents:
        return None
    matrix = struct.unpack_from("=9i", contents[Kind.DISPLAYMATRIX])
    return None if matrix == UNROTATED else matrix


def _parse_mastering(contents: dict[Kind, bytes]) -> Mastering | None:
    """Return HDR's static metadata, None where the mastering display is not known in full."""
    display = contents.get(Kind.MASTERING_DISPLAY_METADATA)
    if display is None:
        return None
    # AVMasteringDisplayMetadata: ten rationals and two flags
    *numbers, has_primaries, has_luminance = struct.unpack_from("=22i", display)
    if not has_primaries or not has_luminance:
        return None
    values = [
        numerator / denominator if denominator else 0.0
        for numerator, denominator in zip(numbers[::2], numbers[1::2], strict=True)
    ]
    light_levels = contents.get(Kind.CONTENT_LIGHT_LEVEL, bytes(8))
    max_content, max_average = struct.unpack_from("=2I", light_levels)
    return Mastering(
        primaries=tuple(zip(values[:8:2], values[1:8:2], strict=True)),
        min_luminance=values[8],
        max_luminance=values[9],
        max_content=max_content,
        max_average=max_average,
    )
