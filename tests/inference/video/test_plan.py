"""What one video needs is known and checked before any of its frames is computed."""

from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest
from helpers.clips import Tone, make_clip, write_time_code
from helpers.matroska import EQUIRECTANGULAR, add_to_video_element

from sr.inference.options import OutputOptions
from sr.inference.output_size import TargetError
from sr.inference.video.plan import VideoPlan, choose_coded_size, plan_video
from sr.inference.video.source import open_source
from sr.inference.video_options import VideoOptions
from sr.io.image_formats import ImageError
from sr.io.video.encode.codecs import EncoderError
from sr.io.video.frame import VideoError, VideoInfo
from sr.io.video.time_range import Moment

QUARTER_TURN = (0, 65536, 0, -65536, 0, 0, 0, 0, 1 << 30)


def plan(
    source: Path,
    output: str,
    *,
    takes_clips: bool = False,
    size: dict[str, Any] | None = None,
    **video: Any,
) -> tuple[VideoPlan, str]:
    """Return the plan and all notes, of an x2 network."""
    options = VideoOptions(**video)
    path = source.with_name(output)
    wanted = OutputOptions(path, **(size or {}))
    found, notes = plan_video(source, path, options, wanted, 2, takes_clips=takes_clips)
    return found, "; ".join(notes)


@pytest.fixture
def info(tmp_path: Path) -> VideoInfo:
    with open_source(make_clip(tmp_path / "in.mp4", 1), VideoOptions()) as source:
        return source.info


def test_all_is_known_of_a_video(tmp_path: Path) -> None:
    source = make_clip(tmp_path / "in.mp4", 10, sound=Tone(0.4), pix_fmt="yuv420p10le")
    found, notes = plan(source, "out.mkv")
    assert found.encoding is not None
    assert (found.encoding.width, found.encoding.height) == (64, 48)
    assert (found.height, found.width, found.num_passes) == (48, 64, 1)
    assert (found.depth, found.encoding.layout.pix_fmt) == (10, "yuv420p10le")
    assert [companion.kind for companion in found.streams.passthrough] == ["audio"]
    assert found.info.num_frames == 10
    assert found.megapixels == pytest.approx(10 * 32 * 24 / 1e6)
    assert "taken as BT.601" in notes
    assert "left out" not in notes


def test_work_is_counted_in_the_frames_that_are_wanted_and_in_passes(tmp_path: Path) -> None:
    source = make_clip(tmp_path / "in.mp4", 10)
    found, _ = plan(source, "out.mkv", size={"outscale": 4}, end=Moment(frame=4), fps=Fraction(50))
    assert found.info.num_frames == 8
    assert found.num_passes == 2
    assert found.megapixels == pytest.approx(8 * 32 * 24 * (1 + 4) / 1e6)
    unknown = replace(found, info=replace(found.info, num_frames=None))
    assert unknown.megapixels == pytest.approx(32 * 24 * 5 / 1e6)


@pytest.mark.parametrize(
    ("given", "size"),
    [
        ({}, (48, 64, 1)),
        ({"outscale": 3}, (72, 96, 2)),
        ({"long_side": 40}, (30, 40, 1)),
        ({"size": (50, 60)}, (50, 60, 2)),
    ],
)
def test_sizes_are_reached_by_as_many_passes_as_it_takes(
    info: VideoInfo, given: dict[str, Any], size: tuple[int, int, int]
) -> None:
    assert choose_coded_size(info, OutputOptions(Path("out"), **given), 2) == size


def test_an_exact_size_is_the_one_that_players_show(info: VideoInfo) -> None:
    turned = replace(info, display_matrix=QUARTER_TURN)
    assert choose_coded_size(turned, OutputOptions(Path("out"), size=(64, 48)), 2) == (48, 64, 1)
    assert choose_coded_size(turned, OutputOptions(Path("out"), long_side=40), 2) == (30, 40, 1)


def test_what_cannot_be_is_refused_before_any_work(tmp_path: Path) -> None:
    source = make_clip(tmp_path / "in.mp4", 3)
    with pytest.raises(EncoderError, match=r"\.webm cannot hold"):
        plan(source, "out.webm", codec="libx264")
    with pytest.raises(VideoError, match="expected the index of a video stream"):
        plan(source, "out.mp4", stream=5)
    with pytest.raises(TargetError):
        plan(source, "out.mp4", size={"size": (10**6, 10**6)})
    wide = make_clip(tmp_path / "wide.mkv", 1, size=(8, 1040), codec="ffv1")
    with pytest.raises(ImageError, match=r"%d\.webp: .*16383"):
        plan(wide, "%d.webp", size={"size": (20, 16400)})
    assert sorted(path.name for path in tmp_path.iterdir()) == ["in.mp4", "wide.mkv"]


def test_a_network_that_runs_once_is_asked_for_no_more_than_its_scale(tmp_path: Path) -> None:
    source = make_clip(tmp_path / "in.mp4", 3)
    with pytest.raises(TargetError, match=r"such as -s 2; got: 96x72 from 32x24"):
        plan(source, "out.mkv", size={"outscale": 3}, takes_clips=True)
    for factor in (1, 2):
        assert (
            plan(source, "out.mkv", size={"outscale": factor}, takes_clips=True)[0].num_passes == 1
        )


