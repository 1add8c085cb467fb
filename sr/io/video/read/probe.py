"""What a video's header lets expect: its rate and its number of frames."""

import re
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

from av.container import InputContainer
from av.video.stream import VideoStream

from sr.io.video.read.truncation import is_cut_short

DEFAULT_RATE = Fraction(25)
_MAX_RATE = 1000  # frames a second; more is a time base that was taken for a rate
_MICROSECONDS = 1_000_000
_DURATION = re.compile(r"(\d+):(\d\d):(\d\d(?:\.\d+)?)")  # of Matroska's tag
_WITHOUT_TIMES = ("h264", "hevc", "obu", "vvc")  # bare streams, whose rate FFmpeg makes up


@dataclass(frozen=True)
class Probe:
    """What there should be in a video stream, None where it is not told.

    num_packets: exact. is_cut_short: the file has not all that it declares.
    """

    rate: Fraction
    num_frames: int | None
    num_packets: int | None
    is_cut_short: bool
    notes: tuple[str, ...]


def probe_stream(path: Path, container: InputContainer, stream: VideoStream) -> Probe:
    """What the header of an open file, and its size, tell of one of its streams."""
    rate, notes = _rate(container, stream)
    num_packets = _num_packets(container, stream)
    duration = _duration(container, stream)
    num_frames = num_packets or stream.frames or None
    if num_frames is None and duration is not None:
        num_frames = round(duration * rate)
    return Probe(rate, num_frames, num_packets, is_cut_short(path), notes)


def _rate(container: InputContainer, stream: VideoStream) -> tuple[Fraction, tuple[str, ...]]:
    """Frames a second, and a note where it is a guess."""
    rates = (stream.average_rate, stream.guessed_rate, stream.base_rate)
    rate = next((rate for rate in rates if rate and 0 < rate <= _MAX_RATE), None)
    if rate is None or container.format.name in _WITHOUT_TIMES:
        rate = rate or DEFAULT_RATE
        return rate, (f"frame rate not told; taken as {float(rate):g} frames a second",)
    return rate, ()


def _num_packets(container: InputContainer, stream: VideoStream) -> int | None:
    if "mp4" in container.format.name and stream.frames:
        # the index is whole; an edit list has marked what is not to be shown
        return sum(not entry.is_discard for entry in stream.index_entries)
    return None


def _duration(container: InputContainer, stream: VideoStream) -> Fraction | None:
    """Seconds."""
    if stream.duration and stream.time_base:
        return stream.duration * stream.time_base
    end = _tagged_duration(stream) or _file_duration(container)
    if end is None or "matroska" not in container.format.name:
        return end
    return end - max(stream.start_time or 0, 0) * (stream.time_base or 0)


def _tagged_duration(stream: VideoStream) -> Fraction | None:
    """Seconds, of Matroska, where each stream's duration is in its tags."""
    for key, value in stream.metadata.items():
        found = _DURATION.match(value) if key.upper().startswith("DURATION") else None
        if found:
            hours, minutes, seconds = (Fraction(part) for part in found.groups())
            return hours * 3600 + minutes * 60 + seconds
    return None


def _file_duration(container: InputContainer) -> Fraction | None:
    """Seconds."""
    return Fraction(container.duration, _MICROSECONDS) if container.duration else None
