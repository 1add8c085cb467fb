"""The back end that runs a network fastest on this CPU: measured once, and remembered.

Engines differ by CPU and by network: SPAN through OpenVINO takes 0.9 of torch's time on one CPU and
more on another. So all that are installed run a tile in turn, a few times, and the fastest is
written to a file in the user's cache, under all that the result depends on.
"""

import importlib.util
import json
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from importlib.metadata import PackageNotFoundError, packages_distributions, version
from pathlib import Path
from typing import Any

import torch

from sr.device import DeviceError, name_cpu, name_precision
from sr.errors import ModelFileError
from sr.io.atomic_write import atomic_write
from sr.io.cache_folder import find_cache_folder
from sr.models.backends import use_backend
from sr.models.fingerprint import fingerprint_network
from sr.models.loaded_model import LoadedGenerator
from sr.networks.padding import pad_to_multiple
from sr.tiling.runner import prepare_network, run_network

CPU = torch.device("cpu")
NUM_ROUNDS = 3  # after one that does not count
SIDE = 160  # LR pixels of the tile
NUM_KEPT = 200  # measurements; those made first go first
MIN_GAIN = 0.05  # of torch's time; for less, its own results are kept
_PACKAGES = {"openvino": ("openvino",), "onnxruntime": ("onnxruntime", "onnx", "onnxscript")}

Seconds = Mapping[str, float]
"""Back end -> seconds for one tile."""


def choose_backend(
    generator: LoadedGenerator, precision: torch.dtype, on_measured: Callable[[str], None]
) -> str:
    """Return the fastest of the back ends that are installed, for a network on the CPU.

    What is not remembered is measured, which takes some seconds; `on_measured` is called with a
    sentence then. Where nothing gains MIN_GAIN, the usual back end is returned: torch, which is
    exact, or onnxruntime for its programs.
    """
    candidates = list_candidates(generator)
    usual = candidates[0]
    if len(candidates) == 1 or generator.takes_clips:
        return usual
    key = _describe_key(generator, precision, candidates)
    file = find_cache_folder() / "backends.json"
    seconds = _read(file).get(key)
    if seconds is None:
        seconds = measure_backends(generator, precision, candidates)
        _remember(file, key, seconds)
        figures = ", ".join(f"{name} {1000 * each:.0f} ms" for name, each in seconds.items())
        on_measured(f"a tile of {SIDE}x{SIDE} takes {figures}; this is remembered")
    return pick_fastest(seconds, usual)


def list_candidates(generator: LoadedGenerator) -> list[str]:
    """List the back ends that are installed and may run the network on the CPU, the usual first."""
    usual = "onnxruntime" if generator.on_cpu_only else "torch"
    return [usual, *(name for name in _list_installed() if name != usual)]


def pick_fastest(seconds: Seconds, usual: str) -> str:
    """Return the fastest, or the usual one where that takes at most MIN_GAIN longer."""
    fastest = min(seconds, key=lambda name: seconds[name], default=usual)
    if usual in seconds and seconds[fastest] > (1 - MIN_GAIN) * seconds[usual]:
        return usual
    return fastest


def measure_backends(
    generator: LoadedGenerator,
    precision: torch.dtype,
    names: list[str],
    num_rounds: int = NUM_ROUNDS,
) -> dict[str, float]:
    """Return the least seconds of each back end for a tile of SIDE x SIDE, in turn.

    Those that cannot run the network in this precision are left out.
    """
    networks = dict(_load_all(generator, precision, names))
    lr = torch.rand(1, 3, SIDE, SIDE, generator=torch.Generator().manual_seed(0))
    lr = pad_to_multiple(lr, generator.size_multiple)
    seconds: dict[str, list[float]] = {name: [] for name in networks}
    for number in range(num_rounds + 1):
        for name, network in networks.items():
            started = time.perf_counter()
            run_network(network, lr, precision if name == "torch" else torch.float32)
            if number:
                seconds[name].append(time.perf_counter() - started)
    return {name: min(each) for name, each in seconds.items()}


def _list_installed() -> Iterator[str]:
    for name, packages in _PACKAGES.items():
        if all(importlib.util.find_spec(package) for package in packages):
            yield name


def _load_all(
    generator: LoadedGenerator, precision: torch.dtype, names: list[str]
) -> Iterator[tuple[str, torch.nn.Module]]:
    for name in names:
        with suppress(DeviceError, ModelFileError):
            loaded = use_backend(generator, name, device=CPU, precision=precision)
            yield name, prepare_network(loaded.network, CPU)


def _describe_key(generator: LoadedGenerator, precision: torch.dtype, names: list[str]) -> str:
    """Return what the seconds depend on, in words."""
    engines = (f"{name} {_find_version(name)}" for name in sorted({"torch", *names}))
    threads = f"{torch.get_num_threads()} threads, {torch.backends.cpu.get_cpu_capability()}"
    network = f"{generator.architecture} {fingerprint_network(generator)}"
    where = (name_cpu(), threads, *engines)
    return "; ".join((*where, network, name_precision(precision), f"tile {SIDE}"))


def _find_version(module: str) -> str:
    """Return the version of a module, be it in another package: onnxruntime-gpu, say."""
    with suppress(PackageNotFoundError):
        return version(module)
    return " ".join(f"{name} {version(name)}" for name in packages_distributions().get(module, []))


def _read(file: Path) -> dict[str, dict[str, float]]:
    """Return what is remembered; nothing of a file that is damaged or cannot be read."""
    try:
        content: Any = json.loads(file.read_text(encoding="utf-8"))
        return {key: {n: float(s) for n, s in each.items()} for key, each in content.items()}
    except (OSError, ValueError, TypeError, AttributeError):
        return {}


def _remember(file: Path, key: str, seconds: Seconds) -> None:
    """Add a line to the file; not where it cannot be written, then it is measured again."""
    with suppress(OSError):
        file.parent.mkdir(parents=True, exist_ok=True)
        known = dict(list(_read(file).items())[-NUM_KEPT:])
        text = json.dumps({**known, key: dict(seconds)}, indent=1)
        with atomic_write(file) as temporary:
            temporary.write_text(text, encoding="utf-8")
