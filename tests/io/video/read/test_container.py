"""What is no readable video is refused by name and reason; the right stream is chosen."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import av
import pytest
from av.stream import Disposition
from helpers.clips import make_clip
from PIL import Image

from sr.io.video.frame import VideoError
from sr.io.video.read.container import choose_stream, open_container
from sr.io.video.read.reader import open_video


def write_streams(
    path: Path, streams: Sequence[tuple[tuple[int, int], Disposition]], codec: str = "mpeg4"
) -> None:
    """A file with sound first, then a video stream of each size (width, height)."""
    with av.open(str(path), "w") as container:
        container.add_stream("aac", rate=8000)
        outputs = []
        for (width, height), disposition in streams:
            output: Any = container.add_stream(codec, rate=25)
            output.width, output.height = width, height
            output.pix_fmt = "rgb24" if codec == "png" else "yuv420p"
            output.disposition = disposition
            outputs.append(output)
        for output in outputs:
            frame = av.VideoFrame(output.width, output.height, output.pix_fmt)
            frame.pts = 0
            container.mux([*output.encode(frame), *output.encode()])


def chosen(path: Path, index: int | None = None) -> int:
    with open_container(path) as container:
        return choose_stream(container, path, index).index


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "an empty file"),
        (b"no video at all" * 100, "another kind"),
        (
            b"\x00\x00\x00\x14ftypisom\x00\x00\x02\x00isom",
            r"cut short .*without a whole index \(moov\)",
        ),
        (b"\x00\x00\x00\x14ftypisom\x00\x00\x02\x00isom\x00\x00\x00\x00mdat", "cut short"),
    ],
)
def test_other_files_are_refused_with_a_reason(tmp_path: Path, content: bytes, reason: str) -> None:
    path = tmp_path / "clip.mp4"
    path.write_bytes(content)
    with (
        pytest.raises(VideoError, match=rf"clip\.mp4: expected a video .* got .*{reason}"),
        open_container(path),
    ):
        pass


def test_an_mp4_file_cut_short_misses_its_index(tmp_path: Path) -> None:
    path = tmp_path / "clip.mp4"
    make_clip(path, 20)
    path.write_bytes(path.read_bytes()[:5000])
    with pytest.raises(VideoError, match="cut short"), open_container(path):
        pass


@pytest.mark.parametrize("part", [0.1, 0.3, 0.5, 0.7, 0.95])
def test_an_index_cut_short_is_no_video(tmp_path: Path, part: float) -> None:
    path = tmp_path / "clip.mp4"
    make_clip(path, 20, container_options={"movflags": "faststart"})
    content = path.read_bytes()
    start = content.index(b"moov") - 4
    size = int.from_bytes(content[start : start + 4])
    path.write_bytes(content[: start + int(part * size)])
    with pytest.raises(VideoError, match=r"clip\.mp4: expected"), open_video(path):
        pass


def test_files_that_cannot_be_read_are_named(tmp_path: Path) -> None:
    for path, reason in [(tmp_path / "none.mp4", "No such file"), (tmp_path, "directory")]:
        with (
            pytest.raises(VideoError, match=rf"{path.name}: could not be read: .*{reason}"),
            open_container(path),
        ):
            pass


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_files_without_permission_are_named(tmp_path: Path) -> None:
    path = tmp_path / "clip.mp4"
    path.touch(mode=0o000)
    with pytest.raises(VideoError, match="could not be read: Permission"), open_container(path):
        pass


@pytest.mark.parametrize("name", ["12:30.mkv", "concat:a|b.mkv", "a b%20c.mkv", "\u00e9\u4e2d.mkv"])
def test_no_name_is_taken_for_an_address(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.chdir(tmp_path)
    make_clip(tmp_path / "clip.mkv", 2)
    Path("clip.mkv").rename(name)
    assert chosen(Path(name)) == 0


def test_the_largest_of_the_default_streams_is_chosen(tmp_path: Path) -> None:
    path = tmp_path / "clip.mkv"
    default, other = Disposition.default, Disposition(0)
    write_streams(path, [((64, 48), other), ((16, 16), default), ((32, 24), default)])
    assert chosen(path) == 3
    write_streams(path, [((16, 16), other), ((64, 48), other), ((64, 48), other)])
    assert chosen(path) == 2


def test_a_stream_is_chosen_by_its_index(tmp_path: Path) -> None:
    path = tmp_path / "clip.mkv"
    write_streams(path, [((32, 24), Disposition.default), ((16, 16), Disposition(0))])
    assert chosen(path, 2) == 2
    for index in (0, 3, -1):
        with pytest.raises(VideoError, match=rf"\(1: mpeg4 32x24; 2: mpeg4 16x16\), got {index}$"):
            chosen(path, index)


def test_cover_images_are_no_video(tmp_path: Path) -> None:
    path = tmp_path / "song.mp4"
    write_streams(path, [((64, 48), Disposition.attached_pic)], codec="png")
    with pytest.raises(VideoError, match=r"song\.mp4: .* none, only cover images"):
        chosen(path)


def test_sound_alone_is_no_video(tmp_path: Path) -> None:
    path = tmp_path / "song.mkv"
    with av.open(str(path), "w") as container:
        sound = container.add_stream("pcm_s16le", rate=8000)
        frame = av.AudioFrame("s16", "stereo", 800)
        frame.sample_rate, frame.pts = 8000, 0
        container.mux([*sound.encode(frame), *sound.encode()])
    with pytest.raises(VideoError, match=r"song\.mkv: expected a video stream, got .* none$"):
        chosen(path)


def test_the_moving_stream_of_an_animated_avif_is_chosen(tmp_path: Path) -> None:
    first = Image.new("RGB", (32, 24), "red")
    path = tmp_path / "a.avif"
    first.save(path, save_all=True, append_images=[Image.new("RGB", (32, 24), "blue")])
    with open_video(path) as reader:
        assert len(list(reader.frames())) == 2
