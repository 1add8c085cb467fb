"""Time of the tiled engine against a plain whole-image forward of the same network on the CPU.

    python benchmarks/tiled_inference.py [--size 512] [--rounds 7]

Plain: fp32, NCHW, the whole picture at once under inference_mode, as one would write it in three
lines. Ours: what infer.py does by default on this machine (precision, layout, tiles, halo, kept
memory). The variants are interleaved in one run, so that what else the machine does hits all of
them alike; the first round warms up and is not counted. Each runs in a process of its own, because
keeping memory (`sr.memory`) is a setting of the whole process. Weights are random, the picture is
noise: convolutions take the same time on all values.
"""

import argparse
import multiprocessing
import statistics
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from multiprocessing.connection import Connection

import torch
from torch import Tensor

from sr.devices import precision_name, resolve_precision
from sr.inference.upscaler import DEFAULT_TILE_SIZE, Upscaler
from sr.memory import keep_freed_memory
from sr.networks.compact import Compact
from sr.networks.receptive import measure_receptive_radius

CPU = torch.device("cpu")


@dataclass(frozen=True)
class Variant:
    """One way to run the network."""

    precision: str | None  # None: a plain forward in fp32
    keeps_memory: bool


def main() -> None:
    """Print a table of medians and ratios."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--size", type=int, default=512, help="side of the square input, pixels")
    parser.add_argument("--rounds", type=int, default=7, help="timed rounds")
    arguments = parser.parse_args()

    chosen = precision_name(resolve_precision("auto", CPU))
    variants = {
        "plain: fp32 NCHW, whole": Variant(None, keeps_memory=False),
        "the same, memory kept": Variant(None, keeps_memory=True),
        f"ours: default ({chosen})": Variant("auto", keeps_memory=True),
        "ours: fp32": Variant("fp32", keeps_memory=True),
        "ours: fp32, memory not kept": Variant("fp32", keeps_memory=False),
    }
    seconds = _time_in_turn(variants, arguments.size, arguments.rounds)
    sys.stdout.write(
        f"Compact x4, {arguments.size}x{arguments.size}, torch {torch.__version__}, "
        f"{torch.backends.cpu.get_cpu_capability()}, {torch.get_num_threads()} threads, "
        f"median (least) of {arguments.rounds} interleaved rounds\n"
    )
    plain = statistics.median(next(iter(seconds.values())))
    for name, values in seconds.items():
        median = statistics.median(values)
        sys.stdout.write(
            f"{name:32} {median:6.2f} s ({min(values):.2f})  ratio {median / plain:.2f}\n"
        )


def _time_in_turn(variants: dict[str, Variant], size: int, rounds: int) -> dict[str, list[float]]:
    """Seconds of each variant, a round after the other; only one runs at a time."""
    context = multiprocessing.get_context("spawn")
    workers: dict[str, Connection] = {}
    for name, variant in variants.items():
        ours, theirs = context.Pipe()
        context.Process(target=_serve, args=(theirs, variant, size), daemon=True).start()
        theirs.close()
        workers[name] = ours
    seconds: dict[str, list[float]] = {name: [] for name in variants}
    for round_number in range(rounds + 1):
        for name, worker in workers.items():
            worker.send(True)
            taken = worker.recv()
            if round_number:
                seconds[name].append(taken)
    for worker in workers.values():
        worker.send(False)
    return seconds


def _serve(connection: Connection, variant: Variant, size: int) -> None:
    """In a process of its own: answer each True with the seconds of one run; False is the end."""
    if variant.keeps_memory:
        keep_freed_memory()
    upscale = _upscale_function(variant)
    lr = torch.rand(1, 3, size, size)
    while connection.recv():
        started = time.perf_counter()
        upscale(lr)
        connection.send(time.perf_counter() - started)


def _upscale_function(variant: Variant) -> Callable[[Tensor], Tensor]:
    network = Compact(scale=4).eval()
    if variant.precision is not None:
        return Upscaler(
            network,
            scale=4,
            halo=measure_receptive_radius(network),
            tile_size=DEFAULT_TILE_SIZE,
            device=CPU,
            dtype=resolve_precision(variant.precision, CPU),
        )

    def plain(lr: Tensor) -> Tensor:
        with torch.inference_mode():
            sr: Tensor = network(lr)
            return sr

    return plain


if __name__ == "__main__":
    main()
