"""Whole runs on old footage: fields, telecine, bars and oblong pixels, in time with the sound."""

from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from helpers.clips import make_clip
from helpers.fields import NTSC, draw_motion, interlace, run_filters, write_frames
from helpers.streams import read_stamps
from helpers.videos import LOSSLESS, CountingNetwork, Listener, upscale

from sr.errors import UsageError
from sr.inference.footage_options import FootageOptions
from sr.inference.video.resume import ManifestError
from sr.io.video.filter_options import Deinterlace
from sr.io.video.frame import Frame, VideoError, VideoInfo
from sr.io.video.read.reader import open_video
from sr.io.video.time_range import parse_moment

FIELDS = replace(LOSSLESS, footage=FootageOptions("fields"))


def read(path: Path) -> tuple[VideoInfo, list[Frame]]:
    with open_video(path) as reader:
        return reader.info, list(reader.frames())


def add_sound(video: Path, path: Path) -> Path:
    """Mux a video with a second of sound."""
    sound = path.with_suffix(".wav")
    with av.open(str(sound), "w") as container:
        stream = container.add_stream("pcm_s16le", rate=8000, layout="mono")
        samples = av.AudioFrame.from_ndarray(np.zeros((1, 8000), np.int16), "s16", "mono")
        samples.sample_rate = 8000
        container.mux(stream.encode(samples))
        container.mux(stream.encode(None))
    with av.open(str(path), "w") as out, av.open(str(video)) as a, av.open(str(sound)) as b:
        streams = [(each, out.add_stream_from_template(each.streams[0])) for each in (a, b)]
        for source, target in streams:
            for packet in source.demux():
                if packet.dts is not None:
                    packet.stream = target
                    out.mux(packet)
    return path


@pytest.mark.parametrize("suffix", [".mkv", ".mp4"])
def test_fields_become_frames_in_time_with_the_sound(tmp_path: Path, suffix: str) -> None:
    video = write_frames(tmp_path / "v.mkv", interlace(draw_motion(50), "tff"), order="tff")
    source = add_sound(video, tmp_path / "in.mkv")
    output = tmp_path / f"out{suffix}"
    listener = Listener()
    options = replace(FIELDS, codec="libx264", crf=0)
    upscale(source, output, video=options, listener=listener)
    info, frames = read(output)
    assert len(frames) == info.rate == 50
    assert read_stamps(output) == pytest.approx([n / 50 for n in range(50)], abs=1e-3)
    assert read_stamps(output, "audio")[0] == pytest.approx(0, abs=0.13)  # AAC's start
    (done,) = listener.fields("item_done")
    assert done["frames"] == 50


def test_interlaced_frames_are_deinterlaced_unless_that_is_off(tmp_path: Path) -> None:
    source = write_frames(tmp_path / "in.mkv", interlace(draw_motion(12), "bff"), order="bff")
    _, plain = read(source)
    deinterlaces: tuple[Deinterlace, ...] = ("auto", "off")
    for deinterlace in deinterlaces:
        output, listener = tmp_path / f"{deinterlace}.mkv", Listener()
        video = replace(LOSSLESS, footage=FootageOptions(deinterlace))
        upscale(source, output, video=video, listener=listener)
        word = {"auto": "so deinterlaced", "off": "upscaled as it is"}[deinterlace]
        assert any(word in warning for warning in listener.warnings)
        _, frames = read(output)
        same = [
            np.array_equal(a.planes[0], b.planes[0]) for a, b in zip(frames, plain, strict=True)
        ]
        assert all(same) if deinterlace == "off" else not any(same)


def test_a_range_counts_frames_after_the_filters(tmp_path: Path) -> None:
    source = write_frames(tmp_path / "in.mkv", interlace(draw_motion(20), "tff"), order="tff")
    whole, part = tmp_path / "whole.mkv", tmp_path / "part.mkv"
    upscale(source, whole, video=FIELDS)
    start, end = parse_moment("5f"), parse_moment("12f")
    upscale(source, part, video=replace(FIELDS, start=start, end=end))
    frames, cut = read(whole)[1], read(part)[1]
    assert len(cut) == 7
    for number, frame in enumerate(cut, start=5):
        np.testing.assert_array_equal(frame.planes[0], frames[number].planes[0])


