from fractions import Fraction
from pathlib import Path

import pytest

from sr.cli.format_arguments import format_arguments, format_command, parse_arguments
from sr.errors import UsageError
from sr.inference.options import InferOptions, OutputOptions, RuntimeOptions
from sr.inference.video_options import VideoOptions
from sr.io.video.time_range import Moment

PLAIN = InferOptions([Path("a b.png")], OutputOptions(Path("out")))
EVERYTHING = InferOptions(
    [Path("a.mp4"), Path("b")],
    OutputOptions(
        Path("out"), size=(20, 30), ext="jpg", quality=80, recursive=True, resume=True, suffix=""
    ),
    model="span_x4",
    runtime=RuntimeOptions(tile_size=64, devices=("cpu", "cuda:1"), tta=True, max_pixels=9),
    video=VideoOptions(
        crf=20.5,
        encoder_options={"g": "5", "tune": "film"},
        fps=Fraction(30000, 1001),
        start=Moment(seconds=Fraction(5, 2)),
        end=Moment(frame=120),
        damaged="stop",
        preview=3,
    ),
    log=Path("log.jsonl"),
)


@pytest.mark.parametrize("options", [PLAIN, EVERYTHING])
def test_the_arguments_of_options_give_the_same_options(options: InferOptions) -> None:
    assert parse_arguments(format_arguments(options)) == options


def test_a_command_is_quoted_and_leaves_defaults_out() -> None:
    assert format_command(PLAIN) == "sr-infer -i 'a b.png' -o out"


@pytest.mark.parametrize("arguments", [["--nonsense"], ["-i", "a"], ["--help"], ["-s"]])
def test_other_arguments_are_refused(arguments: list[str]) -> None:
    with pytest.raises(UsageError, match=r"expected arguments of infer\.py"):
        parse_arguments(arguments)
