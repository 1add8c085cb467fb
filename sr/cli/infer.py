"""The command line of upscaling images and videos."""

import sys
from collections.abc import Sequence
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any, get_args

import typer

from sr.cli import infer_options as options
from sr.cli import video_options
from sr.cli.list_models import ListModels
from sr.cli.progress import Display, show_clip_scores, show_scores
from sr.device import DeviceError, resolve_device
from sr.inference.channels import Alpha
from sr.inference.events import forgiving, to_all, with_rare_progress
from sr.inference.image import Frames, Making
from sr.inference.load_upscaler import Running, upscalers_of
from sr.inference.options import (
    STREAM,
    Container,
    Existing,
    Extension,
    NoInputError,
    Request,
    UsageError,
)
from sr.inference.output_size import MAX_FACTOR, Factor, LongSide, Target, TargetError, parse_size
from sr.inference.run import check, run
from sr.inference.scheduler import Outcome
from sr.inference.video.options import VideoMaking
from sr.inference.video.resume import identity_of
from sr.io.event_log import EventLog
from sr.io.image_reader import DEFAULT_MAX_PIXELS
from sr.io.model_file import ModelFileError
from sr.io.video.read.decode_errors import Damaged
from sr.memory import keep_freed_memory
from sr.models.bundled import choose_default_model, resolve_model
from sr.models.load import load_generator
from sr.tiling.runner import CompileError

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False, rich_markup_mode="markdown")


@app.command(context_settings={"help_option_names": ["-h", "--help"]})
def command(
    inputs: options.Inputs,
    output: options.Output,
    model: options.Model = None,
    _list_models: ListModels = False,
    outscale: options.Outscale = None,
    size: options.Size = None,
    long_side: options.LongSidePixels = None,
    tile_size: options.TileSize = "auto",
    halo: options.Halo = None,
    exact: options.ExactHalo = False,
    verify_tiles: options.VerifyTiles = False,
    precision: options.Precision = "auto",
    device: options.Devices = "auto",
    backend: options.Backend = "auto",
    compiled: options.Compiled = False,
    tta: options.Tta = False,
    alpha: options.AlphaMode = "model",
    frames: options.FramesMode = "refuse",
    ext: options.Ext = Extension.AUTO,
    quality: options.Quality = 95,
    lossless: options.Lossless = False,
    suffix: options.Suffix = None,
    overwrite: options.Overwrite = False,
    skip_existing: options.SkipExisting = False,
    recursive: options.Recursive = False,
    max_pixels: options.MaxPixels = DEFAULT_MAX_PIXELS,
    reference: options.Reference = None,
    lpips: options.Lpips = None,
    log: options.Log = None,
    codec: video_options.Codec = None,
    crf: video_options.Crf = None,
    preset: video_options.Preset = None,
    pix_fmt: video_options.PixFmt = None,
    encoder_options: video_options.EncoderOptions = (),  # type: ignore[assignment]  # none given
    container: video_options.ContainerKind = Container.AUTO,
    stream: video_options.Stream = None,
    fps: video_options.Fps = None,
    start: video_options.Start = None,
    end: video_options.End = None,
    damaged: video_options.DamagedMode = "go-on",
    temporal_filter: video_options.TemporalFilterOption = False,
    flow: video_options.Flow = "auto",
    preview: video_options.Preview = 0,
    resume: video_options.Resume = False,
) -> None:
    """Upscale images and videos.

    Results are called NAME_x4.png and are written whole or not at all; those that exist are kept
    unless --overwrite is given. Depth (8 or 16 bit), gray, transparency, color profile, EXIF, XMP
    and resolution of an image are kept where the format holds them; what is lost is told.

    Of a video the times of frames, sound, subtitles, chapters, fonts, tags, rotation, colors and
    depth are kept; what the container cannot hold is converted or left out, and told. A video that
    was cut off goes on with --resume. A folder or a pattern (frames/%05d.png) is a video, too, if
    -o is one, and -o out/%05d.png gives the frames of one.

    Exit codes: 0 all done, 1 a fault of the program, or a video that is not as it should be, 2 a
    wrong option, model or use, 3 some inputs failed and the others are done, 4 no usable input, 130
    interrupted.
    """
    with Display() as display:
        try:
            file = choose_default_model(outscale) if model is None else resolve_model(model)
            request = Request(
                inputs=inputs,
                output=output,
                suffix=suffix,
                ext=ext,
                container=container,
                existing=_existing(overwrite, skip_existing, resume),
                resume=resume,
                recursive=recursive,
                reference=reference,
            )
            span = video_options.parsed_span(start, end)
            making = Making(
                target=_target(outscale, size, long_side),
                alpha=_one_of("--alpha", alpha, get_args(Alpha)),
                frames=_one_of("--frames", frames, get_args(Frames)),
                quality=quality,
                lossless=_checked_lossless(lossless, ext, output),
                max_pixels=max_pixels,
                verify_tiles=verify_tiles,
                stdin=sys.stdin.buffer.read() if inputs == [STREAM] else b"",
                stdout=sys.stdout.buffer if output == STREAM else None,
                stream_suffix=".png" if ext is Extension.AUTO else f".{ext}",
                video=VideoMaking(
                    encoder={
                        "codec": codec,
                        "crf": crf,
                        "preset": preset,
                        "pix_fmt": pix_fmt,
                        "options": video_options.parsed_options(encoder_options),
                    },
                    stream=stream,
                    fps=video_options.parsed_rate(fps),
                    start=span[0],
                    end=span[1],
                    damaged=_one_of("--damaged", damaged, get_args(Damaged)),
                    temporal_filter=temporal_filter,
                    num_previews=preview,
                    quality=quality,
                    lossless=lossless,
                    resume=resume or skip_existing,
                    model=_model_identity(file, tta, backend),
                ),
            )
            running = Running(
                precision=precision,
                tile_size=_tile_size(tile_size),
                halo=halo,
                exact=exact,
                backend=backend,
                compiled=compiled,
                tta=tta,
                flow=flow,
            )
            with closing(_open_log(log)) as events:
                write = forgiving(events, display.say)
                emit = to_all([with_rare_progress(write, interval=1.0), display])
                devices = [resolve_device(name) for name in device.split(",")]
                generators = [load_generator(file) for _ in devices]
                scale, only_videos = generators[0].scale, generators[0].needs_several_frames
                checked = check(request, making.target, scale, only_videos=only_videos)
                measure = options.loaded_lpips(lpips, reference, devices[0])
                upscalers = upscalers_of(generators, file.name, emit, devices, running)
                if (window := upscalers[0].window) is not None:
                    making = _with_flow(making, window.flow.name)
                outcome = run(
                    upscalers,
                    request,
                    emit,
                    making=making,
                    checked=checked,
                    model=file.name,
                    lpips=measure,
                )
        except (UsageError, DeviceError, ModelFileError, CompileError) as error:
            display.say(f"error: {error}")
            raise typer.Exit(2) from None
        except NoInputError as error:
            display.say(f"error: {error}")
            raise typer.Exit(4) from None
        except KeyboardInterrupt:
            raise typer.Exit(130) from None
    _tell_end(outcome, display)
    raise typer.Exit(outcome.exit_code)


