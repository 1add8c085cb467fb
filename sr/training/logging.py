"""What a run reports: a progress line, JSON lines, TensorBoard and other trackers.

Where these cannot be written a UserError names the file: checkpoints would have no room either.
"""

import threading
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import psutil
import torch
from accelerate.tracking import GeneralTracker
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from torch import Tensor
from torch.nn import functional
from torch.utils.tensorboard import SummaryWriter

from sr.errors import UserError
from sr.io.escape_controls import escape_controls
from sr.io.event_log import Event, EventLog
from sr.training.gradient_check import GradientShare, format_gradients
from sr.training.run_folder import name_os_errors
from sr.training.step_metrics import RunningMeans
from sr.training.validate import Scores


class RunLog:
    """Reports one run, on the terminal and in its folder. A context manager."""

    def __init__(
        self,
        folder: Path | None,
        steps: int,
        first_step: int,
        interval: int,
        *,
        tensorboard: bool = True,
        trackers: Sequence[GeneralTracker] = (),
    ) -> None:
        """folder: None for a process that reports nothing (all but the first).

        steps: of the whole run; interval: steps between two entries. trackers: started ones, which
        are finished with the log.
        """
        self._means = RunningMeans()
        self._trackers = trackers
        self._log_file = Path() if folder is None else folder / "log.jsonl"
        self._board_folder = Path() if folder is None else folder / "tensorboard"
        self.events = EventLog(None if folder is None else self._log_file)
        self.board = None
        if folder is not None and tensorboard:
            self.board = SummaryWriter(str(self._board_folder), purge_step=first_step)
        self.console = Console(stderr=True, quiet=folder is None)
        self.steps = steps
        self.interval = interval
        self.progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(bar_width=None),
            MofNCompleteColumn(),
            TimeRemainingColumn(),
            TextColumn("{task.fields[detail]}"),
            console=self.console,
            disable=not self.console.is_terminal,
        )
        self.task = self.progress.add_task(
            "training", total=steps, completed=first_step - 1, detail=""
        )
        self._since = time.perf_counter()
        self._since_step = first_step - 1

    def __enter__(self) -> Self:
        self._excepthook, threading.excepthook = threading.excepthook, self._handle_thread_error
        self.progress.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.progress.stop()
        try:
            if self.board is not None:
                with name_os_errors(self._board_folder):
                    self.board.close()
            for tracker in self._trackers:
                tracker.finish()
        except UserError:
            if value is None:  # else of the same full disk, or less than what ended the run
                raise
        finally:
            threading.excepthook = self._excepthook
            self.events.close()

    def print(self, message: str) -> None:
        """Print a line on the terminal, above the progress line."""
        message = escape_controls(message)
        with suppress(OSError):  # of a terminal that is gone
            self.console.print(message, highlight=False, markup=False, soft_wrap=True)

    def write_start(self, **fields: Any) -> None:
        """Log that the run begins or goes on."""
        self._write_event("start", **fields)
        self.restart_clock(self._since_step)

    def write_step(self, step: int, fields: Mapping[str, float]) -> None:
        """Show that a step is done; every `interval` steps log the numbers since the last entry.

        Losses and norms are means over the steps. With several processes they are those of the
        first one's share of the batch.
        """
        self.progress.update(self.task, completed=step)
        self._means.add(fields)
        if step % self.interval and step != self.steps:
            return
        fields = self._means.take()
        speed = (step - self._since_step) / (time.perf_counter() - self._since)
        memory = _memory_gib()
        detail = f"{_format_terms(fields)}  {speed:.2f} it/s  {memory:.1f} GiB"
        self.progress.update(self.task, detail=detail)
        if self.progress.disable:
            remaining = format_duration((self.steps - step) / speed)
            self.print(f"step {step}/{self.steps}  {detail}  {remaining} left")
        fields = {**fields, "steps_per_second": speed, "memory_gib": memory}
        self._write_event("progress", step=step, steps=self.steps, **fields)
        self._plot("train", step, fields)
        self.restart_clock(step)

    def write_gradients(self, step: int, shares: Sequence[GradientShare]) -> None:
        """Log what each term of the loss does to the generator."""
        for line in format_gradients(shares):
            self.print(line)
        self._write_event(
            "item_done",
            item="liveness",  # the key of all logs so far
            step=step,
            terms=[asdict(share) for share in shares],
        )

    def warn(self, step: int, message: str) -> None:
        """Log that something is wrong, but the run goes on."""
        self.print(f"step {step}  warning: {message}")
        self._write_event("warning", step=step, message=message)

    def write_validation(
        self, step: int, scores: Scores, bicubic: Scores, best: bool, baseline: str = "bicubic"
    ) -> None:
        """Log scores of the averaged weights at a step, next to bicubic's.

        baseline: what bicubic upscaling is called in words; at scale 1 it is the input.
        """
        mark = "  (best)" if best else ""
        for name, values in scores.items():
            described = _describe_scores(values, bicubic[name], baseline)
            self.print(f"step {step}  {name}: {described}{mark}")
            self._plot(f"validation/{name}", step, values)
        self._write_event(
            "item_done", item="validation", step=step, scores=scores, bicubic=bicubic, best=best
        )

    def write_image(self, step: int, tag: str, lr: Tensor, sr: Tensor, hr: Tensor | None) -> None:
        """Show bicubic upscaling, sr and hr side by side in TensorBoard; (1, 3, H, W) each."""
        bicubic = functional.interpolate(lr, size=sr.shape[-2:], mode="bicubic")
        row = torch.cat([bicubic, sr] if hr is None else [bicubic, sr, hr]).clamp(0, 1)
        if self.board is not None:
            from torchvision.utils import make_grid  # seconds; only runs with a board need them

            with name_os_errors(self._board_folder):
                self.board.add_image(tag, make_grid(row, nrow=len(row)), step)

    def restart_clock(self, step: int) -> None:
        """Measure speed from now on: what was done since the last step does not count."""
        self._since, self._since_step = time.perf_counter(), step

    def write_done(self, **fields: Any) -> None:
        """Log that the run has ended."""
        self._write_event("done", **fields)

    def _write_event(self, event: Event, **fields: Any) -> None:
        with name_os_errors(self._log_file):
            self.events.write(event, **fields)

    def _handle_thread_error(self, error: threading.ExceptHookArgs) -> None:
        """Leave out the traceback of what TensorBoard's thread raises again when it is used."""
        if not issubclass(error.exc_type, OSError):
            self._excepthook(error)

    def _plot(self, group: str, step: int, values: Mapping[str, float]) -> None:
        for tracker in self._trackers:
            tracker.log({f"{group}/{name}": value for name, value in values.items()}, step=step)
        if self.board is None:
            return
        with name_os_errors(self._board_folder):
            for name, value in values.items():
                self.board.add_scalar(f"{group}/{name}", value, step)


