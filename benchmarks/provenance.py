"""Provenance of results: date, commit, command, versions and hardware, for the head of a table.

quality.py and speed.py take it: `as_markdown(provenance(sys.argv))`.
"""

import os
import platform
import shlex
from collections.abc import Mapping, Sequence
from datetime import datetime
from hashlib import sha256
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import torch

from sr.device import name_cpu
from sr.training.run_folder import find_git_commit

DIRTY = "-dirty"


def provenance(command: Sequence[str], packages: Sequence[str] = ()) -> dict[str, str]:
    """Return label -> text. command: sys.argv. packages: to list after torch."""
    versions = [f"Python {platform.python_version()}", *map(_version, ("sr", "torch", *packages))]
    facts = {
        "date": datetime.now().astimezone().isoformat(timespec="seconds"),
        "command": shlex.join(("python", *command)),
        "commit": _commit(),
        "versions": ", ".join(versions),
        "CPU": f"{name_cpu()}; {os.cpu_count()} cores; torch uses "
        f"{torch.backends.cpu.get_cpu_capability()}, {_threads()}",
    }
    if torch.cuda.is_available():
        facts["GPU"] = f"{torch.cuda.get_device_name()}; CUDA {torch.version.cuda}"
    return facts


def as_markdown(facts: Mapping[str, str]) -> str:
    """Format as a list with one line per label; the command as code."""
    lines = []
    for label, text in facts.items():
        lines.append(f"- {label}: {f'`{text}`' if label == 'command' else text}")
    return "\n".join(lines) + "\n"


def file_hash(path: Path) -> str:
    """Return the first twelve digits of the SHA-256 of a file, to identify weights."""
    return sha256(path.read_bytes()).hexdigest()[:12]


def _commit() -> str:
    commit = find_git_commit()
    if commit is None:
        return "not known"
    if commit.endswith(DIRTY):
        return f"{commit.removesuffix(DIRTY)}, with uncommitted changes"
    return commit


def _version(package: str) -> str:
    try:
        return f"{package} {version(package)}"
    except PackageNotFoundError:
        return f"{package} not installed"


def _threads() -> str:
    number = torch.get_num_threads()
    return "1 thread" if number == 1 else f"{number} threads"
