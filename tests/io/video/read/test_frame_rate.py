"""Frames keep their places in time at another rate; ranges of a video begin and end as asked."""

from collections.abc import Sequence
from fractions import Fraction

import numpy as np
import pytest

from sr.io.video.frame import Frame
from sr.io.video.read.frame_rate import change_frame_rate, select_frames
from sr.io.video.time_range import Moment, parse_moment

MS = Fraction(1, 1000)


def frames_at(times: Sequence[int], last: int = 40) -> list[Frame]:
    """Frames at times in ticks, each shown until the next, the last one for `last` ticks."""
    ends = [*times[1:], times[-1] + last]
    return [
        Frame(number, pts, end - pts, (np.full((1, 1), number),))
        for number, (pts, end) in enumerate(zip(times, ends, strict=True))
    ]


def shown(frames: Sequence[Frame]) -> list[int]:
    """Which frames of `frames_at` these are."""
    return [int(frame.planes[0][0, 0]) for frame in frames]


def regular(num_frames: int, rate: Fraction, time_base: Fraction, start: int = 0) -> list[Frame]:
    times = [start + round(number / rate / time_base) for number in range(num_frames)]
    return frames_at(times, round(1 / rate / time_base))


RATES = [Fraction(24000, 1001), Fraction(24), Fraction(25), Fraction(30000, 1001), Fraction(60)]


@pytest.mark.parametrize("time_base", [MS, Fraction(1, 90000), Fraction(1, 1200000)])
@pytest.mark.parametrize("rate", RATES)
@pytest.mark.parametrize("start", [0, 33, -20])
def test_the_same_rate_changes_nothing(rate: Fraction, time_base: Fraction, start: int) -> None:
    result = list(change_frame_rate(regular(500, rate, time_base, start), time_base, rate))
    assert shown(result) == list(range(500))
    assert [frame.number for frame in result] == list(range(500))


@pytest.mark.parametrize("fps", RATES)
@pytest.mark.parametrize("rate", RATES)
def test_a_new_rate_keeps_length_and_places(rate: Fraction, fps: Fraction) -> None:
    source = regular(300, rate, MS, start=120)
    result = list(change_frame_rate(source, MS, fps))
    length = source[-1].pts + source[-1].duration - 120
    assert abs(len(result) / fps - length * MS) <= Fraction(1, 2) / fps
    assert [frame.pts - result[0].pts for frame in result] == list(range(len(result)))
    assert abs(result[0].pts / fps - 120 * MS) <= Fraction(1, 2) / fps
    assert all(frame.duration == 1 for frame in result)
    for frame in result:
        origin = source[int(frame.planes[0][0, 0])]
        time = frame.number / fps / MS + 120  # ticks
        assert origin.pts <= time + Fraction(1, 2)
        assert time < origin.pts + origin.duration or origin is source[-1]


def test_doubling_shows_each_frame_twice_even_with_a_coarse_time_base() -> None:
    source = frames_at(range(5), last=1)
    result = list(change_frame_rate(source, Fraction(1, 25), Fraction(50)))
    assert shown(result) == [0, 0, 1, 1, 2, 2, 3, 3, 4, 4]


def test_variable_rates_become_constant() -> None:
    result = list(change_frame_rate(frames_at([0, 100, 110, 120, 400]), MS, Fraction(25)))
    assert shown(result) == [0, 0, 0, 3, 3, 3, 3, 3, 3, 3, 4]


def test_a_repeated_frame_has_the_same_planes() -> None:
    result = list(change_frame_rate(frames_at([0, 100]), MS, Fraction(25)))
    assert shown(result) == [0, 0, 0, 1]
    assert result[0].planes is result[1].planes is result[2].planes


def test_one_short_frame_remains() -> None:
    assert len(list(change_frame_rate(frames_at([0], last=5), MS, Fraction(10)))) == 1
    assert list(change_frame_rate([], MS, Fraction(10))) == []


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("00:01:02.5", Moment(Fraction(125, 2))),
        ("1:02.5", Moment(Fraction(125, 2))),
        ("62.5", Moment(Fraction(125, 2))),
        ("10:00:00", Moment(Fraction(36000))),
        ("90", Moment(Fraction(90))),
        ("90:00", Moment(Fraction(5400))),
        ("0", Moment(Fraction(0))),
        ("1500f", Moment(frame=1500)),
        ("0f", Moment(frame=0)),
    ],
)
def test_moments_are_read(text: str, expected: Moment) -> None:
    assert parse_moment(text) == expected


@pytest.mark.parametrize(
    "text", ["", "-5", "1:75", "1:60:00", "f", "1.5f", "1h", "::", "1:2:3:4", "5.", "nan", "1e3"]
)
def test_other_words_are_no_moment(text: str) -> None:
    with pytest.raises(ValueError, match=r"expected a time .* or a frame's number .*, got '"):
        parse_moment(text)


def cut(start: str | None, end: str | None, source: list[Frame]) -> list[Frame]:
    return list(
        select_frames(
            source,
            None if start is None else parse_moment(start),
            None if end is None else parse_moment(end),
            time_base=MS,
            first_pts=source[0].pts,
        )
    )


@pytest.mark.parametrize("first", [0, 5000, -80])
@pytest.mark.parametrize(
    ("start", "end", "expected"),
    [
        (None, None, range(10)),
        ("0", "10", range(10)),
        ("0.08", None, range(2, 10)),
        (None, "0.08", range(2)),
        ("0.081", "0.201", range(3, 6)),
        ("2f", "5f", range(2, 5)),
        ("0.12", "5f", range(3, 5)),
        ("5f", "0.12", range(0)),
        ("0.4", None, range(0)),
        ("10f", None, range(0)),
    ],
)
def test_a_range_begins_and_ends_as_given(
    start: str | None, end: str | None, expected: range, first: int
) -> None:
    source = frames_at(range(first, first + 400, 40))
    result = cut(start, end, source)
    assert shown(result) == list(expected)
    assert [frame.number for frame in result] == list(range(len(result)))
    assert [frame.pts for frame in result] == [source[number].pts for number in expected]


def test_rounded_time_stamps_do_not_miss_their_frame() -> None:
    source = regular(10, Fraction(30), MS)  # at 0, 33, 67 ms
    assert shown(cut("0.0333333", "0.1", source)) == [1, 2]
    assert shown(cut("0.0666666", None, source))[0] == 2


def test_the_last_frame_ends_with_the_range() -> None:
    result = cut(None, "0.3", frames_at([0, 40, 1000]))
    assert [(frame.pts, frame.duration) for frame in result] == [(0, 40), (40, 260)]
    assert cut(None, "1f", frames_at([0, 40, 1000]))[0].duration == 40


def test_nothing_far_behind_the_end_is_asked_for() -> None:
    asked = []

    def endless() -> object:
        for frame in frames_at(range(0, 4000, 40)):
            asked.append(frame.number)
            yield frame

    list(select_frames(endless(), None, Moment(frame=3), time_base=MS, first_pts=0))  # type: ignore[arg-type]
    assert asked == [0, 1, 2, 3]
