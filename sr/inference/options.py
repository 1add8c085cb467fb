"""What a user asks for, and the faults of asking."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Literal

from sr.errors import UserError

Existing = Literal["refuse", "overwrite", "skip"]
Kind = Literal["image", "video"]

STREAM = Path("-")  # standard input or output in a pipe


class Extension(StrEnum):
    """Format of the results; AUTO is the one of the output file, or PNG in a folder."""

    AUTO = "auto"
    PNG = "png"
    JPG = "jpg"
    WEBP = "webp"
    TIF = "tif"
    AVIF = "avif"


class Container(StrEnum):
    """Format of the results that are videos; AUTO is the one of the output file or the input."""

    AUTO = "auto"
    MP4 = "mp4"
    MKV = "mkv"
    WEBM = "webm"


class UsageError(UserError):
    """A request that cannot be met as it stands; the message says what to change."""


class NoInputError(UserError):
    """There is nothing to upscale."""


@dataclass(frozen=True)
class Request:
    """What the user asks for, the model aside."""

    inputs: Sequence[Path]
    """Files, folders, and patterns of frames' names (`%05d.png`); or `-` for standard input."""
    output: Path
    """A folder, or a file or pattern if there is one input, or `-` for standard output."""
    suffix: str | None = None
    """Put after the input's stem; None for `_` and what says the size, such as `_x4`."""
    ext: Extension = Extension.AUTO
    container: Container = Container.AUTO
    existing: Existing = "refuse"
    """What to do with outputs that exist."""
    resume: bool = False
    """Go on with the parts of videos that an earlier run left."""
    recursive: bool = False
    """Search folders below the input folders."""
    reference: Path | None = None
    """Folder of the originals to score against; of one video also a file or a pattern."""


@dataclass(frozen=True)
class Job:
    """One image or video to upscale."""

    source: Path
    """Of a video also a folder or a pattern: of its frames."""
    output: Path
    """Of a video also a pattern, for its frames."""
    skipped: bool
    """The output exists and stays as it is."""
    kind: Kind = "image"
