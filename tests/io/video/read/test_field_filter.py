"""Interlaced and telecined videos become whole frames, as FFmpeg's own filters make them."""

from fractions import Fraction
from itertools import pairwise
from pathlib import Path

import av
import numpy as np
import pytest
from helpers.clips import make_clip
from helpers.fields import (
    FILM,
    NTSC,
    draw_motion,
    get_luma,
    interlace,
    run_filters,
    write_frames,
)

from sr.io.video.filter_options import Deinterlace, FilterOptions
from sr.io.video.frame import Frame, VideoInfo
from sr.io.video.read.frame_monitor import DEINTERLACED, INTERLACED
from sr.io.video.read.reader import open_video

KINDS = {"pal": (Fraction(25), "tff"), "ntsc": (NTSC, "bff")}


def read(path: Path, filters: FilterOptions) -> tuple[VideoInfo, list[Frame]]:
    with open_video(path, filters=filters) as reader:
        return reader.info, list(reader.frames())


def decode(path: Path) -> list[av.VideoFrame]:
    with av.open(str(path)) as container:
        return list(container.decode(video=0))


def write_interlaced(path: Path, num_fields: int, rate: Fraction, order: str) -> Path:
    return write_frames(path, interlace(draw_motion(num_fields), order), rate=rate, order=order)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    ("deinterlace", "arguments"),
    [
        ("auto", "mode=send_frame:deint=interlaced"),
        ("on", "mode=send_frame:deint=all"),
        ("fields", "mode=send_field:deint=all"),
    ],
)
def test_frames_are_those_of_bwdif_with_the_field_order_of_the_file(
    tmp_path: Path, kind: str, deinterlace: Deinterlace, arguments: str
) -> None:
    rate, order = KINDS[kind]
    path = write_interlaced(tmp_path / "clip.mp4", 16, rate, order)
    expected = run_filters(decode(path), f"bwdif={arguments}")
    info, frames = read(path, FilterOptions(deinterlace))
    num_per_frame = 2 if deinterlace == "fields" else 1
    assert len(frames) == len(expected) == info.num_frames == 8 * num_per_frame
    assert info.rate == rate * num_per_frame
    for frame, other in zip(frames, expected, strict=True):
        np.testing.assert_array_equal(frame.planes[0], get_luma(other))
        seconds = frame.pts * info.time_base
        assert seconds == pytest.approx(float(frame.number / info.rate), abs=1e-4)
        assert frame.duration * info.time_base == pytest.approx(float(1 / info.rate), abs=1e-4)


@pytest.mark.parametrize("kind", KINDS)
def test_each_field_becomes_a_frame_at_its_own_time(tmp_path: Path, kind: str) -> None:
    rate, order = KINDS[kind]
    path = write_interlaced(tmp_path / "clip.mkv", 20, rate, order)
    drawn = [get_luma(frame).astype(int) for frame in draw_motion(20)]
    _, frames = read(path, FilterOptions("fields"))
    _, plain = read(path, FilterOptions())
    for frame in frames[1:-1]:
        faults = [np.abs(frame.planes[0] - image).mean() for image in drawn]
        assert int(np.argmin(faults)) == frame.number
    for number in range(1, 9):  # and as it is, a frame is of two of them
        faults = [np.abs(plain[number].planes[0] - image).mean() for image in drawn]
        assert min(faults) > 2


def test_the_field_order_can_be_given_where_no_flag_has_it(tmp_path: Path) -> None:
    path = write_frames(tmp_path / "clip.mkv", interlace(draw_motion(12), "bff"))
    _, right = read(path, FilterOptions("fields", "bottom"))
    _, wrong = read(path, FilterOptions("fields"))
    drawn = [get_luma(frame).astype(int) for frame in draw_motion(12)]
    faults = [
        np.mean([np.abs(f.planes[0] - drawn[f.number]).mean() for f in frames[1:-1]])
        for frames in (right, wrong)
    ]
    assert faults[0] * 2 < faults[1]


def test_frames_without_the_flag_stay_as_they_are(tmp_path: Path) -> None:
    plain = write_frames(tmp_path / "a.h264", draw_motion(4))
    fields = write_frames(tmp_path / "b.h264", interlace(draw_motion(8), "tff"), order="tff")
    path = tmp_path / "clip.h264"
    path.write_bytes(plain.read_bytes() + fields.read_bytes())
    decoded = decode(path)
    with open_video(path, filters=FilterOptions("auto")) as reader:
        frames = list(reader.frames())
        assert reader.found == [f"{DEINTERLACED}, from frame 4 on"]
    expected = run_filters(decoded, "bwdif=mode=send_frame:deint=interlaced")
    assert len(frames) == 8
    for frame, source, other in zip(frames, decoded, expected, strict=True):
        np.testing.assert_array_equal(frame.planes[0], get_luma(other))
        is_same = np.array_equal(frame.planes[0], get_luma(source))
        assert is_same == (frame.number < 4)
    assert all(after.pts > before.pts for before, after in pairwise(frames))


