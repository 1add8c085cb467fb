"""Check a finished video against its source.

A video that drifts from its sound is worse than none: the file is read back, packet by packet,
and each stream's times are compared with those of the source. Then its tags are compared.
"""

from __future__ import annotations  # Packet is generic in the stubs only

import struct
from collections import defaultdict
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path

import av
from av.audio.frame import AudioFrame
from av.container import InputContainer
from av.packet import Packet
from av.sidedata.sidedata import SideData
from av.stream import Stream
from av.video.codeccontext import VideoCodecContext
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from sr.io.video.formats import keeps_aspect_ratio
from sr.io.video.frame import UNROTATED, UNSPECIFIED
from sr.io.video.mux.packet_copy import is_filler
from sr.io.video.mux.streams import PassthroughStream, StreamPlan, has_streams
from sr.io.video.mux.video_track import VideoTrack
from sr.io.video.read.container import discard_other_streams, is_cover, open_container
from sr.io.video.time_range import WHOLE, TimeRange, set_clock_origin

_MILLISECOND = Fraction(1, 1000)  # what Matroska rounds times to
_CODEC_FRAME = 1024
"""Samples by which another codec may begin earlier or end later: one of its frames."""
_OPUS_FRAME = Fraction(20, 1000)
_MAX_RATIO_ERROR = 0.005
_ONE = 65536  # in 16.16 fixed point
_MAX_ROTATION_ERROR = 0.01
_UNKNOWN_COLOR = (UNSPECIFIED, UNSPECIFIED, UNSPECIFIED, 0)


@dataclass(frozen=True)
class StreamTimes:
    """Of a stream's packets, in seconds."""

    count: int
    """Packets: of a video, frames."""
    start: Fraction
    """The first packet's time stamp."""
    last: Fraction
    """The greatest time stamp."""
    end: Fraction | None
    """When the last packet has ended; None where the file does not say."""


def verify_video(
    output: Path,
    *,
    video: VideoTrack,
    source: Path | None,
    plan: StreamPlan,
    num_frames: int,
    first: Fraction,
    last: Fraction,
    time_range: TimeRange = WHOLE,
) -> list[str]:
    """Return faults of what `mux_video` has written, in words; none if it is as expected.

    `num_frames`, and the time stamps of the first and the last in seconds, less by the time
    range's start, are what was upscaled.
    Packets are read, but only one frame is decoded. Raises VideoError if a file cannot be opened.
    """
    time_range, expected, padding = _read_source(source, plan, time_range)
    if time_range.start is None:
        first, last = first - time_range.origin, last - time_range.origin
    with open_container(output) as container:
        track = next((s for s in container.streams.video if not is_cover(s)), None)
        if track is None:
            return ["expected a video stream, got none"]
        index = track.index
        others: defaultdict[str, list[int]] = defaultdict(list)
        for stream in container.streams:
            if stream.index != index:
                others["image" if stream.type == "video" else stream.type].append(stream.index)
        timed = [index, *others["audio"], *others["subtitle"]]
        got = read_timestamps(container, [container.streams[one] for one in timed])
    if index not in got:
        return [f"video: expected {num_frames} frames, got 0"]
    shift = got[index].start - first
    allowed = 1 / video.rate / 2 + _MILLISECOND
    lead = Fraction(0)  # Matroska has no times before 0, and moves everything later
    if output.suffix.lower() != ".mp4":
        lead = max(lead, -min([first, *(times.start for times in expected.values())]))
    frames = StreamTimes(num_frames, first, last, None)
    faults = _compare_frames(frames, got[index], shift, lead, allowed)
    for planned in plan.passthrough:
        if not others[planned.kind]:
            faults.append(f"{planned.label}: is missing")
            continue
        result_index = others[planned.kind].pop(0)  # within a kind the order is the source's
        if planned.index in expected:
            want, have = expected[planned.index], got.get(result_index)
            extra = padding[planned.index]
            faults += _compare_times(planned, want, have, shift, allowed, extra)
    return faults + _verify_tags(output, index, video)