def test_telecined_video_becomes_film(tmp_path: Path) -> None:
    fields = run_filters(draw_motion(40), "telecine=pattern=23", "setfield=mode=tff")
    source = write_frames(tmp_path / "in.mkv", fields, rate=NTSC, order="tff")
    video = replace(LOSSLESS, footage=FootageOptions(inverse_telecine=True))
    upscale(source, tmp_path / "out.mp4", video=replace(video, codec="libx264", crf=0))
    info, frames = read(tmp_path / "out.mp4")
    assert len(frames) == 40
    assert float(info.rate) == pytest.approx(24000 / 1001, rel=1e-3)


@pytest.mark.parametrize("footage", [FootageOptions("fields"), FootageOptions(crop_bars=True)])
def test_an_interrupted_run_goes_on_and_other_filters_do_not(
    tmp_path: Path, footage: FootageOptions
) -> None:
    frames = interlace(draw_motion(20), "tff")
    source = write_frames(tmp_path / "in.mkv", frames, order="tff")
    video = replace(LOSSLESS, footage=footage, frames_per_segment=4)
    upscale(source, tmp_path / "whole.mkv", video=video)
    output = tmp_path / "out.mkv"
    upscale(source, output, video=video, network=CountingNetwork(fault_at=6))
    assert not output.exists()
    other = replace(video, footage=FootageOptions("off"))
    summary = upscale(source, output, video=other, resume=True)
    assert isinstance(summary.tasks[0].error, ManifestError)
    upscale(source, output, video=video, resume=True)
    whole, resumed = read(tmp_path / "whole.mkv")[1], read(output)[1]
    for got, expected in zip(resumed, whole, strict=True):
        assert got.pts == expected.pts
        np.testing.assert_array_equal(got.planes[0], expected.planes[0])


@pytest.mark.parametrize(
    ("ratio", "options", "size"),
    [
        (Fraction(16, 11), {}, (48, 94)),
        (Fraction(8, 9), {}, (48, 58)),
        (Fraction(16, 11), {"outscale": 2}, (96, 186)),
        (Fraction(16, 11), {"long_side": 186}, (96, 186)),
        (Fraction(16, 11), {"size": (50, 60)}, (50, 60)),
    ],
)
def test_square_pixels_have_the_shape_that_players_show(
    tmp_path: Path, ratio: Fraction, options: dict[str, Any], size: tuple[int, int]
) -> None:
    source = write_frames(tmp_path / "in.mkv", draw_motion(3), ratio=ratio)
    video = replace(LOSSLESS, codec="libx264", footage=FootageOptions(square_pixels=True))
    upscale(source, tmp_path / "out.mp4", video=video, **options)
    info, _ = read(tmp_path / "out.mp4")
    assert info.sample_aspect_ratio == 1
    assert (info.height, info.width) == pytest.approx(size, abs=1)
    upscale(source, tmp_path / "plain.mp4", video=replace(LOSSLESS, codec="libx264"))
    assert read(tmp_path / "plain.mp4")[0].sample_aspect_ratio == ratio


def test_filters_for_files_are_refused_for_images(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    make_clip(tmp_path / "clip.mkv", 2)
    upscale(tmp_path / "clip.mkv", tmp_path / "in/%03d.png")
    video = replace(LOSSLESS, footage=FootageOptions("on", crop_bars=True))
    summary = upscale(tmp_path / "in", tmp_path / "out.mkv", video=video)
    error = summary.tasks[0].error
    assert isinstance(error, VideoError)
    assert "expected a video file for --deinterlace on and --crop-bars, got images" in str(error)


def test_fields_and_film_exclude_each_other() -> None:
    with pytest.raises(UsageError, match="expected one of them, got both"):
        FootageOptions("fields", inverse_telecine=True)
