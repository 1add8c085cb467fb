"""How a run over images and videos looks on the terminal."""

import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table
from rich.text import Text

from sr.evaluation.scores import Score, VideoScore, average_scores, average_video_scores
from sr.inference.run_summary import RunSummary
from sr.inference.tasks import is_foreseen
from sr.io.escape_controls import escape_controls
from sr.io.event_log import Event
from sr.io.video.formats import is_pattern

TINY = 1e-6  # megapixels; a bar needs a total above 0
LINE_INTERVAL = 30.0  # seconds between lines on a video's progress where there are no bars


class _Console(Console):
    """Goes quiet when nobody reads any more; the work goes on."""

    def on_broken_pipe(self) -> None:
        self.quiet = True


class Display:
    """Shows a run's events on stderr: bars over images and tiles, or plain lines.

    The bars show where stderr is a terminal; elsewhere each image gives one line, and a long
    video some on its way. The bar over all goes by megapixels, so that its remaining time holds for
    inputs of all sizes; the one below it is over the tiles of an image or the frames of a video.
    """

    def __init__(self) -> None:
        self._console = _Console(stderr=True)
        self._progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(bar_width=20),
            TextColumn("{task.fields[count]}"),
            TimeRemainingColumn(),
            TextColumn("{task.fields[name]}", markup=False),
            console=self._console,
            disable=not self._console.is_terminal,
            transient=True,
        )
        self._images = self._progress.add_task("inputs", visible=False, name="", count="")
        self._tiles = self._progress.add_task("tiles", visible=False, name="", count="")
        self._num_ended = 0
        self._counts_inputs = False
        self._shown = (0, "")  # input and what its bar counts
        self._printed_at = time.monotonic()
        self._disk_space_printed: Path | None = None

    def __enter__(self) -> Self:
        self._progress.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._progress.stop()

    def print_line(self, message: str) -> None:
        """Print a line of its own, not wrapped, brackets taken literally, controls escaped."""
        message = escape_controls(message)
        with suppress(OSError):  # of a full disk that stderr goes to, or a terminal that is gone
            self._console.print(message, markup=False, highlight=False, soft_wrap=True)

    def __call__(self, event: Event, **fields: Any) -> None:
        match event:
            case "start":
                # On a cluster nobody has read all headers.
                megapixels = fields["megapixels"]
                self._counts_inputs = megapixels is None
                total = fields["pictures"] if self._counts_inputs else max(megapixels, TINY)
                self._progress.update(self._images, total=total, visible=True)
                self._show_count(fields["pictures"])
                self.print_line(_format_start(fields))
            case "progress":
                self._show_progress(fields)
            case "item_done" | "item_failed":
                self._num_ended += 1
                amount = 1 if self._counts_inputs else fields.get("megapixels", 0.0)
                self._progress.advance(self._images, amount)
                self._show_count(fields["pictures"])
                if self._progress.disable:
                    self.print_line(_format_task(event, fields))
                if "tile_difference" in fields:
                    self.print_line(_format_difference(fields))
            case "note":
                self.print_line(fields["message"])
            case "warning":
                self.print_line(f"warning: {fields['message']}")
            case "done":
                ended = "" if fields["ended"] == "done" else f"{fields['ended']}: "
                counts = ", ".join(f"{fields[name]} {name}" for name in _select_counts(fields))
                self.print_line(
                    f"{ended}{counts} in {fields['seconds']:.1f} s{_format_end(fields)}"
                )

    def show_summary(self, summary: RunSummary) -> None:
        """Print scores on stdout, and what failed."""
        if summary.scores:
            show_scores(summary.scores)
        if summary.video_scores:
            show_video_scores(summary.video_scores)
        if summary.failures:
            self.print_line(f"{len(summary.failures)} input(s) failed:")
        for message in summary.failures.values():
            self.print_line(f"  {message}")
        if any(task.error and not is_foreseen(task.error) for task in summary.tasks):
            self.print_line("--log FILE keeps the tracebacks of unforeseen errors")

    def _show_count(self, num_images: int) -> None:
        self._progress.update(self._images, count=f"{self._num_ended}/{num_images}")

    def _show_progress(self, fields: Mapping[str, Any]) -> None:
        if "preview" in fields:
            self.print_line(f"preview: {fields['preview']}")
        elif "page" in fields:
            self._show_bar(fields, "page")
        elif "frame" in fields:
            self._show_bar(fields, "frame")
            self._print_disk_space(fields)
            now = time.monotonic()
            if self._progress.disable and now - self._printed_at > LINE_INTERVAL:
                self._printed_at = now
                self.print_line(
                    f"[{fields['picture']}/{fields['pictures']}] {_format_frame(fields)}"
                )
        else:
            self._show_bar(fields, "tile")

    def _print_disk_space(self, fields: Mapping[str, Any]) -> None:
        """Print how much disk a video will take, once that is estimated."""
        gib, source = fields.get("disk_gib"), fields["source"]
        if gib is not None and source != self._disk_space_printed:
            self._disk_space_printed = source
            size = f"{gib:.1f} GiB" if gib >= 1 else f"{max(1024 * gib, 1):.0f} MiB"
            self.print_line(
                f"{source}: segments and result will take about {size} of disk together"
            )

    def _show_bar(self, fields: Mapping[str, Any], unit: str) -> None:
        done, total, name = fields[unit], fields[f"{unit}s"], escape_controls(fields["source"].name)
        shown = (fields["picture"], unit)
        if self._shown != shown:  # a new one: the old one's speed says nothing of it
            self._shown = shown
            self._progress.reset(
                self._tiles, description=f"{unit}s", completed=done - 1, visible=True
            )
        if unit == "frame":
            name = f"{fields['fps']:.1f} fps, {fields['bottleneck']} is slowest"
        count = f"{done}/{'?' if total is None else total}"
        self._progress.update(self._tiles, completed=done, total=total, name=name, count=count)


