"""What shards cost: runs of infer.py at once over one folder, next to one run over all of it.

    python benchmarks/shards.py [--shards 1 2] [--images 200] [--frames 900] [--out RESULT.md]

Small noise images, and a clip of noise of 64x48 pixels (segments of 300 frames), which all shards
share by --resume, through compact_nano_x4 by torch, one thread per process. Measured are wall-clock
time, and CPU time of all processes together, which other load on the machine changes less: CPU time
of one run / CPU time of the shards is the efficiency on machines that do not share cores. Results
are compared byte by byte with those of the first number of shards.
"""

import argparse
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import av
import numpy as np
from provenance import as_markdown, provenance

from sr.io.rgb8 import write_rgb8

ROOT = Path(__file__).resolve().parents[1]
IMAGE_SIZE = (48, 64)  # LR pixels, height and width
THREADS = {"OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}


def main() -> None:
    """Print a table with a row per number of shards."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--shards", type=int, nargs="+", default=[1, 2], help="at once")
    parser.add_argument("--images", type=int, default=200)
    parser.add_argument("--frames", type=int, default=900)
    parser.add_argument("--model", default="compact_nano_x4")
    parser.add_argument("--out", type=Path, help="Markdown file to write")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        make_inputs(folder / "in", arguments.images, arguments.frames)
        rows = [
            [str(count), *time_shards(folder, count, arguments.model)] for count in arguments.shards
        ]
        same = compare_results([folder / str(count) for count in arguments.shards])
    lines = ["| shards | wall-clock, s | CPU, s | CPU per shard, s |", "|---|---|---|---|"]
    lines += [f"| {' | '.join(row)} |" for row in rows]
    text = f"{as_markdown(provenance(sys.argv))}\n" + "\n".join([*lines, "", same, ""])
    sys.stdout.write(text)
    if arguments.out is not None:
        arguments.out.write_text(text, encoding="utf-8")


def make_inputs(folder: Path, num_images: int, num_frames: int) -> None:
    """Write images and, unless it has no frames, a clip."""
    folder.mkdir()
    random = np.random.default_rng(0)
    for number in range(num_images):
        pixels = random.integers(0, 256, (*IMAGE_SIZE, 3), dtype=np.uint8)
        write_rgb8(folder / f"{number:05d}.png", pixels)
    if not num_frames:
        return
    with av.open(str(folder / "clip.mp4"), "w") as container:
        stream = container.add_stream("libx264", rate=25)
        stream.height, stream.width = IMAGE_SIZE
        stream.pix_fmt = "yuv420p"
        for _ in range(num_frames):
            pixels = random.integers(0, 256, (*IMAGE_SIZE, 3), dtype=np.uint8)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(pixels)))
        container.mux(stream.encode(None))


def time_shards(folder: Path, count: int, model: str) -> list[str]:
    """Run all shards at once; return wall-clock and CPU seconds, in all and per shard."""
    flags = ["-i", str(folder / "in"), "-o", str(folder / str(count)), "-m", model]
    command = [sys.executable, "infer.py", *flags, "--backend", "torch", "--device", "cpu"]
    before, started = _measure_cpu(), time.perf_counter()
    runs = [
        subprocess.Popen(
            [*command, "--resume", "--shard", f"{number}/{count}"],
            cwd=ROOT,
            env={**os.environ, **THREADS},
            stderr=subprocess.DEVNULL,
        )
        for number in range(1, count + 1)
    ]
    codes = [run.wait() for run in runs]
    if any(codes):
        raise SystemExit("a shard failed")
    wall, cpu = time.perf_counter() - started, _measure_cpu() - before
    return [f"{wall:.1f}", f"{cpu:.1f}", f"{cpu / count:.1f}"]


def compare_results(folders: Sequence[Path]) -> str:
    """Return whether all folders hold the same files, in words."""
    first, *others = [
        {path.name: path.read_bytes() for path in folder.iterdir()} for folder in folders
    ]
    different = sum(other != first for other in others)
    return f"{len(first)} results each, {'equal' if not different else 'NOT equal'} in all bytes"


def _measure_cpu() -> float:
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


if __name__ == "__main__":
    main()
