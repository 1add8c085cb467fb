"""The folder of a run: what is in it, how it is opened, how the surroundings are noted.

runs/<name>/options.yml          the resolved options
            environment.json     seed, versions, hardware, git commit
            log.jsonl            one line an event
            tensorboard/         losses, learning rate, scores, pictures
            checkpoints/         see sr.training.checkpoint
            pictures.bin         decoded pictures while the run lasts
"""

import json
import os
import platform
import subprocess
import sys
from datetime import datetime
from importlib.metadata import version
from pathlib import Path

import torch

from sr.training.checkpoint import latest_state

PACKAGES = ("torch", "torchvision", "accelerate", "numpy", "pyvips", "safetensors", "pydantic")


def open_folder(folder: Path, resume: str) -> Path | None:
    """Make the run's folder and return the state file to go on from, or None for a new run.

    resume: auto takes the folder's last state file if there is one; never moves an existing
    folder aside, so that nothing is lost; anything else names a state file.
    """
    if resume == "never" and folder.exists():
        stamp = datetime.now().astimezone().strftime("%Y%m%d-%H%M%S")
        folder.rename(folder.with_name(f"{folder.name}.until-{stamp}"))
    (folder / "checkpoints").mkdir(parents=True, exist_ok=True)
    if resume == "auto":
        return latest_state(folder / "checkpoints")
    return None if resume == "never" else Path(resume)


def describe_run(folder: Path, options_yaml: str, seed: int, device: str, precision: str) -> None:
    """Write options.yml and environment.json; a resumed run writes them anew."""
    (folder / "options.yml").write_text(options_yaml, encoding="utf-8")
    environment = {
        "time": datetime.now().astimezone().isoformat(timespec="seconds"),
        "command": sys.argv,
        "seed": seed,
        "device": device,
        "precision": precision,
        "hardware": hardware(),
        "threads": torch.get_num_threads(),
        "python": platform.python_version(),
        "versions": {name: version(name) for name in PACKAGES},
        "git_commit": git_commit(),
    }
    text = json.dumps(environment, indent=2) + "\n"
    (folder / "environment.json").write_text(text, encoding="utf-8")


def hardware() -> str:
    """The GPU's name, or the number of CPU cores and the vector instructions that torch uses."""
    if torch.cuda.is_available():
        return torch.cuda.get_device_name()
    capability = torch.backends.cpu.get_cpu_capability()
    return f"{platform.machine()} CPU, {os.cpu_count()} cores, {capability}"


def git_commit() -> str | None:
    """Commit of the code, with `-dirty` for uncommitted changes; None outside a checkout."""
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
