"""The command line of upscaling images and videos.

Torch and codecs are imported when there is work to do, so that --help is quick.
"""

import os
import sys
from collections.abc import Sequence
from contextlib import AbstractContextManager, closing, nullcontext, suppress
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from sr.cli.flags import make_command
from sr.cli.list_models import LIST_FLAGS
from sr.cli.merge_logs import MERGE_LOGS
from sr.cli.terminal import print_line
from sr.errors import NoInputError, UsageError, UserError
from sr.inference.named_files import find_models, refuse_missing
from sr.inference.options import InferOptions
from sr.io.stop_signals import exit_at_signals, get_exit_code, raise_stop_signals

if TYPE_CHECKING:
    from sr.io.event_log import EventLog
    from sr.tiling.upscaler import Upscaler

HELP = """Upscale images and videos.

Results are named NAME_x4.png and are written completely or not at all; existing files are kept
unless --overwrite is given. Images keep bit depth (8 or 16), gray, alpha, ICC profile, EXIF, XMP,
IPTC and resolution; what the format cannot store is reported.

Videos keep timestamps, audio, subtitles, chapters, fonts, metadata, rotation, colors and bit depth;
what the container cannot store is converted or dropped, and reported. --resume continues an
interrupted run. A folder or a pattern (frames/%05d.png) is read as a video if -o is a video, and -o
out/%05d.png writes a video as numbered images.

--shard I/N takes one of N equal shares of the inputs, on as many machines with a shared folder.
--cluster ray spreads them over the machines of a Ray cluster, from folders, s3:// or gs://.

Exit codes: 0 success, 1 internal error, or a video failed verification, 2 invalid option, model or
usage, or another process writes the same results, 3 some inputs failed, the others are done, or the
scores could not be saved, 4 no usable input, 130, 143 or 129 interrupted by Ctrl-C, SIGTERM or
SIGHUP; the same command with --resume, and without --overwrite, continues.
"""


def main(
    arguments: Sequence[str] | None = None, upscalers: "Sequence[Upscaler] | None" = None
) -> None:
    """Run infer.py and sr-infer. upscalers: as of `sr.inference.run.run`."""
    try:
        with exit_at_signals():
            app = make_app(upscalers)
        app(args=repeat_inputs(sys.argv[1:] if arguments is None else arguments))
    except UserError as error:
        print_line(f"error: {error}", err=True)
        raise SystemExit(4 if isinstance(error, NoInputError) else 2) from None


def make_app(upscalers: "Sequence[Upscaler] | None" = None) -> typer.Typer:
    """Make the command line of `InferOptions`."""
    app = typer.Typer(
        add_completion=False, pretty_exceptions_enable=False, rich_markup_mode="markdown"
    )
    command = make_command(
        InferOptions,
        lambda options: upscale(options, upscalers),
        text=HELP,
        more=[*LIST_FLAGS, MERGE_LOGS],
    )
    app.command(context_settings={"help_option_names": ["-h", "--help"]})(command)
    return app


def upscale(options: InferOptions, upscalers: "Sequence[Upscaler] | None" = None) -> None:
    """Do what is asked for, report it, and raise `typer.Exit` with the exit code.

    Raises UserError where nothing could be done.
    """
    try:
        with raise_stop_signals():
            raise typer.Exit(_upscale(options, upscalers))
    except KeyboardInterrupt as stop:
        raise typer.Exit(get_exit_code(stop)) from None


def _upscale(options: InferOptions, upscalers: "Sequence[Upscaler] | None") -> int:
    """Return the exit code."""
    refuse_missing(options.inputs)  # at once: imports take seconds
    if upscalers is None:
        find_models(options)
    with exit_at_signals():
        from sr.cli.display import Display
        from sr.inference.events import ignore_errors, limit_progress, send_to_all
        from sr.memory import keep_freed_memory

        if options.cluster.engine is None:
            from sr.inference.run import run
        else:
            from sr.cluster.run import run_on_cluster

    keep_freed_memory()
    with Display() as display, _lock_log(options.log), closing(_open_log(options.log)) as log:
        write = limit_progress(ignore_errors(log, display.print_line), interval=1.0)
        emit = send_to_all([write, display])
        if options.cluster.engine is None:
            summary = run(options, emit, upscalers)
        else:
            summary = run_on_cluster(options, emit)
    display.show_summary(summary)
    return summary.exit_code


def repeat_inputs(arguments: Sequence[str]) -> list[str]:
    """Turn `-i a b` into `-i a -i b`, because options take one value each."""
    repeated: list[str] = []
    option, num_values = "", 0
    for argument in arguments:
        if argument.startswith("-"):
            option, num_values = argument, 0
        elif option in ("-i", "--input", "--merge-logs"):
            if num_values:
                repeated.append(option)
            num_values += 1
        repeated.append(argument)
    return repeated


def _open_log(path: Path | None) -> "EventLog":
    from sr.io.event_log import EventLog

    try:
        return EventLog(path)
    except OSError as error:
        raise UsageError(f"--log {path}: cannot be written: {error.strerror}") from error


def _lock_log(path: Path | None) -> AbstractContextManager[None]:
    """Keep the log to one run: lines of two would be mixed. Pipes and devices are not locked."""
    from sr.io.process_lock import hold_lock

    if path is None or (path.exists() and not path.is_file()):
        return nullcontext()
    with suppress(OSError):  # which opening it reports
        path.parent.mkdir(parents=True, exist_ok=True)
    return hold_lock(path) if os.access(path.parent, os.W_OK) else nullcontext()
