"""Clips as folders of frames: Vid4, SPMCS, REDS, Vimeo-90K, and decoded videos."""

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path

from sr.data.sources import DataError, Image, raise_faults, warn_of_conversions
from sr.io.find_files import find_images
from sr.io.image_formats import ImageError
from sr.io.rgb8 import read_kind, read_rgb8, read_size


@dataclass(frozen=True)
class FrameFiles:
    """Image files of one size, in order."""

    paths: tuple[Path, ...]
    size: tuple[int, int]

    @property
    def name(self) -> str:
        return f"{self.paths[0]} ... {self.paths[-1].name}"

    @property
    def num_frames(self) -> int:
        return len(self.paths)

    @property
    def identity(self) -> str:
        """A hash of names, sizes and times of the files."""
        digest = hashlib.sha256()
        for path in self.paths:
            status = path.stat()
            digest.update(f"{path.resolve()}/{status.st_size}/{status.st_mtime_ns}\n".encode())
        return digest.hexdigest()

    def read(self) -> list[Image]:
        """Read the frames, (H, W, 3) each, uint8 RGB. Raises ImageError."""
        frames = [read_rgb8(path, convert=True) for path in self.paths]
        for path, frame in zip(self.paths, frames, strict=True):
            if frame.shape[:2] != self.size:
                raise ImageError(f"{path}: {_describe_sizes(frame.shape[:2], self.size)}")
        return frames


def find_frame_folders(
    roots: Sequence[Path],
    *,
    only: Sequence[str],
    exclude: Sequence[str],
    subfolder: str,
    clip_frames: int,
    min_frames: int,
) -> list[FrameFiles]:
    """Find folders with images, at any depth, and cut them into clips of `clip_frames`.

    only, exclude: patterns of the names of clips' folders. subfolder: within each of them, that
    holds the frames. Raises DataError naming all folders that are missing, unreadable or too short.
    """
    missing = ", ".join(str(root) for root in roots if not root.is_dir())
    if missing:
        raise DataError(f"no such folder of clips: {missing}")
    clips, faults, num_left_out = [], [], 0
    conversions: dict[Path, Sequence[str]] = {}
    for folder, paths in _list_folders(roots, subfolder):
        wanted = not only or any(fnmatch(folder.name, rule) for rule in only)
        if not wanted or any(fnmatch(folder.name, rule) for rule in exclude):
            num_left_out += 1
            continue
        try:
            clips += cut_into_clips(paths, clip_frames, min_frames, conversions)
        except (DataError, ImageError) as error:
            faults.append(str(error))
    raise_faults("clips", faults)
    warn_of_conversions(conversions)
    if not clips:
        names = ", ".join(map(str, roots))
        raise DataError(f"{names}: no folder of frames found ({num_left_out} left out by name)")
    return clips


def find_septuplets(root: Path, list_file: Path, min_frames: int) -> list[FrameFiles]:
    """Find Vimeo-90K's clips: the folders `sequences/NAME` of a list such as sep_trainlist.txt.

    Raises DataError for a list that is missing or empty, or naming the missing folders.
    """
    try:
        names = list_file.read_text(encoding="utf-8").split()
    except OSError as error:
        raise DataError(f"{list_file}: cannot be read: {error.strerror}") from error
    if not names:
        raise DataError(f"{list_file}: expected names such as 00001/0001, one per line, got none")
    clips, faults = [], []
    conversions: dict[Path, Sequence[str]] = {}
    for name in names:
        folder = root / "sequences" / name
        try:
            paths = find_images([folder], recursive=False) if folder.is_dir() else []
            if not paths:
                raise DataError(f"{folder}: no such folder with frames")
            clips += cut_into_clips(paths, len(paths), min_frames, conversions)
        except (DataError, ImageError) as error:
            faults.append(str(error))
    raise_faults(f"clips of {list_file}", faults)
    warn_of_conversions(conversions)
    return clips


def cut_into_clips(
    paths: Sequence[Path],
    clip_frames: int,
    min_frames: int,
    conversions: dict[Path, Sequence[str]] | None = None,
) -> list[FrameFiles]:
    """Cut consecutive frames into clips of `clip_frames`, the last one may be shorter.

    conversions: gets those of the first frame, for the others are usually alike.
    Raises DataError where all of them are fewer than `min_frames`.
    """
    if len(paths) < min_frames:
        raise DataError(
            f"{paths[0].parent}: expected at least {min_frames} frames, got {len(paths)}"
        )
    size, found = read_kind(paths[0])
    if conversions is not None:
        conversions[paths[0]] = found
    for path in (paths[len(paths) // 2], paths[-1]):  # the others when they are read
        if read_size(path) != size:
            raise DataError(f"{path}: {_describe_sizes(read_size(path), size)}")
    pieces = [
        tuple(paths[first : first + clip_frames]) for first in range(0, len(paths), clip_frames)
    ]
    return [FrameFiles(piece, size) for piece in pieces if len(piece) >= min_frames]


def _list_folders(roots: Sequence[Path], subfolder: str) -> Iterator[tuple[Path, list[Path]]]:
    """List the clips' folders with their frames, in the order of their paths."""
    by_folder: dict[Path, list[Path]] = {}
    for path in find_images(roots, recursive=True):
        folder = path.parent
        if subfolder:
            if folder.name != subfolder:
                continue
            folder = folder.parent
        by_folder.setdefault(folder, []).append(path)
    return iter(by_folder.items())


def _describe_sizes(size: tuple[int, ...], first: tuple[int, int]) -> str:
    return (
        f"expected {first[1]}x{first[0]} as the clip's first frame, got {size[1]}x{size[0]} "
        "(width x height)"
    )
