"""Time and memory from PNG to PNG on the CPU: ours, RealESRGANer and a spandrel tiler.

    python benchmarks/upscale_images.py -m MODEL.pth [MODEL.pth ...] --images FOLDER
        [--size 512] [--num-small 50] [--small-size 96] [--rounds 5] [--threads N]

Two workloads from the photographs in FOLDER: one image, and a folder of small ones. All contestants
have the same weights, images and number of threads:

- RealESRGANer (package `realesrgan`; Wang et al., "Real-ESRGAN", 2021), called as its
  inference_realesrgan.py does: OpenCV reads and writes, tile 0 (the default) or 256, tile_pad 10,
  pre_pad 0; fp32. It needs BasicSR (docs/training.md) and `pip install --no-deps
  realesrgan`; if it is missing, a line says so.
- A typical script with spandrel: OpenCV, fp32, NCHW, tiles of 256 and 16 pixels around.
- Ours: what infer.py does by default; also in fp32 where the default is another precision.

Each runs in its own process for each workload, because retaining memory (`sr.memory`) is a setting
of the whole process. Rounds alternate, so that other load affects all equally; the first is a
warm-up. Times do not include it, nor loading the model.

Memory: the peak of all rounds, with Python and libraries, Linux only. PSNR: ours against the
contestant. Network's share: network_seconds of all images over the seconds of the run, including
waiting for tiles to be read and written.
"""

import argparse
import contextlib
import importlib
import math
import multiprocessing
import os
import random
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pyvips
import torch
from image_memory import peak_memory
from torch import Tensor, nn

from sr.device import name_precision, resolve_precision

CPU = torch.device("cpu")
SUFFIXES = (".jpg", ".jpeg", ".png", ".tif", ".webp")
TILE_SIZE, OVERLAP = 256, 16  # LR pixels, of the spandrel tiler
SCALE = 4  # of the models below
THEIR_NETWORKS: dict[str, tuple[str, dict[str, int]]] = {
    "RealESRGAN_x4plus": ("RRDBNet", {"num_block": 23, "scale": SCALE}),
    "RealESRGAN_x4plus_anime_6B": ("RRDBNet", {"num_block": 6, "scale": SCALE}),
    "realesr-animevideov3": ("SRVGGNetCompact", {"num_conv": 16, "upscale": SCALE}),
}
"""Stem of a weights file -> its network in BasicSR, as in inference_realesrgan.py."""

Upscale = Callable[[Path, Path], dict[str, float]]
"""Folder of PNG files, folder for results of the same names -> measures of the run, by name."""
Runs = dict[str, list[dict[str, float]]]
"""Contestant -> the measures of its rounds, the one that warms up first."""


class LeftOutError(Exception):
    """A contestant cannot take part; the message says why."""


