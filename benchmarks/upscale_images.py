"""Time and memory from PNG files to PNG files on the CPU: ours, RealESRGANer and a spandrel tiler.

    python benchmarks/upscale_images.py -m MODEL.pth [MODEL.pth ...] --pictures FOLDER
        [--size 512] [--num-small 50] [--small-size 96] [--rounds 5] [--threads N]

Two workloads, made of the photographs in FOLDER: one picture of size x size, and a folder of
num-small pictures of small-size x small-size. All contestants get the same weights, pictures and
threads:

- RealESRGANer of Wang et al., "Real-ESRGAN", 2021 (package `realesrgan`), called as its
  inference_realesrgan.py does: OpenCV reads and writes; tile 0 (its default) or 256, tile_pad 10,
  pre_pad 0; in fp32, as it is without --half's GPU. It needs BasicSR (README, "Networks of
  BasicSR") and `pip install --no-deps realesrgan`, and is left out, with a line, where it is
  missing or does not know the model's name.
- What one writes around spandrel in twenty lines: OpenCV, fp32, NCHW, tiles of 256 and 16 around.
- Ours: what infer.py does by default; and in fp32 where the default is another precision.

Each runs in a process of its own, since keeping memory (`sr.memory`) is a setting of the whole
process; new processes for each workload. Their rounds alternate, so that what else the machine
does hits all of them alike; the first round warms up and is not timed. Starting and loading the
model are not timed either.

Memory is the peak over all rounds, sampled every 20 ms, with what Python and the libraries take;
Linux only. PSNR is of ours against the contestant, over all values of all pictures. The network's
share is network_seconds of all pictures over the seconds of the run: time in the network, with the
waits for the reading and writing of its tiles.
"""

import argparse
import contextlib
import importlib
import math
import multiprocessing
import os
import random
import re
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import numpy as np
import pyvips
import torch
from torch import Tensor, nn

from sr.devices import precision_name, resolve_precision

CPU = torch.device("cpu")
STATUS = Path("/proc/self/status")
SAMPLING_SECONDS = 0.02
SUFFIXES = (".jpg", ".jpeg", ".png", ".tif", ".webp")
TILE_SIZE, OVERLAP = 256, 16  # LR pixels, of the spandrel tiler
SCALE = 4  # of all models below
THEIR_NETWORKS: dict[str, tuple[str, dict[str, int]]] = {
    "RealESRGAN_x4plus": ("RRDBNet", {"num_block": 23, "scale": SCALE}),
    "RealESRNet_x4plus": ("RRDBNet", {"num_block": 23, "scale": SCALE}),
    "RealESRGAN_x4plus_anime_6B": ("RRDBNet", {"num_block": 6, "scale": SCALE}),
    "realesr-animevideov3": ("SRVGGNetCompact", {"num_conv": 16, "upscale": SCALE}),
    "realesr-general-x4v3": ("SRVGGNetCompact", {"num_conv": 32, "upscale": SCALE}),
}
"""Stem of a weights file -> its network in BasicSR, as in inference_realesrgan.py."""

Upscale = Callable[[Path, Path], dict[str, Any]]
"""Folder of PNG files, folder for the results of the same names -> what is known of the run."""


class LeftOutError(Exception):
    """A contestant cannot take part; the message says why."""


@dataclass(frozen=True)
class Run:
    """One round of one contestant."""

    seconds: float
    peak: dict[str, float]  # MiB by field of /proc/self/status; empty but on Linux
    known: dict[str, Any]


@dataclass
class Worker:
    """A contestant in its process, and its timed runs."""

    connection: Connection
    results: Path
    runs: list[Run] = field(default_factory=list)

    def run(self) -> Run:
        """Have it upscale the pictures once."""
        self.connection.send(True)
        run: Run = self.connection.recv()
        return run


