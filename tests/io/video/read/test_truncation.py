"""A file that was cut short anywhere is known by its own sizes."""

from collections.abc import Callable
from pathlib import Path

import pytest

from sr.io.video.frame import Planes
from sr.io.video.read.truncation import is_cut_short, is_mp4

WriteClip = Callable[..., list[Planes]]


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("clip.mp4", {}),
        ("clip.mp4", {"movflags": "faststart"}),
        ("clip.mp4", {"movflags": "frag_keyframe+empty_moov"}),
        ("clip.mov", {}),
        ("clip.mkv", {}),
        ("clip.avi", {}),
    ],
)
def test_a_cut_is_known_and_a_whole_file_too(
    tmp_path: Path, write_clip: WriteClip, name: str, options: dict[str, str]
) -> None:
    path = tmp_path / name
    write_clip(path, 20, codec="mpeg4", container_options=options)
    assert not is_cut_short(path)
    assert is_mp4(path) == (name in ("clip.mp4", "clip.mov"))
    content = path.read_bytes()
    for part in (0.5, 0.8, 0.99):
        path.write_bytes(content[: int(len(content) * part)])
        assert is_cut_short(path)
    path.write_bytes(content + b"\x00" * 4)
    assert not is_cut_short(path)


def test_a_file_that_was_streamed_tells_no_end(tmp_path: Path, write_clip: WriteClip) -> None:
    path = tmp_path / "clip.mkv"
    write_clip(path, 20, container_options={"live": "1"})
    path.write_bytes(path.read_bytes()[:-500])
    assert not is_cut_short(path)


@pytest.mark.parametrize(
    "content", [b"", b"\x1a\x45\xdf\xa3", b"RIFF\x00\x00\x00\x00", b"text" * 9]
)
def test_of_other_files_nothing_is_known(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "file"
    path.write_bytes(content)
    assert not is_cut_short(path)
    assert not is_mp4(path)
