"""What one video needs is known and checked before any of its frames is computed."""

from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest

from sr.inference.options import Job
from sr.inference.output_size import Exact, Factor, LongSide, TargetError
from sr.inference.video.options import VideoMaking, VideoWork
from sr.inference.video.plan import checked_video, size_of
from sr.inference.video.source import open_source
from sr.inference.video.stages import Size
from sr.io.rgb8 import ImageError
from sr.io.video.encode.codecs import EncoderError
from sr.io.video.frame import VideoError, VideoInfo
from sr.io.video.read.frame_rate import Moment

QUARTER_TURN = (0, 65536, 0, -65536, 0, 0, 0, 0, 1 << 30)


def checked(source: Path, output: str, target: Any = None, **making: Any) -> tuple[VideoWork, str]:
    """The work and all notes, of an x2 network."""
    job = Job(source, source.with_name(output), skipped=False, kind="video")
    work, notes = checked_video(job, VideoMaking(**making), target or Factor(), 2)
    return work, "; ".join(notes)


@pytest.fixture
def info(studio: Any) -> VideoInfo:
    with open_source(studio.clip("in.mp4", 1), VideoMaking()) as source:
        found: VideoInfo = source.info
        return found


def test_all_is_known_of_a_video(studio: Any) -> None:
    source = studio.clip("in.mp4", 10, sound=studio.Sound(0.4), pix_fmt="yuv420p10le")
    work, notes = checked(source, "out.mkv")
    assert work.encoding is not None
    assert (work.encoding.width, work.encoding.height) == (64, 48)
    assert work.size == Size(48, 64, 1)
    assert (work.depth, work.encoding.layout.pix_fmt) == (10, "yuv420p10le")
    assert [companion.kind for companion in work.streams.passthrough] == ["audio"]
    assert work.info.num_frames == 10
    assert work.megapixels == pytest.approx(10 * 32 * 24 / 1e6)
    assert "taken as BT.601" in notes
    assert "left out" not in notes


def test_work_is_counted_in_the_frames_that_are_wanted_and_in_passes(studio: Any) -> None:
    source = studio.clip("in.mp4", 10)
    work, _ = checked(source, "out.mkv", Factor(4), end=Moment(frame=4), fps=Fraction(50))
    assert work.info.num_frames == 8
    assert work.size.num_passes == 2
    assert work.megapixels == pytest.approx(8 * 32 * 24 * (1 + 4) / 1e6)
    unknown = replace(work, info=replace(work.info, num_frames=None))
    assert unknown.megapixels == pytest.approx(32 * 24 * 5 / 1e6)


@pytest.mark.parametrize(
    ("target", "size"),
    [
        (Factor(), Size(48, 64, 1)),
        (Factor(3), Size(72, 96, 2)),
        (LongSide(40), Size(30, 40, 1)),
        (Exact(height=50, width=60), Size(50, 60, 2)),
    ],
)
def test_sizes_are_reached_by_as_many_passes_as_it_takes(
    info: VideoInfo, target: Any, size: Size
) -> None:
    assert size_of(info, target, 2) == size


def test_an_exact_size_is_the_one_that_players_show(info: VideoInfo) -> None:
    turned = replace(info, display_matrix=QUARTER_TURN)
    assert size_of(turned, Exact(height=64, width=48), 2) == Size(48, 64, 1)
    assert size_of(turned, LongSide(40), 2) == Size(30, 40, 1)


def test_what_cannot_be_is_refused_before_any_work(studio: Any) -> None:
    source = studio.clip("in.mp4", 3)
    with pytest.raises(EncoderError, match=r"\.webm cannot hold"):
        checked(source, "out.webm", encoder={"codec": "libx264"})
    with pytest.raises(VideoError, match="expected the index of a video stream"):
        checked(source, "out.mp4", stream=5)
    with pytest.raises(TargetError):
        checked(source, "out.mp4", Exact(height=10**6, width=10**6))
    wide = studio.clip("wide.mkv", 1, size=(8, 1040), codec="ffv1")
    with pytest.raises(ImageError, match=r"%d\.webp: .*16383"):
        checked(wide, "%d.webp", Exact(height=20, width=16400))
    assert sorted(path.name for path in studio.folder.iterdir()) == ["in.mp4", "wide.mkv"]


def test_a_network_that_runs_once_is_asked_for_no_more_than_its_scale(studio: Any) -> None:
    source = studio.clip("in.mp4", 3)
    job = Job(source, source.with_name("out.mkv"), skipped=False, kind="video")
    with pytest.raises(TargetError, match=r"such as -s 2; wanted: 96x72 from 32x24"):
        checked_video(job, VideoMaking(), Factor(3), 2, single_pass=True)
    for factor in (1, 2):
        work, _ = checked_video(job, VideoMaking(), Factor(factor), 2, single_pass=True)
        assert work.size.num_passes == 1


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
    studio: Any, pix_fmt: str, pattern: str, depth: int
) -> None:
    source = studio.clip("in.mkv", 2, codec="ffv1", pix_fmt=pix_fmt)
    work, notes = checked(source, pattern)
    assert (work.encoding, work.depth, work.streams.passthrough) == (None, depth, ())
    assert "sound" not in notes


def test_sound_that_images_cannot_hold_is_told(studio: Any) -> None:
    source = studio.clip("in.mp4", 5, sound=studio.Sound(0.2))
    assert "sound and other streams are left out" in checked(source, "%d.png")[1]


def test_what_is_converted_is_told(studio: Any) -> None:
    source = studio.clip("in.mp4", 5, sound=studio.Sound(0.2), size=(23, 31), pix_fmt="yuv444p")
    work, notes = checked(source, "out.webm", LongSide(31))
    assert "stream 1 (audio, aac): becomes Opus" in notes
    assert work.encoding is not None
    assert work.encoding.encoder == "libvpx-vp9"


def test_what_images_cannot_tell_is_told(studio: Any) -> None:
    hdr = {"colorspace": 9, "color_primaries": 9, "color_trc": 16, "color_range": 1}
    aspect = Fraction(4, 3)
    source = studio.clip("in.mp4", 1, pix_fmt="yuv420p10le", tags=hdr, aspect=aspect)
    notes = checked(source, "%d.png")[1]
    assert "pixels are 1.333 times as wide as high" in notes
    assert "do not tell that it is HDR" in notes
    assert checked(source, "out.mkv")[1] == ""