def main() -> None:
    """Print a table for each model and workload."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("-m", "--model", type=Path, nargs="+", required=True, help="weights")
    parser.add_argument("--images", type=Path, required=True, help="folder of photographs")
    parser.add_argument("--size", type=int, default=512, help="side of the one image, pixels")
    parser.add_argument("--num-small", type=int, default=50, help="images in the folder")
    parser.add_argument("--small-size", type=int, default=96, help="their side, pixels")
    parser.add_argument("--rounds", type=int, default=5, help="timed rounds")
    parser.add_argument("--threads", type=int, help="of torch; its own choice by default")
    arguments = parser.parse_args()
    found = sorted(path for path in arguments.images.iterdir() if path.suffix.lower() in SUFFIXES)
    if not found:
        parser.error(f"--images {arguments.images}: expected {' '.join(SUFFIXES)}, got none")
    if arguments.threads is not None:
        os.environ["OMP_NUM_THREADS"] = str(arguments.threads)  # of the processes to come
    sys.stdout.write(
        f"torch {torch.__version__}, {torch.backends.cpu.get_cpu_capability()}, "
        f"{arguments.threads or torch.get_num_threads()} threads, ours by default in "
        f"{name_precision(resolve_precision('auto', CPU))} where the network allows it, "
        f"s: median (least) of {arguments.rounds} interleaved rounds\n"
    )
    for model in arguments.model:
        for count, side in ((1, arguments.size), (arguments.num_small, arguments.small_size)):
            with tempfile.TemporaryDirectory() as name:
                folder = Path(name)
                make_images(found, folder / "lr", side, count)
                sys.stdout.write(f"\n{model.name}, {count} of {side}x{side}:\n")
                runs = _compete(model, folder, arguments.rounds + 1)
                sys.stdout.write(_table(runs, folder))


def make_images(photographs: list[Path], folder: Path, side: int, count: int) -> None:
    """Write `count` squares of the photographs in turn: the center for one, else random crops."""
    folder.mkdir()
    places = random.Random(0)
    whole = side if count == 1 else 4 * side
    for number in range(count):
        photograph = str(photographs[number % len(photographs)])
        image = pyvips.Image.thumbnail(photograph, whole, height=whole, crop="centre")
        left, top = places.randint(0, whole - side), places.randint(0, whole - side)
        image = image.colourspace("srgb").extract_band(0, n=3).crop(left, top, side, side)
        image.write_to_file(str(folder / f"{number:04}.png"), keep="none")


def _compete(model: Path, folder: Path, num_rounds: int) -> Runs:
    """Let all available contestants upscale the images in folder/lr, round by round."""
    contestants: dict[str, Callable[[Path], Upscale]] = {
        "RealESRGANer, tile 0": partial(_realesrganer, tile_size=0),
        "RealESRGANer, tile 256": partial(_realesrganer, tile_size=256),
        "spandrel, tiles of 256": _spandrel_tiler,
        "ours": partial(_ours, precision="auto"),
    }
    if resolve_precision("auto", CPU) != torch.float32:
        contestants["ours in fp32"] = partial(_ours, precision="fp32")
    runs: Runs = {}
    with contextlib.ExitStack() as stack:
        processes = {}
        for name, contestant in contestants.items():
            context = multiprocessing.get_context("spawn")
            process = stack.enter_context(ProcessPoolExecutor(1, mp_context=context))
            try:
                process.submit(_load, contestant, model).result()
            except LeftOutError as error:
                sys.stdout.write(f"{name}: left out: {error}\n")
                continue
            (folder / name).mkdir()
            processes[name], runs[name] = process, []
        for _ in range(num_rounds):
            for name, process in processes.items():
                future = process.submit(_measure, folder / "lr", folder / name)
                runs[name].append(future.result())
    return runs


_loaded: list[Upscale] = []  # the contestant of this process


def _load(contestant: Callable[[Path], Upscale], model: Path) -> None:
    _loaded.append(contestant(model))


def _measure(images: Path, results: Path) -> dict[str, float]:
    with peak_memory() as peak:
        started = time.perf_counter()
        measures = _loaded[0](images, results)
        seconds = time.perf_counter() - started
    return {"seconds": seconds, **peak, **measures}


# Each contestant imports its libraries itself, so that none carries those of the others.


def _ours(model: Path, precision: str) -> Upscale:
    from sr.inference.load_upscaler import load_upscalers
    from sr.inference.options import InferOptions, OutputOptions, RuntimeOptions
    from sr.inference.run import run
    from sr.memory import keep_freed_memory

    keep_freed_memory()
    runtime = RuntimeOptions(precision=precision, devices=("cpu",))
    upscalers = load_upscalers(model, lambda *_, **__: None, runtime)

    def upscale(images: Path, results: Path) -> dict[str, float]:
        in_network: list[float] = []

        def emit(event: str, **fields: Any) -> None:
            if event == "item_done":
                in_network.append(fields["network_seconds"])

        output = OutputOptions(results, suffix="", overwrite=True)
        outcome = run(InferOptions([images], output), emit, upscalers)
        if outcome.failures:
            raise RuntimeError("; ".join(outcome.failures.values()))
        return {"network_seconds": sum(in_network)}

    return upscale


def load_realesrganer(model: Path, tile_size: int) -> Any:
    """Return Real-ESRGAN's upsampler as its scripts make it. Raises LeftOutError without it."""
    from sr.networks.basicsr_network import MissingBasicSRError, networks_of_basicsr

    if model.stem not in THEIR_NETWORKS:
        raise LeftOutError(f"expected a name of {', '.join(THEIR_NETWORKS)}, got {model.stem}")
    try:
        networks = networks_of_basicsr()  # and gives torchvision back what BasicSR looks for
        realesrgan = importlib.import_module("realesrgan")
    except (ImportError, MissingBasicSRError) as error:
        raise LeftOutError(f"not installed: {error}") from None
    kind, options = THEIR_NETWORKS[model.stem]
    network = networks[kind](num_in_ch=3, num_out_ch=3, num_feat=64, **options)
    usual = {"tile_pad": 10, "pre_pad": 0, "half": False, "device": CPU}
    return realesrgan.RealESRGANer(SCALE, str(model), model=network, tile=tile_size, **usual)


