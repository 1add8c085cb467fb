"""--merge-logs: the logs of several runs, summed up on stdout."""

import inspect
from pathlib import Path
from typing import Annotated

import typer

from sr.cli.terminal import print_line
from sr.inference.flag import MACHINES
from sr.inference.merge_logs import MergedLogs, merge_logs


def _merge_and_exit(logs: list[Path] | None) -> None:
    if logs:
        merged = merge_logs(logs)
        show_merged_logs(merged)
        raise typer.Exit(merged.exit_code)


MERGE_LOGS = inspect.Parameter(
    "merge_logs",
    inspect.Parameter.KEYWORD_ONLY,
    default=None,
    annotation=Annotated[
        list[Path] | None,
        typer.Option(
            "--merge-logs",
            metavar="LOG...",
            callback=_merge_and_exit,
            is_eager=True,
            help="Sum the logs of several runs, such as those of shards: what is done and what"
            " failed, megapixels, time and speed; and exit, with 3 if something is missing.",
            rich_help_panel=MACHINES,
        ),
    ],
)
"""Of a typer command."""


def show_merged_logs(merged: MergedLogs) -> None:
    """Print the sums, then what failed."""
    computed = merged.done - merged.skipped
    for name, videos in (("images", False), ("videos", True)):
        done, skipped = (merged.count(s, videos=videos) for s in (computed, merged.skipped))
        failed = merged.count(set(merged.failures), videos=videos)
        print_line(f"{name}: {done} done, {skipped} skipped, {failed} failed")
    if merged.num_frames:
        print_line(f"frames computed: {merged.num_frames}")
    print_line(
        f"time: {merged.seconds:.1f} s in {merged.num_runs} run(s),"
        f" {merged.elapsed:.1f} s from the first start to the last end"
    )
    speed = merged.megapixels / max(merged.elapsed, 1e-3)
    print_line(f"megapixels: {merged.megapixels:.3f}, {speed:.3f} per second")
    for source, error in sorted(merged.failures.items()):
        print_line(f"failed: {error if error.startswith(source) else f'{source}: {error}'}")
    for line in merged.unfinished:
        print_line(line)
