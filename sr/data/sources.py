"""Sources of training images and clips, and the faults found in them before training."""

import logging
from collections import Counter
from collections.abc import Mapping, Sequence
from fnmatch import fnmatch
from pathlib import Path
from typing import Any, NamedTuple, Protocol, TypeVar, overload

import numpy as np
from numpy.typing import NDArray

from sr.errors import UserError
from sr.io.escape_controls import escape_controls
from sr.io.find_files import find_images

Image = NDArray[np.uint8]  # (H, W, 3), RGB
Pair = tuple[Image, Image]  # lr, hr

logger = logging.getLogger(__name__)

LISTED_FAULTS = 20  # faults per message; the rest is counted


class DataError(UserError):
    """Images or clips that cannot be used; the message names the files."""


ArraysT = TypeVar("ArraysT", bound=tuple[NDArray[Any], ...])
_Loaded = TypeVar("_Loaded", bound=tuple[NDArray[Any], ...], covariant=True)


class Source(Protocol[_Loaded]):
    """An lr/hr pair, a clip of them, or lr to validate on; can be loaded again and again."""

    @property
    def name(self) -> str:
        """Path of the hr file or folder, for messages."""

    @property
    def hr_size(self) -> tuple[int, int]:
        """(H, W) of the hr image that `load` returns, or of what lr is upscaled to."""

    @property
    def num_bytes(self) -> int:
        """The most bytes that `load` returns; 0: never cached, but loaded at each use."""

    def load(self) -> _Loaded:
        """Return the arrays: of an image, `Pair`, or lr alone."""


class Group(NamedTuple):
    """Sources that stand next to each other in a `Mixture`."""

    size: int
    share: float  # of the draws, relative to the other groups'


class Mixture(Sequence[Source[Any]]):
    """The sources of several groups, one after the other, and how often each group is drawn."""

    def __init__(self, parts: Sequence[tuple[float, Sequence[Source[Any]]]]) -> None:
        """parts: the shares and the sources of the groups."""
        self._sources = tuple(source for _, sources in parts for source in sources)
        self.groups = tuple(Group(len(sources), share) for share, sources in parts)

    def __len__(self) -> int:
        return len(self._sources)

    @overload
    def __getitem__(self, index: int) -> Source[Any]: ...

    @overload
    def __getitem__(self, index: slice) -> Sequence[Source[Any]]: ...

    def __getitem__(self, index: int | slice) -> Source[Any] | Sequence[Source[Any]]:
        return self._sources[index]


def count_pair_bytes(hr_size: tuple[int, int]) -> int:
    """Return the bytes of hr, (H, W), and lr, which has at most a quarter of its pixels."""
    height, width = hr_size
    return 3 * height * width * 5 // 4


def list_images(
    folders: Sequence[Path], exclude: Sequence[str], exclude_list: Path | None = None
) -> list[Path]:
    """List the images of folders and their subfolders, in natural order.

    exclude: patterns of names to leave out. exclude_list: see `read_exclude_list`. Raises DataError
    naming the folders that are missing, or when nothing is found.
    """
    missing = ", ".join(str(folder) for folder in folders if not folder.is_dir())
    if missing:
        raise DataError(f"no such folder of images: {missing}")
    found = find_images(folders, recursive=True)
    kept = [path for path in found if not any(fnmatch(path.name, rule) for rule in exclude)]
    listed = read_exclude_list(exclude_list) if exclude_list is not None and kept else set()
    if listed:
        kept = [path for path in kept if path.resolve() not in listed]
    if not kept:
        names = ", ".join(str(folder) for folder in folders)
        how = "by name" if exclude_list is None else f"by name or {exclude_list}"
        raise DataError(f"{names}: no images found ({len(found)} excluded {how})")
    return kept


def read_exclude_list(file: Path) -> set[Path]:
    """Read the paths of a file, one per line; empty lines and those after `#` are left out."""
    try:
        lines = file.read_text(encoding="utf-8", errors="surrogateescape").split("\n")
    except OSError as error:
        raise DataError(f"{file}: expected a list of image files, got {error.strerror}") from error
    return {Path(line).resolve() for line in lines if line and not line.startswith("#")}


def warn_of_conversions(conversions: Mapping[Path, Sequence[str]]) -> None:
    """Log one warning on all images that are not 8-bit RGB, with a count of each conversion.

    conversions: of every image that was looked at, none of most.
    """
    converted = [path for path, found in conversions.items() if found]
    if not converted:
        return
    counts = Counter(text for found in conversions.values() for text in found)
    kinds = "; ".join(f"{text} ({count})" for text, count in counts.most_common(LISTED_FAULTS))
    logger.warning(
        f"warning: {len(converted)} of {len(conversions)} images are converted to 8-bit RGB:"
        f" {kinds}. The first is {escape_controls(converted[0])}"
    )


def raise_faults(title: str, faults: Sequence[str]) -> None:
    """Raise a DataError naming the first faults and counting the rest, if there are any."""
    if not faults:
        return
    lines = [f"  {fault}" for fault in faults[:LISTED_FAULTS]]
    if len(faults) > LISTED_FAULTS:
        lines.append(f"  ... and {len(faults) - LISTED_FAULTS} more")
    count = "1 fault" if len(faults) == 1 else f"{len(faults)} faults"
    raise DataError("\n".join([f"{title}: {count}", *lines]))


def refuse_small_images(sources: Sequence[Source[Any]], least: int, need: str) -> None:
    """Raise DataError naming every image with a side below `least` HR pixels.

    need: what needs them, for the message.
    """
    raise_faults(
        f"images smaller than {need} of {least} HR pixels",
        [
            f"{source.name}: {source.hr_size[1]}x{source.hr_size[0]} (width x height)"
            for source in sources
            if min(source.hr_size) < least
        ],
    )
