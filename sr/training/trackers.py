"""Services that show a run's numbers, next to TensorBoard: wandb and trackio, by Accelerate.

Their packages are imported only if a run asks for them.
"""

import secrets
from collections.abc import Mapping, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

from accelerate.tracking import GeneralTracker, TrackioTracker, WandBTracker

from sr.errors import UserError

_ID_FILE = "tracker_id"


def check_trackers(names: Sequence[str]) -> None:
    """Raise UserError for a tracker whose package is not installed."""
    for name in names:
        if name == "tensorboard":
            continue
        try:
            import_module(name)
        except ImportError as error:
            raise UserError(
                f"log.trackers: expected the package {name}, got none ({error}); pip install {name}"
            ) from None


def start_trackers(
    names: Sequence[str], project: str, run_name: str, folder: Path, options: Mapping[str, Any]
) -> list[GeneralTracker]:
    """Start those of other packages; a run that is resumed goes on there, too.

    folder: of the run. options: shown next to it.
    """
    started: list[GeneralTracker] = []
    for name in names:
        if name == "wandb":
            run = {"id": _read_id(folder), "dir": str(folder), "resume": "allow"}
            started.append(WandBTracker(project, name=run_name, **run))
        elif name == "trackio":
            started.append(TrackioTracker(project, name=run_name, resume="allow"))
    for tracker in started:
        tracker.start()
        tracker.store_init_configuration(dict(options))
    return started


def _read_id(folder: Path) -> str:
    """Return what identifies the run of a folder: names may come twice."""
    file = folder / _ID_FILE
    if not file.exists():
        file.write_text(secrets.token_hex(8), encoding="ascii")
    return file.read_text(encoding="ascii")
