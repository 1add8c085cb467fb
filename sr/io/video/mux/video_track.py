"""The video stream of the result: packets of all segments one after another, with their times."""

from __future__ import annotations  # Packet is generic in the stubs only

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

from av.container import InputContainer, OutputContainer
from av.packet import Packet
from av.video.stream import VideoStream

from sr.io.video.encode.segment_writer import MATROSKA_UNIT
from sr.io.video.frame import Color, VideoError
from sr.io.video.mux.spatial import copy_side_data
from sr.io.video.read.container import open_container

_ALPHA_MODE = "alpha_mode"  # WebM's tag of transparency that lies next to the frames


@dataclass(frozen=True)
class VideoTrack:
    """What the result's video stream is, next to what its packets and encoder say."""

    time_base: Fraction
    """Seconds per unit of the frames' time stamps: the source's, which all segments keep."""
    rate: Fraction
    """Frames per second, on average where they vary."""
    sample_aspect_ratio: Fraction
    """Width of a pixel to its height."""
    color: Color
    display_matrix: tuple[int, ...] | None = None
    """As `VideoInfo.display_matrix`."""
    stream: int = 0
    """Index in the source of the stream whose tags and disposition the result's takes over."""
    origin: int = 0
    """The frames' time that the segments call 0, in units of `time_base`."""
    last_duration: int = 0
    """Of the last frame, likewise, which segments do not keep; 0 for a frame at `rate`."""
    keeps_spatial: bool = False
    """Take over what the source's container says of 360 degree and stereoscopic video."""


class SegmentPackets:
    """The segments of a video, read twice: first their time stamps, then their packets."""

    def __init__(self, paths: Sequence[Path], video: VideoTrack, shift: Fraction) -> None:
        """Read the time stamps of all; those of the result are `shift` seconds less.

        Raises VideoError for segments that cannot be read, that come from different encoders, that
        are empty or whose time stamps are not those of distinct frames.
        """
        if not paths:
            raise VideoError("expected at least one segment with frames, got none")
        self._paths = tuple(paths)
        self._unit = video.time_base
        self._shift = round(shift / video.time_base) - video.origin
        self._stamps: list[int] = []  # in the order of decoding
        self._last_duration = video.last_duration or 1 / video.rate / video.time_base
        known = None
        for path in self._paths:
            with open_segment(path) as container:
                stream = container.streams.video[0]
                header = (stream.codec_context.codec.canonical_name, stream.codec_context.extradata)
                if known is not None and header != known:
                    raise VideoError(
                        f"{path}: expected one encoder for all segments, got one written by another"
                        " encoder version; start again without --resume"
                    )
                known = header
                self._read_stamps(path, container)
        self._shown = sorted(self._stamps)
        if not self._shown:
            raise VideoError(f"{self._paths[0]}: expected segments with frames, got none")
        for one, other in zip(self._shown, self._shown[1:], strict=False):
            if one == other:
                raise VideoError(
                    f"expected distinct times of frames, got two at {one} (in {self._unit} s)"
                )

    def read_packets(self, stream: VideoStream) -> Iterator[Packet[VideoStream]]:
        """Give all packets in the order of decoding, as those of `stream`, whose header is written.

        Decoding times are made again, since those of the segments start over in each. With d the
        number of frames by which decoding must run ahead, frame i is decoded when frame i - d is
        shown.
        """
        unit = stream.time_base
        assert unit is not None
        shown = _convert_ticks(self._shown, self._unit, unit)
        place = {stamp: index for index, stamp in enumerate(self._shown)}
        order = [place[stamp] for stamp in self._stamps]
        ahead = max(i - shown_at for i, shown_at in enumerate(order))
        step = max(shown[1] - shown[0], 1) if len(shown) > 1 else 1
        last = max(round(self._last_duration * self._unit / unit), 1)
        for i, packet in enumerate(self._read_all()):
            at = order[i]
            packet.stream = stream
            packet.time_base = unit
            packet.pts = shown[at]
            packet.dts = shown[i - ahead] if i >= ahead else shown[0] - (ahead - i) * step
            packet.duration = shown[at + 1] - shown[at] if at + 1 < len(shown) else last
            yield packet

    def _read_all(self) -> Iterator[Packet[VideoStream]]:
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
                raise VideoError(f"{where}: expected a time stamp, got none")
            unit = MATROSKA_UNIT if "matroska" in container.format.name else self._unit
            stamp = packet.pts * packet.time_base / unit
            if stamp.denominator != 1:
                raise VideoError(f"{where}: expected a time in whole {self._unit} s, got {stamp}")
            self._stamps.append(int(stamp) - self._shift)


@contextmanager
def open_segment(path: Path) -> Iterator[InputContainer]:
    """Open a segment; VideoError if it cannot be opened or has no video."""
    with open_container(path) as container:
        if not container.streams.video:
            raise VideoError(f"{path}: expected a segment with a video stream, got none")
        yield container


def add_video_track(
    output: OutputContainer,
    template: VideoStream,
    track: VideoTrack,
    source: VideoStream | None = None,
) -> VideoStream:
    """Add a stream to the result for packets like the template's, with all that `track` says.

    source: what `track.keeps_spatial` is about. Raises ValueError where the container cannot hold
    the codec.
    """
    stream = output.add_stream_from_template(template, opaque=True)
    if track.keeps_spatial and source is not None:
        copy_side_data(source, stream)
    context = stream.codec_context
    context.color_range = track.color.range_number
    context.colorspace = track.color.matrix
    context.color_primaries = track.color.primaries
    context.color_trc = track.color.transfer
    context.sample_aspect_ratio = track.sample_aspect_ratio
    context.framerate = track.rate
    if template.metadata.get(_ALPHA_MODE) == "1" and output.format.name != "mp4":
        stream.metadata[_ALPHA_MODE] = "1"
    stream.set_display_matrix(track.display_matrix)
    stream.time_base = track.time_base
    if output.format.name == "mp4" and context.codec.canonical_name == "hevc":
        context.codec_tag = "hvc1"  # players of Apple take no other
    return stream


def _convert_ticks(stamps: Sequence[int], unit: Fraction, tick: Fraction) -> list[int]:
    """Convert increasing time stamps to a coarser or finer unit, increasing there too."""
    ticks: list[int] = []
    for stamp in stamps:
        rounded = round(stamp * unit / tick)
        ticks.append(max(rounded, ticks[-1] + 1) if ticks else rounded)
    return ticks
