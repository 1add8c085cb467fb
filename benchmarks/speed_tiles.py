"""Measure the engine at several tile sizes against a plain forward pass, with peak memory.

Plain: fp32, NCHW, the whole image at once under inference_mode. Ours: `sr.tiling.upscaler` with a
halo of the receptive radius, so that all results are equal. Each runs in its own process, because
retaining freed memory (`sr.memory`, as in infer.py) is a setting of the whole process, and to
measure its peak memory: of the process with its libraries; on CUDA, of the tensors.
"""

import multiprocessing
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import torch
from speed_engine import fastest, print_warning, smooth_noise
from speed_rounds import Contestant, Entry, compete, flop_of, timed
from speed_table import Table
from torch import Tensor

from sr.device import resolve_precision
from sr.inference.load_upscaler import load_upscalers
from sr.inference.options import RuntimeOptions
from sr.memory import keep_freed_memory, measure_peak_gib
from sr.models.load import load_generator


@dataclass(frozen=True)
class Variant:
    """One way to run the network."""

    tile_size: int | None  # 0: whole; None: plain torch, whole
    precision: str = "fp32"
    keeps_memory: bool = True


def tiles_part(
    model: Path,
    *,
    size: int,
    tile_sizes: Sequence[int],
    device: torch.device,
    num_rounds: int,
    num_threads: int,
) -> Table:
    """Measure all tile sizes smaller than size, the side of the square image in LR pixels."""
    generator = load_generator(model)
    flop = flop_of(generator.network, generator.num_channels, size**2)
    sizes = [tile_size for tile_size in tile_sizes if tile_size < size]
    context = multiprocessing.get_context("spawn")
    entries = []
    with ExitStack() as stack:
        processes, loading = {}, []
        for name, variant in _variants(sizes, device).items():
            process = stack.enter_context(ProcessPoolExecutor(1, mp_context=context))
            given = (name, variant, model, str(device), size, num_threads)
            loading.append(process.submit(load, *given))
            processes[name] = process
            entries.append(
                Entry(
                    {"way": name},
                    _remote(process, name),
                    resolve_precision(variant.precision, device),
                    flop=flop,
                    sr_pixels=(generator.scale * size) ** 2,
                )
            )
        for each in loading:
            each.result()
        rows = compete(entries, device, num_rounds)
        for row, process in zip(rows, processes.values(), strict=True):
            row["peak GiB"] = process.submit(most_gib, device.type).result()
    title = (
        f"{model.name}, {size}x{size} LR pixels, one process each. Operations are counted without "
        "halos, whose overhead lowers GFLOP/s. Ratios are to the first row."
    )
    return Table("tiles", title, rows)


_loaded: dict[str, Contestant] = {}  # of this process


def load(
    name: str, variant: Variant, model: Path, device_name: str, size: int, num_threads: int
) -> None:
    """Prepare, in its own process, what `measure` runs."""
    if variant.keeps_memory:
        keep_freed_memory()
    torch.set_num_threads(num_threads)
    device = torch.device(device_name)
    upscale = _plain(model, device) if variant.tile_size is None else _ours(model, device, variant)
    lr = smooth_noise(load_generator(model).num_channels, size, size)
    _loaded[name] = timed(lambda: upscale(lr), device)


def measure(name: str) -> float:
    """Seconds of an image."""
    return _loaded[name]()


def most_gib(device_type: str) -> float:
    """Return the peak of this process; on Linux getrusage would include the parent's."""
    status = Path("/proc/self/status")
    if device_type == "cuda" or not status.is_file():
        return measure_peak_gib()
    lines = dict(line.split(":", 1) for line in status.read_text().splitlines())
    return int(lines["VmHWM"].split()[0]) / 2**20  # of kB


def _variants(tile_sizes: Sequence[int], device: torch.device) -> dict[str, Variant]:
    variants = {"plain: fp32, NCHW, whole": Variant(None, keeps_memory=False)}
    if device.type == "cpu":
        variants["the same, memory retained"] = Variant(None)
        variants["ours: fp32, whole, memory not retained"] = Variant(0, keeps_memory=False)
    for precision in dict.fromkeys(("fp32", fastest(device))):
        for tile_size in tile_sizes:
            variants[f"ours: {precision}, tiles of {tile_size}"] = Variant(tile_size, precision)
        variants[f"ours: {precision}, whole"] = Variant(0, precision)
    return variants


def _remote(process: ProcessPoolExecutor, name: str) -> Contestant:
    return lambda: process.submit(measure, name).result()


def _plain(model: Path, device: torch.device) -> Callable[[Tensor], Tensor]:
    network = load_generator(model).network.to(device)

    def upscale(lr: Tensor) -> Tensor:
        with torch.inference_mode():
            sr: Tensor = network(lr.to(device))
        return sr.cpu()

    return upscale


def _ours(model: Path, device: torch.device, variant: Variant) -> Callable[[Tensor], Tensor]:
    runtime = RuntimeOptions(
        precision=variant.precision, tile_size=variant.tile_size, devices=(str(device),)
    )
    (upscaler,) = load_upscalers(model, print_warning, runtime)
    return lambda lr: upscaler.upscale_whole(lr, torch.device("cpu"))
