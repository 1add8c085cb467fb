"""The command line that converts model files."""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from sr.io.model_file import ModelFileError
from sr.models.convert import convert

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False, rich_markup_mode="markdown")


@app.command(context_settings={"help_option_names": ["-h", "--help"]})
def command(
    source: Annotated[Path, typer.Argument(metavar="IN", help="Model file of any origin.")],
    target: Annotated[
        Path,
        typer.Argument(
            metavar="OUT",
            help="Its new name: .safetensors for infer.py and train.py; .pth for BasicSR, spandrel,"
            " chaiNNer and ncnn's converters; .onnx (opset 20; needs the extra `onnx`).",
        ),
    ],
    half: Annotated[bool, typer.Option("--fp16", help="Write the weights as float16.")] = False,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace OUT if it exists.")] = (
        False
    ),
) -> None:
    """Convert a model file.

    An ONNX file is run in onnxruntime and compared with torch before it appears.

    Exit codes: 0 converted, 2 a file that is no model or cannot be had in that format.
    """
    try:
        if target.exists() and not overwrite:
            raise ModelFileError(f"{target}: exists; --overwrite replaces it")
        if not target.parent.is_dir():
            raise ModelFileError(f"{target.parent}: expected a folder")
        typer.echo(convert(source, target, half=half))
    except ModelFileError as error:
        Console(stderr=True).print(f"error: {error}", markup=False, soft_wrap=True)
        raise typer.Exit(2) from None


def main(arguments: Sequence[str] | None = None) -> None:
    """Entry point of sr-convert."""
    app(args=arguments)