def main() -> None:
    """Print a table for each model and workload."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("-m", "--model", type=Path, nargs="+", required=True, help="x4 weights")
    parser.add_argument("--pictures", type=Path, required=True, help="folder of photographs")
    parser.add_argument("--size", type=int, default=512, help="side of the one picture, pixels")
    parser.add_argument("--num-small", type=int, default=50, help="pictures in the folder")
    parser.add_argument("--small-size", type=int, default=96, help="their side, pixels")
    parser.add_argument("--rounds", type=int, default=5, help="timed rounds")
    parser.add_argument("--threads", type=int, help="of torch; its own choice by default")
    arguments = parser.parse_args()
    photographs = sorted(
        path for path in arguments.pictures.iterdir() if path.suffix.lower() in SUFFIXES
    )
    if not photographs:
        parser.error(f"--pictures {arguments.pictures}: expected {' '.join(SUFFIXES)}; came: none")
    if arguments.threads is not None:
        os.environ["OMP_NUM_THREADS"] = str(arguments.threads)  # of the processes to come
    threads = arguments.threads or torch.get_num_threads()
    sys.stdout.write(
        f"torch {torch.__version__}, {torch.backends.cpu.get_cpu_capability()}, {threads} threads, "
        f"s: median (least) of {arguments.rounds} interleaved rounds\n"
    )
    for model in arguments.model:
        with tempfile.TemporaryDirectory() as name:
            one, small = Path(name, "one"), Path(name, "small")
            _make_pictures(photographs[:1], one, arguments.size, count=1)
            _make_pictures(photographs, small, arguments.small_size, arguments.num_small)
            _compete(model, one, f"one picture, {arguments.size}x{arguments.size}", arguments)
            side = arguments.small_size
            _compete(model, small, f"{arguments.num_small} pictures, {side}x{side}", arguments)


def _make_pictures(photographs: list[Path], folder: Path, side: int, count: int) -> None:
    """`count` squares of the photographs in turn: of one the middle, of several random crops."""
    folder.mkdir()
    places = random.Random(0)
    for number in range(count):
        whole = side if count == 1 else 4 * side
        photograph = str(photographs[number % len(photographs)])
        image = pyvips.Image.thumbnail(photograph, whole, height=whole, crop="centre")
        left, top = places.randint(0, whole - side), places.randint(0, whole - side)
        image = image.colourspace("srgb").extract_band(0, n=3).crop(left, top, side, side)
        image.write_to_file(str(folder / f"{number:04}.png"), keep="none")


def _compete(model: Path, pictures: Path, workload: str, arguments: argparse.Namespace) -> None:
    """Run all contestants over a folder of pictures; print their table."""
    sys.stdout.write(f"\n{model.name}, {workload}:\n")
    workers = _start(model, pictures)
    for round_number in range(arguments.rounds + 1):
        for worker in workers.values():
            run = worker.run()
            if round_number == 0 and run.known:
                known = ", ".join(f"{name} {value}" for name, value in run.known.items())
                sys.stdout.write(f"{worker.results.name}: {known} (first round)\n")
            worker.runs.append(run)
    for worker in workers.values():
        worker.connection.send(False)
    sys.stdout.write(_table(workers))


def _contestants() -> dict[str, Callable[[Path], Upscale]]:
    contestants: dict[str, Callable[[Path], Upscale]] = {
        "RealESRGANer, tile 0": partial(_realesrganer, tile_size=0),
        "RealESRGANer, tile 256": partial(_realesrganer, tile_size=256),
        "spandrel, tiles of 256": _spandrel_tiler,
        "ours": partial(_ours, precision="auto"),
    }
    if resolve_precision("auto", CPU) != torch.float32:
        contestants["ours in fp32"] = partial(_ours, precision="fp32")
    return contestants


def _start(model: Path, pictures: Path) -> dict[str, Worker]:
    """A process for each contestant that can take part; the others are named."""
    context = multiprocessing.get_context("spawn")
    workers = {}
    for name, contestant in _contestants().items():
        results = pictures.parent / f"{pictures.name} by {name}"
        results.mkdir()
        ours, theirs = context.Pipe()
        process = context.Process(
            target=_serve, args=(theirs, contestant, model, pictures, results), daemon=True
        )
        process.start()
        theirs.close()
        fault = ours.recv()
        if fault:
            sys.stdout.write(f"{name}: left out: {fault}\n")
        else:
            workers[name] = Worker(ours, results)
    return workers


def _serve(
    connection: Connection,
    contestant: Callable[[Path], Upscale],
    model: Path,
    pictures: Path,
    results: Path,
) -> None:
    """In a process of its own: say that it is ready, answer each True with a run; False ends it."""
    try:
        upscale = contestant(model)
    except LeftOutError as error:
        connection.send(str(error))
        return
    connection.send("")
    while connection.recv():
        with _peak_memory() as peak:
            started = time.perf_counter()
            known = upscale(pictures, results)
            seconds = time.perf_counter() - started
        connection.send(Run(seconds, peak, known))


@contextlib.contextmanager
def _peak_memory() -> Iterator[dict[str, float]]:
    """The most MiB of RssAnon and VmRSS while the block runs; nothing but on Linux."""
    peak: dict[str, float] = {}
    ended = threading.Event()

    def sample() -> None:
        fields = re.findall(r"^(RssAnon|VmRSS):\s+(\d+) kB$", STATUS.read_text(), re.MULTILINE)
        for name, kib in fields:
            peak[name] = max(peak.get(name, 0), int(kib) / 1024)

    def watch() -> None:
        while not ended.wait(SAMPLING_SECONDS):
            sample()

    thread = threading.Thread(target=watch, daemon=True)
    if STATUS.exists():
        sample()
        thread.start()
    try:
        yield peak
    finally:
        ended.set()
        if thread.is_alive():
            thread.join()


# Each contestant imports its libraries itself, so that none carries those of the others.


def _ours(model: Path, precision: str) -> Upscale:
    from sr.inference.engine import run
    from sr.inference.loading import Running, load_upscalers
    from sr.inference.plan import Request
    from sr.memory import keep_freed_memory

    keep_freed_memory()
    upscalers = load_upscalers(model, lambda *_, **__: None, [CPU], Running(precision=precision))

    def upscale(pictures: Path, results: Path) -> dict[str, Any]:
        in_network: list[float] = []

        def emit(event: str, **fields: Any) -> None:
            if event == "item_done":
                in_network.append(fields["network_seconds"])

        outcome = run(upscalers, Request([pictures], results, suffix="", existing="overwrite"), emit)
        if outcome.failures:
            raise RuntimeError("; ".join(outcome.failures.values()))
        (upscaler,) = upscalers
        return {
            "precision": precision_name(upscaler.dtype),
            "tile_size": upscaler.tile_size,
            "halo": upscaler.halo,
            "network_seconds": round(sum(in_network), 3),
        }

    return upscale


def _realesrganer(model: Path, tile_size: int) -> Upscale:
    import cv2

    from sr.networks.basicsr_network import MissingBasicSRError, networks_of_basicsr

    if model.stem not in THEIR_NETWORKS:
        raise LeftOutError(f"{model.name} is none of {', '.join(THEIR_NETWORKS)}")
    try:
        networks = networks_of_basicsr()  # lets BasicSR find what torchvision has no longer
        realesrgan = importlib.import_module("realesrgan")
    except (ImportError, MissingBasicSRError) as error:
        raise LeftOutError(f"not installed: {error}") from None
    kind, options = THEIR_NETWORKS[model.stem]
    network = networks[kind](num_in_ch=3, num_out_ch=3, num_feat=64, **options)
    upsampler = realesrgan.RealESRGANer(
        scale=SCALE,
        model_path=str(model),
        model=network,
        tile=tile_size,
        tile_pad=10,
        pre_pad=0,
        half=False,
        device=CPU,
    )

    def upscale(pictures: Path, results: Path) -> dict[str, Any]:
        with open(os.devnull, "w") as nowhere, contextlib.redirect_stdout(nowhere):
            for path in sorted(pictures.iterdir()):
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

    def upscale(pictures: Path, results: Path) -> dict[str, Any]:
        for path in sorted(pictures.iterdir()):
            bgr = cv2.imread(str(path), cv2.IMREAD_COLOR)
            assert bgr is not None
            lr = torch.from_numpy(bgr[..., ::-1].transpose(2, 0, 1).copy())[None].float() / 255
            with torch.inference_mode():
                sr = (255 * _tiled(network, lr, scale)[0].clamp(0, 1)).round().byte()
            cv2.imwrite(str(results / path.name), sr.permute(1, 2, 0).numpy()[..., ::-1])
        return {}

    return upscale


def _tiled(network: nn.Module, lr: Tensor, scale: int) -> Tensor:
    """lr: (1, 3, H, W). Returns: (1, 3, scale*H, scale*W), not clamped."""
    height, width = lr.shape[2:]
    sr = lr.new_empty(1, 3, scale * height, scale * width)
    for top in range(0, height, TILE_SIZE):
        for left in range(0, width, TILE_SIZE):
            bottom, right = min(top + TILE_SIZE, height), min(left + TILE_SIZE, width)
            above, before = max(top - OVERLAP, 0), max(left - OVERLAP, 0)
            part = network(lr[..., above : bottom + OVERLAP, before : right + OVERLAP])
            sr[..., scale * top : scale * bottom, scale * left : scale * right] = part[
                ...,
                scale * (top - above) : scale * (bottom - above),
                scale * (left - before) : scale * (right - before),
            ]
    return sr


def _table(workers: dict[str, Worker]) -> str:
    """Markdown, a row for each contestant; ratios to the first."""
    heads = ["contestant", "median s (least)", "ratio", "anonymous MiB", "RSS MiB"]
    heads += ["PSNR, dB", "results, MiB", "network's share"]
    lines = [f"| {' | '.join(heads)} |", "|---" * len(heads) + "|"]
    first = _median_seconds(next(iter(workers.values())))
    for name, worker in workers.items():
        median = _median_seconds(worker)
        shares = [
            run.known["network_seconds"] / run.seconds
            for run in worker.runs[1:]
            if "network_seconds" in run.known
        ]
        megabytes = sum(path.stat().st_size for path in worker.results.iterdir()) / 2**20
        cells = [
            name,
            f"{median:.2f} ({min(run.seconds for run in worker.runs[1:]):.2f})",
            f"{median / first:.2f}",
            *(_peak(worker, kind) for kind in ("RssAnon", "VmRSS")),
            "-" if name == "ours" else f"{_psnr(workers['ours'].results, worker.results):.1f}",
            f"{megabytes:.1f}",
            f"{statistics.median(shares):.2f}" if shares else "-",
        ]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def _median_seconds(worker: Worker) -> float:
    return statistics.median(run.seconds for run in worker.runs[1:])


def _peak(worker: Worker, kind: str) -> str:
    values = [run.peak[kind] for run in worker.runs if kind in run.peak]
    return f"{max(values):.0f}" if values else "-"


def _psnr(ours: Path, theirs: Path) -> float:
    """In dB, over all 8-bit RGB values of all pictures of two folders; infinite if equal."""
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
