"""A Ray cluster: connected to, or begun on this machine, and how many actors it holds."""

import logging
import os
import signal
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, redirect_stdout
from dataclasses import dataclass
from typing import Any

from sr.errors import UsageError
from sr.inference.cluster_options import ClusterOptions
from sr.native_errors import capture_native_errors

_MAX_THREADS = 8  # of an actor without a GPU, where not asked for otherwise
_SIGNALS = (signal.SIGINT, signal.SIGTERM)


@dataclass(frozen=True)
class ActorPool:
    """How many actors there are to be, and what each takes of its machine."""

    num_cpus: float
    num_gpus: float
    min_size: int
    max_size: int
    num_fitting: int
    """That fit now."""


def import_ray() -> Any:
    """Import Ray and Ray Data. Raises UsageError that names the extra without them."""
    # Below that, Ray's core writes to the terminal what it recovers from itself.
    os.environ.setdefault("RAY_BACKEND_LOG_LEVEL", "fatal")
    try:
        import ray
        import ray.data
    except ImportError as error:
        raise UsageError(
            f"--cluster ray: needs the extra `ray` ({error.name} is missing): pip install 'sr[ray]'"
        ) from None
    return ray


@contextmanager
def connect(options: ClusterOptions) -> Iterator[None]:
    """Be a cluster's driver while inside. Raises UsageError where there is no cluster.

    Actors end with the driver, in whatever way that ends.
    """
    ray = import_ray()
    address = None if options.address == "auto" else options.address
    more: dict[str, Any] = {}
    if address == "local" or not (address or os.environ.get("RAY_ADDRESS")):
        more = {"include_dashboard": False}
    handlers = {number: signal.getsignal(number) for number in _SIGNALS}
    try:
        with capture_native_errors():  # Ray's core writes that it follows the variable above
            ray.init(address=address, log_to_driver=False, logging_level=logging.ERROR, **more)
    except (ConnectionError, ValueError, RuntimeError) as error:
        raise UsageError(
            f"--address {options.address}: cannot connect to a Ray cluster: {error}"
        ) from error
    finally:
        for number, handler in handlers.items():  # Ray would end the process where it stands
            signal.signal(number, handler)
    # Where Ray writes that processes and machines were lost, with pages of their logs.
    with open(os.devnull, "w") as nowhere, redirect_stdout(nowhere):
        try:
            _keep_quiet()
            yield
        finally:
            ray.shutdown()


def plan_actors(options: ClusterOptions) -> ActorPool:
    """Choose the pool of actors for the cluster that this process is connected to.

    Raises UsageError where not one fits on any machine, unless the cluster may grow (`--actors`).
    """
    import ray

    nodes = [node["Resources"] for node in ray.nodes() if node["Alive"]]
    num_gpus, num_cpus = options.gpus_per_actor, options.cpus_per_actor
    if num_gpus is None:
        num_gpus = 1.0 if any(node.get("GPU") for node in nodes) else 0.0
    if num_cpus is None:
        cores = [node["CPU"] for node in nodes if node.get("CPU")]
        num_cpus = 1.0 if num_gpus else float(min([_MAX_THREADS, *cores]))
    wanted = {"CPU": num_cpus, "GPU": num_gpus}
    num_fitting = sum(_count_fitting(node, wanted) for node in nodes)
    if options.actors is None and not num_fitting:
        raise UsageError(
            f"--cluster ray: expected a machine with {num_cpus:g} cores and {num_gpus:g} GPUs, got"
            " none; take other --cpus-per-actor and --gpus-per-actor, or --actors if machines are"
            " to be added"
        )
    fewest, most = options.actors or (1, num_fitting)
    return ActorPool(num_cpus, num_gpus, fewest, most, num_fitting)


def _count_fitting(node: Mapping[str, float], wanted: Mapping[str, float]) -> int:
    counts = [int(node.get(name, 0) / amount) for name, amount in wanted.items() if amount]
    return min(counts, default=1)


def _keep_quiet() -> None:
    """Leave the terminal to our own display."""
    import ray.data

    for name in ("ray", "ray.data"):
        logging.getLogger(name).setLevel(logging.ERROR)
    context = ray.data.DataContext.get_current()
    context.enable_progress_bars = False
    context.print_on_execution_start = False
    context.max_errored_blocks = -1  # what is lost is done again, or reported by name
