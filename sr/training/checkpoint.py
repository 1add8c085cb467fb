"""The state of a run on disk: model files to use and state files to go on from.

`checkpoints/step_000001000.safetensors` holds the averaged weights, ready for infer.py;
`step_000001000.state` everything that the next step depends on; `best.safetensors` the averaged
weights of the best validation.
"""

import re
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

import torch

from sr.errors import UserError
from sr.io.model_file import write_model_file
from sr.io.torch_file import write_torch_file
from sr.training.state import TrainState

STATE_FORMAT = "sr-state-2"


class CheckpointError(UserError):
    """A state file that cannot be resumed from, with its name and the reason."""


def save_checkpoint(
    folder: Path, state: TrainState, metadata: Mapping[str, Any], keep_last: int
) -> None:
    """Write model and state of the step, the state last: where it is, the model is too.

    metadata: of the model file, next to the step. Of earlier checkpoints the last `keep_last`
    stay, and the last without an alarm of the GAN monitor.
    """
    healthy: int | None = None
    if state.gan is not None:
        if not state.gan.monitor.alarms:
            state.gan.monitor.last_healthy = state.step
        healthy = state.gan.monitor.last_healthy
    write_model(model_path(folder, state.step), state, metadata)
    try:
        write_state(
            state_path(folder, state.step), {**state.state_dict(), "options": metadata["options"]}
        )
    except BaseException:
        remove_models_without_state(folder)
        raise
    prune(folder, keep_last, (healthy,))


def write_model(path: Path, state: TrainState, metadata: Mapping[str, Any]) -> None:
    """Write the averaged weights, ready for infer.py."""
    write_model_file(path, state.ema.network.state_dict(), {**metadata, "step": state.step})


def model_path(folder: Path, step: int) -> Path:
    """Return the model file of a step."""
    return folder / f"step_{step:09d}.safetensors"


def state_path(folder: Path, step: int) -> Path:
    """Return the state file of a step."""
    return folder / f"step_{step:09d}.state"


def write_state(path: Path, state: dict[str, Any]) -> None:
    """Write a run's state; the file appears complete or not at all."""
    write_torch_file(path, {"format": STATE_FORMAT, **state})


def read_state(path: Path) -> dict[str, Any]:
    """Read a state file onto the CPU. Raises CheckpointError for anything else."""
    if not path.is_file():
        raise CheckpointError(f"{path}: no such state file to resume from")
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # noqa: BLE001, torch reports broken files by many types
        reason = str(error).partition("\n")[0] or type(error).__name__
        raise CheckpointError(
            f"{path}: expected a .state file written by train.py; cannot be read ({reason})"
        ) from None
    if not isinstance(state, dict) or state.get("format") != STATE_FORMAT:
        got = state.get("format") if isinstance(state, dict) else type(state).__name__
        raise CheckpointError(f"{path}: expected a .state file of format {STATE_FORMAT}, got {got}")
    if not isinstance(state.get("step"), int):
        raise CheckpointError(f"{path}: expected a step number, got {state.get('step')!r}")
    return state


def find_latest_state(folder: Path) -> Path | None:
    """Return the state file of the highest step, or None."""
    found = _find_steps(folder)
    return state_path(folder, found[-1]) if found else None


def prune(folder: Path, keep_last: int, kept: Collection[int | None] = ()) -> None:
    """Delete the model and state files of all but the last `keep_last` steps and those `kept`."""
    for step in _find_steps(folder)[:-keep_last]:
        if step in kept:
            continue
        state_path(folder, step).unlink()
        model_path(folder, step).unlink(missing_ok=True)


def remove_models_without_state(folder: Path) -> int:
    """Delete the model files of saves that were cut off: later ones than the last state file.

    Return their number.
    """
    last = find_latest_state(folder)
    models = folder.glob("step_*.safetensors")
    cut_off = [path for path in models if last is not None and path.stem > last.stem]
    for path in cut_off:
        path.unlink()
    return len(cut_off)


def move_later(folder: Path, step: int, aside: Path) -> None:
    """Move model and state files of later steps than `step` into the new folder `aside`."""
    for later in _find_steps(folder):
        if later > step:
            aside.mkdir(exist_ok=True)
            for path in (state_path(folder, later), model_path(folder, later)):
                if path.exists():
                    path.rename(aside / path.name)


def _find_steps(folder: Path) -> list[int]:
    matches = (re.fullmatch(r"step_(\d+)\.state", path.name) for path in folder.glob("step_*"))
    return sorted(int(match[1]) for match in matches if match)
