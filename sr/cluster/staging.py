"""Tasks whose files are in object stores: copied to a temporary folder, and the results uploaded.

Each task of a block has a folder of its own with its source, under its own name, and its results.
Folders that killed actors have left on a machine are removed by the next actor there.
"""

import secrets
import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

from sr.cluster.task_result import SKIPPED, TaskResult, make_failed
from sr.errors import UserError
from sr.inference.tasks import Task
from sr.inference.video.resume import locate_segments
from sr.io.object_path import ObjectPath
from sr.io.process_lock import hold_lock

_PREFIX = "sr-cluster-"
_NUM_THREADS = 8  # that wait for the store

DoTasks = Callable[[Mapping[int, Task]], dict[int, TaskResult]]


def is_staged(task: Task) -> bool:
    """Return whether a task has files in an object store."""
    return isinstance(task.source, ObjectPath) or isinstance(task.output, ObjectPath)


def do_staged(
    tasks: Mapping[int, Task], do_tasks: DoTasks, *, overwrite: bool
) -> dict[int, TaskResult]:
    """Do tasks by `do_tasks`, which gets them with files of this machine.

    Results that are there are skipped, unless `overwrite`. What cannot be downloaded or uploaded
    costs its own task.
    """
    if not any(map(is_staged, tasks.values())):
        return do_tasks(tasks)
    with _make_folder() as folder, ThreadPoolExecutor(_NUM_THREADS) as threads:

        def fetch(index: int) -> Task | TaskResult:
            return _fetch(index, tasks[index], folder / str(index), overwrite=overwrite)

        def deliver(result: TaskResult) -> TaskResult:
            return _deliver(result, tasks[result.index], local[result.index])

        fetched = dict(zip(tasks, threads.map(fetch, tasks), strict=True))
        local = {index: each for index, each in fetched.items() if isinstance(each, Task)}
        ended = {index: each for index, each in fetched.items() if isinstance(each, TaskResult)}
        done = do_tasks(local) if local else {}
        return ended | dict(zip(done, threads.map(deliver, done.values()), strict=True))


def remove_abandoned_folders() -> None:
    """Remove the folders of actors that were killed on this machine."""
    for folder in Path(tempfile.gettempdir()).glob(f"{_PREFIX}*"):
        with suppress(UserError), hold_lock(folder):  # else it is used, or another user's
            shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def _make_folder() -> Iterator[Path]:
    folder = Path(tempfile.gettempdir(), f"{_PREFIX}{secrets.token_hex(8)}")
    with hold_lock(folder):
        folder.mkdir(mode=0o700)
        try:
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)


def _fetch(index: int, task: Task, folder: Path, *, overwrite: bool) -> Task | TaskResult:
    """Return the task with local files, or how it ended already."""
    source, output = task.source, task.output
    try:
        if isinstance(output, ObjectPath):
            if not overwrite and output.is_there():
                return TaskResult(index, task.is_own, is_done=True, skipped=True, events=[SKIPPED])
            output = folder / "out" / output.name
            output.parent.mkdir(parents=True)
        if isinstance(source, ObjectPath):
            target = folder / "in" / source.name
            target.parent.mkdir(parents=True)
            source.download(target)
            source = target
    except (UserError, OSError) as error:
        return make_failed(index, task, error)
    return replace(task, source=source, output=output)


def _deliver(result: TaskResult, task: Task, local: Task) -> TaskResult:
    """Upload what was written, and name URLs where names of temporary files are."""
    names = {str(local.source): str(task.source), str(local.output): str(task.output)}
    kept = f" are kept in {locate_segments(local.output)}"
    result.events = [
        (event, {name: _rename(value, names) for name, value in fields.items()})
        for event, fields in result.events
        if not (isinstance(task.output, ObjectPath) and kept in str(fields.get("message")))
    ]
    if result.error is not None:
        result.error.args = tuple(_rename(value, names) for value in result.error.args)
    if not isinstance(task.output, ObjectPath):
        return result
    try:
        # However the task ended: a video that ends early, or fails its check, is written, too.
        for path in sorted(local.output.parent.glob("[!.]*")):
            (task.output.parent / path.name).upload(path)
    except UserError as error:
        return make_failed(result.index, task, error)
    return result


def _rename(value: Any, names: Mapping[str, str]) -> Any:
    if isinstance(value, str):
        for name, url in names.items():
            value = value.replace(name, url)
    return value
