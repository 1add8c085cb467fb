"""Text of the command line -> values of options. Raises UsageError, without the flag's name."""

from collections.abc import Sequence
from fractions import Fraction

from sr.errors import UsageError


def parse_tile_size(text: str) -> int | None:
    """Parse `auto` (None) or a number of LR pixels."""
    if text != "auto" and not (text.isascii() and text.isdigit()):
        raise UsageError(f"expected auto or a number of pixels, 0 or more, got {text}")
    return None if text == "auto" else int(text)


def parse_devices(text: str) -> tuple[str, ...]:
    """Parse names of devices, separated by commas."""
    return tuple(text.split(","))


def parse_actors(text: str) -> tuple[int, int]:
    """Parse a number of actors, `4`, or the fewest and the most, `1-16`."""
    first, dash, last = text.partition("-")
    if first.isdecimal() and (last.isdecimal() if dash else True):
        fewest, most = int(first), int(last or first)
        if 1 <= fewest <= most:
            return fewest, most
    raise UsageError(f"expected N or MIN-MAX, such as 4 or 1-16, got {text}")


def parse_rate(text: str) -> Fraction:
    """Parse frames per second: `25`, `29.97` or `30000/1001`."""
    try:
        rate = Fraction(text)
    except (ValueError, ZeroDivisionError):
        rate = Fraction(0)
    if not 0 < rate <= 1000:
        raise UsageError(
            f"expected a number above 0, at most 1000, such as 25 or 30000/1001; got {text}"
        )
    return rate


def parse_damaged(text: str) -> str:
    """Parse what to do about damage; `go-on` is an older name of `continue`."""
    text = "continue" if text == "go-on" else text
    if text not in ("continue", "stop"):
        raise UsageError(f"expected continue or stop, got {text}")
    return text


def parse_encoder_options(pairs: Sequence[str]) -> dict[str, str]:
    """Parse `KEY=VALUE` pairs; the last of a key counts."""
    options: dict[str, str] = {}
    for pair in pairs:
        key, separator, value = pair.partition("=")
        if not (key and separator):
            raise UsageError(f"expected KEY=VALUE, got {pair}")
        options[key] = value
    return options