@pytest.mark.parametrize(
    ("deinterlace", "note"), [("off", INTERLACED), ("auto", DEINTERLACED), ("on", None)]
)
def test_what_becomes_of_fields_is_said(
    tmp_path: Path, deinterlace: Deinterlace, note: str | None
) -> None:
    path = write_interlaced(tmp_path / "clip.mkv", 6, *KINDS["pal"])
    info, _ = read(path, FilterOptions(deinterlace))
    assert [each for each in info.notes if each in (INTERLACED, DEINTERLACED)] == (
        [] if note is None else [note]
    )


def test_irregular_times_are_kept_and_fields_lie_between_them(tmp_path: Path) -> None:
    times = [0, 1, 2, 7, 8, 9]
    path = make_clip(tmp_path / "clip.mkv", 6, pts=times)
    _, plain = read(path, FilterOptions())
    _, frames = read(path, FilterOptions("on"))
    assert [frame.pts for frame in frames] == [frame.pts for frame in plain]
    _, fields = read(path, FilterOptions("fields"))
    assert [frame.pts for frame in fields][::2] == [2 * frame.pts for frame in plain]
    assert [frame.pts for frame in fields][1::2] == [40, 120, 360, 600, 680, 760]


@pytest.mark.parametrize("pix_fmt", ["yuv422p10le", "yuv444p", "yuva420p", "gray"])
def test_depth_chroma_and_transparency_stay(tmp_path: Path, pix_fmt: str) -> None:
    path = make_clip(tmp_path / "clip.mkv", 4, pix_fmt=pix_fmt, codec="ffv1")
    with open_video(path, alpha=True) as reader:
        layout, plain = reader.info.layout, list(reader.frames())
    with open_video(path, alpha=True, filters=FilterOptions("on")) as reader:
        assert reader.info.layout == layout
        frames = list(reader.frames())
    for frame, other in zip(frames, plain, strict=True):
        for plane, whole in zip(frame.planes, other.planes, strict=True):
            np.testing.assert_array_equal(plane[::2], whole[::2])  # the field that is kept


def test_packed_pixels_are_deinterlaced_and_come_as_before(tmp_path: Path) -> None:
    path = make_clip(tmp_path / "clip.avi", 4, pix_fmt="yuyv422", codec="rawvideo")
    _, plain = read(path, FilterOptions())
    _, frames = read(path, FilterOptions("on"))
    for frame, other in zip(frames, plain, strict=True):
        assert frame.pts == other.pts
        np.testing.assert_array_equal(frame.planes[1][::2], other.planes[1][::2])


@pytest.mark.parametrize("field", ["top", "bottom"])
@pytest.mark.parametrize("num_film", [16, 19])
def test_film_comes_back_out_of_telecined_video(tmp_path: Path, field: str, num_film: int) -> None:
    film = list(draw_motion(num_film, (48, 160)))
    drawn = draw_motion(num_film, (48, 160))  # again: telecine writes into its frames
    telecine = f"telecine=first_field={field}:pattern=23"
    order = {"top": "tff", "bottom": "bff"}[field]
    fields = run_filters(drawn, telecine, f"setfield=mode={order}", rate=FILM)
    path = write_frames(tmp_path / "clip.mkv", fields, rate=NTSC, order=order)
    info, frames = read(path, FilterOptions("auto", inverse_telecine=True))
    assert info.rate == FILM
    assert info.num_frames == len(frames)
    assert len(frames) == num_film
    for frame, image in zip(frames, film[:16], strict=False):  # behind them is half a frame
        np.testing.assert_array_equal(frame.planes[0], get_luma(image))
        assert frame.pts * info.time_base == pytest.approx(float(frame.number / FILM), abs=0.01)


def test_a_gap_in_telecined_video_does_not_shift_what_follows(tmp_path: Path) -> None:
    fields = run_filters(draw_motion(24), "telecine=pattern=23", rate=FILM)
    path = make_clip(
        tmp_path / "clip.mkv",
        planes=[tuple(np.split(each.to_ndarray(), [48]))[:1] for each in fields],
        pix_fmt="gray",
        codec="ffv1",
        pts=[*range(15), *range(40, 55)],
    )
    info, frames = read(path, FilterOptions(inverse_telecine=True))
    first = frames[12]  # of the fourth cycle
    assert first.pts * info.time_base == Fraction(40, 25)
    assert all(after.pts > before.pts for before, after in pairwise(frames))
