"""Text on a terminal has no control characters of names or metadata."""

import os

import pytest

from sr.io.escape_controls import escape_controls


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("photo.png", "photo.png"),
        ("\u00fcber \u5199\u771f.png", "\u00fcber \u5199\u771f.png"),
        ("two\n  lines\tand a tab", "two\n  lines\tand a tab"),
        ("of torch:\n\tsize mismatch", "of torch:\n\tsize mismatch"),
        ("a\nb.png: exists", r"a\x0ab.png: exists"),
        ("no such file: a\n", r"no such file: a\x0a"),
        ("\x1b[31mred\x07", r"\x1b[31mred\x07"),
        ("a\rb\x7f\x9b2J", r"a\x0db\x7f\x9b2J"),
        ("gnp.\u202etxt", r"gnp.\u202etxt"),
        (os.fsdecode(b"bad\xff\x9b.png"), r"bad\xff\x9b.png"),
    ],
)
def test_controls_are_escaped_and_letters_are_not(text: str, expected: str) -> None:
    assert escape_controls(text) == expected
