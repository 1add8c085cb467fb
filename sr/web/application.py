"""What the page and the API share: settings, the queue, the runs of folders, the models."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from sr.web.folder_runs import FolderRuns
from sr.web.folders import FolderError
from sr.web.model_cards import ModelCard, read_model_cards
from sr.web.run_queue import RunEngine, RunQueue
from sr.web.settings import Settings


@dataclass(frozen=True)
class Application:
    """One server."""

    settings: Settings
    queue: RunQueue
    folder_runs: FolderRuns
    cards: list[ModelCard]

    def find_result(self, run_id: str, number: int) -> Path | None:
        """Return the result of a task of a run; None where there is none, or no more."""
        run = self.queue.find(run_id) or self.folder_runs.find(run_id)
        task = None if run is None else run.tasks.get(number)
        if run is None or task is None or task.output is None or not task.output.is_file():
            return None
        try:
            return task.output if run.work else self.settings.folders.resolve(str(task.output))
        except FolderError:  # it was started with other folders
            return None


def make_application(settings: Settings, make_engine: Callable[[], RunEngine]) -> Application:
    """Make what is shared; `queue.start()` begins to do runs."""
    queue = RunQueue(make_engine, settings.max_waiting)
    return Application(settings, queue, FolderRuns(queue, settings), read_model_cards())
