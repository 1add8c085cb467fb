"""A file from the web whose content is known beforehand by its SHA-256.

Bytes are kept in a hidden file next to the target, which a later call continues, after a lost
connection, a killed process, or from another mirror. Its hash is computed when it is complete, and
only then is it renamed: under the target's name there is the right content or nothing.
"""

import errno
import hashlib
import os
import re
import shutil
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from http.client import HTTPResponse
from pathlib import Path
from typing import BinaryIO, cast

from sr.errors import UserError
from sr.io.https import FAULTS, AnswerError, SourceError, describe_fault, open_url

MAX_BYTES = 8 * 2**30  # of a file whose size nobody stated beforehand
MIN_BYTES_PER_STALL = 1024  # in the time without a byte after which a connection is lost
MAX_CONNECTIONS = 200  # to one source: of one that gives a few bytes each time
_CHUNK = 2**18
_CONTENT_RANGE = re.compile(r"bytes ([0-9]{1,18})-[0-9]+/([0-9]+|\*)")
_NUMBER = re.compile(r"[0-9]{1,18}")

Show = Callable[[int, int | None], None]  # gets bytes: done, and in all where that is known


class DownloadError(UserError):
    """No source gave the file; the message has a line per source."""


@dataclass(frozen=True)
class Patience:
    """When a source is given up."""

    stall_seconds: float = 30.0
    """Without progress, after which a connection is opened again."""
    num_tries: int = 3
    """Connections one after the other that bring nothing."""
    pause_seconds: float = 1.0
    """Between two connections."""


def download_file(
    urls: Sequence[str],
    target: Path,
    *,
    sha256: str,
    size: int | None = None,
    secret_headers: Mapping[str, str] | None = None,
    show: Show | None = None,
    patience: Patience | None = None,
) -> None:
    """Write the file with this SHA-256 to `target`, from the first of `urls` that gives it.

    size: in bytes, where it is known. secret_headers: for the hosts of `urls`, not for those that
    they redirect to. The folder must exist, and the caller must keep other processes from `target`
    (`sr.io.process_lock`). Raises DownloadError where no source gives it, and UserError where it
    cannot be written.
    """
    part = locate_part(target, sha256)
    faults = []
    for url in urls:
        source = _Source(
            url, part, sha256, size, secret_headers or {}, show or _ignore, patience or Patience()
        )
        try:
            source.fetch()
        except SourceError as error:
            faults.append(f"{url}: {error}")
            continue
        _rename(part, target)
        return
    raise DownloadError("\n  ".join(faults) or "there is no source")


def locate_part(target: Path, sha256: str) -> Path:
    """Return where the bytes of an unfinished download of `target` are."""
    return target.with_name(f".{target.name[:100]}.{sha256[:16]}.part")


