"""Clusters of Ray on this machine, whose nodes are processes, and runs of infer.py on them."""

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import psutil

ROOT = Path(__file__).resolve().parents[2]
_STORE = 100 << 20  # bytes of each node's object store
_NUM_STARTS = 3
_ACTOR = "UpscaleWorker"  # in the title of its process


@contextmanager
def start_cluster(num_nodes: int) -> Iterator[Any]:
    """Start nodes of one core each, next to a head without any, and end them all."""
    cluster = _retry(_start_head)
    try:
        for _ in range(num_nodes):
            add_node(cluster)
        yield cluster
    finally:
        cluster.shutdown()


def add_node(cluster: Any) -> Any:
    """Add a node of one core."""
    return _retry(lambda: cluster.add_node(num_cpus=1, object_store_memory=_STORE))


def _start_head() -> Any:
    from ray.cluster_utils import Cluster

    cluster = Cluster()
    cluster.add_node(num_cpus=0, object_store_memory=_STORE, include_dashboard=False)
    return cluster


def _retry(start: Callable[[], Any]) -> Any:
    """Start again what Ray gives up after 30 seconds, as it does where much else runs."""
    for _ in range(_NUM_STARTS - 1):
        with suppress(Exception):  # of no type of its own
            return start()
    return start()


def start_infer(arguments: Sequence[str], output: Path) -> "subprocess.Popen[bytes]":
    """Start infer.py with one thread, its output in a file."""
    with output.open("wb") as file:
        return subprocess.Popen(
            [sys.executable, str(ROOT / "infer.py"), *arguments],
            env={**os.environ, "OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"},
            stdout=file,
            stderr=subprocess.STDOUT,
        )


def list_on_cluster(cluster: Any) -> list[str]:
    """Return the flags that make a run one on this cluster."""
    return ["--cluster", "ray", "--address", cluster.address, "--cpus-per-actor", "1"]


def find_actors(cluster: Any) -> list[psutil.Process]:
    """Return the processes of the actors that work on this cluster's nodes."""
    found = []
    for node in cluster.list_all_nodes():
        for raylet in node.all_processes.get("raylet", []):
            with suppress(psutil.Error):
                for child in psutil.Process(raylet.process.pid).children(recursive=True):
                    with suppress(psutil.Error):
                        if _ACTOR in " ".join(child.cmdline()):
                            found.append(child)
    return found


def wait_until(condition: Callable[[], bool], seconds: float = 180.0) -> None:
    """Wait for a condition. Raises TimeoutError."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError(f"not so after {seconds:.0f} s")
        time.sleep(0.05)


def read_results(folder: Path) -> dict[str, bytes]:
    """Return all files below a folder, hidden ones too."""
    paths = [path for path in folder.rglob("*") if path.is_file()]
    return {str(path.relative_to(folder)): path.read_bytes() for path in paths}
