"""The segments of a result that several runs compute together, in a folder that they share.

In the folder `.NAME.parts` (see `sr.inference.video.resume`) stand then

    manifest.jsonl               what the segments depend on, and how many frames each has
    segment-00012.TOKEN          segment 12 as one run has encoded it; each run has a token
    segment-00012.json           that it is complete, in which file, and hashes of both
    segment-00012.lease          who works on it now (`sr.io.leases`)
    end.json                     how many frames there are, once a run has come to the end
    mux.lease                    who joins the segments

Segment k holds frames [kF, (k+1)F). No run writes to a file of another, and a record replaces
none but one of the same segment with the same frames: what two runs do twice harms nothing.
"""

import hashlib
import json
import secrets
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from sr.inference.video.resume import (
    MANIFEST,
    Segment,
    check_dependencies,
    find_complete,
    locate_segments,
    name_disk_errors,
    read_lines,
)
from sr.io.atomic_write import atomic_write, remove_folder
from sr.io.leases import Leases
from sr.io.process_lock import LockedError, check_unlocked

_LENGTH = "frames_per_segment"  # key of the manifest, which only shared segments have


@dataclass(frozen=True)
class End:
    """Where a source ends."""

    frames: int
    damage: str | None
    """What ended it early, where damage was to end it."""


