"""Texts of the options that concern videos become values, or one clear message."""

from fractions import Fraction

import pytest

from sr.cli.video_options import parsed_options, parsed_rate, parsed_span
from sr.inference.options import UsageError
from sr.io.video.read.frame_rate import Moment


def test_encoder_options_are_pairs_and_the_last_of_a_name_counts() -> None:
    assert parsed_options([]) == {}
    assert parsed_options(["tune=film", "x264-params=a=1:b=2"]) == {
        "tune": "film",
        "x264-params": "a=1:b=2",
    }
    assert parsed_options(["g=5", "g=9", "empty="]) == {"g": "9", "empty": ""}


@pytest.mark.parametrize("pair", ["tune", "=film", "="])
def test_encoder_options_without_a_name_are_refused(pair: str) -> None:
    with pytest.raises(UsageError, match=f"--encoder-option: expected KEY=VALUE, got {pair}"):
        parsed_options([pair])


@pytest.mark.parametrize(
    ("text", "rate"),
    [
        ("25", Fraction(25)),
        ("29.97", Fraction(2997, 100)),
        ("30000/1001", Fraction(30000, 1001)),
        ("0.5", Fraction(1, 2)),
        ("1000", Fraction(1000)),
    ],
)
def test_rates_are_exact(text: str, rate: Fraction) -> None:
    assert parsed_rate(text) == rate
    assert parsed_rate(None) is None


@pytest.mark.parametrize("text", ["0", "-25", "1001", "x", "", "nan", "inf", "1/0", "25fps"])
def test_rates_that_are_none_are_refused(text: str) -> None:
    with pytest.raises(UsageError, match="--fps: expected a number above 0, at most 1000"):
        parsed_rate(text)


def test_spans_are_told_in_seconds_or_frames() -> None:
    assert parsed_span(None, None) == (None, None)
    assert parsed_span("1:02.5", None) == (Moment(Fraction(125, 2)), None)
    assert parsed_span(None, "12f") == (None, Moment(frame=12))
    assert parsed_span("0", "1f") == (Moment(Fraction(0)), Moment(frame=1))
    assert parsed_span("100f", "2") == (Moment(frame=100), Moment(Fraction(2)))  # who knows


@pytest.mark.parametrize(
    ("start", "end"), [("5f", "3f"), ("5f", "5f"), ("2", "1"), ("1:00", "60"), (None, "0")]
)
def test_spans_that_hold_nothing_are_refused(start: str | None, end: str) -> None:
    with pytest.raises(UsageError, match=f"--end: expected a moment after .*, got {end}$"):
        parsed_span(start, end)


@pytest.mark.parametrize("text", ["nonsense", "-1", "1:60", "5s", "", "1e3", "f"])
def test_moments_that_are_none_are_refused_by_their_option(text: str) -> None:
    for name, span in (("--start", (text, None)), ("--end", (None, text))):
        with pytest.raises(UsageError, match=f"{name}: expected a time"):
            parsed_span(*span)
