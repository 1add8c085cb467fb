"""Time of whole commands on the CPU, start-up included: `infer.py` and Real-ESRGAN's script.

    python benchmarks/upscale_commands.py -m realesr-animevideov3.pth --images FOLDER
        --script inference_realesrgan.py [--size 512] [--num-small 50] [--small-size 96]
        [--rounds 5]

The workloads of upscale_images.py: one image, and a folder of small ones. `--script` is the file
of Real-ESRGAN's repository (Wang et al., "Real-ESRGAN", 2021); this Python needs what it imports,
see upscale_images.py. Without a script, only `infer.py` and `import torch` run. Rounds alternate,
the first warms the file cache and is not counted.
"""

import argparse
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from upscale_images import SUFFIXES, THEIR_NETWORKS, make_images

INFER = Path(__file__).resolve().parent.parent / "infer.py"
Commands = dict[str, list[str]]
"""What is timed -> its arguments."""


def main() -> None:
    """Print a table of both workloads."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("-m", "--model", type=Path, required=True, help="weights")
    parser.add_argument("--images", type=Path, required=True, help="folder of photographs")
    parser.add_argument("--script", type=Path, help="Real-ESRGAN's inference_realesrgan.py")
    parser.add_argument("--size", type=int, default=512, help="side of the one image, pixels")
    parser.add_argument("--num-small", type=int, default=50, help="images in the folder")
    parser.add_argument("--small-size", type=int, default=96, help="their side, pixels")
    parser.add_argument("--rounds", type=int, default=5, help="counted rounds")
    arguments = parser.parse_args()
    if arguments.script is not None and arguments.model.stem not in THEIR_NETWORKS:
        parser.error(f"-m {arguments.model}: expected a name of {', '.join(THEIR_NETWORKS)}")
    found = sorted(path for path in arguments.images.iterdir() if path.suffix.lower() in SUFFIXES)
    if not found:
        parser.error(f"--images {arguments.images}: expected {' '.join(SUFFIXES)}, got none")
    sys.stdout.write(
        "| workload | command | median s (least) | ratio to the first |\n|---|---|---|---|\n"
    )
    for count, side in ((1, arguments.size), (arguments.num_small, arguments.small_size)):
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            make_images(found, folder / "lr", side, count)
            seconds = _time_commands(
                _list_commands(arguments.model, arguments.script, folder), arguments.rounds
            )
        first = statistics.median(next(iter(seconds.values())))
        for command, rounds in seconds.items():
            median = statistics.median(rounds)
            sys.stdout.write(
                f"| {count} of {side}x{side} | {command} | {median:.2f} ({min(rounds):.2f}) | "
                f"{median / first:.2f} |\n"
            )
            sys.stdout.flush()


def _list_commands(model: Path, script: Path | None, folder: Path) -> Commands:
    images = str(folder / "lr")
    commands: Commands = {}
    if script is not None:
        options = ["-n", model.stem, "--model_path", str(model), "--fp32"]
        options += ["-i", images, "-o", str(folder / "theirs")]
        commands["inference_realesrgan.py"] = [sys.executable, str(script), *options]
    options = ["-m", str(model), "-i", images, "-o", str(folder / "ours"), "--overwrite"]
    commands["infer.py"] = [sys.executable, str(INFER), *options, "--device", "cpu"]
    commands["import torch"] = [sys.executable, "-c", "import torch"]
    return commands


def _time_commands(commands: Commands, num_rounds: int) -> dict[str, list[float]]:
    """Return the seconds of each command's counted rounds."""
    seconds: dict[str, list[float]] = {name: [] for name in commands}
    for number in range(num_rounds + 1):
        for name, command in commands.items():
            started = time.perf_counter()
            done = subprocess.run(command, check=False, capture_output=True, text=True)
            if done.returncode:
                raise RuntimeError(f"{name} failed:\n{done.stderr}")
            if number:
                seconds[name].append(time.perf_counter() - started)
    return seconds


if __name__ == "__main__":
    main()
