"""The parts of a result on disk, and what has been done so far: a killed job goes on from there.

Next to the result NAME stands a folder `.NAME.parts` with the parts, closed video files of a fixed
number of frames each, and `journal.jsonl`: first a line with what the parts were made of, then
one line for each part that is whole. Parts that the journal does not know are made again.
"""

import hashlib
import json
import os
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from sr.errors import UserError
from sr.io.atomic_write import atomic_write
from sr.io.video.frame import VideoError

_JOURNAL = "journal.jsonl"
_HASHED_BYTES = 2**20  # at the file's start and at its end
# Frames of a part: so many that encoding them in one go pays, so few that they are not long work.
_PART_PIXELS = 400_000_000
_PART_FRAMES = (48, 300)


@dataclass
class Part:
    """A part that is whole, or the one that is being written. Times in the video's time base."""

    number: int
    frames: int = 0
    first: int = 0
    """When its first frame shows."""
    last: int = 0
    """When its last frame shows."""
    end: int = 0
    """When that ends."""
    bytes: int = 0

    @property
    def name(self) -> str:
        """Of its file."""
        return f"part-{self.number:05d}"


class ManifestError(UserError):
    """Parts that cannot be gone on with; the message says what to do."""


def parts_folder(output: Path) -> Path:
    """Where the parts of a result are until it is whole."""
    return output.with_name(f".{output.name}.parts")


def frames_a_part(height: int, width: int) -> int:
    """How many frames of this size make a part: 300 of 1280x720, 192 of 1920x1080, 48 of 4K."""
    least, most = _PART_FRAMES
    return min(max(_PART_PIXELS // (height * width), least), most)


def identity_of(path: Path) -> dict[str, Any]:
    """What tells whether a file is still the same: its size and a hash of its start and end."""
    size = path.stat().st_size
    digest = hashlib.sha256()
    with path.open("rb") as file:
        digest.update(file.read(_HASHED_BYTES))
        if size > _HASHED_BYTES:
            file.seek(max(size - _HASHED_BYTES, _HASHED_BYTES))
            digest.update(file.read())
    return {"bytes": size, "sha256": digest.hexdigest()}


def identity_of_frames(paths: Sequence[Path]) -> dict[str, Any]:
    """The same of frames as images, many files: their number, and a hash of what is listed."""
    digest = hashlib.sha256()
    for path in paths:
        status = path.stat()
        digest.update(os.fsencode(path.name))
        digest.update(f"/{status.st_size} {status.st_mtime_ns}/".encode())
    return {"frames": len(paths), "sha256": digest.hexdigest()}


class Journal:
    """The parts of one result, from the first to the last that is whole."""

    def __init__(self, folder: Path, parts: list[Part]) -> None:
        self.folder = folder
        self.parts = parts

    @classmethod
    def begin(cls, output: Path, made_of: Mapping[str, Any]) -> "Journal":
        """An empty journal; parts of an earlier run are removed.

        made_of: all that the parts depend on, as JSON values. Raises VideoError where nothing
        can be written.
        """
        folder = parts_folder(output)
        with _disk_faults(folder):
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir(parents=True)
            journal = cls(folder, [])
            journal._append(made_of)
        return journal

    @classmethod
    def resume(cls, output: Path, made_of: Mapping[str, Any]) -> "Journal":
        """The journal of an earlier run of the same job, or an empty one where there was none.

        Raises ManifestError where the parts were made of something else.
        """
        folder = parts_folder(output)
        lines = _lines(folder / _JOURNAL)
        if not lines:
            return cls.begin(output, made_of)
        _refuse_others(folder, lines[0], json.loads(json.dumps(made_of)))
        parts: list[Part] = []
        for line in lines[1:]:
            part = _part_of(line)
            if part is None or part.number != len(parts) or not _is_whole(folder, part):
                break
            parts.append(part)
        journal = cls(folder, parts)
        with _disk_faults(folder):
            journal._rewrite(lines[0])
        return journal

    @property
    def num_frames(self) -> int:
        """Frames in the parts that are whole."""
        return sum(part.frames for part in self.parts)

    @property
    def num_bytes(self) -> int:
        """Their size on disk."""
        return sum(part.bytes for part in self.parts)

    @property
    def paths(self) -> list[Path]:
        """The parts, in order."""
        return [self.folder / part.name for part in self.parts]

    def origin(self, part: Part) -> int:
        """When the video's first frame shows, from which the times in all parts count."""
        return (self.parts or [part])[0].first

    @contextmanager
    def next_part(self) -> Iterator[tuple[Path, Part]]:
        """A path to write the next part to, and what is to be noted of it (but its bytes).

        The part counts once the block is left in peace. Without frames nothing is kept.
        """
        part = Part(len(self.parts))
        unfinished = self.folder / f"{part.name}-unfinished"
        try:
            yield unfinished, part
            if part.frames:
                with _disk_faults(self.folder):
                    part.bytes = unfinished.stat().st_size
                    unfinished.replace(self.folder / part.name)
                    self._append(asdict(part))
                self.parts.append(part)
        finally:
            unfinished.unlink(missing_ok=True)

    def remove(self) -> None:
        """Delete the parts and the journal."""
        shutil.rmtree(self.folder, ignore_errors=True)

    def _append(self, line: Mapping[str, Any]) -> None:
        with (self.folder / _JOURNAL).open("a", encoding="utf-8") as file:
            file.write(json.dumps(line) + "\n")
            file.flush()
            os.fsync(file.fileno())

    def _rewrite(self, head: Mapping[str, Any]) -> None:
        """Without lines that are cut off or tell of parts that are gone."""
        lines = [json.dumps(line) + "\n" for line in (head, *map(asdict, self.parts))]
        with atomic_write(self.folder / _JOURNAL) as unfinished:
            unfinished.write_text("".join(lines), encoding="utf-8")


def _part_of(line: Mapping[str, Any]) -> Part | None:
    """None for a line that tells of no part."""
    whole = set(line) == {field.name for field in fields(Part)}
    return (
        Part(**line) if whole and all(isinstance(value, int) for value in line.values()) else None
    )


def _is_whole(folder: Path, part: Part) -> bool:
    path = folder / part.name
    return path.is_file() and path.stat().st_size == part.bytes


def _lines(journal: Path) -> list[dict[str, Any]]:
    """The whole lines of a journal; none where there is none."""
    try:
        text = journal.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return []
    lines: list[dict[str, Any]] = []
    for line in text.splitlines():
        try:
            values = json.loads(line)
        except json.JSONDecodeError:  # written while the program was killed
            break
        if not isinstance(values, dict):
            break
        lines.append(values)
    return lines


def _refuse_others(folder: Path, then: Mapping[str, Any], now: Mapping[str, Any]) -> None:
    keys = [key for key in {**then, **now} if then.get(key) != now.get(key)]
    if keys:
        told = ", ".join(f"{key} was {then.get(key)!r}, is {now.get(key)!r}" for key in keys)
        raise ManifestError(
            f"{folder}: holds parts of another job ({told}). Give the same options to go on, or"
            " leave out --resume and add --overwrite to begin again"
        )


@contextmanager
def _disk_faults(folder: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise VideoError(f"{folder}: the parts cannot be written: {error.strerror}") from error
