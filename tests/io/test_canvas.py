"""Small canvases are plain arrays, large ones are mapped from files without a name."""

import errno
import os
from pathlib import Path

import numpy as np
import pytest

from sr.io.canvas import allocate_canvas
from sr.io.image_formats import ImageError


def test_a_small_canvas_is_in_memory(tmp_path: Path) -> None:
    canvas = allocate_canvas((4, 5, 3), np.uint8, folder=tmp_path / "none")
    assert not isinstance(canvas, np.memmap)
    assert (canvas.shape, canvas.dtype) == ((4, 5, 3), np.dtype(np.uint8))
    assert not canvas.any()


def test_a_large_canvas_is_mapped_from_a_file_without_a_name(tmp_path: Path) -> None:
    shape = (4, 5, 3)
    canvas = allocate_canvas(shape, np.uint16, folder=tmp_path, max_in_memory=119)
    assert isinstance(canvas, np.memmap)
    assert list(tmp_path.iterdir()) == []
    assert not canvas.any()
    values = np.arange(60, dtype=np.uint16).reshape(shape)
    canvas[:] = values
    np.testing.assert_array_equal(canvas, values)


def test_a_disk_too_small_is_reported_before_any_work(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(descriptor: int, offset: int, length: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "posix_fallocate", full, raising=False)
    with pytest.raises(ImageError, match=r"expected 3\.00 GiB of free disk.*: No space left"):
        allocate_canvas((1024, 1024, 1024, 3), np.uint8, folder=tmp_path)


def test_a_missing_folder_is_reported(tmp_path: Path) -> None:
    with pytest.raises(ImageError, match=r"none: expected .* No such file"):
        allocate_canvas((9,), np.uint8, folder=tmp_path / "none", max_in_memory=0)
