"""What people enter on the page, or programs send -> `InferOptions`, with the same messages."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args

from sr.errors import UsageError
from sr.inference.options import Extension, InferOptions, OutputOptions, RuntimeOptions
from sr.inference.output_size import parse_size
from sr.inference.video_options import VideoOptions
from sr.models.bundled import BUNDLED, DEFAULT

FORMATS = tuple(name for name in get_args(Extension) if name != "auto")
FIELDS = frozenset({"model", "scale", "size", "long_side", "format", "quality", "lossless"})
"""Names of the fields of `POST /v1/images`."""


@dataclass(frozen=True)
class Choices:
    """What a result is to be; at most one of scale, size and long_side."""

    model: str = DEFAULT
    scale: float | None = None
    """None: the model's."""
    size: tuple[int, int] | None = None
    """(height, width)."""
    long_side: int | None = None
    format: str = "png"
    quality: int = 95
    lossless: bool = False


def parse_choices(fields: Mapping[str, Any]) -> Choices:
    """Parse texts or numbers by the names of `FIELDS`; empty ones count as not given.

    Raises UsageError that begins with the field's name.
    """
    given = {name: str(value).strip() for name, value in fields.items() if value is not None}
    given = {name: text for name, text in given.items() if text}
    for name in given.keys() - FIELDS:
        raise UsageError(f"{name}: expected one of the fields {', '.join(sorted(FIELDS))}")
    values: dict[str, Any] = {}
    for name, text in given.items():
        try:
            values[name] = _PARSERS[name](text)
        except (ValueError, OverflowError) as error:
            expected = str(error) if isinstance(error, UsageError) else _EXPECTED.get(name, error)
            raise UsageError(f"{name}: {expected}; got {text!r}") from None
    return Choices(**values)


def make_options(
    inputs: Sequence[Path],
    output: Path,
    choices: Choices,
    *,
    device: str = "auto",
    **more: Any,
) -> InferOptions:
    """Make the options of a run. more: of `OutputOptions`, and `container`, `preview` of videos.

    Raises UsageError as the command line does.
    """
    return InferOptions(
        inputs=list(inputs),
        output=OutputOptions(
            path=output,
            outscale=choices.scale,
            size=choices.size,
            long_side=choices.long_side,
            ext=choices.format,  # type: ignore[arg-type]  # checked by `parse_choices`
            quality=choices.quality,
            lossless=choices.lossless,
            **{name: value for name, value in more.items() if name != "preview"},
        ),
        model=choices.model,
        runtime=RuntimeOptions(devices=tuple(device.split(","))),
        video=VideoOptions(preview=more.get("preview", 0)),
    )


def _parse_model(text: str) -> str:
    """Only bundled ones: a path would be read, and loading a model is costly."""
    names = [bundled.name for bundled in BUNDLED]
    if text not in names:
        raise UsageError(f"expected {' or '.join(names)}")
    return text


def _parse_format(text: str) -> str:
    text = {"jpeg": "jpg", "tiff": "tif"}.get(text.lower(), text.lower())
    if text not in FORMATS:
        raise UsageError(f"expected {' or '.join(FORMATS)}")
    return text


def _parse_count(text: str) -> int:
    value = float(text)
    if value != int(value) or value < 1:
        raise ValueError
    return int(value)


def _parse_quality(text: str) -> int:
    value = _parse_count(text)
    if value > 100:
        raise ValueError
    return value


def _parse_switch(text: str) -> bool:
    known = {"true": True, "1": True, "on": True, "false": False, "0": False, "off": False}
    if text.lower() not in known:
        raise ValueError
    return known[text.lower()]


_PARSERS: Mapping[str, Callable[[str], Any]] = {
    "model": _parse_model,
    "scale": float,
    "size": parse_size,
    "long_side": _parse_count,
    "format": _parse_format,
    "quality": _parse_quality,
    "lossless": _parse_switch,
}
_EXPECTED = {
    "scale": "expected a number above 0",
    "size": "expected WIDTHxHEIGHT in pixels, such as 1920x1080",
    "long_side": "expected a whole number of pixels, 1 or more",
    "quality": "expected a whole number from 1 to 100",
    "lossless": "expected true or false",
}