def _realesrganer(model: Path, tile_size: int) -> Upscale:
    import cv2

    upsampler = load_realesrganer(model, tile_size)

    def upscale(images: Path, results: Path) -> dict[str, float]:
        with open(os.devnull, "w") as nowhere, contextlib.redirect_stdout(nowhere):
            for path in sorted(images.iterdir()):
                lr = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
                sr, _ = upsampler.enhance(lr, outscale=SCALE)
                cv2.imwrite(str(results / path.name), sr)
        return {}

    return upscale


def _spandrel_tiler(model: Path) -> Upscale:
    import cv2
    from spandrel import ModelLoader

    loaded = ModelLoader(device="cpu").load_from_file(str(model))
    network, scale = loaded.model.eval(), loaded.scale

    def upscale(images: Path, results: Path) -> dict[str, float]:
        for path in sorted(images.iterdir()):
            bgr = np.asarray(cv2.imread(str(path), cv2.IMREAD_COLOR))  # (H, W, 3)
            lr = torch.from_numpy(bgr[..., ::-1].transpose(2, 0, 1).copy())[None].float() / 255
            with torch.inference_mode():
                sr = (255 * _upscale_tiles(network, lr, scale)[0].clamp(0, 1)).round().byte()
            rgb = sr.permute(1, 2, 0).numpy()  # (scale*H, scale*W, 3)
            cv2.imwrite(str(results / path.name), rgb[..., ::-1])
        return {}

    return upscale


def _upscale_tiles(network: nn.Module, lr: Tensor, scale: int) -> Tensor:
    """lr: (1, 3, H, W). Returns: (1, 3, scale*H, scale*W), not clamped."""
    height, width = lr.shape[2:]
    sr = lr.new_empty(1, 3, scale * height, scale * width)
    for top in range(0, height, TILE_SIZE):
        for left in range(0, width, TILE_SIZE):
            bottom, right = min(top + TILE_SIZE, height), min(left + TILE_SIZE, width)
            above, before = max(top - OVERLAP, 0), max(left - OVERLAP, 0)
            part = network(lr[..., above : bottom + OVERLAP, before : right + OVERLAP])
            part = part[..., scale * (top - above) :, scale * (left - before) :]
            rows, columns = slice(scale * top, scale * bottom), slice(scale * left, scale * right)
            sr[..., rows, columns] = part[..., : scale * (bottom - top), : scale * (right - left)]
    return sr


def _table(runs: Runs, folder: Path) -> str:
    """Format a row per contestant as Markdown; ratios to the first."""
    heads = ["contestant", "median s (least)", "ratio", "peak anonymous MiB", "peak RSS MiB"]
    heads += ["PSNR dB", "results MiB", "network's share"]
    lines = [f"| {' | '.join(heads)} |", "|---" * len(heads) + "|"]
    first = 0.0
    for name, all_rounds in runs.items():
        seconds = [measures["seconds"] for measures in all_rounds[1:]]
        median = statistics.median(seconds)
        first = first or median
        peaks = [max(each.get(kind, math.nan) for each in all_rounds) for kind in ("anon", "rss")]
        shares = [each.get("network_seconds", math.nan) / each["seconds"] for each in all_rounds]
        size = sum(path.stat().st_size for path in (folder / name).iterdir())
        psnr = math.nan if name == "ours" else _psnr(folder / "ours", folder / name)
        cells = [f"{median:.2f} ({min(seconds):.2f})", f"{median / first:.2f}"]
        cells += [f"{peaks[0]:.0f}", f"{peaks[1]:.0f}", f"{psnr:.1f}", f"{size / 2**20:.1f}"]
        cells += [f"{statistics.median(shares[1:]):.2f}"]
        lines.append(f"| {name} | {' | '.join(cells).replace('nan', '-')} |")
    return "\n".join(lines) + "\n"


def _psnr(ours: Path, theirs: Path) -> float:
    """In dB, over the 8-bit RGB values of all images of two folders; infinite if equal."""
    squares, count = 0.0, 0
    for path in sorted(ours.iterdir()):
        first, second = (
            pyvips.Image.new_from_file(str(folder / path.name)).numpy().astype(np.float64)
            for folder in (ours, theirs)
        )
        squares += float(np.square(first - second).sum())
        count += first.size
    return 10 * math.log10(255**2 * count / squares) if squares else math.inf


if __name__ == "__main__":
    main()
