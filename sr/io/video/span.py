"""The part of a video that is wanted, in the time line of its source."""

from dataclasses import dataclass
from fractions import Fraction


@dataclass(frozen=True)
class Span:
    """From `start` up to, and without, `end`; both in seconds of the source's time line."""

    start: Fraction | None = None
    """Shown at 0 in the result. None: from the beginning, and no time is changed."""
    end: Fraction | None = None
    """None: to the end."""

    @property
    def shift(self) -> Fraction:
        """What the result's time stamps are less than the source's, in seconds."""
        return self.start or Fraction(0)

    def overlaps(self, start: Fraction, end: Fraction) -> bool:
        """Something of [start, end), or the moment `start` where they are equal, is wanted."""
        if self.end is not None and start >= self.end:
            return False
        return self.start is None or end > self.start or start >= self.start

    def clip(self, start: Fraction, end: Fraction) -> tuple[Fraction, Fraction]:
        """What is wanted of [start, end), which overlaps, in the time line of the result."""
        first = start if self.start is None else max(start, self.start)
        last = end if self.end is None else min(end, self.end)
        return first - self.shift, last - self.shift


WHOLE = Span()
