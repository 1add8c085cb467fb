"""Time a chain of models against its parts one after the other, through files and in memory.

    python benchmarks/chain.py IMAGE -m MODEL -m MODEL [...] [--rounds 3]

`parts` is the sum of each model alone in memory; `files` writes a PNG between them, as several
runs of infer.py do. In turn, the least CPU seconds of the rounds; also the largest difference of
the results from those of the parts, in units of the [0, 1] range.
"""

import argparse
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from sr import Upscaler
from sr.io.rgb8 import read_rgb8, write_rgb8

Image = npt.NDArray[Any]


def main() -> None:
    """Print the times as a table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("image", type=Path)
    parser.add_argument("-m", "--model", action="append", required=True)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--precision", default="fp32")
    arguments = parser.parse_args()
    options: dict[str, Any] = {"device": "cpu", "precision": arguments.precision}
    parts = [Upscaler.load(model, **options) for model in arguments.model]
    chain = Upscaler.load(arguments.model, **options)
    lr = read_rgb8(arguments.image, convert=True).astype(np.float32) / 255

    def run_parts() -> Image:
        sr = lr
        for part in parts:
            sr = part(sr)
        return sr

    ways: dict[str, Callable[[], Image]] = {
        "chain": lambda: chain(lr),
        "parts": run_parts,
        "files": lambda: _run_by_files(parts, lr),
    }
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    results: dict[str, Image] = {}
    for _ in range(arguments.rounds):
        for name, run in ways.items():
            started = time.process_time()
            results[name] = run()
            seconds[name].append(time.process_time() - started)
    sys.stdout.write(
        "| way | CPU seconds | of the parts | largest difference |\n|---|---|---|---|\n"
    )
    for name in ways:
        least, share = min(seconds[name]), min(seconds[name]) / min(seconds["parts"])
        difference = np.abs(results[name] - results["parts"]).max()
        sys.stdout.write(f"| {name} | {least:.2f} | {share:.2f} | {difference:.2g} |\n")


def _run_by_files(parts: list[Upscaler], lr: Image) -> Image:
    with tempfile.TemporaryDirectory() as folder:
        sr = lr
        for number, part in enumerate(parts):
            path = Path(folder) / f"{number}.png"
            write_rgb8(path, (255 * part(sr) + 0.5).astype(np.uint8))
            sr = read_rgb8(path).astype(np.float32) / 255
    return sr


if __name__ == "__main__":
    main()
