from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

from av.stream import Discard

from sr.io.video.read.container import open_container
from sr.io.video.time_range import WHOLE, TimeRange
from sr.io.video.timestamps import StreamTimes, read_timestamps

WriteSource = Callable[..., Path]


def _video_times(source: Path, time_range: TimeRange) -> StreamTimes:
    with open_container(source) as container:
        return read_timestamps(container, [container.streams[0]], time_range)[0]


def test_times_of_frames_are_those_of_the_span(tmp_path: Path, write_source: WriteSource) -> None:
    source = write_source(tmp_path / "in.mp4", sounds=())
    whole = _video_times(source, WHOLE)
    assert (whole.count, whole.start, whole.last) == (50, 0, Fraction(49, 25))
    inside = _video_times(source, TimeRange(Fraction(1, 5), Fraction(2, 5)))
    assert (inside.count, inside.start, inside.last) == (5, 0, Fraction(4, 25))


def test_streams_that_are_not_asked_for_are_not_read(
    tmp_path: Path, write_source: WriteSource
) -> None:
    source = write_source(tmp_path / "in.mp4")
    with open_container(source) as container:
        read_timestamps(container, [container.streams[1]])
        unread = [stream.index for stream in container.streams if stream.discard == Discard.all]
    assert unread == [0, 2]
