"""What an actor does with its rows, without a cluster."""

import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from helpers.clips import make_clip
from helpers.images import write_block_images
from helpers.models import write_compact

from sr.cluster.rows import make_table
from sr.cluster.task_result import TaskResult
from sr.inference.cluster_options import ClusterOptions
from sr.inference.named_files import find_models
from sr.inference.options import InferOptions, OutputOptions, RuntimeOptions
from sr.inference.scheduler import Scheduler
from sr.inference.tasks import Task
from sr.inference.video import upscale_task
from sr.inference.video.resume import Segment, locate_segments
from sr.io.hash_code import hash_code
from sr.io.leases import Leases
from sr.tiling.runner import CompileError

pytest.importorskip("ray.data")


class NoProgress:
    """In the place of the actor that takes progress."""

    class add:  # noqa: N801, called add.remote
        @staticmethod
        def remote(index: int, fields: dict[str, Any]) -> None:
            """Drop it."""


def work(folder: Path, tasks: Mapping[int, Task], *, is_own: bool = True) -> dict[int, TaskResult]:
    """Have one actor do a block."""
    from sr.cluster.model_copies import ModelCopy, hash_contents
    from sr.cluster.worker import UpscaleWorker, WorkerSetup

    model = write_compact(folder / "model.safetensors", 2)
    options = InferOptions(
        [folder],
        OutputOptions(folder / "out", resume=True),
        model=str(model),
        runtime=RuntimeOptions(devices=("cpu",)),
        cluster=ClusterOptions("ray"),
    )
    (path,) = find_models(options).chain
    copy = ModelCopy(path, hash_contents([path.read_bytes()]), {path.name: None})
    (folder / "out").mkdir(exist_ok=True)
    worker = UpscaleWorker(WorkerSetup(options, [copy], hash_code(), 1, NoProgress))
    columns = make_table(tasks, is_own=is_own).to_pydict()
    results = [TaskResult.load(data) for data in worker(columns)["result"]]
    return {result.index: result for result in results}


def test_an_actor_waits_for_the_segments_of_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clip = make_clip(tmp_path / "clip.mp4", 4)
    output = tmp_path / "out" / "clip_x2.mp4"
    folder = locate_segments(output)
    folder.mkdir(parents=True)
    with Leases(folder) as others:
        assert others.claim(Segment(0).name)
        monkeypatch.setattr(
            upscale_task, "wait_for_others", lambda: others.release(Segment(0).name)
        )
        (result,) = work(tmp_path, {0: Task(clip, output, "video", "clip.mp4")}).values()
    assert result.fault is None
    assert result.is_done
    assert output.exists()


def test_an_actor_that_helps_leaves_what_others_have(tmp_path: Path) -> None:
    clip = make_clip(tmp_path / "clip.mp4", 4)
    output = tmp_path / "out" / "clip_x2.mp4"
    folder = locate_segments(output)
    folder.mkdir(parents=True)
    with Leases(folder) as others:
        assert others.claim(Segment(0).name)
        task = Task(clip, output, "video", "clip.mp4")
        (result,) = work(tmp_path, {0: task}, is_own=False).values()
    assert not result.is_done
    assert not result.is_final
    assert result.error is None


def test_an_actor_upscales_an_archive(tmp_path: Path) -> None:
    pages = write_block_images(tmp_path / "pages", 2)
    with zipfile.ZipFile(tmp_path / "book.cbz", "w") as archive:
        for page in sorted(pages.iterdir()):
            archive.write(page, page.name)
    task = Task(tmp_path / "book.cbz", tmp_path / "out" / "book_x2.cbz", "archive", "book.cbz")
    (result,) = work(tmp_path, {5: task}).values()
    assert result.is_done
    with zipfile.ZipFile(task.output) as archive:
        assert len(archive.namelist()) == 2


def test_a_fault_of_the_program_is_returned_and_not_raised(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(_: object) -> None:
        raise KeyError("ours")

    monkeypatch.setattr("sr.cluster.worker.read_rows", fail)  # Ray Data would drop the rows
    task = Task(tmp_path / "in.png", tmp_path / "out" / "in_x2.png")
    (result,) = work(tmp_path, {3: task}).values()
    assert result.index == 3
    assert isinstance(result.fault, KeyError)
    assert "in fail" in result.traceback


def test_what_would_fail_for_every_input_ends_the_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise CompileError("expected a compiler")

    monkeypatch.setattr(Scheduler, "run_tasks", refuse)
    images = write_block_images(tmp_path / "in", 1)
    task = Task(images / "image_0.png", tmp_path / "out" / "in_x2.png")
    (result,) = work(tmp_path, {0: task}).values()
    assert isinstance(result.fault, CompileError)
