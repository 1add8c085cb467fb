from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from helpers.clips import make_clip
from helpers.images import write_block_images

from sr.cli.format_arguments import format_command
from sr.errors import UserError
from sr.web.application import Application, make_application
from sr.web.engine import Engine
from sr.web.folder_runs import FolderRequest, FolderRuns
from sr.web.folders import AllowedFolders, FolderError
from sr.web.form import Choices
from sr.web.html import show_runs, show_tasks
from sr.web.queued_run import QueuedRun, TaskView
from sr.web.run_queue import RunQueue
from sr.web.settings import Settings

FAST = Choices("compact_tiny_x4")
Finish = Callable[[QueuedRun], QueuedRun]
Wait = Callable[[Callable[[], object]], None]


def ask(*inputs: str, output: str = "out", **more: Any) -> FolderRequest:
    return FolderRequest(inputs, output, FAST, **more)


def test_images_and_a_video_are_done_and_shown(
    application: Application, settings: Settings, finish: Finish
) -> None:
    folder = write_block_images(settings.folders.folders[0] / "in", 1)
    make_clip(folder / "clip.mp4", 3)
    (folder / "bad.png").write_bytes(b"no image")
    run = finish(application.folder_runs.start(ask("in", num_previews=1)))
    assert run.state == "failed"
    states = {task.source.name: task.state for task in run.tasks.values()}
    assert states == {"image_0.png": "done", "clip.mp4": "done", "bad.png": "failed"}
    out = settings.folders.folders[0] / "out"
    assert (out / "clip_x4.mp4").is_file()
    table = show_tasks(run)
    assert "bad.png: expected an image" in table
    assert str(out / "clip_x4.mp4") in table
    assert "in" in show_runs([run], [0])
    assert format_command(run.options).startswith("sr-infer -i ")


def test_a_stopped_run_is_listed_by_the_next_server_and_goes_on(
    settings: Settings, finish: Finish, wait_for: Wait
) -> None:
    folder = settings.folders.folders[0]
    make_clip(folder / "clip.mp4", 40, size=(80, 96))
    first = make_application(settings, Engine)
    first.queue.start()
    run = first.folder_runs.start(ask("clip.mp4"))
    wait_for(lambda: run.fraction > 0.05)
    first.queue.close()
    assert run.state == "stopped"
    assert not (folder / "out" / "clip_x4.mp4").exists()

    second = make_application(settings, Engine)
    (listed,) = second.folder_runs.runs
    assert (listed.id, listed.state, listed.options) == (run.id, "stopped", run.options)
    second.queue.start()
    resumed = finish(second.folder_runs.resume(listed))
    second.queue.close()
    assert resumed.state == "done"
    assert (folder / "out" / "clip_x4.mp4").is_file()
    assert [each.id for each in second.folder_runs.runs] == [resumed.id]


def test_what_a_killed_server_was_doing_is_interrupted(
    settings: Settings, slow_queue: RunQueue, wait_for: Wait
) -> None:
    (settings.folders.folders[0] / "a.png").write_bytes(b"")
    runs = FolderRuns(slow_queue, settings)
    run = runs.start(ask("a.png"))
    wait_for(lambda: run.state == "running")
    (listed,) = FolderRuns(slow_queue, settings).runs  # as another server finds it
    assert listed.state == "interrupted"


def test_finished_results_are_skipped_when_a_run_is_continued(
    application: Application, settings: Settings, finish: Finish
) -> None:
    write_block_images(settings.folders.folders[0] / "in", 2)
    run = finish(application.folder_runs.start(ask("in", existing="refuse")))
    assert run.state == "done"
    again = finish(application.folder_runs.resume(run))
    assert {task.state for task in again.tasks.values()} == {"skipped"}
    again.state = "running"
    with pytest.raises(UserError, match="has ended"):
        application.folder_runs.resume(again)


