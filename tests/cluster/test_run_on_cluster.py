"""Runs on a cluster of nodes that are processes of this machine, with parts of it killed."""

import json
import os
import signal
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from helpers.clips import make_clip
from helpers.models import write_compact
from helpers.ray_cluster import (
    find_actors,
    list_on_cluster,
    read_results,
    start_cluster,
    start_infer,
    wait_until,
)
from helpers.videos import Listener

from sr.cluster.task_result import TaskResult
from sr.inference.cluster_options import ClusterOptions
from sr.inference.options import InferOptions, OutputOptions
from sr.io.rgb8 import write_rgb8

pytest.importorskip("ray.data")
pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("default")]  # of Ray, and its ways


@pytest.fixture(scope="module")
def cluster() -> Iterator[Any]:
    with start_cluster(2) as nodes:
        yield nodes


@pytest.fixture
def inputs(tmp_path: Path) -> Path:
    """80 images, one of them no image, and a clip."""
    folder = tmp_path / "in"
    folder.mkdir()
    random = np.random.default_rng(0)
    for number in range(79):
        pixels = random.integers(0, 256, (32, 32, 3), dtype=np.uint8)
        write_rgb8(folder / f"{number:02d}.png", pixels)
    (folder / "bad.png").write_bytes(b"no image")
    make_clip(folder / "clip.mp4", 100)
    return folder


def count_results(folder: Path) -> int:
    return len([*folder.glob("[!.]*.png")])


def test_what_is_killed_is_done_by_others_and_by_the_same_command_again(
    cluster: Any, inputs: Path, tmp_path: Path
) -> None:
    model = write_compact(tmp_path / "model.safetensors", 2)
    flags = ["-i", str(inputs), "-m", str(model), "--resume"]
    whole, out, log = tmp_path / "whole", tmp_path / "out", tmp_path / "log.jsonl"
    assert start_infer([*flags, "-o", str(whole)], tmp_path / "whole.txt").wait() == 3
    command = [*flags, "-o", str(out), "--log", str(log), *list_on_cluster(cluster)]

    driver = start_infer(command, tmp_path / "killed.txt")
    wait_until(lambda: count_results(out) >= 5)
    find_actors(cluster)[0].kill()
    before = count_results(out)
    wait_until(lambda: count_results(out) > max(before, 40))  # by the other one, or its successor
    driver.send_signal(signal.SIGKILL)
    driver.wait()

    kept = {path.name: path.stat().st_ino for path in out.glob("[!.]*.png")}
    assert start_infer(command, tmp_path / "again.txt").wait() == 3
    assert read_results(out) == read_results(whole)
    assert {name: (out / name).stat().st_ino for name in kept} == kept
    assert len(read_results(out)) == 80
    assert "1 input(s) failed" in (tmp_path / "again.txt").read_text()
    events = [json.loads(line) for line in log.read_text().splitlines() if line.endswith("}")]
    (failed,) = [event for event in events[-100:] if event["event"] == "item_failed"][-1:]
    assert failed["source"] == str(inputs / "bad.png")
    assert "expected an image" in failed["error"]
    computed = [e["source"] for e in events if e["event"] == "item_done" and not e["skipped"]]
    assert len(computed) == len(set(computed))


def test_a_run_that_is_stopped_says_so_and_ends_its_actors(
    cluster: Any, inputs: Path, tmp_path: Path
) -> None:
    model = write_compact(tmp_path / "model.safetensors", 2)
    out, log = tmp_path / "out", tmp_path / "log.txt"
    flags = ["-i", str(inputs), "-m", str(model), "-o", str(out), *list_on_cluster(cluster)]
    driver = start_infer(flags, log)
    wait_until(lambda: count_results(out) >= 5)
    driver.send_signal(signal.SIGTERM)
    assert driver.wait() == 143
    assert "goes on" in log.read_text()
    wait_until(lambda: not find_actors(cluster))


class Dying:
    """An actor that dies of one input, as of one that takes all memory."""

    def __init__(self, _setup: Any) -> None:
        """Nothing to load."""

    def __call__(self, block: Mapping[str, Any]) -> dict[str, Any]:
        if b"/07.png" in b"".join(block["source"]):
            os._exit(1)
        fields = {"skipped": False, "seconds": 0.0, "megapixels": 0.0}
        done = [
            TaskResult(int(index), is_done=True, events=[("item_done", dict(fields))]).dump()
            for index in block["index"]
        ]
        dumped = np.empty(len(done), dtype=object)
        dumped[:] = done
        return {"result": dumped}


def test_an_input_that_kills_every_actor_fails_alone(
    cluster: Any, inputs: Path, tmp_path: Path
) -> None:
    import ray

    from sr.cluster.run import run_on_cluster

    ray.cloudpickle.register_pickle_by_value(sys.modules[__name__])
    listener = Listener()
    options = InferOptions(
        [inputs],
        OutputOptions(tmp_path / "out"),
        model=str(write_compact(tmp_path / "model.safetensors", 2)),
        cluster=ClusterOptions("ray", cluster.address, cpus_per_actor=1.0),
    )
    summary = run_on_cluster(options, listener, Dying)  # type: ignore[arg-type]  # does as much
    assert summary.exit_code == 3
    assert [*summary.failures] == [inputs / "07.png"]
    assert "were ended by the system" in summary.failures[inputs / "07.png"]
    assert summary.num_done == 80
    assert len(listener.fields("item_done")) == 80
    assert len(listener.fields("item_failed")) == 1
