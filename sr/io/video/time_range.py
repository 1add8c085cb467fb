"""The range of a video that is wanted, in the time line of its source."""

import re
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from av.container import InputContainer

_WITH_CLOCK = ("mpegts", "mpeg")  # broadcasts and DVDs
_FRAME = re.compile(r"(\d+)f")
_SECONDS = re.compile(r"(?:(?:(\d+):)?(\d+):)?(\d+(?:\.\d+)?)")


@dataclass(frozen=True)
class Moment:
    """A place in a video: a number of seconds after its first frame shows, or a frame's number."""

    seconds: Fraction | None = None
    frame: int | None = None


def parse_moment(text: str) -> Moment:
    """Parse `62.5`, `1:02.5`, `00:01:02.5` (seconds) or `1500f` (frame, from 0)."""
    found = _FRAME.fullmatch(text)
    if found is not None:
        return Moment(frame=int(found[1]))
    found = _SECONDS.fullmatch(text)
    if found is not None:
        hours, minutes, seconds = (Fraction(part or 0) for part in found.groups())
        if (found[2] is None or seconds < 60) and (found[1] is None or minutes < 60):
            return Moment(hours * 3600 + minutes * 60 + seconds)
    raise ValueError(
        "expected a time (00:01:02.5 or 62.5, in seconds) or a frame's number (1500f),"
        f" got {text!r}"
    )


@dataclass(frozen=True)
class TimeRange:
    """From `start` up to, and without, `end`; both in seconds of the source's time line."""

    start: Fraction | None = None
    """Shown at 0 in the result. None: from the beginning."""
    end: Fraction | None = None
    """None: to the end."""
    origin: Fraction = Fraction(0)
    """Time of the source's clock at its beginning; shown at 0 where `start` is None."""

    @property
    def shift(self) -> Fraction:
        """What the result's time stamps are less than the source's, in seconds."""
        return self.origin if self.start is None else self.start

    def overlaps(self, start: Fraction, end: Fraction) -> bool:
        """Return whether some of [start, end), or of the moment `start` where equal, is wanted."""
        if self.end is not None and start >= self.end:
            return False
        return self.start is None or end > self.start or start >= self.start

    def clip(self, start: Fraction, end: Fraction) -> tuple[Fraction, Fraction]:
        """Clip [start, end), which overlaps, to the range, in the time line of the result."""
        first = start if self.start is None else max(start, self.start)
        last = end if self.end is None else min(end, self.end)
        return first - self.shift, last - self.shift


def set_clock_origin(time_range: TimeRange, source: "InputContainer") -> TimeRange:
    """Return the time range with its source's origin.

    A broadcast's clock, of 26.5 hours, has run before the recording began. Players count from its
    start; a result that kept the clock's times would show nothing for hours. Elsewhere times
    count from 0, and a late start is meant.
    """
    if source.format.name not in _WITH_CLOCK:
        return time_range
    starts = [
        stream.start_time * stream.time_base
        for stream in (*source.streams.video, *source.streams.audio)
        if stream.start_time is not None and stream.time_base is not None
    ]
    return replace(time_range, origin=min(starts, default=Fraction(0)))


WHOLE = TimeRange()
