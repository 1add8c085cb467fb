"""The command line that converts model files, and option files of BasicSR.

Torch is imported when there is a model to convert.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from sr.cli.terminal import print_line
from sr.errors import UserError
from sr.io.atomic_write import atomic_write, remove_abandoned
from sr.options.import_basicsr import import_basicsr
from sr.options.read_yaml import OptionsError, read_option_text

OPTION_FILES = (".yml", ".yaml")

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False, rich_markup_mode="markdown")


@app.command(context_settings={"help_option_names": ["-h", "--help"]})
def command(
    source: Annotated[
        str,
        typer.Argument(
            metavar="IN",
            help="Model file of any origin, or a name that `infer.py -m` takes; or a training"
            " option file (.yml) of BasicSR or Real-ESRGAN.",
        ),
    ],
    target: Annotated[
        Path,
        typer.Argument(
            metavar="OUT",
            help="File to write: .safetensors for infer.py and train.py; .pth for BasicSR, spandrel"
            " and chaiNNer; .onnx (opset 20; needs the extra `onnx`); .param, with a .bin next to"
            " it, for ncnn (needs the extra `ncnn`); .yml for option files.",
        ),
    ],
    half: Annotated[bool, typer.Option("--fp16", help="Write the weights as float16.")] = False,
    int8: Annotated[
        bool,
        typer.Option(
            "--int8",
            help="Quantize to 8-bit integers, for CPUs (.onnx only; needs the extras `int8` and"
            " `openvino`, which runs it fastest). Needs --calibrate.",
        ),
    ] = False,
    calibrate: Annotated[
        Path | None,
        typer.Option(
            metavar="FOLDER",
            help="Images for --int8, like those to be upscaled: a dozen or more, not enlarged.",
        ),
    ] = None,
    blend: Annotated[
        str | None,
        typer.Option(
            metavar="MODEL",
            help="Interpolate with the weights of this model of the same network. For a GAN model:"
            " with the model that it was trained from, this reduces grain.",
        ),
    ] = None,
    blend_share: Annotated[
        float, typer.Option(metavar="SHARE", help="Share of the --blend model, between 0 and 1.")
    ] = 0.3,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace OUT if it exists.")] = (
        False
    ),
) -> None:
    """Convert a model file to another format, or an option file of BasicSR to one of this program.

    ONNX and ncnn files are verified against PyTorch before they are saved. Options of BasicSR
    without an equivalent are printed, and added to the new file as comments.

    Exit codes: 0 success, 2 IN cannot be read or converted, or OUT cannot be written.
    """
    try:
        if int8 != (calibrate is not None):
            raise UserError("--int8 and --calibrate: expected both, or none")
        is_pair = target.suffix.lower() == ".param"
        files = [target, target.with_suffix(".bin")] if is_pair else [target]
        existing = next((file for file in files if file.exists()), None)
        if existing is not None and not overwrite:
            raise UserError(f"{existing}: exists; --overwrite replaces it")
        if not target.parent.is_dir():
            raise UserError(f"{target.parent}: expected a folder")
        remove_abandoned(target.parent)
        if any(path.suffix in OPTION_FILES for path in (Path(source), target)):
            print_line(_translate(Path(source), target, half=half))
        else:
            from sr.models.convert import convert_model
            from sr.models.find_model import resolve_model

            other = None if blend is None else (resolve_model(blend), blend_share)
            done = convert_model(
                resolve_model(source), target, half=half, calibration=calibrate, blend=other
            )
            print_line(done)
    except (UserError, OSError) as error:
        message = str(error)
        if isinstance(error, OSError):
            message = f"{target}: cannot be written ({error.strerror})"
        print_line(f"error: {message}", err=True)
        raise typer.Exit(2) from None


def _translate(source: Path, target: Path, *, half: bool) -> str:
    """Write our option file, whole or not at all. Returns what was written and what was not."""
    if not all(path.suffix in OPTION_FILES for path in (source, target)):
        raise OptionsError(
            f"{source}, {target}: expected two option files, both ending in .yml or .yaml, or two "
            "model files"
        )
    if half:
        raise OptionsError(f"{source}: --fp16 is for model files, this is an option file")
    text = read_option_text(source)
    try:
        imported = import_basicsr(text)
    except UserError as error:
        raise OptionsError(f"{source}: {error}") from None
    with atomic_write(target) as temporary:
        temporary.write_text(imported.text, encoding="utf-8")
    title = "not taken over, or not quite:" if imported.unused else "all taken over"
    return "\n".join([f"{target}: {title}", *(f"  {line}" for line in imported.unused)])


def main(arguments: Sequence[str] | None = None) -> None:
    """Entry point of sr-convert."""
    app(args=arguments)