@pytest.mark.parametrize(
    ("pix_fmt", "pattern", "depth"),
    [
        ("yuv420p", "%d.png", 8),
        ("yuv420p10le", "%d.png", 16),
        ("yuv420p10le", "%d.jpg", 8),
        ("gray10le", "%d.tif", 16),
    ],
)
def test_images_have_the_depth_that_keeps_the_videos(
    tmp_path: Path, pix_fmt: str, pattern: str, depth: int
) -> None:
    source = make_clip(tmp_path / "in.mkv", 2, codec="ffv1", pix_fmt=pix_fmt)
    found, notes = plan(source, pattern)
    assert (found.encoding, found.depth, found.streams.passthrough) == (None, depth, ())
    assert "sound" not in notes


def test_sound_that_images_cannot_hold_is_reported(tmp_path: Path) -> None:
    source = make_clip(tmp_path / "in.mp4", 5, sound=Tone(0.2))
    assert "sound and other streams are left out" in plan(source, "%d.png")[1]


def test_what_is_converted_is_reported(tmp_path: Path) -> None:
    source = make_clip(tmp_path / "in.mp4", 5, sound=Tone(0.2), size=(23, 31), pix_fmt="yuv444p")
    found, notes = plan(source, "out.webm", size={"long_side": 31})
    assert "stream 1 (audio, aac): becomes Opus" in notes
    assert found.encoding is not None
    assert found.encoding.encoder == "libvpx-vp9"


def test_what_images_cannot_hold_is_reported(tmp_path: Path) -> None:
    hdr: dict[str, object] = {"colorspace": 9, "color_primaries": 9, "color_trc": 16}
    hdr |= {"color_range": 1, "sample_aspect_ratio": Fraction(4, 3)}
    source = make_clip(tmp_path / "in.mp4", 1, pix_fmt="yuv420p10le", context=hdr)
    notes = plan(source, "%d.png")[1]
    assert "pixels are 1.333 times as wide as high" in notes
    assert "have no HDR metadata" in notes
    assert plan(source, "out.mkv", codec="libx265")[1] == ""


@pytest.mark.parametrize(
    ("pix_fmt", "options", "words"),
    [
        ("yuv420p", {}, None),
        ("yuv444p", {}, "few players take H.264 of 4:4:4 with 8 bits"),
        ("yuv422p10le", {}, "few players take H.264 of 4:2:2 with 10 bits"),
        ("yuv420p10le", {}, "with --codec libx265 they take 10 bits"),
        ("yuv420p10le", {"pix_fmt": "yuv420p10le"}, None),
        ("yuv420p10le", {"codec": "libx265"}, None),
        ("yuv444p", {"codec": "ffv1"}, None),
    ],
)
def test_h264_that_few_players_take_is_reported(
    tmp_path: Path, pix_fmt: str, options: dict[str, Any], words: str | None
) -> None:
    source = make_clip(tmp_path / "in.mkv", 1, codec="ffv1", pix_fmt=pix_fmt)
    notes = plan(source, "out.mkv", **options)[1]
    assert (words or "") in notes
    assert ("few players" in notes) == (words is not None)
    assert ("--pix-fmt yuv420p" in notes) == (words is not None)


def test_what_begins_after_the_first_frame_is_reported(tmp_path: Path) -> None:
    first = make_clip(tmp_path / "a.h264", 2)
    second = make_clip(tmp_path / "b.h264", 2, size=(48, 64))
    source = tmp_path / "in.h264"
    source.write_bytes(first.read_bytes() + second.read_bytes())
    found, notes = plan(source, "out.mkv")
    note = "frames of 64x48 yuv420p are converted to the first one's 32x24 yuv420p"
    assert f"{note}, from frame 2 on" in notes
    assert found.found == (f"{note}, from frame 2 on",)


@pytest.mark.parametrize("options", [{"start": Moment(frame=2)}, {"fps": Fraction(50)}])
def test_a_time_code_is_kept_or_said_to_be_lost(tmp_path: Path, options: dict[str, Any]) -> None:
    source = tmp_path / "in.mov"
    write_time_code(source, 5)
    assert "time code" not in plan(source, "out.mp4")[1]
    assert "time code" not in plan(source, "out.mp4", fps=Fraction(25))[1]
    assert "unknown" not in plan(source, "out.mp4")[1].replace("unknown, taken", "")
    assert "the time code is left out" in plan(source, "out.mp4", **options)[1]


@pytest.mark.parametrize(
    ("codec", "is_kept"), [("libx264", False), ("libx265", False), ("ffv1", True)]
)
def test_360_degree_video_is_kept_by_the_same_codec_or_said_to_be_lost(
    tmp_path: Path, codec: str, is_kept: bool
) -> None:
    source = make_clip(tmp_path / "in.mkv", 2, codec="ffv1")
    add_to_video_element(source, EQUIRECTANGULAR)
    found, notes = plan(source, "out.mkv", codec=codec)
    assert found.keeps_spatial == is_kept
    assert ("(Spherical Mapping: equirectangular" in notes) != is_kept
    assert "players will show the result flat" in plan(source, "%d.png")[1]
