"""LMDB data sets of BasicSR -> folders of image files.

BasicSR's `make_lmdb_from_imgs` writes a folder NAME.lmdb: each key is a file name without its
suffix, each value an encoded PNG, and `meta_info.txt` has a line `NAME.png (H,W,C) LEVEL` for each
(docs/DatasetPreparation.md there, "LMDB Description"). Values are written as they are.
"""

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import Any

from sr.data.sources import DataError
from sr.io.atomic_write import atomic_write, remove_abandoned

_LINE = re.compile(r"(?P<name>.+?)(?P<suffix>\.\w+) \(\d+,\d+,\d+\) \d+")
_SIGNATURES = {b"\x89PNG\r\n\x1a\n": ".png", b"\xff\xd8\xff": ".jpg"}


def import_lmdb(
    source: Path, folder: Path, report: Callable[[int, int], None] = lambda _done, _total: None
) -> tuple[int, int]:
    """Write the images of a BasicSR LMDB into a folder.

    report: gets the numbers of images done and in all. Returns how many were written, and how many
    were there with the same content. Raises DataError for anything else than such an LMDB, for
    names that lead out of the folder, for other files in the way, and for a full disk.
    """
    names = _read_names(source)
    written, present = 0, 0
    with _open_values(source) as values:
        for parent in {(folder / name).parent for name in names}:
            remove_abandoned(parent)
        for done, name in enumerate(names, start=1):
            value = values.get(name.encode())
            if value is None:
                raise DataError(
                    f"{source}: expected an image {name!r} as in meta_info.txt, got none"
                )
            if _write_image(_locate(folder, source, name, value), value):
                written += 1
            else:
                present += 1
            report(done, len(names))
    return written, present


def _read_names(source: Path) -> list[str]:
    """Read the keys in meta_info.txt."""
    file = source / "meta_info.txt"
    if not (source / "data.mdb").is_file() or not file.is_file():
        raise DataError(
            f"{source}: expected a folder with data.mdb and meta_info.txt, as BasicSR makes it"
        )
    text = file.read_text(encoding="utf-8", errors="replace")
    names = []
    for number, line in enumerate(text.splitlines(), start=1):
        match = _LINE.fullmatch(line.strip())
        if match is None:
            raise DataError(
                f"{file}, line {number}: expected 'NAME.png (H,W,C) LEVEL', got {line[:80]!r}"
            )
        name = match["name"]
        if PurePosixPath(name).is_absolute() or ".." in PurePosixPath(name).parts or "\\" in name:
            raise DataError(f"{source}: expected names within a folder, got {name!r}")
        names.append(name)
    return names


@contextmanager
def _open_values(source: Path) -> Iterator[Any]:
    """Give what has the values, by `get`. Errors of lmdb inside become DataError."""
    try:
        import lmdb
    except ImportError:
        raise DataError(
            f"{source}: expected the package lmdb (of the extra `basicsr`) to read it, got none; "
            "pip install 'lmdb>=1.4'"
        ) from None
    try:
        with (
            lmdb.open(str(source), readonly=True, lock=False, readahead=False) as environment,
            environment.begin() as transaction,
        ):
            yield transaction
    except lmdb.Error as error:
        raise DataError(f"{source}: cannot be read: {error}") from error


def _locate(folder: Path, source: Path, name: str, value: bytes) -> Path:
    """Return the file of an image; its suffix follows from the content."""
    for signature, suffix in _SIGNATURES.items():
        if value.startswith(signature):
            return folder / f"{name}{suffix}"
    raise DataError(f"{source}: expected PNG or JPEG in {name!r}, got {bytes(value[:8])!r}")


def _write_image(file: Path, value: bytes) -> bool:
    """Write a file, whole or not at all. Return whether it was not there before."""
    try:
        if file.exists():
            if file.read_bytes() != value:
                raise DataError(f"{file}: expected no file, or the image itself, got another file")
            return False
        file.parent.mkdir(parents=True, exist_ok=True)
        with atomic_write(file) as temporary:
            temporary.write_bytes(value)
    except OSError as error:
        raise DataError(f"{file}: cannot be written: {error.strerror}") from error
    return True
