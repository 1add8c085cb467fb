"""Tasks in an object store, as an actor does them, on an S3 server of this machine."""

import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from helpers.object_store import start_store

from sr.cluster.staging import do_staged, remove_abandoned_folders
from sr.cluster.task_result import TaskResult
from sr.errors import UserError
from sr.inference.tasks import Task
from sr.io.object_path import ObjectPath
from sr.io.process_lock import hold_lock
from sr.io.video.frame import OutputMismatchError

pytestmark = pytest.mark.filterwarnings("default")  # of botocore and moto

OUT = ObjectPath("s3://bucket/out")


@pytest.fixture
def store(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Any]:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    with start_store(monkeypatch) as opened:
        yield opened


def make_tasks(store: Any, *names: str) -> dict[int, Task]:
    """Make objects that hold their names; "none" is there in name only."""
    for name in names:
        if name != "none":
            store.pipe_file(f"bucket/in/{name}", name.encode())
    folder = ObjectPath("s3://bucket/in")
    return {number: Task(folder / name, OUT / name) for number, name in enumerate(names)}


def copy_files(tasks: Mapping[int, Task]) -> dict[int, TaskResult]:
    """Do tasks: results are sources in capitals."""
    results = {}
    for index, task in tasks.items():
        assert not task.output.exists()
        task.output.write_bytes(task.source.read_bytes().upper())
        task.output.with_name(".unfinished").touch()
        events: Any = [("warning", {"message": f"{task.source}: odd"}), ("item_done", {})]
        results[index] = TaskResult(index, is_done=True, events=events)
    return results


def test_results_are_uploaded_and_no_file_stays(store: Any, tmp_path: Path) -> None:
    tasks = make_tasks(store, "a b.png", "c.png")
    results = do_staged(tasks, copy_files, overwrite=False)
    assert {key: store.cat_file(key) for key in store.find("bucket/out")} == {
        "bucket/out/a b.png": b"A B.PNG",
        "bucket/out/c.png": b"C.PNG",
    }
    assert [result.is_done for result in results.values()] == [True, True]
    assert results[0].events[0][1]["message"] == "s3://bucket/in/a b.png: odd"
    assert [*tmp_path.iterdir()] == []


def test_what_is_there_is_kept_unless_it_is_to_be_replaced(store: Any) -> None:
    tasks = make_tasks(store, "a.png", "b.png")
    store.pipe_file("bucket/out/a.png", b"older")
    results = do_staged(tasks, copy_files, overwrite=False)
    assert [results[index].skipped for index in (0, 1)] == [True, False]
    assert store.cat_file("bucket/out/a.png") == b"older"
    do_staged(tasks, copy_files, overwrite=True)
    assert store.cat_file("bucket/out/a.png") == b"A.PNG"


def test_what_cannot_be_copied_costs_its_own_task(
    store: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    tasks = make_tasks(store, "none", "a.png", "b.png")
    tasks[1].output = ObjectPath("s3://other/a.png")
    results = do_staged(tasks, copy_files, overwrite=True)
    assert [results[index].is_done for index in range(3)] == [False, False, True]
    for index, words in ((0, "in/none: cannot be read"), (1, "other/a.png: cannot be written")):
        assert isinstance(results[index].error, UserError)
        ((event, fields),) = results[index].events
        assert event == "item_failed"
        assert words in fields["error"]


def test_results_next_to_inputs_of_a_disk_and_the_other_way_round(
    store: Any, tmp_path: Path
) -> None:
    tasks = make_tasks(store, "a.png", "b.png")
    tasks[0].output = tmp_path / "a.png"
    tasks[1].source = tmp_path / "b.png"
    tasks[1].source.write_bytes(b"of the disk")
    do_staged(tasks, copy_files, overwrite=False)
    assert tasks[0].output.read_bytes() == b"A.PNG"
    assert store.cat_file("bucket/out/b.png") == b"OF THE DISK"


def test_a_result_at_fault_is_written_and_said_with_its_url(store: Any) -> None:
    def fail(tasks: Mapping[int, Task]) -> dict[int, TaskResult]:
        results = copy_files(tasks)
        output, kept = tasks[0].output, tasks[0].output.with_name(".a.png.parts")
        error = OutputMismatchError(f"{output}: is written, but short")
        events: Any = [("warning", {"message": f"4 frames are kept in {kept}; the same command"})]
        return {0: TaskResult(0, error=error, events=events)} if results else {}

    result = do_staged(make_tasks(store, "a.png"), fail, overwrite=False)[0]
    assert str(result.error) == "s3://bucket/out/a.png: is written, but short"
    assert result.events == []
    assert store.cat_file("bucket/out/a.png") == b"A.PNG"


def test_folders_of_killed_actors_are_removed_and_those_of_others_stay(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    for name in ("sr-cluster-1", "sr-cluster-2", "other"):
        (tmp_path / name / "0").mkdir(parents=True)
    with hold_lock(tmp_path / "sr-cluster-2"):
        remove_abandoned_folders()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["other", "sr-cluster-2"]