def hash_file(path: Path) -> str:
    """Return the SHA-256 of a file, 64 hexadecimal digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@dataclass
class _Source:
    """One URL, and the file that it continues."""

    url: str
    part: Path
    sha256: str
    size: int | None
    secret_headers: Mapping[str, str]
    show: Show
    patience: Patience

    def fetch(self) -> None:
        """Complete the file. Raises SourceError where this source cannot."""
        is_continued = self._count_bytes() > 0
        num_idle = 0
        for _ in range(MAX_CONNECTIONS):
            had = self._count_bytes()
            try:
                self._continue()
            except FAULTS as error:
                fault = describe_fault(error)
                num_idle = 0 if self._count_bytes() > had else num_idle + 1
                if num_idle >= self.patience.num_tries:
                    raise SourceError(fault) from None
                time.sleep(self.patience.pause_seconds)
                continue
            got = hash_file(self.part)
            if got == self.sha256:
                return
            self.part.unlink()
            if not is_continued:
                raise SourceError(f"expected SHA-256 {self.sha256}, got {got}")
            is_continued = False  # what was there before may be at fault: once again from the start
        raise SourceError(f"not complete after {MAX_CONNECTIONS} connections")

    def _count_bytes(self) -> int:
        return self.part.stat().st_size if self.part.exists() else 0

    def _continue(self) -> None:
        """Append what is missing. Raises one of `FAULTS` where the connection is lost."""
        start = self._count_bytes()
        if self.size is not None and start >= self.size:
            return
        headers = {"Range": f"bytes={start}-"} if start else {}
        try:
            answer = open_url(
                self.url,
                seconds=self.patience.stall_seconds,
                headers=headers,
                secret_headers=self.secret_headers,
            )
        except AnswerError as error:
            if error.status != 416 or not start:
                raise
            if self.size is None:
                return  # there is nothing after what we have; the hash decides
            self.part.unlink()  # it is not of that file
            raise ConnectionError("has fewer bytes than expected") from None
        with answer:
            start, total = self._read_extent(answer, start)
            self._append(answer, start, total)

    def _read_extent(self, answer: HTTPResponse, start: int) -> tuple[int, int | None]:
        """Return where the answer begins in the file, and the file's size."""
        if answer.status == 206:
            found = _CONTENT_RANGE.fullmatch(answer.headers.get("Content-Range", ""))
            if found is None or int(found[1]) != start:
                raise SourceError(f"expected bytes from {start} on, got others")
            stated = found[2]
        else:
            start, stated = 0, answer.headers.get("Content-Length", "")
        total = int(stated) if _NUMBER.fullmatch(stated) else self.size
        if self.size is not None and total != self.size:
            raise SourceError(f"expected {self.size:,} bytes, got a file of {total:,}")
        if total is not None and total > MAX_BYTES:
            raise SourceError(f"expected at most {MAX_BYTES:,} bytes, got a file of {total:,}")
        return start, total

    def _append(self, answer: HTTPResponse, start: int, total: int | None) -> None:
        limit = MAX_BYTES if total is None else total
        self._check_space(limit - start if total is not None else 0)
        done = start
        stall = _Stall(self.patience.stall_seconds)
        with _open(self.part, start) as file:
            self.show(done, total)
            while chunk := answer.read1(_CHUNK):
                done += len(chunk)
                if done > limit:
                    raise SourceError(f"expected {limit:,} bytes, got more")
                _write(file, chunk, self.part)
                self.show(done, total)
                stall.count(len(chunk))
        if total is not None and done < total:
            raise ConnectionError(f"cut off after {done:,} of {total:,} bytes")

    def _check_space(self, num_bytes: int) -> None:
        free = shutil.disk_usage(self.part.parent).free
        if num_bytes > free:
            raise UserError(
                f"{self.part.parent}: expected {num_bytes:,} bytes of free disk space, got {free:,}"
            )


class _Stall:
    """Notices a source that sends, but hardly anything."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._since, self._num_bytes = time.monotonic(), 0

    def count(self, num_bytes: int) -> None:
        """Raise TimeoutError where the bytes of the last `seconds` are too few."""
        self._num_bytes += num_bytes
        now = time.monotonic()
        if now - self._since >= self._seconds:
            if self._num_bytes < MIN_BYTES_PER_STALL:
                raise TimeoutError(f"{self._num_bytes} bytes after {self._seconds:g} s")
            self._since, self._num_bytes = now, 0


def _write(file: BinaryIO, chunk: bytes, path: Path) -> None:
    """Write; errors of the disk are not those of a connection."""
    try:
        if file.write(chunk) < len(chunk):  # of the last chunk that a disk has room for
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    except OSError as error:
        raise _make_disk_error(path, error) from None


def _open(path: Path, size: int) -> BinaryIO:
    """Open the file to append, cut to `size` bytes."""
    try:
        file = open(path, "ab", buffering=0, opener=_open_no_link)  # noqa: SIM115, for the caller
        file.truncate(size)
    except OSError as error:
        raise _make_disk_error(path, error) from None
    return cast(BinaryIO, file)


def _open_no_link(path: str, flags: int) -> int:
    """Open, but no file elsewhere that somebody has linked to in a shared folder."""
    return os.open(path, flags | getattr(os, "O_NOFOLLOW", 0), 0o666)


def _rename(part: Path, target: Path) -> None:
    try:
        with part.open("rb+") as file:
            os.fsync(file.fileno())
        part.replace(target)
    except OSError as error:
        raise _make_disk_error(target, error) from None


def _make_disk_error(path: Path, error: OSError) -> UserError:
    return UserError(f"{path}: cannot be written: {error.strerror}")


def _ignore(done: int, total: int | None) -> None:
    """Show nothing."""
