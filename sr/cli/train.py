"""The command line of training."""

from pathlib import Path
from typing import Annotated

import torch
import typer

from sr.cli.escape import escape_control
from sr.device import keep_freed_memory
from sr.errors import UserError
from sr.options.load import load_options
from sr.training.dry_run import dry_run, write_data_preview
from sr.training.gan_monitor import GANDivergedError
from sr.training.loop import NonFiniteStepError
from sr.training.run import train

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)


@app.command(context_settings={"help_option_names": ["-h", "--help"]})
def command(
    option_file: Annotated[
        Path,
        typer.Option(
            "-opt", "--options", help="YAML option file, e.g. options/train/compact_x4.yml."
        ),
    ],
    overrides: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[KEY.SUB=VALUE]...",
            help="Options that replace those of the file, e.g. train.steps=1000.",
        ),
    ] = None,
    resume: Annotated[
        str,
        typer.Option(
            metavar="auto|never|PATH",
            help="auto: go on from the run's last state file, if any. never: move an existing run "
            "aside and start again. PATH: go on from this .state file.",
        ),
    ] = "auto",
    check_only: Annotated[
        bool,
        typer.Option(
            "--check",
            help="Rehearse: open every image, build everything, make a few steps and one "
            "validation, report parameters, memory and time. Writes nothing but what clips leave in"
            " datasets.cache_folder: decoded videos and measured flow.",
        ),
    ] = False,
    preview_data: Annotated[
        Path | None,
        typer.Option(
            metavar="FOLDER",
            help="Write a sheet of lr/hr pairs as the network will see them, and leave.",
        ),
    ] = None,
) -> None:
    """Train a super-resolution network as an option file says.

    Checkpoints, logs and the resolved options are written to runs/NAME. Ctrl-C saves and leaves;
    the same command goes on.

    Exit codes: 0 done, 1 a fault of the program, losses that are not finite or an alarm that stops
    the run, 2 bad options, data, state file or folder, 130 interrupted.
    """
    try:
        options = load_options(option_file, overrides or [])
        if preview_data is not None:
            typer.echo(f"saved {write_data_preview(options, preview_data)}")
        if check_only:
            dry_run(options, typer.echo)
        if check_only or preview_data is not None:
            return
        finished = train(options, resume)
    except UserError as error:
        typer.echo(escape_control(f"error: {error}"), err=True)
        raise typer.Exit(2) from None
    except (NonFiniteStepError, GANDivergedError) as error:
        typer.echo(f"error: {error}", err=True)
        raise typer.Exit(1) from None
    except torch.OutOfMemoryError as error:
        typer.echo(f"error: {error}; lower batch_size or crop_size", err=True)
        raise typer.Exit(2) from None
    except KeyboardInterrupt:
        raise typer.Exit(130) from None
    if not finished:
        raise typer.Exit(130)


def main() -> None:
    """Entry point of train.py and sr-train."""
    keep_freed_memory()
    app()