def _read_source(
    source: Path | None, plan: StreamPlan, time_range: TimeRange
) -> tuple[TimeRange, dict[int, StreamTimes], dict[int, Fraction]]:
    """Return the range with its origin, and times and padding of audio and subtitles by index."""
    if source is None or not has_streams(source):
        return time_range, {}, {}
    with open_container(source) as container:
        time_range = set_clock_origin(time_range, container)
        timed = [one.index for one in plan.passthrough if one.kind in ("audio", "subtitle")]
        streams = [container.streams[index] for index in timed]
        padding = {stream.index: _find_padding(stream) for stream in streams}
        times = read_timestamps(container, streams, time_range)
    for one in plan.passthrough:
        if one.index in times and one.kind == "audio" and one.codec is not None:
            # the first packets of some codecs (WMA, Vorbis) decode to nothing
            heard = _find_first_sound(source, one.index)
            if heard is not None:
                start = max(times[one.index].start, heard - time_range.shift)
                times[one.index] = replace(times[one.index], start=start)
    return time_range, times, padding


def _find_first_sound(source: Path, index: int) -> Fraction | None:
    """Return when the first sample that can be decoded is heard, in the source's seconds."""
    with open_container(source) as container, suppress(av.FFmpegError):
        discard_other_streams(container, [index])
        for frame in container.decode(container.streams[index]):
            assert isinstance(frame, AudioFrame)
            if frame.pts is not None and frame.time_base is not None:
                return frame.pts * frame.time_base
    return None


def read_timestamps(
    container: InputContainer, streams: Iterable[Stream], time_range: TimeRange = WHOLE
) -> dict[int, StreamTimes]:
    """Read the times of streams by index, of what shows in the range; empty streams are left out.

    They are in the time line that begins with the range. Damage ends the reading. From then on
    the container's other streams are not read any more.
    """
    streams = list(streams)
    discard_other_streams(container, [stream.index for stream in streams])
    times: dict[int, StreamTimes] = {}
    try:
        for packet in container.demux(streams):
            if packet.size == 0 or packet.pts is None or packet.is_discard or is_filler(packet):
                continue
            shown = _find_times(packet, time_range)
            if shown is None:
                continue
            start, end = shown
            known = times.get(packet.stream_index)
            if known is not None:
                if start < known.last:
                    end = known.end
                elif end is not None and known.end is not None:
                    end = max(end, known.end)
            count, first, last = (
                (known.count, known.start, known.last) if known else (0, start, start)
            )
            times[packet.stream_index] = StreamTimes(
                count + 1, min(start, first), max(start, last), end
            )
    except av.FFmpegError:
        return times  # what cannot be read is not in the result either
    return times


def _find_times(
    packet: Packet[Stream], time_range: TimeRange
) -> tuple[Fraction, Fraction | None] | None:
    """Return start, and end if it is known; None if the packet is outside the time range."""
    assert packet.pts is not None
    unit = packet.time_base
    start = packet.pts * unit
    length = (packet.duration or 0) * unit
    if packet.stream.type == "video":  # a frame is wanted whole, or not at all
        if not time_range.overlaps(start, start):
            return None
    elif not time_range.overlaps(start, start + length):
        return None
    if packet.stream.type == "subtitle":
        first, last = time_range.clip(start, start + length)
        return first, last if length else None
    return start - time_range.shift, start - time_range.shift + length if length else None


def _find_padding(stream: Stream) -> Fraction:
    """Return the seconds that a codec's padding may take: one of its frames."""
    rate: int = getattr(stream, "sample_rate", 0) if stream.type == "audio" else 0
    return max(Fraction(_CODEC_FRAME, rate), _OPUS_FRAME) if rate else _MILLISECOND


def _compare_frames(
    expected: StreamTimes, got: StreamTimes, shift: Fraction, lead: Fraction, allowed: Fraction
) -> list[str]:
    faults = []
    if got.count != expected.count:
        faults.append(f"video: expected {expected.count} frames, got {got.count}")
    if not -allowed <= shift <= lead + allowed:
        faults.append(_describe_fault("video", "the first frame at", expected.start, got.start))
    if abs(got.last - shift - expected.last) > allowed:
        last = got.last - shift
        faults.append(_describe_fault("video", "the last frame at", expected.last, last))
    return faults


