"""The options of infer.py that concern videos."""

from collections.abc import Sequence
from fractions import Fraction
from typing import Annotated

import typer

from sr.inference.options import Container, UsageError
from sr.io.video.read.frame_rate import Moment, parse_moment

VIDEO = "Videos"

Codec = Annotated[
    str | None,
    typer.Option(
        metavar="NAME",
        help="Encoder: libx264, libx265, libsvtav1, vp9, ffv1 (lossless), prores; with a graphics"
        " card h264_nvenc, hevc_nvenc, av1_nvenc. A .webm takes vp9 and libsvtav1 only.",
        show_default="libx264; vp9 in .webm",
        rich_help_panel=VIDEO,
    ),
]
Crf = Annotated[
    float | None,
    typer.Option(
        metavar="NUMBER",
        help="Quality of the encoder: lower is better and larger.",
        show_default="a high quality, by encoder: 18 of libx264",
        rich_help_panel=VIDEO,
    ),
]
Preset = Annotated[
    str | None,
    typer.Option(
        metavar="NAME",
        help="How long the encoder searches, in its own words: ultrafast to veryslow, or a number.",
        show_default="by encoder: faster of libx264",
        rich_help_panel=VIDEO,
    ),
]
PixFmt = Annotated[
    str | None,
    typer.Option(
        metavar="NAME",
        help="Samples of the result, such as yuv420p or yuv420p10le.",
        show_default="as in the source, as far as the encoder takes it",
        rich_help_panel=VIDEO,
    ),
]
EncoderOptions = Annotated[
    list[str],
    typer.Option(
        "--encoder-option",
        metavar="KEY=VALUE",
        help="Any further option of the encoder, as FFmpeg calls it. May be given several times.",
        rich_help_panel=VIDEO,
    ),
]
ContainerKind = Annotated[
    Container,
    typer.Option(
        "--container",
        help="Kind of file in a folder of results. auto: the source's if it is one of these, mp4"
        " for .mov, else mkv, which holds anything.",
        rich_help_panel=VIDEO,
    ),
]
Stream = Annotated[
    int | None,
    typer.Option(
        min=0,
        metavar="INDEX",
        help="Which stream of the file to upscale; a wrong number lists them.",
        show_default="the default one, else the largest image",
        rich_help_panel=VIDEO,
    ),
]
Fps = Annotated[
    str | None,
    typer.Option(
        metavar="RATE",
        help="Constant frames a second, such as 25 or 30000/1001: frames are repeated or left out,"
        " the sound stays in time. Of images as frames: their rate.",
        show_default="each frame keeps its time; images: 24",
        rich_help_panel=VIDEO,
    ),
]
Start = Annotated[
    str | None,
    typer.Option(
        metavar="MOMENT",
        help="Begin there: seconds, [hh:]mm:ss, or a frame such as 120f.",
        rich_help_panel=VIDEO,
    ),
]
End = Annotated[
    str | None,
    typer.Option(metavar="MOMENT", help="End before that moment.", rich_help_panel=VIDEO),
]
DamagedMode = Annotated[
    str,
    typer.Option(
        "--damaged",
        metavar="continue|stop",
        help="Damage in the source: shown as the decoder fixes it, and told; or the result ends"
        " there, sound and all, and counts as failed.",
        rich_help_panel=VIDEO,
    ),
]
TemporalFilterOption = Annotated[
    bool,
    typer.Option(
        "--temporal-filter",
        help="Less flicker: what the network adds is averaged over neighboring frames along the"
        " motion. Cuts are left alone.",
        rich_help_panel=VIDEO,
    ),
]
Flow = Annotated[
    str,
    typer.Option(
        metavar="auto|dis|farneback|raft|FILE",
        help="For models that look at several frames: what measures the motion between them. auto:"
        " what the model was trained with. raft: RAFT small, a network, with torchvision's weights"
        " (downloaded once); FILE: with the weights in it.",
        rich_help_panel=VIDEO,
    ),
]
Preview = Annotated[
    int,
    typer.Option(
        min=0,
        metavar="N",
        help="First write N frames, evenly spread, before and after, as images next to the result.",
        show_default="none",
        rich_help_panel=VIDEO,
    ),
]
Resume = Annotated[
    bool,
    typer.Option(
        "--resume",
        help="Go on with videos that were interrupted or killed, from their last whole part; those"
        " that are done are left out.",
        rich_help_panel=VIDEO,
    ),
]


def parsed_options(pairs: Sequence[str]) -> dict[str, str]:
    """`key=value` each -> a dictionary. Raises UsageError."""
    options: dict[str, str] = {}
    for pair in pairs:
        key, separator, value = pair.partition("=")
        if not (key and separator):
            raise UsageError(f"--encoder-option: expected KEY=VALUE, got {pair}")
        options[key] = value
    return options


def parsed_span(start: str | None, end: str | None) -> tuple[Moment | None, Moment | None]:
    """Of --start and --end. Raises UsageError, too, where nothing can be between them."""
    first, last = _parsed_moment("--start", start), _parsed_moment("--end", end)
    is_empty = last is not None and 0 in (last.seconds, last.frame)
    if first is not None and last is not None:
        if first.seconds is not None and last.seconds is not None:
            is_empty |= first.seconds >= last.seconds
        if first.frame is not None and last.frame is not None:
            is_empty |= first.frame >= last.frame
    if is_empty:
        raise UsageError(f"--end: expected a moment after {start or 'the first frame'}, got {end}")
    return first, last


def _parsed_moment(name: str, text: str | None) -> Moment | None:
    """As `parse_moment`. Raises UsageError with the option's name."""
    try:
        return None if text is None else parse_moment(text)
    except ValueError as error:
        raise UsageError(f"{name}: {error}") from None


def parsed_rate(text: str | None) -> Fraction | None:
    """Frames a second from `25`, `29.97` or `30000/1001`. Raises UsageError."""
    if text is None:
        return None
    try:
        rate = Fraction(text)
    except (ValueError, ZeroDivisionError):
        rate = Fraction(0)
    if not 0 < rate <= 1000:
        raise UsageError(
            f"--fps: expected a number above 0, at most 1000, such as 25 or 30000/1001; got {text}"
        )
    return rate
