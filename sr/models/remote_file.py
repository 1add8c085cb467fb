"""A model file of others: where it is on the web, and where it is kept here.

Whoever asks for one gets a path whose content has the SHA-256 that was stated beforehand, or an
error; nothing is opened before.
"""

import json
import os
import re
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

from sr.errors import ModelFileError
from sr.io.cache_folder import find_cache_folder

if TYPE_CHECKING:
    from sr.io.download import Patience

# What downloads is imported when there is something to download: most runs have their model.

RECORD_SUFFIX = ".source.json"  # next to a file that the catalogue does not list


class OfflineError(ModelFileError):
    """A file that is not here and cannot be downloaded; the message says how to get it by hand."""


@dataclass(frozen=True)
class RemoteFile:
    """A file of others, fixed by its hash."""

    name: str
    """What the user asked for."""
    urls: tuple[str, ...]
    sha256: str
    size: int | None
    """In bytes, where it is known."""
    license: str
    author: str
    file: Path
    """Where it is kept, or will be."""
    secret_headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    is_listed: bool = False
    """Whether the catalogue has it, so that no record is needed."""

    @property
    def is_here(self) -> bool:
        """Whether its file is there, right or not; no in a folder that cannot be read."""
        return os.path.isfile(self.file)  # Path.is_file raises PermissionError

    def describe(self) -> str:
        """Return name, size, license and author in one line."""
        size = "unknown size" if self.size is None else f"{self.size / 1e6:.1f} MB"
        author = f" by {self.author}" if self.author else ""
        return f"{self.name} ({size}, license: {self.license or 'not stated'}{author})"


def find_models_folder() -> Path:
    """Return the folder of downloaded models, which need not exist."""
    return find_cache_folder() / "models"


def is_sha256(text: str) -> bool:
    """Return whether a text is 64 hexadecimal digits, in lower case."""
    return re.fullmatch(r"[0-9a-f]{64}", text) is not None


def fetch_file(
    remote: RemoteFile, patience: "Patience | None" = None, *, replace: bool = False
) -> Path:
    """Return the path of the file, downloaded if it is not there.

    replace: download it also where another file has its name, which stays until then.

    Raises ModelFileError for a file with another hash, OfflineError where it cannot be downloaded,
    and UserError where it cannot be written.
    """
    if remote.is_here and not replace:
        check_hash(remote.file, remote.sha256, hint=_hint(remote))
        _keep_record(remote)
        return remote.file
    from sr.io.https import is_offline
    from sr.io.process_lock import wait_for_lock

    if is_offline():
        raise OfflineError(_explain(remote, "SR_OFFLINE forbids the network"))
    try:
        remote.file.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ModelFileError(
            f"{remote.file.parent}: cannot be made: {error.strerror}; SR_CACHE names another folder"
        ) from None
    with wait_for_lock(remote.file, _print_wait):
        is_kept = remote.is_here and (not replace or _has_hash(remote))
        if not is_kept:  # which another process may have changed meanwhile
            _download(remote, patience)
        check_hash(remote.file, remote.sha256, hint=_hint(remote))
        _keep_record(remote)
    return remote.file


def check_hash(file: Path, sha256: str, *, hint: str = "") -> None:
    """Raise ModelFileError where the file has another SHA-256. hint: what to do then."""
    try:
        about = file.stat()
        got = _hash_once(file.absolute(), about.st_size, about.st_mtime_ns)
    except OSError as error:
        raise ModelFileError(f"{file}: cannot be read: {error.strerror}") from None
    if got != sha256:
        raise ModelFileError(f"{file}: expected SHA-256 {sha256}, got {got}; not opened{hint}")


def remove_file(remote: RemoteFile) -> int:
    """Remove the file, what there is of an unfinished download, and the record.

    Returns the number of bytes removed. Raises LockedError while another process downloads it.
    """
    from sr.io.download import locate_part
    from sr.io.process_lock import hold_lock

    if not remote.file.parent.is_dir():
        return 0
    num_bytes = 0
    with hold_lock(remote.file):
        part, record = locate_part(remote.file, remote.sha256), _locate_record(remote.file)
        for file in (remote.file, part, record):
            with suppress(FileNotFoundError):
                size = file.lstat().st_size
                file.unlink()
                num_bytes += size
    return num_bytes


