"""Interlaced and telecined frames -> whole ones, by FFmpeg's filters bwdif, fieldmatch, decimate.

The filters are given numbers in the place of times, and what comes out is matched with what went
in: sources have times that are missing, irregular, or not in order. Frames that need no filter
are handed on as they are.
"""

from collections.abc import Iterable, Iterator
from contextlib import suppress
from fractions import Fraction

import av
from av.filter import Graph

from sr.io.video.filter_options import TELECINE_CYCLE, FilterOptions

TimedFrame = tuple[av.VideoFrame, int | None]
"""A frame with its time, None where it has none."""

_UNIT = Fraction(1, 25)  # seconds per frame as the filters see it; any serves
_ORDERS = {"auto": "auto", "top": "tff", "bottom": "bff"}  # as all of the filters call them


class FieldFilter:
    """Filters the frames of one video as its options say."""

    def __init__(self, options: FilterOptions) -> None:
        self._options = options
        self._description = _describe_filters(options)
        self._waits = options.deinterlace == "auto" and not options.inverse_telecine

    def filter_frames(self, frames: Iterable[TimedFrame]) -> Iterator[TimedFrame]:
        """Yield filtered frames, with times in `FilterOptions.ticks_per_tick` units per tick.

        Frames of another size or pixel format get filters of their own.
        """
        if not self._description:
            yield from frames
            return
        run: _Run | None = None
        before: TimedFrame | None = None  # of which the first interlaced one needs the fields
        for frame, time in frames:
            if run is not None and not run.takes(frame):
                yield from run.flush()
                run = before = None
            if run is None and self._waits and not frame.interlaced_frame:
                before = frame, time
                yield frame, time
                continue
            if run is None:
                run = _Run(frame, self._description, self._options)
                if before is not None and run.takes(before[0]):
                    run.prime(*before)
                before = None
            yield from run.process(frame, time)
        if run is not None:
            yield from run.flush()


def _describe_filters(options: FilterOptions) -> list[tuple[str, str]]:
    """Return the names and arguments of the filters, in order."""
    order = _ORDERS[options.field_order]
    if options.inverse_telecine:
        filters = [("fieldmatch", f"order={order}:combmatch=full")]
        if options.deinterlace != "off":  # what fits no other field, and is flagged for that
            filters.append(("bwdif", f"mode=send_frame:deint=interlaced:parity={order}"))
        return [*filters, ("decimate", f"cycle={TELECINE_CYCLE}")]
    if options.deinterlace == "off":
        return []
    mode = "send_field" if options.deinterlace == "fields" else "send_frame"
    which = "interlaced" if options.deinterlace == "auto" else "all"
    return [("bwdif", f"mode={mode}:deint={which}:parity={order}")]


class _Run:
    """A graph of filters for frames of one size and format, and the times of what it is given."""

    def __init__(
        self, frame: av.VideoFrame, filters: list[tuple[str, str]], options: FilterOptions
    ) -> None:
        self._key = _read_key(frame)
        self._options = options
        self._graph = _make_graph(frame, filters)
        self._times: list[int | None] = []  # of what went in
        self._durations: list[int] = []
        self._last: av.VideoFrame | None = None
        self._num_primed = 0
        self._num_out = 0

    def takes(self, frame: av.VideoFrame) -> bool:
        """Return whether a frame is of the size and format that the graph was made for."""
        return _read_key(frame) == self._key

    def prime(self, frame: av.VideoFrame, time: int | None) -> None:
        """Give a frame that has been handed out, and whose fields the next one needs."""
        self._num_primed = 1
        assert not list(self.process(frame, time))  # it waits for its successor

    def process(self, frame: av.VideoFrame, time: int | None) -> Iterator[TimedFrame]:
        """Give a frame, and yield those that are ready."""
        self._times.append(time)
        self._durations.append(frame.duration)
        self._push(frame, len(self._times) - 1)
        self._last = frame
        yield from self._pull()

    def flush(self) -> Iterator[TimedFrame]:
        """Yield the last frames."""
        num_frames = len(self._times)
        if self._options.inverse_telecine and self._last is not None:
            for number in range(num_frames, num_frames + -num_frames % TELECINE_CYCLE):
                self._push(self._last, number)  # decimate takes whole cycles
                yield from self._pull()
        self._graph.vpush(None)
        yield from self._pull()

    def _push(self, frame: av.VideoFrame, number: int) -> None:
        frame.pts, frame.time_base, frame.duration = number, _UNIT, 1
        self._graph.vpush(frame)

    def _pull(self) -> Iterator[TimedFrame]:
        with suppress(av.BlockingIOError, av.EOFError):
            while True:
                frame = self._graph.vpull()
                self._num_out += 1
                if self._options.inverse_telecine:
                    if self._num_out <= self._options.count_frames(len(self._times)):
                        yield frame, self._set_time_of_cycle(frame, self._num_out - 1)
                elif self._num_out > self._num_primed:
                    yield frame, self._set_time_of_field(frame)

    def _set_time_of_field(self, frame: av.VideoFrame) -> int | None:
        """Return the time of a frame that bwdif made, and set its duration."""
        assert frame.pts is not None
        assert frame.time_base is not None
        place = frame.pts * frame.time_base / _UNIT  # n and a half: of the later field of frame n
        number = int(place)
        time, frame.duration = self._times[number], self._durations[number]
        if time is None or self._options.ticks_per_tick == 1:
            return time
        if place == number:
            return 2 * time
        return 2 * time + self._find_step(number)

    def _set_time_of_cycle(self, frame: av.VideoFrame, number: int) -> int | None:
        """Return the time of a frame behind decimate, and set its duration.

        The frames of a whole cycle share its time evenly; those behind the last one keep theirs.
        """
        cycle, place = divmod(number, TELECINE_CYCLE - 1)
        first, ticks = cycle * TELECINE_CYCLE, TELECINE_CYCLE - 1
        if len(self._times) - first < TELECINE_CYCLE:
            time, frame.duration = self._times[first + place], ticks * self._durations[first]
            return None if time is None else ticks * time
        start, frame.duration = self._times[first], TELECINE_CYCLE * self._durations[first]
        last = self._times[first + TELECINE_CYCLE - 1]
        if start is None or last is None:
            return None
        end = last + self._find_step(first + TELECINE_CYCLE - 1)
        return ticks * start + place * (end - start)

    def _find_step(self, number: int) -> int:
        """Return the time from a frame to the next, in ticks; of the last, from the one before."""
        for first in (number, number - 1):
            times = self._times[max(first, 0) : first + 2]
            if len(times) == 2 and times[0] is not None and times[1] is not None:
                return max(times[1] - times[0], 1)
        return max(self._durations[number], 1)


def _make_graph(frame: av.VideoFrame, filters: list[tuple[str, str]]) -> Graph:
    width, height, pix_fmt = _read_key(frame)
    graph = Graph()
    source = graph.add(
        "buffer",
        f"video_size={width}x{height}:pix_fmt={pix_fmt}:time_base={_UNIT}:frame_rate={1 / _UNIT}"
        f":colorspace={int(frame.colorspace)}:range={int(frame.color_range)}",
    )
    nodes = [graph.add(name, arguments) for name, arguments in filters]
    end = graph.add("format", f"pix_fmts={pix_fmt}")
    graph.link_nodes(source, *nodes, end, graph.add("buffersink"))
    graph.configure()
    return graph


def _read_key(frame: av.VideoFrame) -> tuple[int, int, str]:
    return frame.width, frame.height, frame.format.name
