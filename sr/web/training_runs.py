"""What training runs have logged, read from their folders; stopping and starting them.

Stopping is SIGTERM to the process that holds the lock of the run's folder, once it is known to be
the one that wrote its id there: it saves a checkpoint and ends, as at Ctrl-C.
"""

import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

import psutil

from sr.errors import UserError
from sr.io.process_lock import locate_lock
from sr.options.load import load_options

MAX_POINTS = 400  # of a curve
_TRAIN = _CHECK = "from sr.cli.train import main; main()"
_CHECK_SECONDS = 600


@dataclass
class TrainingLog:
    """What a log.jsonl says; of steps that were done again, the later lines."""

    name: str
    steps: int = 0
    step: int = 0
    progress: list[Mapping[str, Any]] = field(default_factory=list)
    validation: list[Mapping[str, Any]] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    is_finished: bool = False

    def select_curves(self, prefix: str) -> list[tuple[int, str, float]]:
        """Return (step, name, value) of the logged numbers whose names begin so."""
        every = max(len(self.progress) // MAX_POINTS, 1)
        return [
            (line["step"], name.removeprefix(prefix), float(value))
            for line in self.progress[::-every][::-1]
            for name, value in line.items()
            if name.startswith(prefix) and isinstance(value, int | float)
        ]

    def select_scores(self) -> list[tuple[int, str, float]]:
        """Return (step, data set, PSNR of Y in dB), and bicubic's; none of sets without hr."""
        return [
            (line["step"], f"{name}{end}", float(scores["psnr_y"]))
            for line in self.validation
            for key, end in (("scores", ""), ("bicubic", ", bicubic"))
            for name, scores in line.get(key, {}).items()
            if "psnr_y" in scores
        ]

    def estimate_seconds_left(self) -> float | None:
        """Return the time until the last step at the latest speed."""
        speed = self.progress[-1].get("steps_per_second") if self.progress else None
        return (self.steps - self.step) / speed if speed and not self.is_finished else None


def list_training_runs(runs: Path) -> list[str]:
    """Return the names of the runs in a folder, the latest first."""
    logs = [log for log in runs.glob("*/log.jsonl") if log.is_file()]
    logs.sort(key=lambda log: log.stat().st_mtime, reverse=True)
    return [log.parent.name for log in logs]


def read_training_log(runs: Path, name: str) -> TrainingLog:
    """Read what a run has logged. Raises UserError for what is none."""
    if name not in list_training_runs(runs):
        raise UserError(f"{name}: expected a run in {runs}")
    log = TrainingLog(name)
    for text in (runs / name / "log.jsonl").read_text(encoding="utf-8").splitlines():
        try:
            line = json.loads(text)
        except ValueError:
            continue  # the last one, as it is written
        if isinstance(line, dict):
            _add_line(log, line)
    return log


def _add_line(log: TrainingLog, line: Mapping[str, Any]) -> None:
    event, step = line.get("event"), line.get("step", 0)
    log.step, log.steps = max(log.step, step), line.get("steps", log.steps)
    if event == "start":  # what was done after the checkpoint is done again
        log.step = step
        log.progress = [old for old in log.progress if old["step"] <= step]
        log.validation = [old for old in log.validation if old["step"] <= step]
        log.is_finished = False
    elif event == "progress":
        log.progress.append(line)
    elif event == "item_done" and line.get("item") == "validation":
        log.validation.append(line)
    elif event == "warning":
        log.warnings.append(f"step {step}: {line.get('message', '')}")
    elif event == "done":
        log.is_finished = bool(line.get("finished", True))


def find_trainer(runs: Path, name: str) -> psutil.Process | None:
    """Return the process that trains in a run's folder; None where there is none on this host."""
    try:
        owner = json.loads(locate_lock(runs / name).read_text(encoding="utf-8"))
        if owner["host"] != socket.gethostname():
            return None
        process = psutil.Process(int(owner["process"]))
        started = datetime.fromisoformat(owner["started"]).timestamp()
        is_same = abs(process.create_time() - started) < 2  # else its id is another's by now
        has_ended = process.status() == psutil.STATUS_ZOMBIE  # only its parent does not know yet
        return process if is_same and not has_ended and process.pid != os.getpid() else None
    except (OSError, ValueError, KeyError, TypeError, psutil.Error):
        return None


def stop_training(runs: Path, name: str) -> None:
    """Ask a run to save a checkpoint and end. Raises UserError where none is going on."""
    process = find_trainer(runs, name)
    if name not in list_training_runs(runs) or process is None:
        raise UserError(f"{name}: expected a run that goes on on this computer")
    try:
        process.send_signal(signal.SIGTERM)
    except psutil.Error as error:
        raise UserError(f"{name}: cannot be stopped: {error}") from None


def read_validation_image(runs: Path, name: str) -> bytes | None:
    """Return the latest PNG of bicubic, result and original that validation has saved."""
    if not (runs / name / "tensorboard").is_dir():
        return None
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    board = EventAccumulator(str(runs / name / "tensorboard"), size_guidance={"images": 1})
    board.Reload()
    images = [image for tag in board.Tags()["images"] for image in board.Images(tag)]
    if not images:
        return None
    return bytes(max(images, key=lambda image: image.wall_time).encoded_image_string)


class TrainingStarter:
    """Starts training from option files that a dry run has accepted."""

    def __init__(self, logs: Path) -> None:
        """logs: folder for what the programs print."""
        self._logs = logs
        self._accepted: set[tuple[Path, int]] = set()
        self._programs: list[tuple[Path, Path, subprocess.Popen[bytes]]] = []

    def check(self, file: Path) -> str:
        """Do `train.py --check`; return what it prints. Raises UserError where it refuses."""
        modified = file.stat().st_mtime_ns if file.is_file() else 0  # before the check, not after
        load_options(file, [])  # at once, and with the same messages
        done = subprocess.run(
            [sys.executable, "-c", _CHECK, "-opt", str(file), "--check"],
            capture_output=True,
            text=True,
            check=False,
            timeout=_CHECK_SECONDS,
        )
        printed = (done.stdout + done.stderr).strip()
        if done.returncode:
            raise UserError(printed or f"{file}: the check ended with {done.returncode}")
        self._accepted.add((file, modified))
        return printed

    def start(self, file: Path) -> str:
        """Start training, or go on, in a process that outlives the server; return its log's path.

        Raises UserError for a file that was not checked as it is.
        """
        if not file.is_file() or (file, file.stat().st_mtime_ns) not in self._accepted:
            raise UserError(f"{file}: expected an option file that was checked; check it first")
        self._logs.mkdir(parents=True, exist_ok=True)
        path = self._logs / f"{file.stem}.log"
        with path.open("ab") as output:
            program = subprocess.Popen(
                [sys.executable, "-c", _TRAIN, "-opt", str(file)],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )
        self._programs.append((file, path, program))
        return str(path)

    def list_failed(self) -> list[str]:
        """Say once of each program that has ended since with an error where its output is."""
        ended = [each for each in self._programs if each[2].poll() is not None]
        self._programs = [each for each in self._programs if each not in ended]
        return [
            f"{file}: ended with exit code {program.returncode}; see {path}"
            for file, path, program in ended
            if program.returncode
        ]
