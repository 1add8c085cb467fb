"""Runs over folders and videos by path, remembered in files so that they outlive the server.

A file holds the arguments of the command line, and what became of each task. What was not done when
the server ended is `interrupted`; the same arguments continue it, since they include --resume.
"""

import json
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from sr.cli.format_arguments import format_arguments, parse_arguments
from sr.errors import UsageError, UserError
from sr.inference.named_files import exists
from sr.inference.options import InferOptions
from sr.io.atomic_write import atomic_write
from sr.io.video.formats import is_pattern
from sr.web.form import Choices, make_options
from sr.web.queued_run import ENDED, QueuedRun, State, TaskView
from sr.web.run_queue import RunQueue
from sr.web.settings import Settings

Existing = Literal["continue", "replace", "refuse"]
OWNER = "folders"
_NUM_SHOWN = 50  # runs
_SECONDS_BETWEEN = 2.0  # files written of one run


@dataclass(frozen=True)
class FolderRequest:
    """What the tab of folders asks for."""

    inputs: Sequence[str]
    output: str
    choices: Choices
    existing: Existing = "continue"
    recursive: bool = False
    num_previews: int = 0
    container: str = "auto"


class FolderRuns:
    """All runs of this kind: those of the queue, and those of earlier servers."""

    def __init__(self, queue: RunQueue, settings: Settings) -> None:
        self._queue = queue
        self._settings = settings
        self._runs: dict[str, QueuedRun] = {}
        self._saved_state: dict[str, State] = {}
        self._next_save = 0.0
        settings.state.mkdir(parents=True, exist_ok=True)
        files = sorted(settings.state.glob("run-*.json"), key=lambda file: file.stat().st_mtime)
        for old in files[:-_NUM_SHOWN]:
            old.unlink(missing_ok=True)
        for file in files[-_NUM_SHOWN:]:
            run = _read_run(file)
            if run is not None:
                self._runs[run.id] = run

    @property
    def runs(self) -> list[QueuedRun]:
        """The latest first."""
        return list(self._runs.values())[::-1]

    def find(self, run_id: str | None) -> QueuedRun | None:
        """Return the run of an id; None where there is none."""
        return self._runs.get(run_id or "")

    def start(self, request: FolderRequest) -> QueuedRun:
        """Queue what is asked for. Raises UserError, such as of a path that is not allowed."""
        return self._submit(self.make_options(request))

    def make_options(self, request: FolderRequest) -> InferOptions:
        """Check the paths, and make the options. Raises UserError."""
        from sr.inference.tasks import is_file_name  # and torch, which the page starts without

        folders = self._settings.folders
        inputs = [folders.resolve(text) for text in request.inputs if text.strip()]
        if not inputs:
            raise UsageError("expected files or folders, one in a line; got none")
        for path in inputs:
            folders.refuse_links_out(_get_searched(path), recursive=request.recursive)
            if not is_pattern(path) and not exists(path):
                raise UsageError(f"no such file or folder: {path}")
        output = folders.resolve(request.output)
        is_folder = not is_file_name(output)
        return make_options(
            inputs,
            output,
            request.choices,
            device=self._settings.device,
            resume=request.existing == "continue",
            overwrite=request.existing == "replace",
            recursive=request.recursive,
            container=request.container if is_folder else "auto",
            preview=request.num_previews,
        )

    def resume(self, run: QueuedRun) -> QueuedRun:
        """Queue a run that has ended again: what is done stays. Raises UserError."""
        if run.state not in ENDED:
            raise UsageError("expected a run that has ended, got one that goes on")
        folders = self._settings.folders
        for path in (*run.options.inputs, run.options.output.path):
            folders.resolve(str(path))  # they may have been started with others
            folders.refuse_links_out(_get_searched(path), recursive=run.options.output.recursive)
        arguments = [each for each in format_arguments(run.options) if each != "--overwrite"]
        if "--resume" not in arguments:
            arguments.append("--resume")
        resumed = self._submit(parse_arguments(arguments))
        self._forget(run)
        return resumed

    def stop(self, run: QueuedRun) -> None:
        """Stop a run as Ctrl-C does."""
        if run.state not in ENDED:
            self._queue.stop(run)

    def _submit(self, options: InferOptions) -> QueuedRun:
        run = QueuedRun(options, OWNER, on_change=self._save_at_intervals)
        self._runs[run.id] = run
        try:
            return self._queue.submit(run)
        except UserError:
            del self._runs[run.id]
            raise

    def _forget(self, run: QueuedRun) -> None:
        self._runs.pop(run.id, None)
        self._saved_state.pop(run.id, None)
        self._locate(run).unlink(missing_ok=True)

    def _locate(self, run: QueuedRun) -> Path:
        return self._settings.state / f"run-{run.id}.json"

    def _save_at_intervals(self, run: QueuedRun) -> None:
        """Save a run as its state changes, else now and then: its file grows with its tasks."""
        now = time.monotonic()
        if run.state == self._saved_state.get(run.id) and now < self._next_save:
            return
        self._save(run)
        self._saved_state[run.id] = run.state
        end = time.monotonic()
        self._next_save = end + max(_SECONDS_BETWEEN, 20 * (end - now))

    def _save(self, run: QueuedRun) -> None:
        content = {
            "id": run.id,
            "arguments": format_arguments(run.options),
            "state": run.state,
            "created": run.created,
            "seconds": run.seconds,
            "num_tasks": run.num_tasks,
            "error": run.error,
            "notes": run.notes,
            "tasks": {number: _task_to_json(task) for number, task in run.tasks.items()},
        }
        with atomic_write(self._locate(run)) as file:
            file.write_text(json.dumps(content), encoding="utf-8")


def _get_searched(path: Path) -> Path:
    """Return the folder whose files are read for a path."""
    return path.parent if is_pattern(path) else path


def _task_to_json(task: TaskView) -> dict[str, Any]:
    return {
        "source": str(task.source),
        "state": task.state,
        "output": None if task.output is None else str(task.output),
        "seconds": task.seconds,
        "size": task.size,
        "fraction": task.fraction,
        "error": task.error,
    }


def _read_run(file: Path) -> QueuedRun | None:
    """Read a run of an earlier server; None of a file that is not one."""
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
        run = QueuedRun(parse_arguments(content["arguments"]), OWNER, id=content["id"])
        run.state = content["state"] if content["state"] in ENDED else "interrupted"
        run.created, run.seconds = content["created"], content["seconds"]
        run.num_tasks, run.error = content["num_tasks"], content["error"]
        run.notes = list(content["notes"])
        run.tasks = {int(key): _task_from_json(each) for key, each in content["tasks"].items()}
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None
    run.ended.set()
    return run


def _task_from_json(content: dict[str, Any]) -> TaskView:
    state: Any = "stopped" if content["state"] == "running" else content["state"]
    return TaskView(
        Path(content["source"]),
        state,
        fraction=content["fraction"],
        seconds=content["seconds"],
        output=None if content["output"] is None else Path(content["output"]),
        size=None if content["size"] is None else tuple(content["size"]),
        error=content["error"],
    )
