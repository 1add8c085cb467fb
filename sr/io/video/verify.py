"""What a finished video must be, and a check of the file against it.

A video that drifts from its sound is worse than none: the file is read back, packet by packet,
and each stream's times are compared with those of the source.
"""

from dataclasses import dataclass
from fractions import Fraction
from itertools import zip_longest
from pathlib import Path

from av.container import InputContainer
from av.stream import Stream

from sr.io.video.mux.streams import Kind, StreamPlan, has_streams
from sr.io.video.mux.video_track import VideoTrack
from sr.io.video.read.container import is_cover, open_container
from sr.io.video.time_range import WHOLE, TimeRange, set_clock_origin
from sr.io.video.timestamps import StreamTimes, read_timestamps
from sr.io.video.verify_tags import verify_tags

_MILLISECOND = Fraction(1, 1000)  # what Matroska rounds times to
_CODEC_FRAME = 1024
"""Samples by which another codec may begin earlier or end later: one of its frames."""
_OPUS_FRAME = Fraction(20, 1000)


@dataclass(frozen=True)
class ExpectedStream:
    """A stream next to the video. Times are in seconds of the result's time line."""

    label: str
    kind: Kind
    start: Fraction | None
    """None where the stream has no packets, or none with times."""
    end: Fraction | None
    """None where it is not known."""
    slack: Fraction
    """By which start and end may be off next to half a frame of the video."""
    padding: Fraction = Fraction(0)
    """By which the end may be later still: MP4 tells how much of the last packet is heard, others
    do not."""


@dataclass(frozen=True)
class ExpectedResult:
    """What the result must be. Times are in seconds of its time line."""

    num_frames: int
    first: Fraction
    """Time stamp of the first frame."""
    last: Fraction
    """Time stamp of the last frame."""
    half_frame: Fraction
    """More than this is a fault."""
    streams: tuple[ExpectedStream, ...]
    """In the order of the source."""
    video: VideoTrack

    @property
    def lead(self) -> Fraction:
        """How much earlier than 0 something begins, which Matroska moves everything later by."""
        starts = [stream.start for stream in self.streams if stream.start is not None]
        return max(Fraction(0), -min([self.first, *starts]))


def expect_result(
    source: Path | None,
    plan: StreamPlan,
    *,
    num_frames: int,
    first: Fraction,
    last: Fraction,
    video: VideoTrack,
    time_range: TimeRange = WHOLE,
) -> ExpectedResult:
    """What the result of `join` must be; the source's packets are read for their times.

    `num_frames`, and the time stamps of the first and the last in seconds, less by the span's
    start, are what was upscaled.
    Raises VideoError if the source cannot be opened.
    """
    streams: list[ExpectedStream] = []
    if source is not None and has_streams(source):
        with open_container(source) as container:
            time_range = set_clock_origin(time_range, container)
            if time_range.start is None:
                first, last = first - time_range.origin, last - time_range.origin
            chosen = [container.streams[stream_plan.index] for stream_plan in plan.passthrough]
            times = read_timestamps(container, chosen, time_range)
            for stream_plan, stream in zip(plan.passthrough, chosen, strict=True):
                timed = (
                    times.get(stream.index) if stream_plan.kind in ("audio", "subtitle") else None
                )
                start, end = (None, None) if timed is None else (timed.start, timed.end)
                slack = Fraction(0) if stream_plan.codec is None else _slack(stream)
                padding = _slack(stream) if stream_plan.kind == "audio" else Fraction(0)
                streams.append(
                    ExpectedStream(stream_plan.label, stream_plan.kind, start, end, slack, padding)
                )
    half_frame = 1 / video.rate / 2
    return ExpectedResult(num_frames, first, last, half_frame, tuple(streams), video)


def verify_video(output: Path, expected: ExpectedResult) -> list[str]:
    """Faults of the file in words; none if it is as expected.

    Packets are read, but only one frame is decoded. Raises VideoError if it cannot be opened.
    """
    with open_container(output) as container:
        stream = next((s for s in container.streams.video if not is_cover(s)), None)
        if stream is None:
            return ["expected a video stream, found none"]
        kinds = _by_kind(container, stream)
        times = read_timestamps(container, [stream, *kinds["audio"], *kinds["subtitle"]])
        if stream.index not in times:
            return [f"expected frames: {expected.num_frames}, found: 0"]
        shift = times[stream.index].start - expected.first
        faults = _video_faults(times[stream.index], shift, expected, output.suffix)
        for kind, found in kinds.items():
            wanted = [one for one in expected.streams if one.kind == kind]
            for one, other in zip_longest(wanted, found):
                if one is not None:
                    timed = None if other is None else times.get(other.index)
                    faults += _stream_faults(one, other, timed, shift, expected)
        index = stream.index
    return faults + verify_tags(output, index, expected.video)


def _by_kind(container: InputContainer, video: Stream) -> dict[Kind, list[Stream]]:
    """The streams next to the video, in the file's order, which within a kind is the source's."""
    kinds: dict[Kind, list[Stream]] = {
        "audio": [],
        "subtitle": [],
        "image": [],
        "attachment": [],
        "data": [],
    }
    for stream in container.streams:
        if stream.type == "video":
            if stream.index != video.index:
                kinds["image"].append(stream)
        elif stream.type != "unknown":
            kinds[stream.type].append(stream)
    return kinds


def _slack(stream: Stream) -> Fraction:
    """Seconds that a codec's padding may take: one of its frames."""
    rate: int = getattr(stream, "sample_rate", 0) if stream.type == "audio" else 0
    return max(Fraction(_CODEC_FRAME, rate), _OPUS_FRAME) if rate else _MILLISECOND


def _video_faults(
    times: StreamTimes, shift: Fraction, expected: ExpectedResult, suffix: str
) -> list[str]:
    faults = []
    if times.count != expected.num_frames:
        faults.append(f"video: expected frames: {expected.num_frames}, found: {times.count}")
    allowed = expected.half_frame + _MILLISECOND
    lead = Fraction(0) if suffix.lower() == ".mp4" else expected.lead
    if not -allowed <= shift <= lead + allowed:
        faults.append(_off("video", "the first frame at", expected.first, times.start))
    last = times.last - shift
    if abs(last - expected.last) > allowed:
        faults.append(_off("video", "the last frame at", expected.last, last))
    return faults


def _stream_faults(
    wanted: ExpectedStream,
    stream: Stream | None,
    times: StreamTimes | None,
    shift: Fraction,
    expected: ExpectedResult,
) -> list[str]:
    """Times are compared in the time line where the video begins when it should."""
    if stream is None:
        return [f"{wanted.label}: is missing"]
    if wanted.start is None:
        return []
    if times is None:
        return [f"{wanted.label}: is empty"]
    faults = []
    allowed = expected.half_frame + _MILLISECOND + wanted.slack
    # Before 0 is only what a decoder needs to begin, which is not heard, and may be hidden.
    start = max(times.start - shift, Fraction(0))
    if abs(start - max(wanted.start, Fraction(0))) > allowed:
        faults.append(_off(wanted.label, "its start at", wanted.start, start))
    if wanted.end is not None and times.end is not None:
        end = times.end - shift
        if not -allowed <= end - wanted.end <= allowed + wanted.padding:
            faults.append(_off(wanted.label, "its end at", wanted.end, end))
    return faults


def _off(label: str, what: str, expected: Fraction, found: Fraction) -> str:
    times = f"expected {what} {float(expected):.3f} s, found {float(found):.3f} s"
    return f"{label}: {times} ({float(found - expected):+.3f} s)"
