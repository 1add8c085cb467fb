"""What runs on a Ray cluster withstand and cost: nodes of one core each, as processes here.

    PYTHONPATH=tests:benchmarks:. python benchmarks/cluster.py faults speed driver [--out RESULT.md]

faults: small images and a clip through a tiny network, on two nodes. On the way an actor is killed,
a node is removed (another one comes), and the driver is killed with -9; then the same command
again. Results must be those of one process, byte by byte, none computed twice.
speed: one node against two, and against one process, all on one core a node, the driver and Ray's
own processes among them; start-up does not count, since times are those between the first and the
last event of a log. Other load on the machine, which is shown, changes them; CPU time of all
processes of the driver and of Ray it changes less.
driver: paths that are made up, and actors that do nothing: milliseconds of Ray per path, and memory
of the driver.
"""

import argparse
import json
import os
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import psutil
from helpers.models import write_compact
from helpers.ray_cluster import (
    add_node,
    find_actors,
    list_on_cluster,
    read_results,
    start_cluster,
    start_infer,
    wait_until,
)
from provenance import as_markdown, provenance
from shards import make_inputs

from sr.cluster.run import run_on_cluster
from sr.cluster.task_result import TaskResult
from sr.inference.cluster_options import ClusterOptions
from sr.inference.options import InferOptions, OutputOptions

WORK = {"compact_nano_x4": 1.0, "span_x4 --tta": 0.1}
"""Model and flags -> share of --images: what takes milliseconds an image, and much longer."""


