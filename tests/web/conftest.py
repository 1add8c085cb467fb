"""A server's parts without a browser: settings, small images, an application with a fast model."""

import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from helpers.images import noise

from sr.inference.events import Emit
from sr.inference.options import InferOptions
from sr.inference.run_summary import RunSummary
from sr.inference.tasks import Task
from sr.io.rgb8 import write_rgb8
from sr.web.application import Application, make_application
from sr.web.engine import Engine
from sr.web.folders import AllowedFolders
from sr.web.queued_run import QueuedRun
from sr.web.run_queue import RunQueue
from sr.web.settings import Settings

FAST = "compact_tiny_x4"


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    allowed = tmp_path / "allowed"
    allowed.mkdir()
    return Settings(
        AllowedFolders([allowed]),
        tmp_path / "work",
        tmp_path / "state",
        runs=tmp_path / "runs",
        device="cpu",
        max_upload=1_000_000,
        max_upload_pixels=100_000,
        max_result_pixels=1_000_000,
        max_waiting=3,
    )


@pytest.fixture
def image(tmp_path: Path) -> Path:
    path = tmp_path / "photo.png"
    write_rgb8(path, noise(20, 25, 3))
    return path


@pytest.fixture
def application(settings: Settings) -> Iterator[Application]:
    application = make_application(settings, Engine)
    application.queue.start()
    yield application
    application.queue.close()


class SlowEngine:
    """In place of an engine: reports tiles until it is let go."""

    def __init__(self) -> None:
        self.is_free = False
        self.num_done = 1
        self.done: list[Path] = []

    def __call__(self, options: InferOptions, emit: Emit) -> RunSummary:
        about = {"picture": 1, "pictures": 1, "source": options.inputs[0]}
        emit("start", pictures=1, megapixels=1.0, model="slow")
        tile = 0
        while not self.is_free or not tile:
            tile = min(tile + 1, 99)
            emit("progress", tile=tile, tiles=100, **about)
            time.sleep(0.005)
        self.done.append(options.inputs[0])
        for _ in range(self.num_done):
            emit("item_done", output=options.output.path, skipped=False, seconds=1.0, **about)
        return RunSummary([Task(options.inputs[0], options.output.path)])


@pytest.fixture
def slow() -> SlowEngine:
    return SlowEngine()


@pytest.fixture
def slow_queue(slow: SlowEngine) -> Iterator[RunQueue]:
    queue = RunQueue(lambda: slow, max_waiting=3)
    queue.start()
    yield queue
    queue.close()


Wait = Callable[[Callable[[], object]], None]


@pytest.fixture
def wait_for() -> Wait:
    """Waits until something is so, 30 seconds at most."""

    def wait(is_so: Callable[[], object]) -> None:
        end = time.monotonic() + 30
        while not is_so():
            assert time.monotonic() < end
            time.sleep(0.005)

    return wait


@pytest.fixture
def finish(wait_for: Wait) -> Callable[[QueuedRun], QueuedRun]:
    def finish(run: QueuedRun) -> QueuedRun:
        assert run.ended.wait(60)
        return run

    return finish
