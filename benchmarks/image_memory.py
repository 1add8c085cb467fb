"""Measure peak memory for images of growing size, with which it should not grow.

    python benchmarks/image_memory.py --folder FOLDER [--sizes 1000 4000 8000 20000]
        [--format tif|png] [--output-format png|tif] [--tile 512]

Square 8-bit RGB images with a zone plate, two ramps and noise, streamed to disk by libvips. A
network that only repeats pixels (nearest, x2) runs in the engine of infer.py, in its own process;
so this measures reading, tiling and writing, without a network's memory. All files, including
temporary ones of libvips and the engine, are in FOLDER and removed. Linux only (reads /proc).

Anonymous memory is RssAnon of /proc/self/status, sampled every 20 ms, minus its value before the
run. Mapped memory is RssFile and RssShmem likewise: pages of files, which the system can drop.
Results above 256 MiB are mapped files, so the largest image below that can need more anonymous
memory than larger ones.
"""

import argparse
import multiprocessing
import os
import re
import shutil
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyvips
import torch
from torch import Tensor, nn
from torch.nn import functional

STATUS = Path("/proc/self/status")
SAMPLING_SECONDS = 0.02
SCALE = 2
# Of disk an LR pixel: RGB of the input as a file and as libvips may decode it into another, and of
# the result as mapped and as a file, each without compression, and a tenth more.
DISK_BYTES = 1.1 * 3 * 2 * (1 + SCALE**2)
_FIELD = re.compile(r"^(RssAnon|RssFile|RssShmem):\s+(\d+) kB$", re.MULTILINE)


@dataclass(frozen=True)
class Measured:
    """One image's run; memory in MiB above what was before it."""

    seconds: float
    anonymous: float
    mapped: float


class Nearest(nn.Module):
    """Each pixel SCALE x SCALE times."""

    def forward(self, lr: Tensor) -> Tensor:
        """lr: (B, 3, H, W). Returns: (B, 3, SCALE*H, SCALE*W)."""
        return functional.interpolate(lr, scale_factor=SCALE, mode="nearest")


def main() -> None:
    """Print a table with a row for each size."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--sizes", type=int, nargs="+", default=[1000, 4000, 8000, 20000])
    parser.add_argument(
        "--folder", type=Path, required=True, help="for temporary files; created if it is missing"
    )
    parser.add_argument("--format", choices=("tif", "png"), default="tif", help="of the inputs")
    parser.add_argument("--output-format", choices=("png", "tif"), default="png")
    parser.add_argument("--tile", type=int, default=512, help="side in LR pixels")
    arguments = parser.parse_args()
    if not STATUS.exists():
        parser.error(f"{STATUS} is missing: this is for Linux only")
    needed = DISK_BYTES * max(arguments.sizes) ** 2
    arguments.folder.mkdir(parents=True, exist_ok=True)
    free = shutil.disk_usage(arguments.folder).free
    sys.stdout.write(
        f"disk: {needed / 2**30:.1f} GiB are needed at most, {free / 2**30:.1f} GiB are free\n"
    )
    if needed > free:
        parser.error(f"--folder {arguments.folder}: expected more free disk, or smaller --sizes")
    sys.stdout.write(
        f"nearest x{SCALE}, {arguments.format} to {arguments.output_format}, tiles of "
        f"{arguments.tile}, torch {torch.__version__}, {torch.get_num_threads()} threads\n"
        "| LR pixels | SR pixels | SR as RGB MiB | s | peak anonymous MiB above base "
        "| peak mapped MiB above base |\n|---|---|---|---|---|---|\n"
    )
    for size in arguments.sizes:
        with tempfile.TemporaryDirectory(dir=arguments.folder) as name:
            measured = _measure_apart(Path(name), size, arguments)
        sys.stdout.write(_row(size, measured))
        sys.stdout.flush()


def _row(size: int, measured: Measured) -> str:
    large = SCALE * size
    cells = [f"{side}x{side} ({side**2 / 1e6:.1f} M)" for side in (size, large)]
    numbers = (3 * large**2 / 2**20, measured.seconds, measured.anonymous, measured.mapped)
    cells += [f"{number:.0f}" if number >= 10 else f"{number:.1f}" for number in numbers]
    return f"| {' | '.join(cells)} |\n"


def _measure_apart(folder: Path, size: int, arguments: argparse.Namespace) -> Measured:
    """Measure in a process with its temporary files in `folder`."""
    os.environ["TMPDIR"] = str(folder)
    context = multiprocessing.get_context("spawn")
    source, result = folder / f"lr.{arguments.format}", folder / f"sr.{arguments.output_format}"
    _make_image(source, size)
    with ProcessPoolExecutor(1, mp_context=context) as process:
        return process.submit(_measure, source, result, arguments.tile, size**2).result()


def _make_image(path: Path, size: int) -> None:
    """A zone plate in red, ramps in green and blue, noise over all; streamed."""
    ramps = pyvips.Image.xyz(size, size) * (220 / size)
    noise = pyvips.Image.gaussnoise(size, size, mean=16, sigma=4, seed=0)
    plate = (pyvips.Image.zone(size, size) + 1) * 110
    image = plate.bandjoin(ramps) + noise
    options: dict[str, Any] = {"compression": 1} if path.suffix == ".png" else {"bigtiff": True}
    image.cast("uchar").copy(interpretation="srgb").write_to_file(str(path), **options)


def _measure(source: Path, result: Path, tile_size: int, max_pixels: int) -> Measured:
    from sr.inference.options import InferOptions, OutputOptions, RuntimeOptions
    from sr.inference.run import run  # only in the process that is measured
    from sr.memory import keep_freed_memory
    from sr.tiling.upscaler import Upscaler

    keep_freed_memory()
    cpu, fp32 = torch.device("cpu"), torch.float32
    upscaler = Upscaler(
        Nearest().eval(), scale=SCALE, halo=0, tile_size=tile_size, device=cpu, dtype=fp32
    )
    before = memory()
    with peak_memory() as peak:
        started = time.perf_counter()
        options = InferOptions(
            [source], OutputOptions(result), runtime=RuntimeOptions(max_pixels=max_pixels)
        )
        outcome = run(options, lambda *_, **__: None, [upscaler])
        seconds = time.perf_counter() - started
    if outcome.failures:
        raise RuntimeError("; ".join(outcome.failures.values()))
    anonymous, mapped = (peak[name] - before[name] for name in ("anon", "mapped"))
    return Measured(seconds, anonymous, mapped)


def memory() -> dict[str, float]:
    """MiB of this process: anonymous (anon), of files (mapped), and both (rss); empty elsewhere."""
    if not STATUS.exists():
        return {}
    kib = {name: int(value) for name, value in _FIELD.findall(STATUS.read_text())}
    anonymous, mapped = kib["RssAnon"], kib["RssFile"] + kib["RssShmem"]
    in_kib = {"anon": anonymous, "mapped": mapped, "rss": anonymous + mapped}
    return {name: value / 1024 for name, value in in_kib.items()}


@contextmanager
def peak_memory() -> Iterator[dict[str, float]]:
    """The highest values of `memory` while the block runs, once it has ended."""
    peak = memory()
    ended = threading.Event()

    def watch() -> None:
        while not ended.wait(SAMPLING_SECONDS):
            for name, value in memory().items():
                peak[name] = max(peak[name], value)

    thread = threading.Thread(target=watch, name="memory", daemon=True)
    thread.start()
    try:
        yield peak
    finally:
        ended.set()
        thread.join()


if __name__ == "__main__":
    main()
