"""The folder of a run: what is in it, how it is opened, and the description of its environment.

runs/<name>/options.yml          the resolved options
            environment.json     seed, versions, hardware, git commit
            log.jsonl            one line per event
            tensorboard/         losses, learning rate, scores, images
            checkpoints/         see sr.training.checkpoint
            images.N.bin, .json  decoded images of machine N while the run lasts
            left-TIME/           checkpoints later than the state file that was resumed from
runs/.<name>.lock                while a process trains there
runs/<name>.until-TIME/          what --resume never moved aside
"""

import errno
import json
import os
import platform
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from importlib.metadata import version
from pathlib import Path

import torch

from sr.errors import UserError
from sr.io.atomic_write import remove_abandoned
from sr.training.checkpoint import (
    find_latest_state,
    move_later,
    read_state,
    remove_models_without_state,
)

PACKAGES = ("torch", "torchvision", "accelerate", "numpy", "pyvips", "safetensors", "pydantic")
_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


@contextmanager
def name_os_errors(path: Path) -> Iterator[None]:
    """Raise a UserError for what the system refuses: missing permission, a full disk.

    path: named where the error names none.
    """
    try:
        yield
    except OSError as error:
        named = f"{error.filename or path}: {error.strerror or error}"
        if error.errno in _FULL:
            named += ". With more room the same command goes on from the last checkpoint"
        raise UserError(named) from error


def remove_leftovers(folder: Path) -> int:
    """Remove what killed runs have left in a folder that is locked. Return the number of files."""
    decoded = [
        path
        for name in ("images", "pictures")  # the second is an older name
        for path in folder.glob(f"{name}.*")
        if path.suffix in (".bin", ".json")
    ]
    for path in decoded:
        path.unlink()
    checkpoints = folder / "checkpoints"
    num_unfinished = sum(map(remove_abandoned, (folder.parent, folder, checkpoints)))
    return len(decoded) + num_unfinished + remove_models_without_state(checkpoints)


def resumes_run(folder: Path, resume: str) -> bool:
    """Return whether `open_folder` will find a state file to go on from. Nothing is changed."""
    if resume == "auto":
        return find_latest_state(folder / "checkpoints") is not None
    return resume != "never"


def open_folder(folder: Path, resume: str) -> Path | None:
    """Make the run's folder and return the state file to go on from, or None for a new run.

    resume: auto takes the folder's last state file if there is one; never moves an existing
    folder aside; anything else names a state file, and checkpoints of later steps are moved
    aside, so that nothing is lost and nothing of them is taken for this run's.
    """
    stamp = datetime.now().astimezone().strftime("%Y%m%d-%H%M%S")
    checkpoints = folder / "checkpoints"
    if resume == "never" and folder.exists():
        folder.rename(folder.with_name(f"{folder.name}.until-{stamp}"))
    checkpoints.mkdir(parents=True, exist_ok=True)
    if resume == "auto":
        return find_latest_state(checkpoints)
    if resume == "never":
        return None
    move_later(checkpoints, int(read_state(Path(resume))["step"]), folder / f"left-{stamp}")
    return Path(resume)


def write_run_description(
    folder: Path, options_yaml: str, seed: int, device: torch.device, precision: str
) -> None:
    """Write options.yml and environment.json; a resumed run writes them again."""
    (folder / "options.yml").write_text(options_yaml, encoding="utf-8")
    environment = {
        "time": datetime.now().astimezone().isoformat(timespec="seconds"),
        "command": sys.argv,
        "seed": seed,
        "device": str(device),
        "precision": precision,
        "hardware": describe_hardware(device),
        "threads": torch.get_num_threads(),
        "python": platform.python_version(),
        "versions": {name: version(name) for name in PACKAGES},
        "git_commit": find_git_commit(),
    }
    text = json.dumps(environment, indent=2) + "\n"
    (folder / "environment.json").write_text(text, encoding="utf-8")


def describe_hardware(device: torch.device) -> str:
    """Return the GPU's name, or the CPU's cores and the vector instructions that torch uses."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    capability = torch.backends.cpu.get_cpu_capability()
    return f"{platform.machine()} CPU, {os.cpu_count()} cores, {capability}"


def find_git_commit() -> str | None:
    """Return the code's commit, with `-dirty` for uncommitted changes; None outside a checkout."""
    try:
        described = subprocess.run(
            ["git", "describe", "--always", "--dirty", "--abbrev=40", "--exclude=*"],
            cwd=Path(__file__).parent,
            capture_output=True,
            text=True,
            check=True,
        )
    except (OSError, subprocess.CalledProcessError):
        return None
    return described.stdout.strip()
