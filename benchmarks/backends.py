"""Time a tile of each model by each back end that is installed, and what `--backend auto` takes.

    python benchmarks/backends.py MODEL ... [--rounds 5] [--out RESULT.md]

MODEL: the name of a bundled one or any file that infer.py accepts, also of 8-bit integers
(`sr-convert --int8`). All back ends run a tile in turn, in fp32 on the CPU, in the way in which
`--backend auto` measures (with `--precision fp32`, on CPUs that have bf16); the table has the least
time of all rounds, in ms.
"""

import argparse
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
from provenance import as_markdown, provenance

from sr.models.choose_backend import SIDE, list_candidates, measure_backends, pick_fastest
from sr.models.find_model import resolve_model
from sr.models.load import load_generator

BACKENDS = ("torch", "openvino", "onnxruntime")


def main() -> None:
    """Print a table with a row per model."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("models", nargs="+", metavar="MODEL")
    parser.add_argument("--rounds", type=int, default=5, help="timed rounds")
    parser.add_argument("--out", type=Path, help="Markdown file to write")
    arguments = parser.parse_args()
    rows = [time_model(name, arguments.rounds) for name in arguments.models]
    text = f"{as_markdown(provenance(sys.argv))}\n{format_table(rows)}"
    sys.stdout.write(text)
    if arguments.out is not None:
        arguments.out.write_text(text, encoding="utf-8")


def time_model(name: str, num_rounds: int) -> tuple[str, Mapping[str, float], str]:
    """Return the model's name, the seconds of each back end, and the one that auto takes."""
    path = resolve_model(name)
    generator = load_generator(path)
    candidates = list_candidates(generator)
    seconds = measure_backends(generator, torch.float32, candidates, num_rounds)
    return path.stem, seconds, pick_fastest(seconds, candidates[0])


def format_table(rows: Sequence[tuple[str, Mapping[str, float], str]]) -> str:
    """Format milliseconds as a Markdown table."""
    lines = [
        f"| {SIDE}x{SIDE}, ms | {' | '.join(BACKENDS)} | auto |",
        "|---" * (2 + len(BACKENDS)) + "|",
    ]
    for name, seconds, chosen in rows:
        cells = [f"{1000 * seconds[each]:.0f}" if each in seconds else "" for each in BACKENDS]
        lines.append(f"| {name} | {' | '.join(cells)} | {chosen} |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    main()
