"""The video stream of the result: packets of all parts behind each other, with their times."""

from __future__ import annotations  # Packet is generic in the stubs only

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

from av.container import InputContainer, OutputContainer
from av.packet import Packet
from av.video.stream import VideoStream

from sr.io.video.frame import Color, VideoError
from sr.io.video.read.container import open_container


@dataclass(frozen=True)
class VideoTrack:
    """What the result's video stream is, next to what its packets and encoder tell."""

    time_base: Fraction
    """Seconds a unit of the frames' time stamps: the source's, which all parts keep."""
    rate: Fraction
    """Frames a second, on average where they vary."""
    sample_aspect_ratio: Fraction
    """Width of a pixel to its height."""
    color: Color
    display_matrix: tuple[int, ...] | None = None
    """As `VideoInfo.display_matrix`."""
    stream: int = 0
    """Index in the source of the stream whose tags and disposition the result's takes over."""
    origin: int = 0
    """The frames' time that the parts call 0, in units of `time_base`."""
    last_duration: int = 0
    """Of the last frame, likewise, which parts do not keep; 0 for a frame at `rate`."""


class SegmentPackets:
    """The parts of a video, read twice: first their time stamps, then their packets."""

    def __init__(self, paths: Sequence[Path], video: VideoTrack, shift: Fraction) -> None:
        """Read the time stamps of all; those of the result are `shift` seconds less.

        Raises VideoError for parts that cannot be read, that come from different encoders, that
        are empty or whose time stamps are not those of distinct frames.
        """
        if not paths:
            raise VideoError("expected at least one part with frames, got none")
        self._paths = tuple(paths)
        self._unit = video.time_base
        self._shift = round(shift / video.time_base) - video.origin
        self._stamps: list[int] = []  # in the order of decoding
        self._last_duration = video.last_duration or 1 / video.rate / video.time_base
        extradata = None
        for path in self._paths:
            with open_segment(path) as container:
                stream = container.streams.video[0]
                told = (stream.codec_context.codec.canonical_name, stream.codec_context.extradata)
                if extradata is not None and told != extradata:
                    message = "written by another encoder version; start again without --resume"
                    raise VideoError(f"{path}: {message}")
                extradata = told
                self._read_stamps(path, container)
        self._shown = sorted(self._stamps)
        if not self._shown:
            raise VideoError(f"{self._paths[0]}: expected parts with frames, got none")
        for one, other in zip(self._shown, self._shown[1:], strict=False):
            if one == other:
                raise VideoError(f"two frames have the time stamp {one} (of {self._unit} s)")

    def packets(self, stream: VideoStream) -> Iterator[Packet[VideoStream]]:
        """All packets in the order of decoding, as those of `stream`, whose container is begun.

        Decoding times are made again: those of the parts begin again in each. With d the number of
        frames by which decoding must run ahead, frame i is decoded when frame i - d is shown.
        """
        unit = stream.time_base
        assert unit is not None
        shown = _ticks(self._shown, self._unit, unit)
        place = {stamp: index for index, stamp in enumerate(self._shown)}
        order = [place[stamp] for stamp in self._stamps]
        ahead = max(i - shown_at for i, shown_at in enumerate(order))
        step = max(shown[1] - shown[0], 1) if len(shown) > 1 else 1
        last = max(round(self._last_duration * self._unit / unit), 1)
        for i, packet in enumerate(self._all()):
            at = order[i]
            packet.stream = stream
            packet.time_base = unit
            packet.pts = shown[at]
            packet.dts = shown[i - ahead] if i >= ahead else shown[0] - (ahead - i) * step
            packet.duration = shown[at + 1] - shown[at] if at + 1 < len(shown) else last
            yield packet

    def _all(self) -> Iterator[Packet[VideoStream]]:
        for path in self._paths:
            with open_segment(path) as container:
                for packet in container.demux(container.streams.video[0]):
                    if packet.size > 0:
                        yield packet

    def _read_stamps(self, path: Path, container: InputContainer) -> None:
        for packet in container.demux(container.streams.video[0]):
            if packet.size == 0:
                continue
            where = f"{path}: frame {len(self._stamps)}"
            if packet.pts is None:
                raise VideoError(f"{where} has no time stamp")
            stamp = packet.pts * packet.time_base / self._unit
            if stamp.denominator != 1:
                raise VideoError(f"{where}: expected a time in whole {self._unit} s, got {stamp}")
            self._stamps.append(int(stamp) - self._shift)


@contextmanager
def open_segment(path: Path) -> Iterator[InputContainer]:
    """A part, open; VideoError if it cannot be or has no video."""
    with open_container(path) as container:
        if not container.streams.video:
            raise VideoError(f"{path}: expected a part with a video stream, found none")
        yield container


def add_video_track(
    output: OutputContainer, template: VideoStream, track: VideoTrack
) -> VideoStream:
    """A new stream of the result for packets like the template's, with all that `track` tells.

    Raises ValueError where the container cannot hold the codec.
    """
    stream = output.add_stream_from_template(template, opaque=True)
    context = stream.codec_context
    context.color_range = track.color.range_number
    context.colorspace = track.color.matrix
    context.color_primaries = track.color.primaries
    context.color_trc = track.color.transfer
    context.sample_aspect_ratio = track.sample_aspect_ratio
    context.framerate = track.rate
    stream.set_display_matrix(track.display_matrix)
    stream.time_base = track.time_base
    if output.format.name == "mp4" and context.codec.canonical_name == "hevc":
        context.codec_tag = "hvc1"  # players of Apple take no other
    return stream


def _ticks(stamps: Sequence[int], unit: Fraction, tick: Fraction) -> list[int]:
    """Increasing time stamps in a coarser or finer unit, increasing there too."""
    ticks: list[int] = []
    for stamp in stamps:
        rounded = round(stamp * unit / tick)
        ticks.append(max(rounded, ticks[-1] + 1) if ticks else rounded)
    return ticks
