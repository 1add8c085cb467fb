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


@pytest.mark.parametrize(
    "text",
    [
        "ffconcat version 1.0\nfile 'secret.mkv'\n",
        "ffconcat version 1.0\nfile 'file:{folder}/secret.mkv'\n",
        "#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\nfile://{folder}/secret.mkv\n",
        "#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\nhttp://127.0.0.1:9/a.ts\n",
        "[playlist]\nFile1={folder}/secret.mkv\n",
        '<?xml version="1.0"?><MPD xmlns="urn:mpeg:dash:schema:mpd:2011"/>',
        "v=0\no=- 0 0 IN IP4 127.0.0.1\nc=IN IP4 127.0.0.1\nm=video 5004 RTP/AVP 96\n",
    ],
)
@pytest.mark.parametrize("name", ["clip.mp4", "clip.m3u8", "clip.mkv"])
def test_lists_of_other_files_are_refused_under_any_name(
    tmp_path: Path, text: str, name: str
) -> None:
    make_clip(tmp_path / "secret.mkv", 2)
    path = tmp_path / name
    path.write_text(text.format(folder=tmp_path))
    with pytest.raises(VideoError, match=rf"{name}: expected a video"), open_container(path):
        pass


def test_a_list_is_called_so(tmp_path: Path) -> None:
    path = tmp_path / "clip.mp4"
    path.write_text("ffconcat version 1.0\nfile 'other.mkv'\n")
    with pytest.raises(VideoError, match="a list of other files, none of"), open_container(path):
        pass


def test_numbers_in_a_name_stand_for_no_other_files(tmp_path: Path) -> None:
    make_clip(tmp_path / "clip1.mkv", 2)
    with (
        pytest.raises(VideoError, match="could not be read: No such file"),
        open_container(tmp_path / "clip%d.mkv"),
    ):
        pass


@pytest.mark.parametrize(
    ("suffix", "codec"),
    [
        *((suffix, "libx264") for suffix in ("mp4", "m4v", "mkv", "mov", "ts", "flv", "h264")),
        *((suffix, "mpeg2video") for suffix in ("mpg", "vob", "m2v", "mxf", "mts")),
        *(("avi", "mpeg4"), ("webm", "libvpx-vp9"), ("ivf", "libvpx-vp9"), ("wmv", "wmv2")),
        *(("3gp", "mpeg4"), ("ogv", "libtheora"), ("y4m", "wrapped_avframe"), ("nut", "ffv1")),
        *(("hevc", "libx265"), ("mjpeg", "mjpeg"), ("asf", "wmv2")),
    ],
)
def test_containers_of_videos_are_opened(tmp_path: Path, suffix: str, codec: str) -> None:
    if codec not in av.codecs_available:
        pytest.skip(f"needs an encoder {codec}")
    path = tmp_path / f"clip.{suffix}"
    size = (96, 128) if codec == "mpeg2video" else (48, 64)
    pix_fmt = "yuvj420p" if codec == "mjpeg" else "yuv420p"
    make_clip(path, 3, codec=codec, size=size, pix_fmt=pix_fmt, options={})
    assert chosen(path) == 0


@pytest.mark.parametrize("bits", [32, 45, 62, 63, 64])
def test_sizes_that_no_file_has_are_damage(tmp_path: Path, bits: int) -> None:
    path = tmp_path / "clip.mp4"
    size = (2**bits - 1).to_bytes(8)
    for kind in (b"mdat", b"moov", b"free"):
        path.write_bytes(b"\0\0\0\x10ftypisom\0\0\0\0\0\0\0\1" + kind + size + bytes(64))
        with pytest.raises(VideoError, match=r"clip\.mp4: expected a video"), open_video(path):
            pass


def test_the_moving_stream_of_an_animated_avif_is_chosen(tmp_path: Path) -> None:
    first = Image.new("RGB", (32, 24), "red")
    path = tmp_path / "a.avif"
    first.save(path, save_all=True, append_images=[Image.new("RGB", (32, 24), "blue")])
    with open_video(path) as reader:
        assert len(list(reader.frames())) == 2
