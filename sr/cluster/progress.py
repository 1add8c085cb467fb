"""Progress within images and videos, from the actors to the driver: what is lost harms nothing."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

_INTERVAL = 1.0  # seconds
_MAX_KEPT = 1000  # reports that nobody has fetched


class ProgressBoard:
    """An actor without cores of its own: keeps the last report on each task."""

    def __init__(self) -> None:
        self._reports: dict[int, dict[str, Any]] = {}

    def add(self, index: int, fields: dict[str, Any]) -> None:
        """Keep a report on the task of this index."""
        if len(self._reports) < _MAX_KEPT:
            self._reports[index] = fields

    def take(self) -> dict[int, dict[str, Any]]:
        """Return what has come since the last time."""
        taken, self._reports = self._reports, {}
        return taken


@contextmanager
def watch_progress(report: Callable[[int, dict[str, Any]], None]) -> Iterator[Any]:
    """Yield the actor that takes progress, and report what comes, in a thread of its own."""
    import ray

    board: Any = ray.remote(num_cpus=0, max_restarts=-1)(ProgressBoard).remote()
    ended = threading.Event()

    def fetch() -> None:
        while not ended.wait(_INTERVAL):
            with suppress(ray.exceptions.RayError):
                for index, fields in ray.get(board.take.remote(), timeout=_INTERVAL).items():
                    report(index, fields)

    thread = threading.Thread(target=fetch, name="sr-progress", daemon=True)
    thread.start()
    try:
        yield board
    finally:
        ended.set()
        thread.join()
