"""Test and measure on a CUDA GPU in one go of at most six minutes: `make gpu`.

    python benchmarks/gpu.py [--out benchmarks/results] [--device cuda] [--parts NAME ...]

Each part is a program of its own with a time limit: one that fails, hangs or ends the process costs
its own numbers only, and what it has printed until then is kept. OUT/gpu.md is written after each.

- tests: all that are marked `gpu`.
- video: infer.py from file to file, up to 4K; with NVIDIA's encoder where there is one.
- networks: the network alone in fp32, bf16 and fp16 (speed.py).
- frames: from decoded frame to encoder input, against plain torch and TensorRT (speed.py).
- launches: eager against torch.compile, CUDA graphs and TensorRT.
- train: steps of Compact and SRGAN at their real size, against a plain loop (train_step.py);
  degradations of batches on the GPU (degrade_crops.py).
- ddp: two processes on the one GPU, through gloo, against one with the doubled batch.

--device cpu rehearses all of it at tiny sizes, and writes OUT/gpu_rehearsal.md. Exit code: 0; 1 if
a part failed; 2 without a GPU.
"""

import argparse
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import torch
from provenance import as_markdown, provenance

ROOT = Path(__file__).resolve().parents[1]
SECONDS = 350  # of all parts together; the rest of six minutes is for starting and ending
_ENVIRONMENT = {"PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": "1"}
PACKAGES = ("torchvision", "av", "torch-tensorrt", "onnxruntime")


@dataclass(frozen=True)
class Part:
    """A program, with what it may take."""

    name: str
    seconds: int
    commands: Sequence[Sequence[str]]
    """Without the interpreter; each is run, whether or not the one before failed."""
    environment: Mapping[str, str] = field(default_factory=dict)


