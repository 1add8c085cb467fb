"""Change when frames show: a constant rate by repeating or dropping them, ranges of a video."""

import math
from collections.abc import Iterable, Iterator
from dataclasses import replace
from fractions import Fraction

from sr.io.video.frame import Frame
from sr.io.video.time_range import Moment

_ROUNDING = Fraction(1, 2000)  # seconds: half a tick of Matroska's usual time base


def select_frames(
    frames: Iterable[Frame],
    start: Moment | None,
    end: Moment | None,
    *,
    time_base: Fraction,
    first_pts: int,
) -> Iterator[Frame]:
    """Select the frames that begin to show from `start` on and before `end`, renumbered from 0.

    None: from the first, to the last. first_pts: of the first frame, from which seconds count.
    Times are kept; the last frame ends with `end`, where that is a time. No frame after it
    is requested but one.
    """
    start_pts = _find_first_tick(start, time_base, first_pts)
    end_pts = _find_first_tick(end, time_base, first_pts)
    number = 0
    for frame in frames:
        if _is_before(frame, start, start_pts):
            continue
        if end is not None and not _is_before(frame, end, end_pts):
            return
        duration = frame.duration
        if end_pts is not None:
            last_tick = math.ceil(end_pts + _find_tolerance(time_base))
            duration = min(duration, max(last_tick - frame.pts, 1))
        yield replace(frame, number=number, duration=duration)
        number += 1


def change_frame_rate(
    frames: Iterable[Frame], time_base: Fraction, fps: Fraction
) -> Iterator[Frame]:
    """Give frames at `fps` per second, each the one of `frames` that shows at its time.

    Times are counted in frames from now on (time base 1/fps), from the one nearest to the first
    frame's. What begins to show within the rounding of time stamps later counts as shown already.
    The whole lasts as long as before, within half a frame, but at least one frame.
    A repeated frame has the very same `planes` as the one before it.
    """
    ticks = 1 / fps / time_base  # of the old time base for a new frame
    origin = first = number = 0
    held: Frame | None = None  # until it is known whether it is the last
    for frame in frames:
        if held is None:
            origin, first = frame.pts, round(frame.pts / ticks)
        else:
            # all new frames j with j * ticks before this one
            end = math.ceil((frame.pts - origin - _find_tolerance(time_base)) / ticks)
            yield from _repeat_frame(held, first, number, end)
            number = max(number, end)
        held = frame
    if held is not None:
        end = round((held.pts + held.duration - origin) / ticks)
        yield from _repeat_frame(held, first, number, max(end, 1))


def _repeat_frame(frame: Frame, first: int, start: int, end: int) -> Iterator[Frame]:
    """Repeat a frame under the numbers from `start` up to `end`, the latter left out."""
    for number in range(start, end):
        yield Frame(number, first + number, 1, frame.planes)


def _find_first_tick(moment: Moment | None, time_base: Fraction, first_pts: int) -> Fraction | None:
    """Return the first tick of frames at a moment, None if it is a frame's number."""
    if moment is None or moment.seconds is None:
        return None
    return first_pts + moment.seconds / time_base - _find_tolerance(time_base)


def _is_before(frame: Frame, moment: Moment | None, pts: Fraction | None) -> bool:
    if pts is not None:
        return frame.pts < pts
    return moment is not None and moment.frame is not None and frame.number < moment.frame


def _find_tolerance(time_base: Fraction) -> Fraction:
    """Return how far time stamps may be rounded, in ticks: half of one; coarse ones are exact."""
    return min(Fraction(1, 2), _ROUNDING / time_base)
