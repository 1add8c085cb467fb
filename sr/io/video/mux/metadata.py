"""Select the tags and chapters of a video that still hold for its upscaled result."""

from __future__ import annotations  # Chapter is in the stubs only

import math
from collections.abc import Mapping
from fractions import Fraction
from typing import TYPE_CHECKING

from av.container import InputContainer
from av.stream import Stream
from av.video.stream import VideoStream

from sr.io.video.time_range import TimeRange

if TYPE_CHECKING:
    from av.container.core import Chapter

# What describes the old file: its kind of MP4, its writer, and statistics that mkvmerge adds.
_STALE = {
    "major_brand",
    "minor_version",
    "compatible_brands",
    "encoder",
    "vendor_id",
    "duration",
    "number_of_frames",
    "number_of_bytes",
    "bps",
    "alpha_mode",  # of WebM's way of transparency, which the result says itself
}
_STALE_START = "_statistics"
# A time code counts frames: it is wrong as soon as another frame is the first, or rates differ.
TIME_CODE = "timecode"


def is_time_code_valid(source: Stream, rate: Fraction | None, *, begins_late: bool) -> bool:
    """Return whether a video stream's time code holds for the result, too.

    rate: frames per second of the result, None for the source's. begins_late: the result's first
    frame is not the source's.
    """
    assert isinstance(source, VideoStream)
    return not begins_late and rate in (None, source.average_rate)


def filter_tags(metadata: Mapping[str, str], *, time_code: bool = True) -> dict[str, str]:
    """Return those that hold for the result too."""
    kept = {}
    for key, value in metadata.items():
        name = key.lower().split("-")[0]  # mkvmerge adds the language: BPS-eng
        stale = name in _STALE or name.startswith(_STALE_START)
        if not stale and (time_code or name != TIME_CODE):
            kept[key] = value
    return kept


def filter_stream_tags(stream: Stream, *, time_code: bool = True) -> dict[str, str]:
    """Return those of a stream. FFmpeg reads a title in MP4 as `name`, but writes `title`."""
    tags = filter_tags(stream.metadata, time_code=time_code)
    name = tags.pop("name", None)
    if name is not None:
        tags.setdefault("title", name)
    return tags


def cut_chapters(container: InputContainer, time_range: TimeRange) -> list[Chapter]:
    """Return the chapters of the time range, in the time line of the result."""
    chapters: list[Chapter] = []
    for chapter in container.chapters():
        unit = chapter["time_base"]
        if unit is None:
            continue
        start, end = chapter["start"] * unit, chapter["end"] * unit
        if not time_range.overlaps(start, end):
            continue
        start, end = time_range.clip(start, end)
        inside: Chapter = {
            **chapter,
            "start": _convert_to_ticks(start, unit),
            "end": _convert_to_ticks(end, unit),
        }
        chapters.append(inside)
    return chapters


def _convert_to_ticks(seconds: Fraction, unit: Fraction) -> int:
    return math.floor(seconds / unit + Fraction(1, 2))
