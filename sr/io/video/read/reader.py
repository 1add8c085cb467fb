"""Videos read frame by frame, each with its time, its colors as they are, and its faults noted.

The samples are the decoder's own: nothing is converted here but packed formats to planes.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from fractions import Fraction
from itertools import chain
from pathlib import Path

import av
from av.container import InputContainer
from av.video.stream import VideoStream

from sr.io.video.frame import Frame, Planes, VideoError, VideoInfo
from sr.io.video.pixels.color import resolve_color
from sr.io.video.pixels.planes import detect_layout, extract_planes, has_alpha
from sr.io.video.read import side_data
from sr.io.video.read.container import choose_stream, open_container
from sr.io.video.read.decode_errors import Damaged, DamageError, DecodeErrors
from sr.io.video.read.decoder import Decoder
from sr.io.video.read.probe import Probe, probe_stream

_CHROMA_IN_THE_MIDDLE = ("mjpeg", "mjpegb", "mpeg1video", "webp")
_MAX_TOLD_DURATION = 10  # seconds, of the last frame; longer ones are faults


class VideoReader:
    """An open video.

    info: of the chosen stream. damage: faults that were passed over, in words for the user, as
    they are found; complete when the frames are at their end.
    """

    def __init__(
        self, path: Path, container: InputContainer, stream: VideoStream, damaged: Damaged
    ) -> None:
        name = str(path)
        expected = probe_stream(path, container, stream)
        faults = DecodeErrors(name, damaged)
        self.damage = faults.record
        self._decoded = Decoder(container, stream, expected, faults).frames()
        first = next(self._decoded, None)
        if first is None:
            reason = f" ({self.damage[0]})" if self.damage else ""
            raise VideoError(
                f"{name}: expected frames that can be decoded, got none in stream"
                f" {stream.index}{reason}"
            )
        self._first: tuple[av.VideoFrame, int | None] | None = first
        self._pix_fmt = first[0].format.name
        self.info = _info_of(name, stream, expected, first[0])

    def frames(self) -> Iterator[Frame]:
        """All frames in the order of presentation; to be called once.

        Raises `VideoError` naming the frame if size or pixel format change, and `DamageError`
        at the first fault if damage is to stop.
        """
        assert self._first is not None
        decoded, self._first = chain([self._first], self._decoded), None
        clock = _Clock(self.info)
        held: tuple[int, Planes] | None = None  # until the time of its successor is known
        number, told = -1, 0
        try:
            for number, (frame, time) in enumerate(decoded):
                self._refuse_change(frame, number)
                pts = clock.moment(time)
                if held is not None:
                    yield Frame(number - 1, held[0], pts - held[0], held[1])
                held, told = (pts, extract_planes(frame, self.info.layout)), frame.duration
                clock.frame_lasts(told)
        except DamageError:
            if held is not None:
                yield Frame(number, held[0], clock.last_duration(told), held[1])
            raise
        if held is not None:
            yield Frame(number, held[0], clock.last_duration(told), held[1])
        if clock.num_moved:
            self.damage.append(
                f"{clock.num_moved} frame(s) with times not after the one before; moved"
            )

    def _refuse_change(self, frame: av.VideoFrame, number: int) -> None:
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
    """Times that always increase, whatever the file tells; in ticks of the time base."""

    def __init__(self, info: VideoInfo) -> None:
        self.num_moved = 0
        self._time_base = info.time_base
        self._step = max(round(1 / info.rate / info.time_base), 1)
        self._last: int | None = None
        self._next = 0  # where the last one's duration ends

    def moment(self, told: int | None) -> int:
        """When the next frame shows."""
        pts = self._next if told is None else told
        if self._last is not None and pts <= self._last:
            pts = self._last + 1
            self.num_moved += 1
        self._last, self._next = pts, pts + self._step
        return pts

    def frame_lasts(self, told: int) -> None:
        """Take note of a duration that may be 0 for unknown."""
        if told > 0 and self._last is not None:
            self._next = self._last + told

    def last_duration(self, told: int) -> int:
        """Of a frame that has no successor."""
        is_told = 0 < told * self._time_base <= _MAX_TOLD_DURATION
        return told if is_told else self._step


def _info_of(name: str, stream: VideoStream, expected: Probe, frame: av.VideoFrame) -> VideoInfo:
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
    return VideoInfo(
        name=name,
        stream=stream.index,
        width=frame.width,
        height=frame.height,
        layout=layout,
        color=color,
        siting="center" if codec.name in _CHROMA_IN_THE_MIDDLE else "left",
        time_base=stream.time_base or 1 / expected.rate,
        rate=expected.rate,
        num_frames=expected.num_frames,
        sample_aspect_ratio=stream.sample_aspect_ratio or Fraction(1),
        display_matrix=side_data.display_matrix(frame),
        mastering=side_data.mastering(frame),
        notes=expected.notes + notes + side_data.left_out(frame),
    )
