"""Time from the command to its end where the work is small: --help, one image of 64x64, a mistake.

    python benchmarks/startup.py [--rounds 5] [--tree OTHER_CHECKOUT] [--out RESULT.md]

Each command is a process of its own; rounds alternate between all commands and checkouts, so that
other load affects all equally, and the first round, which reads files into the cache of the
system, does not count. Medians of wall-clock time and of CPU time (of all threads), as seconds and
as multiples of `python -c "import torch"`. --tree measures another checkout of this repository
as well.
"""

import argparse
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from provenance import as_markdown, provenance

from sr.io.rgb8 import write_rgb8

ROOT = Path(__file__).resolve().parents[1]
REFERENCE = 'python -c "import torch"'
SIZE = 64  # LR pixels a side
_CLI = "from sr.cli.{} import main; main()"

Times = dict[tuple[str, str], list[tuple[float, float]]]
"""(name of the command, name of the checkout) -> (wall-clock, CPU) seconds, round by round."""


def main() -> None:
    """Print a table with a row per command."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5, help="timed rounds")
    parser.add_argument("--tree", type=Path, help="another checkout to measure as well")
    parser.add_argument("--out", type=Path, help="Markdown file to write")
    arguments = parser.parse_args()
    trees = {"this": ROOT}
    if arguments.tree is not None:
        trees["other"] = arguments.tree.resolve()
    with tempfile.TemporaryDirectory() as folder:
        commands = make_commands(Path(folder))
        times = time_commands(commands, trees, arguments.rounds)
    text = f"{as_markdown(provenance(sys.argv))}\n{format_table(times, list(trees))}"
    sys.stdout.write(text)
    if arguments.out is not None:
        arguments.out.write_text(text, encoding="utf-8")


def make_commands(folder: Path) -> dict[str, list[str]]:
    """Return name -> arguments of Python. folder: for the files that they read and write."""
    image, faulty = folder / "in.png", folder / "faulty.yml"
    rng = np.random.default_rng(0)
    write_rgb8(image, rng.integers(0, 256, (SIZE, SIZE, 3), np.uint8))
    faulty.write_text("name: faulty\nscale: 5\n", encoding="utf-8")
    upscale = ["infer.py", "-i", str(image), "-o", str(folder / "out.png"), "--overwrite"]
    return {
        REFERENCE: ["-c", "import torch"],
        "infer.py --help": ["infer.py", "--help"],
        "infer.py --list-models": ["infer.py", "--list-models"],
        "infer.py, a wrong flag": ["infer.py", "--no-such-flag"],
        f"infer.py, {SIZE}x{SIZE}, compact_tiny_x4": [*upscale, "-m", "compact_tiny_x4"],
        f"infer.py, {SIZE}x{SIZE}, span_x4": upscale,
        "train.py --help": ["train.py", "--help"],
        "train.py, a wrong option": ["train.py", "-opt", str(faulty)],
        "sr-info --help": ["-c", _CLI.format("info"), "--help"],
        "sr-convert --help": ["-c", _CLI.format("convert"), "--help"],
        "sr-data --help": ["-c", _CLI.format("data"), "--help"],
        "from sr import Upscaler": ["-c", "from sr import Upscaler"],
    }


def time_commands(
    commands: Mapping[str, Sequence[str]], trees: Mapping[str, Path], num_rounds: int
) -> Times:
    """Run each command in each tree once a round, and once before."""
    times: Times = {}
    for number in range(num_rounds + 1):
        for command, arguments in commands.items():
            for tree, folder in trees.items():
                seconds = _time(arguments, folder)
                if number:
                    times.setdefault((command, tree), []).append(seconds)
    return times


def format_table(times: Times, trees: Sequence[str]) -> str:
    """Format medians as a Markdown table."""
    heads = [f"{tree}: s | CPU s | x torch" for tree in trees]
    lines = [f"| command | {' | '.join(heads)} |", "|---" * (1 + 3 * len(trees)) + "|"]
    for command in dict.fromkeys(command for command, _ in times):
        cells = []
        for tree in trees:
            wall, cpu = (
                statistics.median(column) for column in zip(*times[command, tree], strict=True)
            )
            reference = statistics.median(wall for wall, _ in times[REFERENCE, tree])
            cells.append(f"{wall:.2f} | {cpu:.2f} | {wall / reference:.2f}")
        lines.append(f"| {command} | {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def _time(arguments: Sequence[str], folder: Path) -> tuple[float, float]:
    """Return the wall-clock and CPU seconds of one process; what it prints is dropped."""
    # Compiled modules are written by the round that does not count, whatever the caller's setting.
    environment = {**os.environ, "PYTHONDONTWRITEBYTECODE": ""}
    command = [sys.executable, *arguments]
    before, started = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    subprocess.run(command, cwd=folder, env=environment, capture_output=True, check=False)
    wall, after = time.perf_counter() - started, resource.getrusage(resource.RUSAGE_CHILDREN)
    return wall, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


if __name__ == "__main__":
    main()
