"""A run of the queue: what is asked for, and what its events have said so far."""

import shutil
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from secrets import token_urlsafe
from typing import Any, Literal

from sr.inference.options import InferOptions
from sr.io.event_log import Event

State = Literal["waiting", "running", "done", "stopped", "failed", "interrupted"]
ENDED: frozenset[State] = frozenset({"done", "stopped", "failed", "interrupted"})


class StopRun(KeyboardInterrupt):
    """What a listener raises within a run to end it, as Ctrl-C does."""


@dataclass
class TaskView:
    """What is known of one image or video of a run."""

    source: Path
    state: Literal["running", "done", "skipped", "failed", "stopped"] = "running"
    fraction: float = 0.0
    """Of its tiles or frames that are done."""
    fps: float | None = None
    seconds_left: float | None = None
    seconds: float | None = None
    output: Path | None = None
    size: tuple[int, int] | None = None
    """(width, height) of the result."""
    preview: Path | None = None
    """An image of a frame before and after, of `--preview`."""
    error: str | None = None


@dataclass
class QueuedRun:
    """One run: what is asked for, and how far it is. Written to by the queue's thread only."""

    options: InferOptions
    owner: str
    """Who may stop it: a session of the page, or the API."""
    is_urgent: bool = False
    id: str = field(default_factory=lambda: token_urlsafe(18))
    state: State = "waiting"
    num_tasks: int = 0
    tasks: dict[int, TaskView] = field(default_factory=dict)
    """By their number from 1; those that have begun."""
    notes: list[str] = field(default_factory=list)
    """Warnings, such as of metadata that a format cannot hold."""
    error: str | None = None
    """Why nothing could be done; of one task see there."""
    created: float = field(default_factory=time.time)
    started: float | None = None
    seconds: float | None = None
    on_change: Callable[["QueuedRun"], None] | None = None
    """Called in the queue's thread as the state changes or a task ends."""
    work: Path | None = None
    """Its folder of uploads and results; goes with the run, and at an end without a result."""
    ended: threading.Event = field(default_factory=threading.Event)
    stop_asked: threading.Event = field(default_factory=threading.Event)

    @property
    def num_ended(self) -> int:
        """Tasks that are done, skipped or failed."""
        return sum(task.state not in ("running", "stopped") for task in list(self.tasks.values()))

    @property
    def fraction(self) -> float:
        """How much is done, 0 to 1; each task counts alike."""
        if not self.num_tasks:
            return 0.0
        done = (
            t.fraction if t.state in ("running", "stopped") else 1.0
            for t in list(self.tasks.values())
        )
        return min(sum(done) / self.num_tasks, 1.0)

    def estimate_seconds_left(self) -> float | None:
        """Return the time until the end, if what is left goes as fast; None where unknown.

        Never less than the video being done says of itself.
        """
        if self.state != "running" or self.started is None or self.fraction < 0.01:
            return None
        elapsed = time.time() - self.started
        running = [t for t in list(self.tasks.values()) if t.state == "running"]
        return max(elapsed / self.fraction - elapsed, *(t.seconds_left or 0.0 for t in running), 0)

    def remove_files(self) -> None:
        """Remove the folder of uploads and results if there is one."""
        if self.work is not None:
            shutil.rmtree(self.work, ignore_errors=True)

    def list_errors(self) -> list[str]:
        """Return what went wrong, in the words of the command line."""
        errors = [] if self.error is None else [self.error]
        return errors + [task.error for task in list(self.tasks.values()) if task.error is not None]


class Listener:
    """Takes the events of a run, and ends it where that is asked for."""

    def __init__(self, run: QueuedRun, report: Callable[[QueuedRun], None]) -> None:
        self._run = run
        self._report = report

    def __call__(self, event: Event, **fields: Any) -> None:
        run = self._run
        match event:
            case "start":
                run.num_tasks = fields["pictures"]
            case "warning":
                run.notes.append(fields["message"])
            case "progress":
                _show_progress(self._find_task(fields), fields)
            case "item_done" | "item_failed":
                _show_end(self._find_task(fields), event, fields)
                self._report(run)
        if event in ("start", "progress") and run.stop_asked.is_set():
            raise StopRun

    def _find_task(self, fields: dict[str, Any]) -> TaskView:
        return self._run.tasks.setdefault(fields["picture"], TaskView(fields["source"]))


def _show_progress(task: TaskView, fields: dict[str, Any]) -> None:
    if "preview" in fields:
        task.preview = Path(fields["preview"])
    elif "frame" in fields:
        task.fps, task.seconds_left = fields["fps"], fields.get("seconds_left")
        if fields["frames"]:
            task.fraction = fields["frame"] / fields["frames"]
    else:
        task.fraction = fields["tile"] / fields["tiles"]


def _show_end(task: TaskView, event: Event, fields: dict[str, Any]) -> None:
    if event == "item_failed":
        task.state, task.error = "failed", fields["error"]
        return
    task.state = "skipped" if fields["skipped"] else "done"
    task.fraction, task.seconds_left = 1.0, None
    task.output, task.seconds = fields["output"], fields["seconds"]
    task.size = fields.get("sr_size")
