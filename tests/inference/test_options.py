"""Options: what a call of infer.py says, and what is refused from the options alone."""

import inspect
from dataclasses import fields
from fractions import Fraction
from pathlib import Path

import pytest
import typer

from sr.cli.flags import make_command
from sr.errors import UsageError
from sr.inference.cluster_options import ClusterOptions
from sr.inference.footage_options import FootageOptions
from sr.inference.options import InferOptions, OutputOptions, RuntimeOptions
from sr.inference.shards import Shard
from sr.inference.texture_options import TextureOptions
from sr.inference.video_options import VideoOptions
from sr.io.video.time_range import Moment


def parse(*arguments: str) -> InferOptions:
    """The options of a call."""
    parsed: list[InferOptions] = []
    app = typer.Typer()
    app.command()(make_command(InferOptions, parsed.append, text=""))
    app(["-i", "a", "-o", "out", *arguments], standalone_mode=False)
    return parsed[0]


def test_a_call_without_further_flags_gives_the_defaults() -> None:
    assert parse() == InferOptions([Path("a")], OutputOptions(Path("out")))


def test_every_flag_reaches_its_field() -> None:
    given = (
        "-i b -m span_x4 --size 9x8 --alpha drop --frames each --ext webp --quality 7 --lossless "
        "--suffix _y --skip-existing --recursive --container mkv --resume --codec vp9 --crf 3.5 "
        "--preset 4 --pix-fmt gray --encoder-option g=5 --encoder-option g=9 "
        "--encoder-option x-params=a=1:b= --stream 2 --fps 30000/1001 --start 1:02.5 --end 99f "
        "--damaged stop --temporal-filter --flow dis --preview 3 --precision bf16 -t 0 --halo 4 "
        "--exact --verify-tiles --device cpu,cuda:1 --backend openvino --compile --tta "
        "--max-pixels 10 --reference hr --lpips torchvision --log run.jsonl "
        "--shard 2/3 --shard-by work"
    )
    options = parse(*given.split())
    assert options == InferOptions(
        [Path("a"), Path("b")],
        OutputOptions(
            Path("out"),
            size=(8, 9),
            alpha="drop",
            frames="each",
            ext="webp",
            quality=7,
            lossless=True,
            suffix="_y",
            skip_existing=True,
            recursive=True,
            container="mkv",
            resume=True,
        ),
        model="span_x4",
        runtime=RuntimeOptions(
            precision="bf16",
            tile_size=0,
            halo=4,
            exact=True,
            verify_tiles=True,
            devices=("cpu", "cuda:1"),
            backend="openvino",
            compile=True,
            tta=True,
            max_pixels=10,
        ),
        video=VideoOptions(
            codec="vp9",
            crf=3.5,
            preset="4",
            pix_fmt="gray",
            encoder_options={"g": "9", "x-params": "a=1:b="},
            stream=2,
            fps=Fraction(30000, 1001),
            start=Moment(Fraction(125, 2)),
            end=Moment(frame=99),
            damaged="stop",
            temporal_filter=True,
            flow="dis",
            preview=3,
        ),
        reference=Path("hr"),
        lpips="torchvision",
        log=Path("run.jsonl"),
        shard=Shard(2, 3),
        shard_by="work",
    )


def test_every_flag_has_a_help_text() -> None:
    parameters = inspect.signature(make_command(InferOptions, print, text="")).parameters.values()
    parts = (
        InferOptions,
        OutputOptions,
        RuntimeOptions,
        VideoOptions,
        TextureOptions,
        FootageOptions,
        ClusterOptions,
    )
    sections = {"output", "runtime", "video", "texture", "footage", "cluster"}
    python_only = {*sections, "frames_per_segment"}
    names = {each.name for part in parts for each in fields(part)} - python_only
    assert {each.name for each in parameters} == names
    for each in parameters:
        assert each.annotation.__metadata__[0].help.endswith((".", ".)"))


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
    assert parse("--fps", text).video.fps == rate


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        *(
            (f"--fps={text}", "--fps: expected a number above 0, at most 1000")
            for text in ("0", "-25", "1001", "x", "", "nan", "inf", "1/0", "25fps")
        ),
        *(
            (f"{name}={text}", f"{name}: expected a time")
            for text in ("nonsense", "-1", "1:60", "5s", "", "1e3", "f")
            for name in ("--start", "--end")
        ),
        *(
            (f"--encoder-option={pair}", f"--encoder-option: expected KEY=VALUE, got {pair}")
            for pair in ("tune", "=film", "=")
        ),
        *(
            (f"--start={start} --end={end}", f"--end: expected a time after {start}, got {end}")
            for start, end in (("5f", "3f"), ("5f", "5f"), ("2", "1"), ("60", "60"))
        ),
        ("--end 0", "--end: expected a time after the first frame, got 0"),
        ("--damaged x", "--damaged: expected continue or stop, got x"),
        ("--ext gif", "--ext: expected auto or png or jpg or webp or tif or avif, got gif"),
        ("-t -1", "-t: expected auto or a number of pixels, 0 or more, got -1"),
        ("--size 9", "--size: expected WIDTHxHEIGHT in pixels"),
        ("-s 2 --long-side 9", "-s and --long-side: expected one of them"),
        ("-s 0", "-s 0: expected a number above 0, at most 1000"),
        ("--lossless --ext jpg", "--lossless: JPEG is always lossy"),
        ("--overwrite --resume", "--overwrite and --resume: expected one of them, got both"),
        ("--lpips torchvision", "--lpips: needs --reference"),
    ],
)
def test_values_that_are_none_are_refused_by_their_flag(arguments: str, message: str) -> None:
    with pytest.raises(UsageError) as error:
        parse(*arguments.split())
    assert str(error.value).startswith(message)


def test_damage_may_go_on_by_its_older_name() -> None:
    assert parse("--damaged", "go-on").video.damaged == "continue"


def test_a_start_and_an_end_of_different_units_are_taken() -> None:
    video = parse("--start", "100f", "--end", "2").video  # who knows
    assert (video.start, video.end) == (Moment(frame=100), Moment(Fraction(2)))


def test_damage_is_handled_by_the_kind_of_input_unless_it_is_said() -> None:
    assert parse().video.damaged is None
    assert parse("--damaged", "stop").video.damaged == "stop"
    with pytest.raises(UsageError, match="--damaged: expected continue or stop, got on"):
        parse("--damaged", "on")


def test_a_page_is_one_and_not_each() -> None:
    assert parse("--page", "3").output.page == 3
    with pytest.raises(UsageError, match="--page and --frames each: expected one of them"):
        parse("--page", "3", "--frames", "each")
