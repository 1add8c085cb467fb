"""The segments of a result on disk, and which are complete: a killed run continues after them.

Next to the result NAME stands a folder `.NAME.parts` with the segments, closed video files of a
fixed number of frames each, and `manifest.jsonl`: first a line with what the segments depend on,
then one line per segment that is complete, with a hash of the segment and of what is listed of it.
Segments that the manifest does not list, or not as they are, are made again.
"""

import hashlib
import json
import os
import shutil
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from sr.errors import UserError
from sr.inference.named_files import ModelFiles
from sr.inference.texture_options import TextureOptions
from sr.io.atomic_write import atomic_write, remove_abandoned
from sr.io.video.frame import VideoError

MANIFEST = "manifest.jsonl"
_HASHED_BYTES = 2**20  # at the file's start and at its end
_HASH_SIZE = 16  # bytes, of a segment's hash
# So many frames per segment that encoding them in one go pays, so few that they are not long work.
_SEGMENT_PIXELS = 400_000_000
_SEGMENT_FRAMES = (48, 300)


@dataclass
class Segment:
    """A segment that is complete, or the one that is being written.

    Times in the video's time base.
    """

    number: int
    frames: int = 0
    first: int = 0
    """When its first frame shows."""
    last: int = 0
    """When its last frame shows."""
    end: int = 0
    """When that ends."""
    bytes: int = 0
    hash: str = ""
    """Of the fields above and of the file."""

    @property
    def name(self) -> str:
        """Of its file."""
        return f"segment-{self.number:05d}"

    def compute_hash(self, path: Path) -> str:
        """Return the hash of this segment with its file at `path`. Raises OSError."""
        numbers = {**asdict(self), "hash": ""}
        digest = hashlib.blake2b(json.dumps(numbers).encode(), digest_size=_HASH_SIZE)
        with path.open("rb") as file:
            while block := file.read(_HASHED_BYTES):
                digest.update(block)
        return digest.hexdigest()


class ManifestError(UserError):
    """Segments that cannot be continued; the message says what to do."""


def locate_segments(output: Path) -> Path:
    """Return where the segments of a result are until it is complete."""
    return output.with_name(f".{output.name}.parts")


def read_dependencies(output: Path) -> Mapping[str, Any]:
    """Return what the segments of an unfinished result depend on; nothing where there are none."""
    lines = read_lines(locate_segments(output) / MANIFEST)
    return lines[0] if lines else {}