def main(arguments: Sequence[str] | None = None) -> None:
    """Entry point of infer.py and sr-infer."""
    keep_freed_memory()
    app(args=repeat_inputs(sys.argv[1:] if arguments is None else arguments))


def repeat_inputs(arguments: Sequence[str]) -> list[str]:
    """`-i a b` -> `-i a -i b`, because options take one value each."""
    repeated: list[str] = []
    in_inputs, num_values = False, 0
    for argument in arguments:
        if argument.startswith("-"):
            in_inputs, num_values = argument in ("-i", "--input"), 0
        elif in_inputs:
            if num_values:
                repeated.append("-i")
            num_values += 1
        repeated.append(argument)
    return repeated


def _model_identity(model: Path, tta: bool, backend: str) -> dict[str, Any]:
    """What results depend on; neither devices nor tiles, which change them by rounding."""
    try:
        file = identity_of(model)
    except OSError:  # told when it is loaded
        file = {}
    return {**file, "tta": tta, "backend": backend}


def _with_flow(making: Making, flow: str) -> Making:
    """Results of models that look at several frames depend on it, too."""
    video = making.video
    return replace(making, video=replace(video, model={**video.model, "flow": flow}))


def _target(outscale: float | None, size: str | None, long_side: int | None) -> Target:
    given = [name for name, value in (("-s", outscale), ("--size", size)) if value is not None]
    given += ["--long-side"] if long_side is not None else []
    if len(given) > 1:
        raise UsageError(f"{' and '.join(given)}: expected one of them")
    if outscale is not None and not 0 < outscale <= MAX_FACTOR:
        raise UsageError(f"-s {outscale:g}: expected a number above 0, at most {MAX_FACTOR:g}")
    try:
        if size is not None:
            return parse_size(size)
    except TargetError as error:
        raise UsageError(f"--size: {error}") from None
    return LongSide(long_side) if long_side is not None else Factor(outscale)


def _checked_lossless(lossless: bool, ext: Extension, output: Path) -> bool:
    if lossless and (ext is Extension.JPG or output.suffix.lower() in (".jpg", ".jpeg")):
        raise UsageError("--lossless: JPEG is always lossy; take webp, avif, png or tif")
    return lossless


def _tile_size(text: str) -> int | None:
    if text == "auto":
        return None
    if not (text.isascii() and text.isdigit()):
        raise UsageError(f"-t: expected auto or a number of pixels, 0 or more, got {text}")
    return int(text)


def _one_of(name: str, value: str, allowed: Sequence[str]) -> Any:
    if value not in allowed:
        raise UsageError(f"{name}: expected {' or '.join(allowed)}, got {value}")
    return value


def _existing(overwrite: bool, skip_existing: bool, resume: bool) -> Existing:
    """--resume leaves out what is done."""
    if overwrite and (skip_existing or resume):
        other = "--skip-existing" if skip_existing else "--resume"
        raise UsageError(f"--overwrite and {other}: expected one of them, got both")
    if overwrite:
        return "overwrite"
    return "skip" if skip_existing or resume else "refuse"


def _open_log(path: Path | None) -> EventLog:
    try:
        return EventLog(path)
    except OSError as error:
        raise UsageError(f"--log {path}: cannot be written: {error.strerror}") from error


def _tell_end(outcome: Outcome, display: Display) -> None:
    if outcome.scores:
        show_scores(outcome.scores)
    if outcome.clip_scores:
        show_clip_scores(outcome.clip_scores)
    if outcome.failures:
        display.say(f"{len(outcome.failures)} input(s) failed:")
    for message in outcome.failures.values():
        display.say(f"  {message}")
