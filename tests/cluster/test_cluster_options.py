"""What is refused before a cluster is looked for, and what needs none."""

import os
import sys
from collections.abc import Sequence
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
from helpers.images import write_block_images
from helpers.models import write_compact

from sr.cli import infer
from sr.cluster.connect import import_ray, plan_actors
from sr.cluster.rows import make_table, read_rows, split_tasks
from sr.cluster.task_result import RemoteError, TaskResult
from sr.errors import UsageError
from sr.inference.cluster_options import ClusterOptions
from sr.inference.tasks import Task
from sr.io.object_path import ObjectPath
from sr.io.video.frame import OutputMismatchError


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--cluster", "slurm"], "expected ray, got slurm"),
        (["-i", "s3://bucket/in"], "s3://bucket/in: object stores need --cluster ray"),
        (["-i", "gs://", "--cluster", "ray"], "gs://: expected gs://BUCKET/KEY"),
        (["--actors", "4"], "need --cluster ray"),
        (["--cluster", "ray", "--actors", "4-2"], "--actors: expected N or MIN-MAX"),
        (["--cluster", "ray", "--actors", "0"], "--actors: expected N or MIN-MAX"),
        (["--cluster", "ray", "--gpus-per-actor", "-1"], "--gpus-per-actor -1: expected a number"),
        (["--cluster", "ray", "--address", "ray://head:10001"], "not a Ray client"),
        (["--cluster", "ray", "--shard", "1/2"], "expected one of them, got both"),
        (["--cluster", "ray", "-m", "auto"], "expected one model for all inputs"),
        (["--cluster", "ray", "--reference", "."], "expected no --reference"),
        (["--cluster", "ray", "-i", "-"], "expected files or folders"),
    ],
)
def test_what_no_cluster_can_do_is_refused_before_one_is_looked_for(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], flags: Sequence[str], message: str
) -> None:
    inputs = [] if "-i" in flags else ["-i", str(tmp_path)]
    with pytest.raises(SystemExit) as end:
        infer.main([*inputs, "-o", str(tmp_path / "out"), *flags])
    assert end.value.code == 2
    assert message in " ".join(capsys.readouterr().err.split())


def test_without_ray_the_extra_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    write_block_images(tmp_path / "in", 1)
    model = write_compact(tmp_path / "model.safetensors", 2)
    flags = ["-i", str(tmp_path / "in"), "-o", str(tmp_path / "out"), "-m", str(model)]
    with pytest.raises(SystemExit) as end:
        infer.main([*flags, "--cluster", "ray"])
    assert end.value.code == 2
    assert "needs the extra `ray` (ray is missing): pip install 'sr[ray]'" in (
        capsys.readouterr().err
    )


def test_tasks_come_back_from_rows_as_they_were() -> None:
    pytest.importorskip("pyarrow")
    odd = Path("/in/\udcff\u00e9.png")  # a name that is not UTF-8
    tasks = {
        3: Task(odd, Path("/out/a_x2.png"), "image", "below/\udcff.png"),
        7: Task(Path("/in/b.mp4"), Path("/out/b_x2.mp4"), "video", "b.mp4"),
        8: Task(Path("/in/c.cbz"), Path("/out/c_x2.cbz"), "archive", "c.cbz"),
        9: Task(Path("/in/d.tif"), Path("/out/d_p002_x2.png"), "image", "d.tif/2", page=2),
    }
    stored = ObjectPath("s3://bucket/in/d e.png"), ObjectPath("gs://bucket/d.png")
    tasks[10] = Task(*stored, "image", "d e.png")
    columns = make_table(tasks).to_pydict()
    assert read_rows(columns) == tasks
    assert str(read_rows(columns)[10].source) == "s3://bucket/in/d e.png"
    helped = read_rows(make_table(tasks, is_own=False).to_pydict())
    assert [task.is_own for task in helped.values()] == [False] * len(tasks)