def choose_frames_per_segment(height: int, width: int, *, on_gpu: bool = False) -> int:
    """Return the frames per segment: 300 of 1280x720, 192 of 1920x1080, 48 of 4K.

    on_gpu: for an encoder of a GPU, which takes longer to start than such frames to encode: 300.
    """
    least, most = _SEGMENT_FRAMES
    if on_gpu:
        return most
    return min(max(_SEGMENT_PIXELS // (height * width), least), most)


def fingerprint(path: Path) -> dict[str, Any]:
    """Return what identifies a file: its size, and a hash of its start and end."""
    size = path.stat().st_size
    digest = hashlib.sha256()
    with path.open("rb") as file:
        digest.update(file.read(_HASHED_BYTES))
        if size > _HASHED_BYTES:
            file.seek(max(size - _HASHED_BYTES, _HASHED_BYTES))
            digest.update(file.read())
    return {"bytes": size, "sha256": digest.hexdigest()}


def fingerprint_images(paths: Sequence[Path]) -> dict[str, Any]:
    """Return what identifies many files: their number, and a hash of names, sizes and times."""
    digest = hashlib.sha256()
    for path in paths:
        status = path.stat()
        digest.update(os.fsencode(path.name))
        digest.update(f"/{status.st_size} {status.st_mtime_ns}/".encode())
    return {"frames": len(paths), "sha256": digest.hexdigest()}


def fingerprint_models(files: ModelFiles) -> dict[str, Any]:
    """Return what identifies the models that make one result, and how they are put together."""
    if files.resample is not None:
        scale, method = files.resample
        return {"resample": method, "scale": scale}
    first, *others = map(fingerprint, files.chain)
    found = {**first, "then": others} if others else first
    if files.strength == 1:
        return found
    other = "bicubic" if files.strength_with is None else fingerprint(files.strength_with)
    return {**found, "strength": files.strength, "strength_with": other}


def fingerprint_texture(texture: TextureOptions) -> dict[str, Any]:
    """Return what identifies what is done to the models' results; nothing where nothing is."""
    found: dict[str, Any] = {}
    if texture.grain:
        found["grain"] = texture.grain
    if texture.mask is not None:
        found["mask"] = fingerprint(texture.mask)
    return found


class SegmentManifest:
    """The segments of one result, from the first to the last that is complete."""

    def __init__(self, folder: Path, segments: list[Segment]) -> None:
        self.folder = folder
        self.segments = segments
        self.num_rejected = 0
        """Segments that an earlier run listed and that are made again, for one is not as listed."""

    @classmethod
    def open(
        cls, output: Path, depends_on: Mapping[str, Any], *, resume: bool
    ) -> "SegmentManifest":
        """Open the manifest of an earlier run with the same options, or begin one.

        depends_on: all that the segments depend on, as JSON values. resume: False to remove the
        segments of an earlier run. Raises ManifestError where they depend on something else, or are
        of another version, and VideoError where nothing can be written. To be called by who holds
        the lock of `output`.
        """
        folder = locate_segments(output)
        lines = read_lines(folder / MANIFEST) if resume else []
        if resume and not lines and any(folder.glob("*-00000")):
            raise ManifestError(
                f"{folder}: expected segments with a {MANIFEST}, got none, as of another"
                " version of this program. Add --overwrite, without --resume, to begin again"
            )
        if lines:
            check_dependencies(folder, lines[0], json.loads(json.dumps(depends_on)))
        manifest = cls(folder, list(find_complete(folder, lines[1:])))
        manifest.num_rejected = len(lines[1:]) - len(manifest.segments)
        with name_disk_errors(folder):
            remove_abandoned(folder)
            if not lines:
                shutil.rmtree(folder, ignore_errors=True)
                folder.mkdir(parents=True)
            manifest._write_manifest(depends_on)
        return manifest

    @property
    def num_frames(self) -> int:
        """Frames in the segments that are complete."""
        return sum(segment.frames for segment in self.segments)

    @property
    def num_bytes(self) -> int:
        """Their size on disk."""
        return sum(segment.bytes for segment in self.segments)

    @property
    def paths(self) -> list[Path]:
        """The segments, in order."""
        return [self.folder / segment.name for segment in self.segments]

    def find_origin(self, segment: Segment) -> int:
        """When the video's first frame shows, from which the times in all segments count."""
        return (self.segments or [segment])[0].first

    @contextmanager
    def add_segment(self) -> Iterator[tuple[Path, Segment]]:
        """Yield a path to write the next segment to, and what is to be recorded (but its bytes).

        The segment counts once the block is left without an error. Without frames nothing is kept.
        """
        segment = Segment(len(self.segments))
        unfinished = self.folder / f"{segment.name}-unfinished"
        try:
            yield unfinished, segment
            if segment.frames:
                with name_disk_errors(self.folder):
                    segment.bytes = unfinished.stat().st_size
                    segment.hash = segment.compute_hash(unfinished)
                    unfinished.replace(self.folder / segment.name)
                    self._append_line(asdict(segment))
                self.segments.append(segment)
        finally:
            unfinished.unlink(missing_ok=True)

    def remove(self) -> None:
        """Delete the segments and the manifest."""
        shutil.rmtree(self.folder, ignore_errors=True)

    def _write_manifest(self, depends_on: Mapping[str, Any]) -> None:
        """Write the manifest without lines that are cut off or list segments that are gone."""
        lines = [json.dumps(line) + "\n" for line in (depends_on, *map(asdict, self.segments))]
        with atomic_write(self.folder / MANIFEST) as unfinished:
            unfinished.write_text("".join(lines), encoding="utf-8")

    def _append_line(self, line: Mapping[str, Any]) -> None:
        with (self.folder / MANIFEST).open("a", encoding="utf-8") as file:
            file.write(json.dumps(line) + "\n")
            file.flush()
            os.fsync(file.fileno())


def find_complete(folder: Path, lines: Iterable[Mapping[str, Any]]) -> Iterator[Segment]:
    """Yield the segments up to the first that is not listed, or not on disk as listed.

    Raises ManifestError for those of a version that did not hash them.
    """
    names = {field.name for field in fields(Segment)}
    for number, line in enumerate(lines):
        if set(line) == names - {"hash"}:
            raise ManifestError(
                f"{folder}: expected segments with a hash, got those of an earlier version of this"
                " program, which cannot be verified. Add --overwrite, without --resume, to begin"
                " again"
            )
        if set(line) != names or line["number"] != number:
            return
        segment = Segment(**line)
        try:
            if segment.compute_hash(folder / segment.name) != segment.hash:
                return
        except OSError:  # of one that is gone
            return
        yield segment


def read_lines(manifest: Path) -> list[dict[str, Any]]:
    """Return the complete lines of a manifest; none where there is none."""
    try:
        text = manifest.read_text(encoding="utf-8", errors="replace")
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


def check_dependencies(folder: Path, then: Mapping[str, Any], now: Mapping[str, Any]) -> None:
    """Raise ManifestError where the segments in a folder depend on something else."""
    keys = [key for key in {**then, **now} if then.get(key) != now.get(key)]
    if keys:
        changes = ", ".join(f"{key} was {then.get(key)!r}, is {now.get(key)!r}" for key in keys)
        raise ManifestError(
            f"{folder}: expected segments of the same run, got those of another ({changes})."
            " Give the same options to continue, or leave out --resume and add --overwrite to begin"
            " again"
        )


@contextmanager
def name_disk_errors(folder: Path) -> Iterator[None]:
    """Raise VideoError with the folder of the segments for what the disk refuses."""
    try:
        yield
    except OSError as error:
        raise VideoError(f"{folder}: cannot write segments: {error.strerror}") from error
