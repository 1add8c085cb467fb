"""What an actor does: it holds upscalers, and gets rows of paths, one block after the other."""

import time
import traceback
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from sr.cluster.model_copies import ModelCopy, take_models
from sr.cluster.rows import read_rows
from sr.cluster.staging import do_staged, remove_abandoned_folders
from sr.cluster.task_result import TaskResult
from sr.device import resolve_device
from sr.errors import UserError
from sr.inference.events import Emit, limit_progress
from sr.inference.load_upscaler import load_upscalers
from sr.inference.mask import read_mask
from sr.inference.named_files import find_models
from sr.inference.options import InferOptions
from sr.inference.scheduler import Scheduler
from sr.inference.tasks import Task
from sr.io.event_log import Event
from sr.io.hash_code import hash_code
from sr.io.process_lock import LockedError
from sr.memory import keep_freed_memory

_LOCK_PATIENCE = 60.0  # seconds for a process that was given up as lost, and still writes
_POLL = 1.0
_DRIVERS_OWN = ("picture", "pictures", "source", "output")  # fields that the driver adds


@dataclass(frozen=True)
class WorkerSetup:
    """What all actors of a run are made of."""

    options: InferOptions
    models: list[ModelCopy]
    code: str
    """Hash of the driver's."""
    num_threads: int
    progress: Any
    """The actor that takes progress."""


class UpscaleWorker:
    """An actor of Ray Data: called with a block of rows, it returns how each task ended."""

    def __init__(self, setup: WorkerSetup) -> None:
        self._setup = setup
        self._fault: BaseException | None = None
        try:
            self._load(setup)
        except UserError as error:  # the same on all machines; Ray would try again and again
            self._fault = error

    def _load(self, setup: WorkerSetup) -> None:
        import socket

        import torch

        if hash_code() != setup.code:
            raise UserError(
                f"--cluster ray: expected the same version of sr on all machines, got another on"
                f" {socket.gethostname()} in {Path(__file__).parents[1]}"
            )
        keep_freed_memory()
        remove_abandoned_folders()
        torch.set_num_threads(setup.num_threads)
        self._options = options = take_models(setup.options, setup.models)
        for name in options.runtime.devices:
            resolve_device(name)
        self._warnings: list[tuple[Event, dict[str, Any]]] = []
        self._upscalers = load_upscalers(
            find_models(options), self._note_warning, options.runtime, flow=options.video.flow
        )
        self._mask = read_mask(options.texture.mask, options.runtime.max_pixels)

    def __call__(self, block: Mapping[str, Any]) -> dict[str, Any]:
        try:
            if self._fault is not None:
                raise self._fault
            overwrite = self._options.output.overwrite
            ended = do_staged(read_rows(block), self._upscale, overwrite=overwrite)
            results = [*ended.values()]
            results[0].notes, self._warnings = self._warnings, []
        except Exception as error:  # noqa: BLE001, the driver raises it
            text = traceback.format_exc()
            indices = map(int, block["index"])
            results = [TaskResult(index, fault=error, traceback=text) for index in indices]
        dumped = np.empty(len(results), dtype=object)
        dumped[:] = [result.dump() for result in results]
        return {"result": dumped}

    def _upscale(self, tasks: Mapping[int, Task]) -> dict[int, TaskResult]:
        """Do tasks, again where another process has one, which may be of an actor given up."""
        results: dict[int, TaskResult] = {}
        waiting, deadline = dict(tasks), time.monotonic() + _LOCK_PATIENCE
        while waiting:
            results |= self._try(waiting)
            locked = [index for index in waiting if isinstance(results[index].error, LockedError)]
            if time.monotonic() > deadline:
                break
            waiting = {
                index: replace(tasks[index], error=None, plan=None, warnings=[]) for index in locked
            }
            if waiting:
                time.sleep(_POLL)
        return results

    def _try(self, tasks: Mapping[int, Task]) -> dict[int, TaskResult]:
        results = {index: TaskResult(index) for index in tasks}
        indices = list(tasks)
        emit = self._make_listener(results, indices)
        listed = list(tasks.values())
        scheduler = Scheduler(listed, self._options, self._upscalers, None, None, self._mask)
        scheduler.probe_tasks()
        # After the probe, which may leave some of the tasks out.
        scheduler.run_tasks(emit, waits=all(task.is_own for task in listed))
        for index, task in tasks.items():
            result = results[index]
            result.is_own, result.is_done = task.is_own, task.is_done
            result.skipped, result.error = task.skipped, task.error
        return results

    def _make_listener(self, results: Mapping[int, TaskResult], indices: Sequence[int]) -> Emit:
        report = {index: limit_progress(self._make_reporter(index), 1.0) for index in indices}

        def emit(event: Event, **fields: Any) -> None:
            if "picture" not in fields:
                return  # a note that this actor waits for others
            index = indices[fields.pop("picture") - 1]
            if event == "progress":
                report[index](event, **fields)
            else:
                fields = {name: fields[name] for name in fields if name not in _DRIVERS_OWN}
                results[index].events.append((event, fields))

        return emit

    def _make_reporter(self, index: int) -> Emit:
        def report(event: Event, **fields: Any) -> None:
            assert event == "progress"
            fields = {name: fields[name] for name in fields if name not in _DRIVERS_OWN}
            self._setup.progress.add.remote(index, fields)

        return report

    def _note_warning(self, event: Event, **fields: Any) -> None:
        self._warnings.append((event, fields))