def main(command: Sequence[str] | None = None) -> int:
    """Run the parts, and return the exit code."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--out", type=Path, default=ROOT / "benchmarks" / "results")
    parser.add_argument("--device", choices=("cuda", "cpu"), default="cuda")
    parser.add_argument("--parts", nargs="+", metavar="NAME", help="all by default")
    arguments = parser.parse_args(command)
    if arguments.device == "cuda" and not torch.cuda.is_available():
        sys.stderr.write("gpu.py: expected a CUDA GPU that torch can use, got none\n")
        return 2
    parts = list_parts(arguments.device)
    names = [part.name for part in parts]
    if unknown := set(arguments.parts or ()) - set(names):
        parser.error(f"--parts: expected {', '.join(names)}, got {', '.join(sorted(unknown))}")
    if arguments.parts:
        parts = [part for part in parts if part.name in arguments.parts]
    arguments.out.mkdir(parents=True, exist_ok=True)
    report = arguments.out / ("gpu.md" if arguments.device == "cuda" else "gpu_rehearsal.md")
    patience = 1 if arguments.device == "cuda" else 4
    return run_parts(parts, report, _describe_machine(command), patience)


def list_parts(device: str) -> list[Part]:
    """List the parts at their real sizes for "cuda", at tiny ones for "cpu"."""
    real = device == "cuda"
    own = ("benchmarks/gpu_parts.py", "--device", device)
    rounds = ("--rounds", "2" if real else "1")
    tests = ("-m", "pytest", "-q", "-n", "0", "-m", "gpu", "-rA", "--durations=5", *_find_tests())
    return [
        Part("tests", 95, [tests], {} if real else {"SR_TEST_DEVICE": "cpu"}),
        Part("video", 50, [(*own, "video")]),
        Part("networks", 40, [_time_networks("networks", device, *rounds, *_NETWORKS[device])]),
        Part("frames", 40, [_time_networks("video", device, *rounds, *_FRAMES[device])]),
        Part("launches", 55, [(*own, "launches")]),
        Part(
            "train",
            45,
            [
                *(
                    _time_training(device, *rounds, "-opt", options, *overrides)
                    for options, overrides in _TRAINING[device].items()
                ),
                ("benchmarks/degrade_crops.py", _PHOTO, "--device", device, *_CROPS[device]),
            ],
        ),
        Part("ddp", 25, [(*own, "ddp")]),
    ]


_NETWORKS: dict[str, tuple[str, ...]] = {
    "cuda": (
        *("--networks", "SPAN", "Compact", "RRDBNet", "--size", "512"),
        *("--precision", "fp32", "bf16", "fp16"),
    ),
    "cpu": ("--networks", "Compact", "--size", "16", "--precision", "fp32"),
}
_FRAMES = {"cuda": ("--frames", "1280x720", "1920x1080"), "cpu": ("--frames", "32x16")}
_PHOTO = "datasets/samples/oakland-zoo-otters.png"
_CROPS = {"cuda": (), "cpu": ("--crop-size", "32", "--batch-size", "2", "--batches", "1")}
_TINY = ("datasets.train.batch_size=2",)
_TRAINING: dict[str, dict[str, tuple[str, ...]]] = {
    "cuda": {
        "options/train/compact_x4.yml": (),
        "options/train/srgan_x4.yml": ("losses.perceptual=null",),  # whose weights are a download
    },
    "cpu": {
        "options/train/compact_x4.yml": (*_TINY, "generator={type: Compact, num_features: 4}"),
        "options/train/srgan_x4.yml": (
            "losses.perceptual=null",
            *_TINY,
            "generator={type: SRResNet, num_features: 4, num_blocks: 1}",
        ),
    },
}


def _time_networks(part: str, device: str, *options: str) -> tuple[str, ...]:
    return ("benchmarks/speed.py", part, "--device", device, "-m", "compact_x4", *options)


def _time_training(device: str, *options: str) -> tuple[str, ...]:
    real = device == "cuda"
    num_workers = min(os.cpu_count() or 1, 8) if real else 0
    data = f"datasets.train.num_workers={num_workers}"
    steps = ("--steps", "20" if real else "1")
    return ("benchmarks/train_step.py", *steps, *options, f"train.device={device}", data)


def run_parts(parts: Sequence[Part], report: Path, head: str, patience: float = 1) -> int:
    """Run parts one after the other; the report is complete up to each. Returns the exit code.

    patience: by which all limits are multiplied.
    """
    end = time.monotonic() + patience * SECONDS
    sections: list[str] = []
    has_failed = False
    for part in parts:
        sys.stdout.write(f"{part.name} ...\n")
        sys.stdout.flush()
        started = time.monotonic()
        state, output = run_part(part, min(patience * part.seconds, end - started))
        seconds = time.monotonic() - started
        has_failed = has_failed or state != "fine"
        sys.stdout.write(f"{part.name}: {state}, {seconds:.0f} s\n")
        sections.append(f"## {part.name}: {state}, {seconds:.0f} s\n{_format_output(output)}\n")
        report.write_text("\n".join([head, *sections]), encoding="utf-8")
    sys.stdout.write(f"{report}\n")
    return int(has_failed)


def run_part(part: Part, seconds: float) -> tuple[str, str]:
    """Run a part. Returns how it ended, in words, and what it printed."""
    end = time.monotonic() + seconds
    states: list[str] = []
    with tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace") as output:
        for command in part.commands:
            process = subprocess.Popen(
                [sys.executable, *command],
                cwd=ROOT,
                env={**os.environ, **_ENVIRONMENT, **part.environment},
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
            try:
                code = process.wait(max(end - time.monotonic(), 0))
                states.append("" if code == 0 else f"failed with exit code {code}")
            except subprocess.TimeoutExpired:
                states.append(f"stopped after {seconds:.0f} s")
            finally:
                _kill_group(process)
        output.seek(0)
        return ", ".join(filter(None, states)) or "fine", output.read()


def _kill_group(process: "subprocess.Popen[bytes]") -> None:
    """Kill a program with all that it has started and that is left of it."""
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def _find_tests() -> list[str]:
    """Find the files with tests that need a GPU."""
    files = sorted((ROOT / "tests").rglob("test_*.py"))
    marked = [file for file in files if "pytest.mark.gpu" in file.read_text(encoding="utf-8")]
    return [str(file.relative_to(ROOT)) for file in marked]


def _format_output(text: str) -> str:
    """Return tables as they are, and everything else as code."""
    lines, is_code = list[str](), False
    for line in text.splitlines():
        if line.startswith("|") == is_code:
            lines.append("```" if is_code else "\n```" if not line.startswith("|") else "")
            is_code = not is_code
        lines.append(line)
    return "\n".join([*lines, "```"] if is_code else lines)


def _describe_machine(command: Sequence[str] | None) -> str:
    facts = provenance(sys.argv if command is None else ["gpu.py", *command], PACKAGES)
    program = shutil.which("nvidia-smi")
    if program is not None:
        names = "index,name,driver_version,memory.total,compute_cap,power.limit"
        query = [program, f"--query-gpu={names}", "--format=csv,noheader"]
        done = subprocess.run(query, capture_output=True, text=True, timeout=20, check=False)
        facts["nvidia-smi"] = "; ".join(done.stdout.splitlines())
    return f"# On a GPU\n{as_markdown(facts)}"


if __name__ == "__main__":
    sys.exit(main())
