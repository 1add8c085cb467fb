"""How a task ended in an actor, as it travels to the driver."""

import pickle
from dataclasses import dataclass, field, replace
from typing import Any

from sr.inference.tasks import Task
from sr.io.event_log import Event
from sr.io.video.frame import OutputMismatchError

SKIPPED: tuple[Event, dict[str, Any]] = (
    "item_done",
    {"skipped": True, "seconds": 0.0, "megapixels": 0.0},
)
"""Event of a task whose result was there."""


class RemoteError(RuntimeError):
    """An error of an actor that cannot travel itself: its type and text."""


@dataclass
class TaskResult:
    """How one task ended."""

    index: int
    """Of the task, in the driver's list."""
    is_own: bool = True
    """False of an actor that helped with a video of another's."""
    is_done: bool = False
    skipped: bool = False
    error: BaseException | None = None
    """Why there is no result."""
    fault: BaseException | None = None
    """A fault of the program, which ends the run."""
    traceback: str = ""
    """Of the fault."""
    events: list[tuple[Event, dict[str, Any]]] = field(default_factory=list)
    """Of this task, without progress."""
    notes: list[tuple[Event, dict[str, Any]]] = field(default_factory=list)
    """Of the actor, not of this task."""

    @property
    def is_final(self) -> bool:
        """Whether nothing else can come of the task; of helpers: that they joined the segments."""
        if self.is_own:
            return True
        return (self.is_done and not self.skipped) or isinstance(self.error, OutputMismatchError)

    def dump(self) -> bytes:
        """Return bytes that `load` takes."""
        self.error = self.error and _make_portable(self.error)
        self.fault = self.fault and _make_portable(self.fault)
        return pickle.dumps(self)

    @staticmethod
    def load(data: bytes) -> "TaskResult":
        """Return what `dump` was called of."""
        result = pickle.loads(data)  # noqa: S301, of our own actors
        assert isinstance(result, TaskResult)
        return result


def make_failed(index: int, task: Task, error: BaseException) -> TaskResult:
    """Return how a task ended that could not even be tried."""
    fields = {"error": replace(task, error=error).describe_error(), "megapixels": 0.0}
    return TaskResult(index, task.is_own, error=error, events=[("item_failed", fields)])


def _make_portable(error: BaseException) -> BaseException:
    """Return the error if it can be pickled, else its text."""
    try:
        copy = pickle.loads(pickle.dumps(error))  # noqa: S301, pickled here
    except Exception:  # noqa: BLE001, whatever its constructor raises
        copy = None
    if type(copy) is type(error) and str(copy) == str(error):
        error.__traceback__ = error.__cause__ = None
        return error
    return RemoteError(f"{type(error).__name__}: {error}")