def _describe_scores(
    values: Mapping[str, float], bicubic: Mapping[str, float], baseline: str
) -> str:
    parts = []
    if "psnr_y" in values:
        gain = values["psnr_y"] - bicubic["psnr_y"]
        parts.append(f"PSNR-Y {values['psnr_y']:.3f} dB, {gain:+.3f} to {baseline}")
        parts.append(f"SSIM-Y {values['ssim_y']:.4f}")
    for key, title, digits in (("lpips", "LPIPS", 4), ("niqe", "NIQE", 3)):
        if key in values:
            theirs = f"{baseline}'s {bicubic[key]:.{digits}f}"
            parts.append(f"{title} {values[key]:.{digits}f}, {theirs}")
    return "; ".join(parts)


def _format_terms(fields: Mapping[str, float]) -> str:
    """Format unweighted terms and, with a discriminator, its mean logits."""
    named = {
        name.removeprefix("loss_"): value
        for name, value in fields.items()
        if name.startswith("loss_")
    }
    for name in ("d_real", "d_sr"):
        if f"health_{name}" in fields:
            named[name] = fields[f"health_{name}"]
    return "  ".join(f"{name} {value:.5f}" for name, value in named.items())


def _memory_gib() -> float:
    """Return memory in use: the GPU's peak where there is one, else this process's."""
    if torch.cuda.is_available() and torch.cuda.max_memory_allocated():
        return torch.cuda.max_memory_allocated() / 2**30
    return int(psutil.Process().memory_info().rss) / 2**30


def format_duration(seconds: float) -> str:
    """Return seconds as h:mm:ss."""
    minutes, seconds = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{seconds:02d}"