def main() -> None:
    """Print what each part found."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("parts", nargs="+", choices=["faults", "speed", "driver"])
    parser.add_argument("--images", type=int, default=500)
    parser.add_argument("--frames", type=int, default=600)
    parser.add_argument("--paths", type=int, default=100_000)
    parser.add_argument("--out", type=Path, help="Markdown file to write")
    arguments = parser.parse_args()
    lines = [as_markdown(provenance(sys.argv))]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for part in arguments.parts:
            if part == "faults":
                lines += break_runs(folder, arguments.images, arguments.frames)
            elif part == "speed":
                lines += time_nodes(folder, arguments.images)
            else:
                lines += watch_driver(folder, arguments.paths)
            sys.stdout.write("\n".join([*lines, ""]))
            sys.stdout.flush()
    if arguments.out is not None:
        arguments.out.write_text("\n".join([*lines, ""]), encoding="utf-8")


def break_runs(folder: Path, num_images: int, num_frames: int) -> list[str]:
    """Kill an actor, a node and the driver; return what happened."""
    inputs, out = folder / "faults", folder / "faults-out"
    make_inputs(inputs, num_images, num_frames)
    model = write_compact(folder / "tiny.safetensors", 2)
    flags = ["-i", str(inputs), "-m", str(model), "--resume", "--backend", "torch"]
    run_to_end([*flags, "-o", str(folder / "faults-one")], folder)
    log = folder / "faults.jsonl"

    def count_images() -> int:
        return len([*out.glob("[!.]*.png")])

    with start_cluster(2) as cluster:
        command = [*flags, "-o", str(out), "--log", str(log), *list_on_cluster(cluster)]
        driver = start_infer(command, folder / "killed.txt")
        wait_until(lambda: count_images() >= num_images // 5)
        actors = find_actors(cluster)
        actors[0].kill()
        at_actor = count_images()
        wait_until(lambda: count_images() >= num_images // 2 and bool(find_actors(cluster)))
        cluster.remove_node(cluster.worker_nodes and [*cluster.worker_nodes][-1], False)
        at_node = count_images()
        add_node(cluster)
        wait_until(lambda: any(out.glob(".*.parts/segment-*.json")))
        driver.send_signal(signal.SIGKILL)
        driver.wait()
        at_driver = count_images()
        kept = {path.name: path.stat().st_ino for path in out.glob("[!.]*.png")}
        code = run_to_end(command, folder)
    same = read_results(out) == read_results(folder / "faults-one")
    computed = count_computed(log)
    return [
        f"- an actor killed after {at_actor} images, a node removed after {at_node}, the driver"
        f" killed after {at_driver} and a segment of the clip; the same command: exit code {code}",
        f"- {len(read_results(out))} results, {'equal' if same else 'NOT equal'} to those of one"
        " process in all bytes, and no other files",
        f"- {sum(count > 1 for count in computed.values())} of {len(computed)} inputs reported as"
        f" computed twice; {sum((out / name).stat().st_ino != kept[name] for name in kept)} of"
        f" {len(kept)} results that were there written again by the second command",
    ]


def time_nodes(folder: Path, num_images: int) -> list[str]:
    """Return a table of one process, one node and two nodes, for little and for much work.

    This process, and what it starts, gets a core for each node: a node's threads would take more.
    """
    lines = ["| | ms per image | of double | CPU ms per image | load |", "|---|---|---|---|---|"]
    cores = os.sched_getaffinity(0)
    for work, share in WORK.items():
        inputs = folder / f"speed {work}"
        make_inputs(inputs, round(share * num_images), 0)
        flags = ["-i", str(inputs), "-m", *work.split(), "--backend", "torch", "--device", "cpu"]
        os.sched_setaffinity(0, sorted(cores)[:1])
        rows = {"one process": measure_run([*flags, "-o", f"{inputs}-0"], folder)}
        for num_nodes in (1, 2):
            os.sched_setaffinity(0, sorted(cores)[:num_nodes])
            with start_cluster(num_nodes) as cluster:
                command = [*flags, "-o", f"{inputs}-{num_nodes}", *list_on_cluster(cluster)]
                fixed = ["--actors", str(num_nodes)]
                rows[f"nodes: {num_nodes}"] = measure_run([*command, *fixed], folder, cluster)
        one = rows["nodes: 1"][0]
        for name, (milliseconds, cpu, load) in rows.items():
            double = f"{one / milliseconds / 2:.2f}" if name == "nodes: 2" else ""
            lines.append(
                f"| {work}, {name} | {milliseconds:.1f} | {double} | {cpu:.1f} | {load:.1f} |"
            )
    os.sched_setaffinity(0, cores)
    return lines


def measure_run(
    command: Sequence[str], folder: Path, cluster: Any = None
) -> tuple[float, float, float]:
    """Return milliseconds per image, also of CPU, and the machine's load.

    Between the first and the last image.
    """
    log = folder / f"speed-{time.monotonic_ns()}.jsonl"
    output = folder / "run.txt"
    driver = start_infer([*command, "--log", str(log)], output)
    samples: dict[int, float] = {}  # CPU seconds by images done
    while driver.poll() is None:
        num_done = log.read_bytes().count(b'"item_done"') if log.exists() else 0
        if num_done and num_done not in samples:
            samples[num_done] = measure_cpu(driver.pid, cluster)
        time.sleep(0.05)
    if driver.returncode:
        raise SystemExit(f"exit code {driver.returncode}:\n{output.read_text()[-3000:]}")
    (first, *_, last), cpu = samples, [*samples.values()]
    times = [
        datetime.fromisoformat(event["time"])
        for event in read_events(log)
        if event["event"] == "item_done"
    ]
    seconds = (times[-1] - times[0]).total_seconds()
    return (
        1000 * seconds / (len(times) - 1),
        1000 * (cpu[-1] - cpu[0]) / (last - first),
        os.getloadavg()[0],
    )


def measure_cpu(driver: int, cluster: Any) -> float:
    """Return the CPU seconds of a driver, the processes of a cluster, and all of their children."""
    roots = [driver]
    for node in [] if cluster is None else cluster.list_all_nodes():
        roots += [each.process.pid for kind in node.all_processes.values() for each in kind]
    processes: dict[int, float] = {}
    for root in roots:
        with suppress(psutil.Error):
            for process in [psutil.Process(root), *psutil.Process(root).children(recursive=True)]:
                with suppress(psutil.Error):
                    processes[process.pid] = sum(process.cpu_times()[:2])
    return sum(processes.values())


class IdleWorker:
    """An actor that does nothing, and reports all as done."""

    def __init__(self, _setup: Any) -> None:
        pass

    def __call__(self, block: Mapping[str, Any]) -> dict[str, Any]:
        fields = {"skipped": True, "seconds": 0.0, "megapixels": 0.0}
        done = [
            TaskResult(int(index), is_done=True, events=[("item_done", dict(fields))]).dump()
            for index in block["index"]
        ]
        dumped = np.empty(len(done), dtype=object)
        dumped[:] = done
        return {"result": dumped}


def watch_driver(folder: Path, num_paths: int) -> list[str]:
    """Return milliseconds per path, and memory of the driver as the run goes."""
    inputs = folder / "paths"
    inputs.mkdir()
    for number in range(num_paths):
        (inputs / f"{number:06d}.png").touch()
    times: list[float] = []
    sizes: dict[int, float] = {}

    def listen(event: str, **_: Any) -> None:
        if event == "item_done":
            times.append(time.perf_counter())
            if len(times) % (num_paths // 10) == 1:
                sizes[len(times)] = psutil.Process().memory_info().rss / 2**20

    with start_cluster(1) as cluster:
        options = InferOptions(
            [inputs],
            OutputOptions(folder / "paths-out"),
            model=str(write_compact(folder / "idle.safetensors", 2)),
            cluster=ClusterOptions("ray", cluster.address, cpus_per_actor=1),
        )
        run_on_cluster(options, listen, IdleWorker)  # type: ignore[arg-type]  # does as much
    seconds = times[-1] - times[0]
    memory = ", ".join(f"{size:.0f}" for size in sizes.values())
    return [
        f"- {len(times)} paths in {seconds:.0f} s: {1000 * seconds / len(times):.2f} ms each, with"
        f" a load of {os.getloadavg()[0]:.1f}",
        f"- memory of the driver after each tenth of them, MiB: {memory}",
    ]


def run_to_end(command: Sequence[str], folder: Path) -> int:
    """Run infer.py; return its exit code. SystemExit with its output unless that is 0."""
    output = folder / "run.txt"
    code = start_infer(command, output).wait()
    if code:
        raise SystemExit(f"exit code {code}:\n{output.read_text()[-3000:]}")
    return code


def count_computed(log: Path) -> Counter[str]:
    """Return how often each input was reported as computed."""
    done = [event for event in read_events(log) if event["event"] == "item_done"]
    return Counter(event["source"] for event in done if not event["skipped"])


def read_events(log: Path) -> list[dict[str, Any]]:
    """Return the events of a log; the last line of a killed run may be cut off."""
    return [json.loads(line) for line in log.read_text().splitlines() if line.endswith("}")]


if __name__ == "__main__":
    main()
