"""Archives of images (CBZ, ZIP): what they hold, checked before anything is unpacked.

Nothing is unpacked to a name of the archive's own choice. Refused all the same are names that lead
out of a folder (as unpacking the result would), links, encrypted entries, names that occur twice,
and archives that hold far more than they weigh.
"""

import shutil
import stat
import zipfile
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import IO

from sr.errors import UserError
from sr.io.atomic_write import atomic_write
from sr.io.image_formats import READABLE_SUFFIXES
from sr.io.pipe import is_pipe

COMIC = ".cbz"
ARCHIVE_SUFFIXES = frozenset({COMIC, ".zip"})
MAX_ENTRIES = 20_000
MAX_RATIO = 100  # bytes that are held per byte of the archive; images hardly shrink
FREE_BYTES = 2**26  # of what is held, whatever the archive weighs: text shrinks more
MAX_PAGE_BYTES = 2**31

_EXPECTED = "expected an archive of images (CBZ or ZIP)"
_FAULTS = (zipfile.BadZipFile, zlib.error, EOFError, RuntimeError, ValueError)
"""What zipfile raises at damaged archives and at ways to compress that it does not know."""
_ENCRYPTED, _UTF8 = 1, 0x800  # bits of an entry's flags
_OTHER_ARCHIVES = {b"Rar!": "RAR", b"7z\xbc\xaf": "7z"}


class ArchiveError(UserError):
    """An archive that cannot be read or written; the message names it."""


class _EntryInOldCode(zipfile.ZipInfo):
    """An entry whose name is in no known code: many programs write their own code page's.

    zipfile reads it as code page 437, which has a character for each byte, and would write UTF-8.
    """

    def _encodeFilenameFlags(self) -> tuple[bytes, int]:  # noqa: N802, zipfile's own
        return self.filename.encode("cp437"), self.flag_bits & ~_UTF8


@contextmanager
def open_archive(path: Path) -> Iterator[zipfile.ZipFile]:
    """Open an archive whose entries are all harmless. Raises ArchiveError."""
    if is_pipe(path):
        raise ArchiveError(f"{path}: {_EXPECTED} in a file, got a pipe")
    with _convert_errors(str(path)):
        with path.open("rb") as file:
            other = _OTHER_ARCHIVES.get(file.read(4))
        if other is not None:
            raise ArchiveError(f"{path}: {_EXPECTED}, got {other}; repack it as CBZ or ZIP")
        archive = zipfile.ZipFile(path)
    with archive:
        _check_entries(archive, path)
        yield archive


def list_pages(archive: zipfile.ZipFile) -> list[zipfile.ZipInfo]:
    """Return the entries that are images by their names, in the order of the archive."""
    return [entry for entry in archive.infolist() if is_page(entry)]


def is_page(entry: zipfile.ZipInfo) -> bool:
    """Return whether an entry is an image, by its name; hidden files are none."""
    name = PurePosixPath(entry.filename)
    hidden = name.name.startswith(".") or "__MACOSX" in name.parts
    return not entry.is_dir() and not hidden and name.suffix.lower() in READABLE_SUFFIXES


def read_page(archive: zipfile.ZipFile, entry: zipfile.ZipInfo) -> bytes:
    """Read an entry whole. Raises ArchiveError for a damaged one."""
    name = _name_entry(archive, entry)
    if entry.file_size > MAX_PAGE_BYTES:
        raise ArchiveError(
            f"{name}: expected at most {MAX_PAGE_BYTES} bytes, got {entry.file_size}"
        )
    with _convert_errors(name):
        return archive.read(entry)


def _name_entry(archive: zipfile.ZipFile, entry: zipfile.ZipInfo) -> str:
    return f"{archive.filename}/{entry.filename}"


def write_archive(
    source: zipfile.ZipFile, output: Path, pages: Mapping[str, tuple[str, Path]]
) -> None:
    """Write an archive as the source's, with files in the place of pages; it appears as a whole.

    pages: by the source's name of a page its new name and the file. All other entries are copied,
    in their order. Raises ArchiveError.
    """
    with (
        _convert_errors(str(output)),
        atomic_write(output) as unfinished,
        zipfile.ZipFile(unfinished, "w") as archive,
    ):
        archive.comment = source.comment
        for entry in source.infolist():
            name, file = pages.get(entry.filename, (entry.filename, None))
            target = _copy_entry(entry, name)
            if file is None and not entry.is_dir():
                target.compress_type = zipfile.ZIP_DEFLATED
            if entry.is_dir():
                archive.writestr(target, b"")
            elif file is None:
                with _convert_faults(_name_entry(source, entry)), source.open(entry) as content:
                    _copy(archive, target, content)
            else:
                with file.open("rb") as content:  # images are stored: they hardly shrink
                    _copy(archive, target, content)


def _copy_entry(entry: zipfile.ZipInfo, name: str) -> zipfile.ZipInfo:
    """Make an entry of another name with the rest of what the archive says of this one."""
    kind = zipfile.ZipInfo if entry.flag_bits & _UTF8 else _EntryInOldCode
    target = kind(name, entry.date_time)
    target.create_system, target.external_attr = entry.create_system, entry.external_attr
    target.comment = entry.comment
    return target


def _copy(archive: zipfile.ZipFile, target: zipfile.ZipInfo, content: IO[bytes]) -> None:
    with archive.open(target, "w", force_zip64=True) as place:
        shutil.copyfileobj(content, place, 2**20)


def _check_entries(archive: zipfile.ZipFile, path: Path) -> None:
    entries = archive.infolist()
    if len(entries) > MAX_ENTRIES:
        raise ArchiveError(f"{path}: expected at most {MAX_ENTRIES} entries, got {len(entries)}")
    num_bytes, limit = sum(entry.file_size for entry in entries), path.stat().st_size * MAX_RATIO
    if num_bytes > limit + FREE_BYTES:
        raise ArchiveError(
            f"{path}: expected at most {MAX_RATIO} times the archive's size, got {num_bytes} bytes"
            f" in one of {path.stat().st_size}"
        )
    names: set[str] = set()
    for entry in entries:
        name = entry.filename
        if (fault := _find_fault(entry)) is not None or name in names:
            raise ArchiveError(f"{path}: {_EXPECTED}, got {fault or 'a name twice'}: {name!r}")
        names.add(name)


def _find_fault(entry: zipfile.ZipInfo) -> str | None:
    """Return what makes an entry dangerous or unreadable, in words."""
    parts = entry.filename.replace("\\", "/").split("/")
    if parts[0] == "" or ".." in parts or ":" in parts[0]:
        return "a name that leads out of it"
    if stat.S_ISLNK(entry.external_attr >> 16):
        return "a link"
    if entry.flag_bits & _ENCRYPTED:
        return "an encrypted entry; remove its password first"
    return None


@contextmanager
def _convert_errors(name: str) -> Iterator[None]:
    try:
        with _convert_faults(name):
            yield
    except OSError as error:
        raise ArchiveError(f"{name}: {error.strerror}") from error


@contextmanager
def _convert_faults(name: str) -> Iterator[None]:
    """Convert those of content that is read, not those of disks."""
    try:
        yield
    except ArchiveError:
        raise
    except _FAULTS as error:
        raise ArchiveError(f"{name}: {_EXPECTED}, got a damaged or other file ({error})") from error
