"""Where pairs of lr and hr pictures come from, and the faults that are found before training."""

from collections.abc import Sequence
from fnmatch import fnmatch
from pathlib import Path
from typing import Protocol

from sr.data.crop_and_flip import Pair
from sr.io.find_pictures import find_pictures

LISTED_FAULTS = 20  # faults named in one message; the rest is counted


class DataError(ValueError):
    """Pictures that cannot be trained or measured on, with the files' names."""


class Source(Protocol):
    """One lr/hr pair that can be loaded again and again."""

    @property
    def name(self) -> str:
        """Path of the hr file, for messages."""

    @property
    def hr_size(self) -> tuple[int, int]:
        """(H, W) of the hr picture that `load` gives."""

    def load(self) -> Pair:
        """lr: (H, W, 3), hr: (scale*H, scale*W, 3), both uint8 RGB."""


def list_pictures(folders: Sequence[Path], exclude: Sequence[str]) -> list[Path]:
    """Pictures of all folders and their subfolders, in natural order, without `exclude`.

    Raises DataError naming the folders that are missing, or when nothing is found.
    """
    missing = ", ".join(str(folder) for folder in folders if not folder.is_dir())
    if missing:
        raise DataError(f"no such folder of pictures: {missing}")
    found = find_pictures(folders, recursive=True)
    kept = [path for path in found if not any(fnmatch(path.name, rule) for rule in exclude)]
    if not kept:
        names = ", ".join(str(folder) for folder in folders)
        raise DataError(f"{names}: no pictures found ({len(found)} excluded by name)")
    return kept


def raise_faults(title: str, faults: Sequence[str]) -> None:
    """Raise a DataError naming the first faults and counting the rest, if there are any."""
    if not faults:
        return
    lines = [f"  {fault}" for fault in faults[:LISTED_FAULTS]]
    if len(faults) > LISTED_FAULTS:
        lines.append(f"  ... and {len(faults) - LISTED_FAULTS} more")
    count = "1 fault" if len(faults) == 1 else f"{len(faults)} faults"
    raise DataError("\n".join([f"{title}: {count}", *lines]))
