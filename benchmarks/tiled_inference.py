"""Time of the tiled engine against a plain whole-image forward of the same network on the CPU.

    python benchmarks/tiled_inference.py [--size 512] [--rounds 7]

Plain: fp32, NCHW, the whole picture at once under inference_mode, as one would write it in three
lines. Ours: what infer.py does by default on this machine (precision, layout, tiles, halo). The
variants are interleaved in one run, so that what else the machine does hits all of them alike; the
first round warms up and is not counted. Weights are random, the picture is noise: convolutions
take the same time on all values.
"""

import argparse
import statistics
import sys
import time
from collections.abc import Callable

import torch
from torch import Tensor

from sr.devices import resolve_precision
from sr.inference.upscaler import Upscaler, default_tile_size
from sr.networks.compact import Compact
from sr.networks.receptive import measure_receptive_radius


def main() -> None:
    """Print a table of medians and ratios."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--size", type=int, default=512, help="side of the square input, pixels")
    parser.add_argument("--rounds", type=int, default=7, help="timed rounds")
    arguments = parser.parse_args()

    lr = torch.rand(1, 3, arguments.size, arguments.size)
    variants = _variants()
    seconds: dict[str, list[float]] = {name: [] for name in variants}
    for round_number in range(arguments.rounds + 1):
        for name, upscale in variants.items():
            started = time.perf_counter()
            upscale(lr)
            if round_number:
                seconds[name].append(time.perf_counter() - started)

    sys.stdout.write(
        f"Compact x4, {arguments.size}x{arguments.size}, torch {torch.__version__}, "
        f"{torch.backends.cpu.get_cpu_capability()}, {torch.get_num_threads()} threads, "
        f"median (least) of {arguments.rounds} interleaved rounds\n"
    )
    plain = statistics.median(seconds["plain: fp32 NCHW, whole"])
    for name, values in seconds.items():
        median = statistics.median(values)
        sys.stdout.write(
            f"{name:32} {median:6.2f} s ({min(values):.2f})  ratio {median / plain:.2f}\n"
        )


def _variants() -> dict[str, Callable[[Tensor], Tensor]]:
    cpu = torch.device("cpu")
    network = Compact(scale=4).eval()
    halo = measure_receptive_radius(network)

    def plain(lr: Tensor) -> Tensor:
        with torch.inference_mode():
            sr: Tensor = network(lr)
            return sr

    def tiled(precision: str) -> Upscaler:
        own = Compact(scale=4)
        own.load_state_dict(network.state_dict())
        return Upscaler(
            own,
            scale=4,
            halo=halo,
            tile_size=default_tile_size(cpu),
            device=cpu,
            dtype=resolve_precision(precision, cpu),
        )

    chosen = str(resolve_precision("auto", cpu)).removeprefix("torch.")
    return {
        "plain: fp32 NCHW, whole": plain,
        f"ours: default ({chosen}, tiled)": tiled("auto"),
        "ours: fp32, tiled": tiled("fp32"),
    }


if __name__ == "__main__":
    main()
