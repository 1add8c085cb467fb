"""Find files of given kinds in folders, in the order in which people read names."""

import os
import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path

from sr.io.object_path import ObjectPath

TRAINING_SUFFIXES = frozenset({".png", ".jpg", ".jpeg", ".webp", ".tif", ".tiff"})
"""Of the files that `sr.io.rgb8` reads."""


@dataclass(frozen=True)
class FolderFiles:
    """The files of a folder that have a wanted suffix, and how many others there are."""

    files: list[Path]
    num_others: int
    """Hidden files and those with another suffix."""


def find_images(
    inputs: Sequence[Path],
    recursive: bool,
    *,
    suffixes: Collection[str] = TRAINING_SUFFIXES,
) -> list[Path]:
    """List the images that `inputs` name, each once, in the order given.

    A folder gives its image files, hidden ones left out, in natural order (2 before
    10), with those of its sub-folders if `recursive`. A file is taken whatever its
    suffix. Raises `FileNotFoundError` naming every input that does not exist.
    """
    missing = [str(path) for path in inputs if not path.exists()]
    if missing:
        raise FileNotFoundError(f"no such file or folder: {', '.join(missing)}")
    found: dict[Path, Path] = {}
    for path in inputs:
        is_folder = path.is_dir()
        images = list_files(path, recursive, suffixes).files if is_folder else [path]
        for image in images:
            found.setdefault(image.parent.resolve() / image.name, image)
    return list(found.values())


def list_files(folder: Path, recursive: bool, suffixes: Collection[str]) -> FolderFiles:
    """List the files with these suffixes, in natural order, of sub-folders too if `recursive`."""
    paths = _walk_files(folder, recursive)
    files = [path for path in paths if _is_wanted(path.name, suffixes)]
    return FolderFiles(sorted(files, key=_split_digits), len(paths) - len(files))


def _walk_files(folder: Path, recursive: bool) -> list[Path]:
    if isinstance(folder, ObjectPath):
        return [*folder.list_objects(recursive=recursive)]
    found: list[Path] = []
    seen: set[str] = set()  # a linked folder may lead back to one of its parents
    for root, folders, files in os.walk(folder, followlinks=True):
        real = os.path.realpath(root)
        repeated = real in seen
        seen.add(real)
        if repeated or not recursive:
            folders.clear()
        folders[:] = [name for name in folders if not name.startswith(".")]
        if not repeated:
            found += [Path(root, name) for name in files]
    return [path for path in found if path.is_file()]


def _is_wanted(name: str, suffixes: Collection[str]) -> bool:
    return not name.startswith(".") and Path(name).suffix.lower() in suffixes


def _split_digits(path: Path) -> list[list[tuple[int, str]]]:
    """Compare part by part, digits by their value: a2.png before a10.png."""
    return [
        [(int(piece), "") if piece.isdecimal() else (-1, piece) for piece in pieces if piece]
        for pieces in (re.split(r"(\d+)", part) for part in path.parts)
    ]
