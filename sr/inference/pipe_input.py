"""Inputs that are no files: pipes, which can be read only once, and devices, which are refused."""

import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Literal

from sr.errors import NoInputError
from sr.inference.options import STREAM
from sr.io.pipe import is_device, is_pipe, read_pipe


def refuse_devices(inputs: Iterable[Path]) -> None:
    """Raise NoInputError for terminals, /dev/zero and the like, which may never end."""
    for path in filter(is_device, inputs):
        raise NoInputError(f"{path}: expected a file, a folder or a pipe, got a device")


def read_once(source: Path, kind: Literal["image", "video", "archive"]) -> bytes | None:
    """Read an image from standard input or another pipe; None for files, and all but images.

    Raises NoInputError for a pipe that cannot be read, or that no program writes to.
    """
    if source == STREAM:
        return sys.stdin.buffer.read()
    if kind != "image" or not is_pipe(source):
        return None
    try:
        return read_pipe(source)
    except OSError as error:
        raise NoInputError(f"{source}: could not be read: {error.strerror}") from error
