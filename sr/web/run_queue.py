"""Runs that wait for the device, one at a time: of the page and of the HTTP API alike.

A run is an `InferOptions` and what its events have said so far. Stopping one is Ctrl-C of the
command line: whole files stay, and an unfinished video continues with --resume.
"""

import threading
import time
import traceback
from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING

from sr.errors import UserError
from sr.inference.options import InferOptions
from sr.web.queued_run import ENDED, Listener, QueuedRun, State

if TYPE_CHECKING:
    from sr.inference.run_summary import RunSummary

_NUM_REMEMBERED = 200  # ended runs


class QueueFullError(UserError):
    """More runs wait than are taken."""


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
            self.refuse_if_full()
            place = len(self._waiting)
            if run.is_urgent:
                place = sum(each.is_urgent for each in self._waiting)
            self._waiting.insert(place, run)
            self._runs[run.id] = run
            self._forget_oldest()
            self._report(run)  # before the queue's thread does
            self._changed.notify_all()
        return run

    def refuse_if_full(self) -> None:
        """Raise QueueFullError where no run is taken."""
        if len(self._waiting) >= self._max_waiting or self._is_closed:
            raise QueueFullError(
                f"expected at most {self._max_waiting} waiting runs; try again later"
            )

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
            self._runs.pop(run_id).remove_files()

    def _work(self) -> None:
        engine: RunEngine
        try:
            engine = self._make_engine()
        except Exception as error:  # noqa: BLE001, each run says it
            traceback.print_exception(error)
            engine = _make_refusing_engine(str(error) or type(error).__name__)
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
            summary = engine(run.options, Listener(run, self._report))
        except KeyboardInterrupt:
            for task in run.tasks.values():
                if task.state == "running":
                    task.state, task.seconds_left = "stopped", None
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
        if not any(task.output is not None for task in run.tasks.values()):
            run.remove_files()
        self._report(run)
        run.ended.set()

    def _report(self, run: QueuedRun) -> None:
        if run.on_change is None:
            return
        try:
            run.on_change(run)
        except OSError as error:  # of a full disk: the run itself matters more
            run.notes.append(f"the list of runs cannot be saved: {error}")


def _make_refusing_engine(reason: str) -> RunEngine:
    """Return what fails each run with the reason why there is no engine."""

    def refuse(_options: InferOptions, _emit: Callable[..., None]) -> "RunSummary":
        raise UserError(f"nothing can be computed: {reason}")

    return refuse