@pytest.mark.parametrize(("num_images", "num_actors"), [(0, 3), (1, 3), (1000, 3), (90, 3)])
def test_every_task_is_in_one_block(num_images: int, num_actors: int) -> None:
    tasks = {number: Task(Path(f"{number}.png"), Path("out")) for number in range(num_images)}
    tasks |= {-1: Task(Path("a.mp4"), Path("out"), "video")}
    tasks |= {-2: Task(Path("a.cbz"), Path("out"), "archive")}
    blocks = [*split_tasks(tasks, num_actors)]
    assert sorted(index for block in blocks for index in block) == sorted(tasks)
    assert all(len(block) == 1 for block in blocks if {-1, -2} & set(block))
    assert len(blocks) > min(num_images, 8 * num_actors)
    assert max(map(len, blocks)) <= 16


def test_errors_come_back_as_they_are_or_by_their_words() -> None:
    class OddError(Exception):
        def __init__(self, first: int, second: int) -> None:
            super().__init__(f"{first} {second}")

    for error in (OutputMismatchError("off"), MemoryError("no room"), FileNotFoundError(2, "gone")):
        loaded = TaskResult.load(TaskResult(0, error=error).dump()).error
        assert type(loaded) is type(error)
        assert str(loaded) == str(error)
    loaded = TaskResult.load(TaskResult(0, error=OddError(1, 2)).dump()).error
    assert isinstance(loaded, RemoteError)
    assert str(loaded) == "OddError: 1 2"


def make_node(**resources: float) -> dict[str, Any]:
    return {"Alive": True, "Resources": resources}


@pytest.mark.parametrize(
    ("nodes", "options", "expected"),
    [
        ([make_node(CPU=4), make_node(CPU=16)], {}, (4.0, 0.0, 1, 5)),
        ([make_node(CPU=64), make_node(memory=1)], {}, (8.0, 0.0, 1, 8)),
        ([make_node(CPU=8, GPU=2), make_node(CPU=8)], {}, (1.0, 1.0, 1, 2)),
        ([make_node(CPU=8, GPU=1)], {"gpus_per_actor": 0.5}, (1.0, 0.5, 1, 2)),
        ([make_node(CPU=2)], {"cpus_per_actor": 1.0, "actors": (2, 9)}, (1.0, 0.0, 2, 9)),
        ([make_node(CPU=2), {"Alive": False, "Resources": {"CPU": 8}}], {}, (2.0, 0.0, 1, 1)),
    ],
)
def test_actors_fit_the_machines(
    monkeypatch: pytest.MonkeyPatch,
    nodes: Sequence[dict[str, Any]],
    options: dict[str, Any],
    expected: tuple[float, float, int, int],
) -> None:
    pytest.importorskip("ray.data")
    monkeypatch.setattr(import_ray(), "nodes", lambda: nodes)
    pool = plan_actors(ClusterOptions("ray", **options))
    assert (pool.num_cpus, pool.num_gpus, pool.min_size, pool.max_size) == expected


def test_a_cluster_where_no_actor_fits_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("ray.data")
    monkeypatch.setattr(import_ray(), "nodes", lambda: [make_node(CPU=2)])
    with pytest.raises(UsageError, match="expected a machine with 4 cores and 0 GPUs, got none"):
        plan_actors(ClusterOptions("ray", cpus_per_actor=4.0))
    assert plan_actors(ClusterOptions("ray", cpus_per_actor=4.0, actors=(1, 3))).max_size == 3


def test_a_pipe_is_refused_on_a_cluster(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("ray.data")
    os.mkfifo(tmp_path / "pipe.png")
    writer = Thread(target=(tmp_path / "pipe.png").write_bytes, args=[b"image"])
    writer.start()
    model = write_compact(tmp_path / "model.safetensors", 2)
    flags = ["-i", str(tmp_path / "pipe.png"), "-o", str(tmp_path / "out"), "-m", str(model)]
    with pytest.raises(SystemExit) as end:
        infer.main([*flags, "--cluster", "ray"])
    writer.join()
    assert end.value.code == 2
    assert "expected a file, got a pipe" in " ".join(capsys.readouterr().err.split())
