"""Keeps account of the tasks that actors do: what is lost is done again, and each ends once."""

from collections.abc import Callable, Iterable, Sequence
from typing import Any

from sr.cluster.rows import Block, split_tasks
from sr.cluster.task_result import SKIPPED, TaskResult, make_failed
from sr.errors import UserError
from sr.inference.events import Emit
from sr.inference.tasks import Task
from sr.io.video.frame import OutputMismatchError

_NUM_ROUNDS = 2  # the second takes alone what was lost in the first

DoBlocks = Callable[[Sequence[Block]], Iterable[TaskResult]]
"""Returns how each task ended, in any order; nothing of those that were lost with their actors."""


class Driver:
    """Has tasks done by actors, and keeps how each ended."""

    def __init__(self, tasks: Sequence[Task], emit: Emit) -> None:
        self._tasks = tasks
        self._emit = emit
        self._waiting: dict[int, Task] = {}
        self._noted: set[str] = set()

    def run(self, do_blocks: DoBlocks, num_actors: int) -> None:
        """Have all tasks done by so many actors. Raises a fault of the program that one met."""
        for index, task in enumerate(self._tasks):
            if task.skipped:
                self._add(TaskResult(index, is_done=True, skipped=True, events=[SKIPPED]))
            else:
                self._waiting[index] = task
        for number in range(_NUM_ROUNDS):
            if not self._waiting:
                return
            blocks = [*split_tasks(self._waiting, num_actors)]
            if number:
                blocks = [{index: task} for block in blocks for index, task in block.items()]
            for result in do_blocks(blocks):
                if result.fault is not None:
                    raise result.fault from UserError(result.traceback)
                self._add(result)
        for index, task in [*self._waiting.items()]:
            error = UserError(
                "the processes that worked on it were ended by the system, again and again: out of"
                " memory, killed, or on machines that were lost"
            )
            self._add(make_failed(index, task, error))

    def report_progress(self, index: int, fields: dict[str, Any]) -> None:
        """Report progress of a task that is not done."""
        if index in self._waiting:
            self._emit("progress", **self._place(index), **fields)

    def _add(self, result: TaskResult) -> None:
        for event, fields in result.notes:
            if str(fields) not in self._noted:
                self._noted.add(str(fields))
                self._emit(event, **fields)
        task = self._tasks[result.index]
        if not result.is_final:
            return
        # Of two that give the last word on a video, one may have found the joined file at fault.
        is_first = self._waiting.pop(result.index, None) is not None or task.skipped
        if not (is_first or isinstance(result.error, OutputMismatchError)):
            return
        task.is_done, task.skipped, task.error = result.is_done, result.skipped, result.error
        for event, fields in result.events:
            more = {"output": task.output} if event == "item_done" else {}
            self._emit(event, **self._place(result.index), **more, **fields)

    def _place(self, index: int) -> dict[str, Any]:
        return {
            "picture": index + 1,
            "pictures": len(self._tasks),
            "source": self._tasks[index].source,
        }