@pytest.mark.parametrize(
    "request_",
    [
        ask("../secret.png"),
        ask("in", output="/etc/elsewhere"),
        ask("http://localhost/a.mp4"),
        ask("in", output="../out"),
    ],
)
def test_paths_out_of_the_folders_are_refused(
    application: Application, settings: Settings, request_: FolderRequest
) -> None:
    (settings.folders.folders[0] / "in").mkdir()
    with pytest.raises(FolderError):
        application.folder_runs.start(request_)


def test_missing_inputs_are_refused_and_leave_nothing(
    application: Application, settings: Settings
) -> None:
    with pytest.raises(UserError, match="no such file or folder"):
        application.folder_runs.start(ask("none.png"))
    with pytest.raises(UserError, match="no such file or folder"):
        application.folder_runs.start(ask("x" * 5000))
    with pytest.raises(UserError, match="one in a line"):
        application.folder_runs.start(ask(" "))
    assert not application.folder_runs.runs
    assert not list(settings.state.glob("*.json"))


def test_the_file_of_a_run_is_written_at_changes_of_state_and_intervals_only(
    settings: Settings, slow_queue: RunQueue, slow: Any, finish: Finish, monkeypatch: Any
) -> None:
    (settings.folders.folders[0] / "a.png").write_bytes(b"")
    runs = FolderRuns(slow_queue, settings)
    saved: list[str] = []
    monkeypatch.setattr(runs, "_save", lambda run: saved.append(run.state))
    slow.is_free, slow.num_done = True, 200
    assert finish(runs.start(ask("a.png"))).state == "done"
    assert saved[0] == "waiting"
    assert saved[-1] == "done"
    assert len(saved) < 20


def test_files_that_are_no_runs_are_left_out(settings: Settings, slow_queue: RunQueue) -> None:
    settings.state.mkdir()
    for name, text in (("a", "{}"), ("b", "["), ("c", '{"arguments": ["--nonsense"]}')):
        (settings.state / f"run-{name}.json").write_text(text)
    assert FolderRuns(slow_queue, settings).runs == []


def test_results_of_earlier_servers_are_found_in_the_allowed_folders_only(
    settings: Settings, slow: Any, finish: Finish, tmp_path: Path
) -> None:
    (settings.folders.folders[0] / "a.png").write_bytes(b"")
    slow.is_free = True
    first = make_application(settings, lambda: slow)
    first.queue.start()
    run = finish(first.folder_runs.start(ask("a.png", output="b.png")))
    first.queue.close()
    result = settings.folders.folders[0] / "b.png"
    second = make_application(settings, lambda: slow)
    assert second.find_result(run.id, 1) is None
    result.write_bytes(b"")
    assert second.find_result(run.id, 1) == result
    assert second.find_result(run.id, 2) is None
    (tmp_path / "elsewhere").mkdir()
    third = make_application(
        replace(settings, folders=AllowedFolders([tmp_path / "elsewhere"])), lambda: slow
    )
    assert third.find_result(run.id, 1) is None


def test_of_many_files_the_latest_and_those_that_failed_are_shown(
    settings: Settings, slow_queue: RunQueue
) -> None:
    (settings.folders.folders[0] / "a.png").write_bytes(b"")
    run = FolderRuns(slow_queue, settings).start(ask("a.png"))
    run.tasks = {n: TaskView(Path(f"image_{n}.png"), "done") for n in range(1, 1001)}
    run.tasks[7].state = "failed"
    table = show_tasks(run)
    assert table.count("<tr>") == 102
    assert "image_7.png" in table
    assert "image_1000.png" in table
    assert "899 earlier ones are not shown." in table


def test_what_users_write_is_escaped(settings: Settings, slow_queue: RunQueue) -> None:
    name = "<img src=x onerror=alert(1)>.png"
    (settings.folders.folders[0] / name).write_bytes(b"")
    run = FolderRuns(slow_queue, settings).start(ask(name))
    assert "<img" not in show_runs([run], [0])
