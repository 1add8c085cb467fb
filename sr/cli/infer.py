"""The command line of upscaling pictures."""

import sys
from collections.abc import Sequence
from contextlib import closing
from importlib import resources
from pathlib import Path
from typing import Annotated

import typer

from sr.cli.display import Display, show_scores
from sr.devices import DeviceError, resolve_device
from sr.inference.engine import Outcome, load_upscaler, run
from sr.inference.plan import Existing, Extension, NoInputError, Request, UsageError
from sr.inference.report import to_all, with_rare_progress
from sr.inference.upscaler import DEFAULT_TILE_SIZE
from sr.io.event_log import EventLog
from sr.io.model_file import ModelFileError
from sr.memory import keep_freed_memory

BUNDLED_MODEL = Path(str(resources.files("sr").joinpath("weights", "compact_x4.safetensors")))

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False, rich_markup_mode="markdown")


@app.command(context_settings={"help_option_names": ["-h", "--help"]})
def command(
    inputs: Annotated[
        list[Path],
        typer.Option(
            "-i",
            "--input",
            metavar="PATH...",
            help="Pictures and folders of pictures (8-bit RGB: PNG, JPEG, WebP, TIFF). Takes"
            " several paths, and may be given several times.",
        ),
    ],
    output: Annotated[
        Path,
        typer.Option(
            "-o",
            "--output",
            metavar="PATH",
            help="Folder for the results, made if it is missing; or a file (.png, .jpg, .webp,"
            " .tif) for one input.",
        ),
    ],
    model: Annotated[
        Path,
        typer.Option(
            "-m",
            "--model",
            metavar="FILE",
            help="Model file: of train.py; published weights (.pth, .safetensors, .ckpt) of"
            " Real-ESRGAN, BasicSR and whatever spandrel knows; .onnx with the extra `onnx`."
            " `sr-info FILE` tells what a file is.",
            show_default="the bundled compact_x4",
        ),
    ] = BUNDLED_MODEL,
    outscale: Annotated[
        float | None,
        typer.Option(
            "-s",
            "--outscale",
            metavar="FACTOR",
            help="Final enlargement, any number above 0. Other than the model's own, it is reached"
            " by bicubic resampling of the model's result.",
            show_default="the model's",
        ),
    ] = None,
    tile_size: Annotated[
        int | None,
        typer.Option(
            "-t",
            "--tile",
            min=0,
            metavar="PIXELS",
            help="Largest side of a tile in input pixels; smaller tiles take less memory, 0 takes"
            " the whole picture at once.",
            show_default=str(DEFAULT_TILE_SIZE),
        ),
    ] = None,
    halo: Annotated[
        int | None,
        typer.Option(
            min=0,
            metavar="PIXELS",
            help="Input pixels read around each tile; fewer than the network sees give seams.",
            show_default="as far as the network sees, at most 32",
        ),
    ] = None,
    precision: Annotated[
        str,
        typer.Option(
            metavar="auto|fp32|bf16|fp16",
            help="Numbers to compute with. auto: bf16 (fp16 on older GPUs) where the device is"
            " made for it, else fp32.",
        ),
    ] = "auto",
    device: Annotated[
        str,
        typer.Option(
            metavar="auto|cpu|cuda[:N]|mps",
            help="Where to compute. auto: a GPU if there is one, else the CPU.",
        ),
    ] = "auto",
    suffix: Annotated[
        str | None,
        typer.Option(
            metavar="TEXT",
            help="Put after the name of each input.",
            show_default="_x and the enlargement",
        ),
    ] = None,
    ext: Annotated[
        Extension,
        typer.Option(
            help="Format of the results; jpg and webp are lossy (quality 95). auto: the one of the"
            " output file, or png in a folder."
        ),
    ] = Extension.AUTO,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace results that exist.")
    ] = False,
    skip_existing: Annotated[
        bool, typer.Option("--skip-existing", help="Leave out inputs whose result exists.")
    ] = False,
    recursive: Annotated[
        bool,
        typer.Option("--recursive", help="Search the folders below too, and keep their layout."),
    ] = False,
    reference: Annotated[
        Path | None,
        typer.Option(
            metavar="FOLDER",
            help="Original pictures of the same names (an ending like _x4 of the input's name is"
            " left out): print PSNR and SSIM, and save them as scores.json beside the results.",
        ),
    ] = None,
    log: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Append one JSON line an event to this file."),
    ] = None,
) -> None:
    """Upscale pictures.

    Results are called NAME_x4.png and are written whole or not at all; those that exist are kept
    unless --overwrite is given.

    Exit codes: 0 all done, 1 a fault of the program, 2 a wrong option, model or use, 3 some inputs
    failed and the others are done, 4 no usable input, 130 interrupted.
    """
    with Display() as display:
        try:
            request = Request(
                inputs=inputs,
                output=output,
                outscale=_checked_outscale(outscale),
                suffix=suffix,
                ext=ext,
                existing=_existing(overwrite, skip_existing),
                recursive=recursive,
                reference=reference,
            )
            with closing(_open_log(log)) as events:
                emit = to_all([with_rare_progress(events.write, interval=1.0), display])
                chosen_device = resolve_device(device)
                upscaler = load_upscaler(
                    model,
                    emit,
                    device=chosen_device,
                    precision=precision,
                    tile_size=tile_size,
                    halo=halo,
                )
                outcome = run(upscaler, request, emit, model=model.name)
        except (UsageError, DeviceError, ModelFileError) as error:
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


def _checked_outscale(outscale: float | None) -> float | None:
    if outscale is not None and not 0 < outscale < float("inf"):
        raise UsageError(f"-s {outscale:g}: expected a number above 0")
    return outscale


def _existing(overwrite: bool, skip_existing: bool) -> Existing:
    if overwrite and skip_existing:
        raise UsageError("--overwrite and --skip-existing: expected one of them; came: both")
    if overwrite:
        return "overwrite"
    return "skip" if skip_existing else "refuse"


def _open_log(path: Path | None) -> EventLog:
    try:
        return EventLog(path)
    except OSError as error:
        raise UsageError(f"--log {path}: cannot be written: {error.strerror}") from error


def _tell_end(outcome: Outcome, display: Display) -> None:
    if outcome.scores:
        show_scores(outcome.scores)
    if outcome.failures:
        display.say(f"{len(outcome.failures)} picture(s) failed:")
    for message in outcome.failures.values():
        display.say(f"  {message}")
