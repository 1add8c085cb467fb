from pathlib import Path

import pytest

from sr.errors import UsageError
from sr.web.form import Choices, make_options, parse_choices


def test_texts_and_numbers_become_choices() -> None:
    given = {"model": "compact_x2", "scale": 2, "format": "JPEG", "quality": "80.0", "size": ""}
    assert parse_choices(given) == Choices("compact_x2", scale=2.0, format="jpg", quality=80)
    assert parse_choices({"size": "30x20"}).size == (20, 30)
    assert parse_choices({"long_side": 99, "lossless": "true"}) == Choices(
        long_side=99, lossless=True
    )


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("model", "/etc/passwd"),
        ("model", "../x.safetensors"),
        ("scale", "many"),
        ("size", "30"),
        ("long_side", "1.5"),
        ("long_side", "inf"),
        ("format", "gif"),
        ("quality", "101"),
        ("lossless", "perhaps"),
        ("overwrite", "true"),
    ],
)
def test_what_cannot_be_is_refused_by_name(name: str, text: str) -> None:
    with pytest.raises(UsageError, match=f"^{name}: expected"):
        parse_choices({name: text})


def test_the_options_refuse_as_the_command_line_does() -> None:
    with pytest.raises(UsageError, match="-s and --size: expected one of them"):
        make_options([], Path("out"), Choices(scale=2, size=(3, 4)))
    with pytest.raises(UsageError, match="-s nan"):
        make_options([], Path("out"), parse_choices({"scale": "nan"}))
