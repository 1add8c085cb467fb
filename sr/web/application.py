"""What the page and the API share: settings, the queue, the runs of folders, the models."""

from collections.abc import Callable
from dataclasses import dataclass

from sr.web.folder_runs import FolderRuns
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


def make_application(settings: Settings, make_engine: Callable[[], RunEngine]) -> Application:
    """Make what is shared; `queue.start()` begins to do runs."""
    queue = RunQueue(make_engine, settings.max_waiting)
    return Application(settings, queue, FolderRuns(queue, settings), read_model_cards())