def list_recorded() -> list[RemoteFile]:
    """Return the files from other sources than the catalogue, by their records."""
    found = []
    for record in list_files(find_models_folder(), f"**/*{RECORD_SUFFIX}"):
        remote = read_record(record.with_name(record.name.removesuffix(RECORD_SUFFIX)))
        if remote is not None and remote.is_here:
            found.append(remote)
    return found


def list_files(folder: Path, pattern: str) -> list[Path]:
    """Return the files of a folder; none of one that is not there, or that cannot be read."""
    # Path.is_dir, and so Path.glob, raises PermissionError.
    return sorted(folder.glob(pattern)) if os.path.isdir(folder) else []


def read_record(file: Path) -> RemoteFile | None:
    """Return what the record next to a file says of it; None where there is none."""
    with suppress(OSError, ValueError, KeyError, TypeError):
        about = json.loads(_locate_record(file).read_text(encoding="utf-8"))
        return RemoteFile(
            name=str(about["name"]),
            urls=tuple(map(str, about["urls"])),
            sha256=str(about["sha256"]),
            size=int(about["size"]),
            license=str(about["license"]),
            author=str(about["author"]),
            file=file,
        )
    return None


def _download(remote: RemoteFile, patience: "Patience | None") -> None:
    from sr.io.download import DownloadError, download_file
    from sr.models.show_download import show_download

    with show_download(f"{remote.describe()}: downloading {remote.urls[0]}") as show:
        try:
            download_file(
                remote.urls,
                remote.file,
                sha256=remote.sha256,
                size=remote.size,
                secret_headers=remote.secret_headers,
                show=show,
                patience=patience,
            )
        except DownloadError as error:
            raise OfflineError(_explain(remote, f"no source gave it\n  {error}")) from None


def _keep_record(remote: RemoteFile) -> None:
    """Write the record of a file that has none, or that of what was there before."""
    if remote.is_listed:
        return
    recorded = read_record(remote.file)
    if recorded and (recorded.name, recorded.sha256) == (remote.name, remote.sha256):
        return
    from sr.io.atomic_write import atomic_write

    about = {
        "name": remote.name,
        "urls": list(remote.urls),
        "sha256": remote.sha256,
        "size": remote.file.stat().st_size,
        "license": remote.license,
        "author": remote.author,
    }
    try:
        with atomic_write(_locate_record(remote.file)) as temporary:
            temporary.write_text(json.dumps(about, indent=1), encoding="utf-8")
    except OSError as error:  # of a full disk, or a folder of others: the model is there
        from sr.models.show_download import print_note

        print_note(f"{error.filename}: not written, so its source is asked again: {error.strerror}")


def _locate_record(file: Path) -> Path:
    return file.with_name(f"{file.name}{RECORD_SUFFIX}")


def _explain(remote: RemoteFile, why: str) -> str:
    size = "" if remote.size is None else f", {remote.size:,} bytes"
    return (
        f"{remote.name}: not downloaded: {why}\n"
        f"  By hand: get {remote.urls[0]} (SHA-256 {remote.sha256}{size}) and save it as "
        f"{remote.file}"
    )


def _hint(remote: RemoteFile) -> str:
    flag = f" --sha256 {remote.sha256}" if remote.name in remote.urls else ""
    return f". `sr-models get {remote.name}{flag}` downloads it again"


def _has_hash(remote: RemoteFile) -> bool:
    try:
        check_hash(remote.file, remote.sha256)
    except ModelFileError:
        return False
    return True


def _print_wait(message: str) -> None:
    from sr.models.show_download import print_note

    print_note(f"waiting for another download: {message}")


@lru_cache
def _hash_once(file: Path, size: int, modified: int) -> str:  # noqa: ARG001, what makes it another file
    from sr.io.download import hash_file

    return hash_file(file)
