"""CPU time of one forward pass of each generator, beside its size.

    python benchmarks/network_speed.py [NAME ...] [--scale 4] [--size 128] [--rounds 7]

Two variants of each network: fp32, NCHW; and bf16 by autocast, channels last. All run in turn in
one process, round by round, so that what else the machine does hits all of them alike; the first
round warms up and is not counted. Freed memory is kept, as infer.py does. Weights are random, the
picture is noise: convolutions take the same time on all values.

Parameters are those that are trained. FLOPs are those of convolutions and matrix products, a
multiplication and an addition being two, over the pixels of this very picture.
"""

import argparse
import copy
import statistics
import sys
import time
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass

import torch
from pydantic import TypeAdapter
from torch import Tensor, nn

from sr.build import build_generator
from sr.memory import keep_freed_memory
from sr.models.describe import mflop_per_pixel
from sr.networks.receptive import measure_receptive_radius
from sr.options.generator import GeneratorOptions

GENERATORS: dict[str, dict[str, object]] = {
    "SPAN": {"type": "SPAN"},
    "Compact": {"type": "Compact"},
    "EDSR": {"type": "EDSR"},
    "MSRResNet": {"type": "MSRResNet"},
    "SRResNet": {"type": "SRResNet"},
    "RRDBNet": {"type": "RRDBNet"},
    "DBPN": {"type": "DBPN"},
}
"""Options of each known generator, by the name in the table and on the command line."""

RADIUS_LIMIT = 32  # LR pixels; how far the receptive radius is looked for
PRECISIONS = ("fp32", "bf16")


@dataclass(frozen=True)
class Variant:
    """A network in eval mode, its input and the context in which it runs."""

    network: nn.Module
    lr: Tensor  # (1, 3, size, size), RGB in [0, 1]
    autocast: AbstractContextManager[None]

    def milliseconds(self) -> float:
        """Time of one forward pass."""
        with torch.inference_mode(), self.autocast:
            started = time.perf_counter()
            self.network(self.lr)
            return 1000 * (time.perf_counter() - started)


def main() -> None:
    """Print a table with one row a generator."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "names", nargs="*", metavar="NAME", help=f"of {', '.join(GENERATORS)}; all by default"
    )
    parser.add_argument("--scale", type=int, default=4, choices=(2, 3, 4, 8))
    parser.add_argument("--size", type=int, default=128, help="side of the square input, pixels")
    parser.add_argument("--rounds", type=int, default=7, help="timed rounds")
    arguments = parser.parse_args()
    names = arguments.names or list(GENERATORS)
    unknown = [name for name in names if name not in GENERATORS]
    if unknown:
        parser.error(f"expected names of {', '.join(GENERATORS)}; came: {', '.join(unknown)}")

    keep_freed_memory()
    lr = torch.rand(1, 3, arguments.size, arguments.size)
    networks = {name: _build(name, arguments.scale) for name in names}
    sizes = {name: _size_columns(network, lr) for name, network in networks.items()}
    variants = {
        (name, precision): _variant(network, lr, precision)
        for name, network in networks.items()
        for precision in PRECISIONS
    }
    taken = _time_in_turn(list(variants.values()), arguments.rounds)
    times = dict(zip(variants, taken, strict=True))

    sys.stdout.write(
        f"x{arguments.scale}, {arguments.size}x{arguments.size}, torch {torch.__version__}, "
        f"{torch.backends.cpu.get_cpu_capability()}, {torch.get_num_threads()} threads, "
        f"ms: median (least) of {arguments.rounds} interleaved rounds\n"
    )
    heads = "".join(f"{precision + ' ms':>20}" for precision in PRECISIONS)
    sys.stdout.write(f"{'':16}{'parameters':>12}{'FLOPs/LR pixel':>16}{'radius':>8}{heads}\n")
    for name in names:
        columns = "".join(_time_column(times[name, precision]) for precision in PRECISIONS)
        sys.stdout.write(f"{name:16}{sizes[name]}{columns}\n")


def _build(name: str, scale: int) -> nn.Module:
    options: GeneratorOptions = TypeAdapter(GeneratorOptions).validate_python(GENERATORS[name])
    return build_generator(options, scale).eval()


def _size_columns(network: nn.Module, lr: Tensor) -> str:
    num_parameters = sum(parameter.numel() for parameter in network.parameters())
    flops = 1e6 * mflop_per_pixel(network, lr.shape[-1])
    radius = measure_receptive_radius(network, RADIUS_LIMIT)
    known = f"{radius}" if radius < RADIUS_LIMIT else f">={radius}"
    return f"{num_parameters:>12,}{flops:>16,.0f}{known:>8}"


def _variant(network: nn.Module, lr: Tensor, precision: str) -> Variant:
    if precision == "fp32":
        return Variant(network, lr, nullcontext())
    layout = torch.channels_last
    return Variant(
        copy.deepcopy(network).to(memory_format=layout),
        lr.contiguous(memory_format=layout),
        torch.autocast("cpu", dtype=torch.bfloat16),
    )


def _time_in_turn(variants: Sequence[Variant], rounds: int) -> list[list[float]]:
    """Milliseconds of each variant, a round after the other."""
    taken: list[list[float]] = [[] for _ in variants]
    for round_number in range(rounds + 1):
        for variant, milliseconds in zip(variants, taken, strict=True):
            latest = variant.milliseconds()
            if round_number:
                milliseconds.append(latest)
    return taken


def _time_column(milliseconds: list[float]) -> str:
    column = f"{statistics.median(milliseconds):.0f} ({min(milliseconds):.0f})"
    return f"{column:>20}"


if __name__ == "__main__":
    main()
