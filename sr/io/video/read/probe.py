"""Probe a video stream: what its file declares of its rate and its number of frames."""

import re
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

from av.container import InputContainer
from av.video.stream import VideoStream

DEFAULT_RATE = Fraction(25)
_MAX_RATE = 1000  # frames per second; more is a time base that was taken for a rate
_MICROSECONDS = 1_000_000
_DURATION = re.compile(r"(\d+):(\d\d):(\d\d(?:\.\d+)?)")  # of Matroska's tag
_WITHOUT_TIMES = ("h264", "hevc", "obu", "vvc")  # bare streams, whose rate FFmpeg makes up
_SEGMENT = b"\x18\x53\x80\x67"  # Matroska: RFC 9559, section 5.1


@dataclass(frozen=True)
class Probe:
    """What is declared of a video stream; num_frames is None where nothing declares it.

    is_cut_short: the file is shorter than it declares; known of Matroska and AVI, whose demuxers
    take the end of a file for the end of the video.
    """

    rate: Fraction
    num_frames: int | None
    is_cut_short: bool
    notes: tuple[str, ...]


def probe_stream(path: Path, container: InputContainer, stream: VideoStream) -> Probe:
    """Read what the header of an open file, and its size, declare of one of its streams."""
    rate, notes = _find_rate(container, stream)
    num_frames = stream.frames or None
    if num_frames is not None:
        num_frames = count_declared_packets(container, stream) or num_frames
    duration = _find_duration(container, stream)
    if num_frames is None and duration is not None:
        num_frames = round(duration * rate)
    is_cut_short = "matroska" in container.format.name and _is_cut_short(path)
    if container.format.name == "avi":  # FFmpeg reduces the duration by what the file lacks
        is_cut_short = (stream.duration or 0) < stream.frames
    return Probe(rate, num_frames, is_cut_short, notes)


def count_declared_packets(container: InputContainer, stream: VideoStream) -> int | None:
    """Count the packets in the index of MP4, which of fragmented MP4 grows while it is read."""
    if "mp4" not in container.format.name:
        return None
    # an edit list has marked what is not to be shown
    return sum(not entry.is_discard for entry in stream.index_entries)


def _find_rate(container: InputContainer, stream: VideoStream) -> tuple[Fraction, tuple[str, ...]]:
    """Return frames per second, and a note where it is a guess."""
    rates = (stream.average_rate, stream.guessed_rate, stream.base_rate)
    rate = next((rate for rate in rates if rate and 0 < rate <= _MAX_RATE), None)
    if rate is None or container.format.name in _WITHOUT_TIMES:
        rate = rate or DEFAULT_RATE
        return rate, (f"frame rate unknown, taken as {float(rate):g} frames per second",)
    return rate, ()


def _find_duration(container: InputContainer, stream: VideoStream) -> Fraction | None:
    """Return seconds."""
    if stream.duration and stream.time_base:
        return stream.duration * stream.time_base
    end = Fraction(container.duration, _MICROSECONDS) if container.duration else None
    for key, value in stream.metadata.items():  # of Matroska, which tags each stream with its own
        found = _DURATION.match(value) if key.upper().startswith("DURATION") else None
        if found:
            hours, minutes, seconds = (Fraction(part) for part in found.groups())
            end = hours * 3600 + minutes * 60 + seconds
            break
    if end is None or "matroska" not in container.format.name:
        return end
    return end - max(stream.start_time or 0, 0) * (stream.time_base or 0)


def _is_cut_short(path: Path) -> bool:
    """Return whether a Matroska file ends before its segment does."""
    with path.open("rb") as file:
        head = file.read(4096)
    start = head.find(_SEGMENT) + len(_SEGMENT)
    # An element's size: its leading zero bits give its length, all ones mean unknown (RFC 8794).
    length = 9 - head[start].bit_length()
    unknown = 2 ** (7 * length) - 1
    size = int.from_bytes(head[start : start + length]) & unknown
    return bool(size != unknown and start + length + size > path.stat().st_size)
