"""Arrays for results: in memory while they are small, in a temporary file when they are large."""

import math
import os
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from sr.io.image_formats import ImageError

MAX_IN_MEMORY = 256 * 2**20  # bytes


def allocate_canvas(
    shape: tuple[int, ...],
    dtype: npt.DTypeLike,
    *,
    folder: Path,
    max_in_memory: int = MAX_IN_MEMORY,
) -> npt.NDArray[Any]:
    """Return an array of zeros; above `max_in_memory` bytes it is mapped from a file in `folder`.

    The file has no name, so that it is freed with the array, and nothing is left however the
    process ends; its whole space is reserved first. Raises `ImageError` if the disk is too small.
    """
    num_bytes = math.prod(shape) * np.dtype(dtype).itemsize
    if num_bytes <= max_in_memory:
        return np.zeros(shape, dtype)
    return _map_file(shape, dtype, num_bytes, folder)


def _map_file(
    shape: tuple[int, ...], dtype: npt.DTypeLike, num_bytes: int, folder: Path
) -> npt.NDArray[Any]:
    try:
        with tempfile.TemporaryFile(dir=folder) as file:
            if hasattr(os, "posix_fallocate"):
                os.posix_fallocate(file.fileno(), 0, num_bytes)
            else:
                file.truncate(num_bytes)
            return np.memmap(file, dtype, mode="r+", shape=shape)  # outlives the closed file
    except OSError as error:
        raise ImageError(
            f"{folder}: expected {num_bytes / 2**30:.2f} GiB of free disk for the result,"
            f" got: {error.strerror}"
        ) from error
