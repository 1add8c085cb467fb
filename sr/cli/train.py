"""The command line of training.

What reads options is imported with the first file, and torch when there is something to train, so
that --help and mistakes are quick.
"""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from sr.cli.terminal import print_line
from sr.errors import UserError
from sr.io.stop_signals import exit_at_signals

if TYPE_CHECKING:
    from sr.options.schema import Options

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False, rich_markup_mode="markdown")


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
            metavar="KEY.SUB=VALUE",
            help="Options that override those of the file, e.g. train.steps=1000.",
        ),
    ] = None,
    resume: Annotated[
        str,
        typer.Option(
            metavar="auto|never|PATH",
            help="auto: resume from the run's last state file, if there is one. never: move an "
            "existing run aside and start again. PATH: resume from this .state file.",
        ),
    ] = "auto",
    check_only: Annotated[
        bool,
        typer.Option(
            "--check",
            help="Dry run: open every image, run a few steps and one validation, report"
            " parameters, time, memory and the batch that fits, and exit. Writes nothing except the"
            " cache of clips in datasets.cache_folder: decoded videos and optical flow.",
        ),
    ] = False,
    preview_data: Annotated[
        Path | None,
        typer.Option(
            metavar="FOLDER",
            help="Save an image of LR/HR pairs as the network gets them, and exit.",
        ),
    ] = None,
) -> None:
    """Train a super-resolution network from an option file.

    Checkpoints, logs and all options with their defaults are written to runs/NAME. Ctrl-C,
    SIGTERM and SIGUSR1 save a checkpoint and exit; the same command resumes.

    Exit codes: 0 success, now or before, 1 internal error, too many non-finite steps, or stopped by
    the GAN monitor, 2 invalid options, data, state file or folder, a full disk, or another process
    in the same folder, 130 interrupted by Ctrl-C, SIGTERM, SIGHUP or
    SIGUSR1.
    """
    from sr.options.load import load_options

    try:
        options = load_options(option_file, overrides or [])
        finished = _run(options, resume, check_only=check_only, preview_data=preview_data)
    except UserError as error:
        print_line(f"error: {error}", err=True)
        raise typer.Exit(2) from None
    except KeyboardInterrupt:
        raise typer.Exit(130) from None
    if not finished:
        raise typer.Exit(130)


def _run(options: "Options", resume: str, *, check_only: bool, preview_data: Path | None) -> bool:
    """Do what is asked for. Returns False where it was stopped before its end."""
    with exit_at_signals():
        import torch

        from sr.memory import keep_freed_memory
        from sr.training.dry_run import dry_run, write_data_preview
        from sr.training.gan_monitor import GANDivergedError
        from sr.training.loop import NonFiniteStepError
        from sr.training.run import train

    keep_freed_memory()
    try:
        if preview_data is not None:
            print_line(f"saved {write_data_preview(options, preview_data)}")
        if check_only:
            dry_run(options, print_line)
        return check_only or preview_data is not None or train(options, resume)
    except (NonFiniteStepError, GANDivergedError) as error:
        print_line(f"error: {error}", err=True)
        raise typer.Exit(1) from None
    except torch.OutOfMemoryError as error:
        print_line(
            f"error: {error}; lower batch_size or crop_size: --check says what fits", err=True
        )
        raise typer.Exit(2) from None


def main() -> None:
    """Entry point of train.py and sr-train."""
    app()
