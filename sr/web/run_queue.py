"""Runs that wait for the device, one at a time: of the page and of the HTTP API alike.

A run is an `InferOptions` and what its events have said so far. Stopping one is Ctrl-C of the
command line: whole files stay, and an unfinished video continues with --resume.
"""

import threading
import time
import traceback
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from secrets import token_urlsafe
from typing import TYPE_CHECKING, Any, Literal

from sr.errors import UserError
from sr.inference.options import InferOptions
from sr.io.event_log import Event

if TYPE_CHECKING:
    from sr.inference.run_summary import RunSummary

State = Literal["waiting", "running", "done", "stopped", "failed", "interrupted"]
ENDED: frozenset[State] = frozenset({"done", "stopped", "failed", "interrupted"})
_NUM_REMEMBERED = 200  # ended runs


class QueueFullError(UserError):
    """More runs wait than are taken."""


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
    model_name: str = ""
    megapixels: float = 0.0
    created: float = field(default_factory=time.time)
    started: float | None = None
    seconds: float | None = None
    on_change: Callable[["QueuedRun"], None] | None = None
    """Called in the queue's thread as the state changes or a task ends."""
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

    def list_errors(self) -> list[str]:
        """Return what went wrong, in the words of the command line."""
        errors = [] if self.error is None else [self.error]
        return errors + [task.error for task in list(self.tasks.values()) if task.error is not None]


RunEngine = Callable[[InferOptions, Callable[..., None]], "RunSummary"]


class RunQueue:
    """Does runs one after the other in a thread of its own; bounded."""

    def __init__(self, make_engine: Callable[[], RunEngine], max_waiting: int = 16) -> None:
        """make_engine: called once, in the thread that `start` starts."""
        self._make_engine = make_engine
        self._max_waiting = max_waiting
        self._waiting: deque[QueuedRun] = deque()
        self._changed = threading.Condition()
        self._current: QueuedRun | None = None
        self._runs: dict[str, QueuedRun] = {}
        self._is_closed = False
        self.num_by_state: dict[str, int] = {"done": 0, "stopped": 0, "failed": 0}
        self.seconds_busy = 0.0
        self._thread = threading.Thread(target=self._work, name="sr-web-runs", daemon=True)

    def start(self) -> None:
        """Begin to do runs; those submitted before wait."""
        self._thread.start()

    @property
    def is_alive(self) -> bool:
        """Whether runs are being done."""
        return self._thread.is_alive()

    @property
    def num_waiting(self) -> int:
        """Runs that have not begun."""
        return len(self._waiting)

    @property
    def num_running(self) -> int:
        """Runs that are being done: 0 or 1."""
        return int(self._current is not None)

    @property
    def runs(self) -> list[QueuedRun]:
        """Those that are remembered, the latest first."""
        with self._changed:
            return list(self._runs.values())[::-1]

    def submit(self, run: QueuedRun) -> QueuedRun:
        """Put a run at the end, or, if it is urgent, before those that are not.

        Raises QueueFullError.
        """
        with self._changed:
            if len(self._waiting) >= self._max_waiting or self._is_closed:
                raise QueueFullError(
                    f"expected at most {self._max_waiting} waiting runs; try again later"
                )
            place = len(self._waiting)
            if run.is_urgent:
                place = sum(each.is_urgent for each in self._waiting)
            self._waiting.insert(place, run)
            self._runs[run.id] = run
            self._forget_oldest()
            self._changed.notify_all()
        self._report(run)
        return run

    def find(self, run_id: str) -> QueuedRun | None:
        """Return the run of an id, if it is remembered."""
        return self._runs.get(run_id)

    def get_place(self, run: QueuedRun) -> int:
        """Return how many runs are before a waiting one."""
        with self._changed:
            if run not in self._waiting:
                return 0
            return self._waiting.index(run) + self.num_running

    def stop(self, run: QueuedRun) -> None:
        """End a run: at once where it waits, else at its next tile or frame."""
        run.stop_asked.set()
        with self._changed:
            if run not in self._waiting:
                return
            self._waiting.remove(run)
        self._end(run, "stopped")

    def stop_all(self, owner: str) -> None:
        """End the runs of one owner."""
        for run in self.runs:
            if run.owner == owner and run.state not in ENDED:
                self.stop(run)

    def close(self, timeout: float = 30.0) -> None:
        """Stop what runs, as Ctrl-C does, and take no more."""
        with self._changed:
            self._is_closed = True
            current = self._current
            self._changed.notify_all()
        if current is not None:
            current.stop_asked.set()
        if self._thread.is_alive():
            self._thread.join(timeout)

    def _forget_oldest(self) -> None:
        ended = [run.id for run in self._runs.values() if run.state in ENDED]
        for run_id in ended[: max(len(self._runs) - _NUM_REMEMBERED, 0)]:
            del self._runs[run_id]

    def _work(self) -> None:
        engine = self._make_engine()
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._waiting or self._is_closed)
                if self._is_closed:
                    return
                run = self._current = self._waiting.popleft()
            try:
                self._do_run(run, engine)
            finally:
                self._current = None

    def _do_run(self, run: QueuedRun, engine: RunEngine) -> None:
        run.started, run.state = time.time(), "running"
        self._report(run)
        try:
            summary = engine(run.options, _Listener(run, self._report))
        except KeyboardInterrupt:
            for task in run.tasks.values():
                task.state = "stopped" if task.state == "running" else task.state
            self._end(run, "stopped")
        except UserError as error:
            run.error = str(error)
            self._end(run, "failed")
        except BaseException as error:  # noqa: BLE001, a fault of the program: the page goes on
            traceback.print_exception(error)
            run.error = f"internal error, {type(error).__name__}: {error}"
            self._end(run, "failed")
        else:
            self._end(run, "done" if summary.exit_code == 0 else "failed")

    def _end(self, run: QueuedRun, state: State) -> None:
        if run.started is not None:
            run.seconds = time.time() - run.started
            self.seconds_busy += run.seconds
        run.state = state
        self.num_by_state[state] = self.num_by_state.get(state, 0) + 1
        self._report(run)
        run.ended.set()

    def _report(self, run: QueuedRun) -> None:
        if run.on_change is None:
            return
        try:
            run.on_change(run)
        except OSError as error:  # of a full disk: the run itself matters more
            run.notes.append(f"the list of runs cannot be saved: {error}")


class _Listener:
    """Takes the events of a run, and ends it where that is asked for."""

    def __init__(self, run: QueuedRun, report: Callable[[QueuedRun], None]) -> None:
        self._run = run
        self._report = report

    def __call__(self, event: Event, **fields: Any) -> None:
        run = self._run
        match event:
            case "start":
                run.num_tasks, run.megapixels = fields["pictures"], fields["megapixels"]
                run.model_name = fields["model"]
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
