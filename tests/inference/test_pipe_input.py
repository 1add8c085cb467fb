"""Pipes as inputs: images are read whole and once, videos are refused with what to do."""

import os
import threading
from pathlib import Path

import numpy as np
import pytest
from helpers.clips import make_clip
from helpers.videos import CountingNetwork, Listener, upscale

from sr.errors import NoInputError
from sr.io.pipe import read_pipe
from sr.io.rgb8 import read_rgb8, write_rgb8


def pipe(path: Path, content: bytes) -> Path:
    """Make a FIFO that a thread writes to."""
    os.mkfifo(path)
    threading.Thread(target=lambda: path.write_bytes(content), daemon=True).start()
    return path


def test_an_image_from_a_pipe_is_upscaled(tmp_path: Path) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (12, 16, 3), np.uint8)
    write_rgb8(tmp_path / "a.png", pixels)
    source = pipe(tmp_path / "fifo", (tmp_path / "a.png").read_bytes())
    assert upscale(source, tmp_path / "out", network=CountingNetwork(2)).exit_code == 0
    result = read_rgb8(tmp_path / "out" / "fifo_x2.png")
    np.testing.assert_array_equal(result, np.kron(pixels, np.ones((2, 2, 1), np.uint8)))


@pytest.mark.parametrize("content", [b"", b"no image at all" * 10])
def test_a_pipe_without_an_image_is_named(tmp_path: Path, content: bytes) -> None:
    source = pipe(tmp_path / "fifo", content or b"\0")
    summary = upscale(source, tmp_path / "out.png")
    assert summary.exit_code == 4
    (message,) = summary.failures.values()
    assert message.startswith(f"{source}: expected an image")


@pytest.mark.parametrize("name", ["fifo.mkv", "fifo"])
def test_a_video_in_a_pipe_is_refused_with_what_to_do(tmp_path: Path, name: str) -> None:
    make_clip(tmp_path / "a.mkv", 2)
    os.mkfifo(tmp_path / name)
    summary = upscale(tmp_path / name, tmp_path / "out.mkv")
    (message,) = summary.failures.values()
    assert "videos are read more than once, got a pipe. Save its content to a file" in message
    assert summary.exit_code == 4


def test_pipes_without_a_writer_and_devices_are_no_input(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        "sr.inference.pipe_input.read_pipe", lambda path: read_pipe(path, patience=0.1)
    )
    os.mkfifo(tmp_path / "fifo")
    with pytest.raises(NoInputError, match="no program wrote to this pipe"):
        upscale(tmp_path / "fifo", tmp_path / "out.png")
    with pytest.raises(NoInputError, match=r"/dev/zero: expected a file, .* got a device"):
        upscale(Path("/dev/zero"), tmp_path / "out.png")


def test_the_users_limit_of_pixels_holds_for_videos(tmp_path: Path) -> None:
    source, listener = make_clip(tmp_path / "in.mkv", 2), Listener()
    summary = upscale(source, tmp_path / "out.mkv", listener=listener, max_pixels=700)
    (message,) = summary.failures.values()
    assert "expected frames of at most 700 pixels, got 32x24. --max-pixels allows more" in message