def _compare_times(
    planned: PassthroughStream,
    expected: StreamTimes,
    got: StreamTimes | None,
    shift: Fraction,
    allowed: Fraction,
    padding: Fraction,
) -> list[str]:
    """Compare in the time line where the video begins when it should."""
    if got is None:
        return [f"{planned.label}: is empty"]
    faults = []
    if planned.codec is not None:
        allowed += padding
    # Before 0 is only what a decoder needs to begin, which is not heard, and may be hidden.
    start = max(got.start - shift, Fraction(0))
    if abs(start - max(expected.start, Fraction(0))) > allowed:
        faults.append(_describe_fault(planned.label, "its start at", expected.start, start))
    if expected.end is not None and got.end is not None:
        end = got.end - shift
        # MP4 says how much of the last packet is heard, others do not.
        late = allowed + (padding if planned.kind == "audio" else 0)
        if not -allowed <= end - expected.end <= late:
            faults.append(_describe_fault(planned.label, "its end at", expected.end, end))
    return faults


def _describe_fault(label: str, what: str, expected: Fraction, got: Fraction) -> str:
    times = f"expected {what} {float(expected):.3f} s, got {float(got):.3f} s"
    return f"{label}: {times} ({float(got - expected):+.3f} s)"


def _verify_tags(output: Path, index: int, video: VideoTrack) -> list[str]:
    """Return differences between the tags of a video stream and those expected, in words.

    One frame is decoded, which has the display matrix.
    """
    with open_container(output) as container:
        stream = container.streams[index]
        assert isinstance(stream, VideoStream)
        faults = []
        expected, got = float(video.sample_aspect_ratio), float(stream.sample_aspect_ratio or 1)
        codec = stream.codec_context.codec.canonical_name
        if keeps_aspect_ratio(codec, output.suffix) and abs(got / expected - 1) > _MAX_RATIO_ERROR:
            faults.append(f"video: expected the pixels' aspect ratio {expected:.4g}, got {got:.4g}")
        of_stream = _read_color(stream.codec_context)
        frame = next(iter(container.decode(stream)), None)
    if frame is None:
        return [*faults, "video: no frame can be decoded"]
    color = video.color
    names = ("matrix", "primaries", "transfer", "range (1 limited, 2 full)")
    numbers = (color.matrix, color.primaries, color.transfer, color.range_number)
    # What the encoded frames say overrides the container, as in players.
    for name, number, unknown, *both in zip(
        names, numbers, _UNKNOWN_COLOR, of_stream, _read_color(frame), strict=True
    ):
        got_number = both[0] if both[1] == unknown else both[1]
        if number not in (got_number, unknown):
            faults.append(f"video: expected color {name} {number}, got {got_number}")
    return faults + _compare_rotation(frame, video.display_matrix or UNROTATED)


def _read_color(tagged: VideoCodecContext | VideoFrame) -> tuple[int, int, int, int]:
    """Return matrix, primaries, transfer and range (1 limited, 2 full)."""
    matrix, primaries = int(tagged.colorspace), int(tagged.color_primaries)
    return matrix, primaries, int(tagged.color_trc), int(tagged.color_range)


def _compare_rotation(frame: VideoFrame, expected: tuple[int, ...]) -> list[str]:
    """Compare turns and flips only: Matroska keeps no more of the matrix."""
    data = frame.side_data.get("DISPLAYMATRIX")
    matrix = struct.unpack("<9i", data) if isinstance(data, SideData) else UNROTATED
    wanted, got = ([m[i] / _ONE for i in (0, 1, 3, 4)] for m in (expected, matrix))
    if all(abs(a - b) <= _MAX_ROTATION_ERROR for a, b in zip(wanted, got, strict=True)):
        return []
    return [f"video: expected rotation by the matrix {wanted}, got {got}"]
