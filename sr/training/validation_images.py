"""Validation images on disk: validation/step_000001000/SET/0000_NAME.png in the run's folder."""

import re
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from torch import Tensor

from sr.data.clips import Clip
from sr.data.sources import Source
from sr.io.rgb8 import tensor_to_rgb8, write_rgb8
from sr.training.validate import ValidationSets


def save_image(
    folder: Path, sets: ValidationSets, step: int, name: str, index: int, sr: Tensor
) -> None:
    """Write sr, (1, 3, H, W), of the image of this index in the set `name`.

    folder: of all steps. Frames of clips have no name but their index.
    """
    path = folder / f"step_{step:09d}" / name / f"{_name_image(sets[name], index)}.png"
    path.parent.mkdir(parents=True, exist_ok=True)
    write_rgb8(path, tensor_to_rgb8(sr))


def prune_steps(folder: Path, keep_last: int) -> None:
    """Delete the folders of all but the last `keep_last` steps."""
    steps = sorted(path for path in folder.glob("step_*") if re.fullmatch(r"step_\d+", path.name))
    for path in steps[:-keep_last]:
        shutil.rmtree(path)


def _name_image(sources: Sequence[Source[Any]], index: int) -> str:
    if any(isinstance(source, Clip) for source in sources):
        return f"{index:04d}"
    return f"{index:04d}_{Path(sources[index].name).stem}"