def show_scores(scores: Mapping[Path, Score]) -> None:
    """Print a table on stdout: a row per image, then the mean."""
    mean = average_scores(list(scores.values()))
    table = Table()
    table.add_column("image", overflow="fold")
    for title in _list_titles(mean):
        table.add_column(title, justify="right")
    for source, score in scores.items():
        table.add_row(_format_name(source), *_format_score(score))
    table.add_section()
    table.add_row("mean", *_format_score(mean))
    Console().print(table)


def show_video_scores(scores: Mapping[Path, VideoScore]) -> None:
    """Print a table on stdout: a row per clip, then the mean."""
    mean = average_video_scores(list(scores.values()))
    table = Table(
        padding=0,  # so that 80 columns hold it
        caption="means over the frames in 8 bits, before encoding; flicker in 8-bit levels, in"
        f" brackets the original's; tOF in pixels; both over {mean.pairs} pairs of frames",
    )
    table.add_column("clip", overflow="fold")
    for title in ("frames", *_list_titles(mean.mean), "flicker", "tOF"):
        table.add_column(title, justify="right", overflow="fold")
    for source, score in scores.items():
        table.add_row(_format_name(source), *_format_video_score(score))
    table.add_section()
    table.add_row("mean", *_format_video_score(mean))
    Console().print(table)


def _format_name(source: Path) -> Text:
    """Return the file name; of an image sequence that of its folder."""
    name = source.parent.name if is_pattern(source) and source.parent.name else source.name
    return Text(escape_controls(name))


def _list_titles(score: Score) -> list[str]:
    titles = ["PSNR Y (dB)", "SSIM Y", "PSNR RGB (dB)", "SSIM RGB"]
    return titles if score.lpips is None else [*titles, "LPIPS"]


def _format_score(score: Score) -> list[str]:
    cells = [
        f"{score.psnr_y:.2f}",
        f"{score.ssim_y:.4f}",
        f"{score.psnr_rgb:.2f}",
        f"{score.ssim_rgb:.4f}",
    ]
    return cells if score.lpips is None else [*cells, f"{score.lpips:.4f}"]


def _format_video_score(score: VideoScore) -> list[str]:
    temporal = ["", ""]
    if score.flicker is not None and score.original_flicker is not None and score.tof is not None:
        temporal = [f"{score.flicker:.2f} ({score.original_flicker:.2f})", f"{score.tof:.3f}"]
    return [str(score.frames), *_format_score(score.mean), *temporal]


def _format_start(fields: Mapping[str, Any]) -> str:
    ignored = f" ({fields['ignored']} other files ignored)" if fields["ignored"] else ""
    if "cluster" in fields:
        fewest, most = fields["actors"]
        return (
            f"{fields['model']}: {fields['size']}, {fields['pictures']} input(s){ignored}, on"
            f" {fields['cluster']}: {fewest} to {most} actors of {fields['cpus_per_actor']:g}"
            f" core(s) and {fields['gpus_per_actor']:g} GPU(s)"
        )
    tiles = f"tiles of {fields['tile_size']} px" if fields["tile_size"] else "no tiles"
    backend = "" if fields["backend"] == "auto" else f" by {fields['backend']}"
    shard = f"shard {fields['shard']}, " if "shard" in fields else ""
    return (
        f"{fields['model']}: {fields['size']}, {shard}{fields['pictures']} input(s){ignored},"
        f" {fields['device']}{backend}, {fields['precision']}, {tiles}, halo {fields['halo']} px"
    )


def _format_end(fields: Mapping[str, Any]) -> str:
    """Return what was cleared up, and how an interrupted run is continued."""
    words = ""
    if fields.get("removed"):
        words = f"; {fields['removed']} unfinished file(s) of runs that were killed removed"
    if fields["ended"] == "interrupted":
        words += "; the same command with --resume, and without --overwrite, goes on"
    return words


def _format_difference(fields: Mapping[str, Any]) -> str:
    difference = fields["tile_difference"]
    return (
        f"{fields['source']}: with a wider halo, tiles differ by at most {difference:.2g}"
        f" ({difference * 255:.2g} of 255)"
    )


def _format_task(event: Event, fields: Mapping[str, Any]) -> str:
    place = f"[{fields['picture']}/{fields['pictures']}]"
    if event == "item_failed":
        return f"{place} failed: {fields['source']}"
    if fields["skipped"]:
        return f"{place} skipped: {fields['output']} exists"
    width, height = fields["sr_size"]
    size = f"{width}x{height}"
    if "frames" in fields:
        computed = f" ({fields['computed']} by this run)" if "computed" in fields else ""
        size += f", {fields['frames']} frames{computed}, {fields['repeated']} of them repeated"
    if "pages" in fields:
        size = f"{fields['pages']} pages of up to {size}"
    return f"{place} {fields['source']} -> {fields['output']} ({size}, {fields['seconds']:.2f} s)"


def _format_frame(fields: Mapping[str, Any]) -> str:
    total = "" if fields["frames"] is None else f"/{fields['frames']}"
    words = [f"frame {fields['frame']}{total}", f"{fields['fps']:.2f} fps"]
    if "seconds_left" in fields:
        words.append(f"{fields['seconds_left'] / 60:.0f} min left")
    return ", ".join([*words, f"{fields['bottleneck']} is slowest"])


def _select_counts(fields: Mapping[str, Any]) -> list[str]:
    return [name for name in ("done", "skipped", "failed") if fields[name] or name == "done"]
