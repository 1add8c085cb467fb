"""Pipes are read to their end, once; nobody waits for ever."""

import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from sr.io.image_formats import ImageError
from sr.io.image_reader import open_image
from sr.io.pipe import is_device, is_pipe, read_pipe
from sr.io.video.frame import VideoError
from sr.io.video.read.container import open_container


@contextmanager
def write_to_fifo(path: Path, content: bytes, *, late: float = 0.0) -> Iterator[Path]:
    """Make a FIFO, and write to it in a thread, `late` seconds after it is opened for that."""
    os.mkfifo(path)

    def write() -> None:
        with path.open("wb") as file:
            time.sleep(late)
            file.write(content)

    thread = threading.Thread(target=write, daemon=True)
    thread.start()
    yield path
    thread.join()


@pytest.mark.parametrize("late", [0.0, 0.2])
@pytest.mark.parametrize("size", [1, 3_000_000])
def test_a_pipe_is_read_whole(tmp_path: Path, size: int, late: float) -> None:
    content = os.urandom(size)
    with write_to_fifo(tmp_path / "fifo", content, late=late) as path:
        assert is_pipe(path)
        assert read_pipe(path, patience=60) == content


def test_a_pipe_that_no_program_writes_to_is_given_up(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")
    with pytest.raises(TimeoutError, match=r"no program wrote to this pipe within 0\.1 s"):
        read_pipe(tmp_path / "fifo", patience=0.1)


def test_files_and_names_of_nothing_are_no_pipes(tmp_path: Path) -> None:
    for path in (tmp_path, Path(__file__), tmp_path / "none", Path("\0")):
        assert not is_pipe(path)
        assert not is_device(path)
    assert is_device(Path("/dev/null"))


def test_readers_that_open_a_file_twice_refuse_pipes(tmp_path: Path) -> None:
    path = tmp_path / "fifo"
    os.mkfifo(path)
    with (
        pytest.raises(VideoError, match=r"fifo: expected a file, .* got a pipe"),
        open_container(path),
    ):
        pass
    with (
        pytest.raises(ImageError, match=r"fifo: expected an image .* got a pipe"),
        open_image(path),
    ):
        pass