class SharedSegments:
    """What is on disk of one result."""

    def __init__(
        self, folder: Path, depends_on: Mapping[str, Any], frames_per_segment: int
    ) -> None:
        self.folder = folder
        self.frames_per_segment = frames_per_segment
        self.token = secrets.token_hex(8)
        self.complete: dict[int, Segment] = {}
        """By their numbers; other threads may add to it."""
        self._files: dict[int, str] = {}
        self._line = {**json.loads(json.dumps(depends_on)), _LENGTH: frames_per_segment}
        # A record of a run with other options, which has replaced the manifest, does not count.
        self._depends_on = hashlib.blake2b(json.dumps(self._line).encode(), digest_size=16)

    @classmethod
    def open(
        cls, output: Path, depends_on: Mapping[str, Any], frames_per_segment: int
    ) -> "SharedSegments":
        """Open the segments that other runs share, or begin; continue those of a single run.

        depends_on: as of `SegmentManifest.open`. frames_per_segment: where it is not settled yet.
        Raises ManifestError where they depend on something else, LockedError while a single run
        works on them, and VideoError where nothing can be written.
        """
        folder = locate_segments(output)
        lines = read_lines(folder / MANIFEST)
        shared = cls(
            folder,
            depends_on,
            lines[0].get(_LENGTH, frames_per_segment) if lines else frames_per_segment,
        )
        if lines:
            check_dependencies(
                folder, {_LENGTH: shared.frames_per_segment} | lines[0], shared._line
            )
        if not (lines and _LENGTH in lines[0]):
            check_unlocked(output)
            with name_disk_errors(folder):
                folder.mkdir(parents=True, exist_ok=True)
                if lines:
                    shared._adopt(find_complete(folder, lines[1:]))
                _write_json(folder / MANIFEST, shared._line)
        shared.refresh()
        return shared

    @property
    def num_frames(self) -> int:
        """Frames in the segments that are complete."""
        return sum(segment.frames for segment in self.segments)

    @property
    def num_bytes(self) -> int:
        """Their size on disk."""
        return sum(segment.bytes for segment in self.segments)

    @property
    def segments(self) -> list[Segment]:
        """Those that are complete, in order."""
        return [self.complete[number] for number in sorted(self.complete)]

    @property
    def paths(self) -> list[Path]:
        """Their files."""
        return [self.folder / self._files[segment.number] for segment in self.segments]

    def refresh(self) -> None:
        """Read what has become complete. Raises ManifestError if others have other options.

        FileNotFoundError: the folder is gone.
        """
        lines = read_lines(self.folder / MANIFEST)
        if lines:
            check_dependencies(self.folder, lines[0], self._line)
        for path in self.folder.iterdir():
            number = path.stem.removeprefix("segment-")
            if path.suffix == ".json" and number.isdigit() and int(number) not in self.complete:
                self._read_record(path)

    def check_unchanged(self, depends_on: Mapping[str, Any]) -> None:
        """Raise ManifestError if the source, or anything else, is not as it was."""
        now = json.loads(json.dumps(depends_on))
        check_dependencies(self.folder, self._line, {**now, _LENGTH: self.frames_per_segment})

    def read_end(self) -> End | None:
        """Return where the source ends, once a run has come there."""
        values = _read_json(self.folder / "end.json")
        return End(**values) if values.keys() == {"frames", "damage"} else None

    def write_end(self, end: End) -> None:
        """Record where the source ends."""
        with name_disk_errors(self.folder):
            _write_json(self.folder / "end.json", asdict(end))

    def list_missing(self, end: End) -> list[int]:
        """Return the numbers of the segments that are not complete."""
        count = -(-end.frames // self.frames_per_segment)
        return [number for number in range(count) if number not in self.complete]

    def is_complete(self, number: int) -> bool:
        """Return whether a segment is complete by now, by whichever run."""
        if number not in self.complete:
            self._read_record(self._locate_record(number))
        return number in self.complete

    def add(self, segment: Segment, path: Path) -> None:
        """Record a segment that is complete, in a file of this run, unless another one has."""
        with name_disk_errors(self.folder):
            segment.bytes = path.stat().st_size
            segment.hash = segment.compute_hash(path)
            if self.is_complete(segment.number):
                path.unlink()
                return
            self._write_record(segment, path.name)
        self._note(segment, path.name)

    def reject_damaged(self) -> list[Path]:
        """Forget segments whose files are not as they were written; return those files."""
        self.complete.clear()  # others may have computed some again
        self.refresh()
        damaged = []
        for segment, path in zip(self.segments, self.paths, strict=True):
            with suppress(OSError):
                if segment.compute_hash(path) == segment.hash:
                    continue
            damaged.append(path)
            self._locate_record(segment.number).unlink(missing_ok=True)
            del self.complete[segment.number], self._files[segment.number]
        return damaged

    def remove(self) -> None:
        """Delete all of it."""
        remove_folder(self.folder)

    def _adopt(self, segments: Iterable[Segment]) -> None:
        """Record the segments of a single run, as far as they have as many frames."""
        for segment in segments:
            if segment.frames != self.frames_per_segment:
                return
            self._write_record(segment, segment.name)

    def _locate_record(self, number: int) -> Path:
        return self.folder / f"{Segment(number).name}.json"

    def _write_record(self, segment: Segment, name: str) -> None:
        record = {**asdict(segment), "file": name, "depends_on": self._depends_on.hexdigest()}
        _write_json(self._locate_record(segment.number), record)

    def _read_record(self, path: Path) -> None:
        values = _read_json(path)
        name, depends_on = values.pop("file", None), values.pop("depends_on", None)
        if values.keys() != {field.name for field in fields(Segment)}:
            return
        if depends_on == self._depends_on.hexdigest() and isinstance(name, str):
            segment = Segment(**values)
            with suppress(OSError):
                if (self.folder / Path(name).name).stat().st_size == segment.bytes:
                    self._note(segment, Path(name).name)

    def _note(self, segment: Segment, name: str) -> None:
        self._files[segment.number] = name
        self.complete[segment.number] = segment


def has_shared_segments(output: Path) -> bool:
    """Return whether the unfinished segments of a result are those of several runs."""
    lines = read_lines(locate_segments(output) / MANIFEST)
    return bool(lines) and _LENGTH in lines[0]


def refuse_shared(output: Path) -> None:
    """Raise LockedError where other runs work on the segments of a result now."""
    folder = locate_segments(output)
    if has_shared_segments(output) and Leases(folder).any_live():
        raise LockedError(
            f"{output}: expected no other process that writes there, got several"
            f" that share the segments in {folder}"
        )


def _write_json(path: Path, values: Mapping[str, Any]) -> None:
    with atomic_write(path) as unfinished:
        unfinished.write_text(json.dumps(values) + "\n", encoding="utf-8")


def _read_json(path: Path) -> dict[str, Any]:
    """Return an object, empty where there is none."""
    lines = read_lines(path)
    return lines[0] if lines else {}
