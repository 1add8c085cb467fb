"""Whole videos through the engine: what comes out is what went in, enlarged, and in time."""

import threading
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from helpers.clips import (
    Tone,
    assert_same_frames,
    make_clip,
    read_frames,
    read_times,
    write_time_code,
)
from helpers.matroska import EQUIRECTANGULAR, add_to_video_element
from helpers.videos import CountingNetwork, Listener, upscale

from sr.inference.video_options import VideoOptions
from sr.io.rgb8 import read_rgb8
from sr.io.video.encode.segment_writer import make_frame
from sr.io.video.read.reader import open_video
from sr.io.video.time_range import Moment

BT709 = {"colorspace": 1, "color_primaries": 1, "color_trc": 1, "color_range": 1}
HDR = {"colorspace": 9, "color_primaries": 9, "color_trc": 16, "color_range": 1}
FULL = {"colorspace": 5, "color_primaries": 5, "color_trc": 6, "color_range": 2}


@pytest.mark.parametrize("size", [(24, 32), (23, 31)])
@pytest.mark.parametrize(
    ("pix_fmt", "tags"),
    [
        ("yuv420p", BT709),
        ("yuv420p", FULL),
        ("yuv422p", {}),
        ("yuv444p", BT709),
        ("yuv420p10le", HDR),
        ("yuv422p10le", BT709),
        ("yuv444p10le", FULL),
        ("gray", {}),
        ("bgr0", {}),
        ("gbrp10le", {}),
    ],
)
def test_an_identity_network_gives_every_frame_back(
    tmp_path: Path, pix_fmt: str, tags: dict[str, int], size: tuple[int, int]
) -> None:
    source = make_clip(
        tmp_path / "in.mkv", 3, pix_fmt=pix_fmt, context=tags, size=size, codec="ffv1"
    )
    output = tmp_path / "out.mkv"
    assert upscale(source, output).exit_code == 0
    assert_same_frames(source, output)
    with open_video(source) as before, open_video(output) as after:
        assert after.info.layout == before.info.layout
        assert after.info.color == before.info.color
        assert not [note for note in after.info.notes if "unknown, taken" in note]


def test_frames_are_enlarged_and_repeated_ones_computed_once(tmp_path: Path) -> None:
    source = make_clip(tmp_path / "in.mp4", 8, pix_fmt="yuv444p", still=(3, 4, 7))
    network, listener = CountingNetwork(2), Listener()
    output = tmp_path / "out.mkv"
    upscale(source, output, network=network, listener=listener)
    assert network.num_calls == 5
    (done,) = listener.fields("item_done")
    assert (done["frames"], done["repeated"], done["sr_size"]) == (8, 3, (64, 48))
    enlarged = read_frames(output)
    for frame, result in zip(read_frames(source), enlarged, strict=True):
        for plane, large in zip(frame.planes, result.planes, strict=True):
            np.testing.assert_array_equal(plane.repeat(2, 0).repeat(2, 1), large)


@pytest.mark.parametrize("suffix", [".mp4", ".mkv"])
@pytest.mark.parametrize(
    "pts", [[0, 1, 4, 5, 6, 20, 21, 22], [30, 31, 32, 35], [0, 100, 101, 1000]]
)
def test_each_frame_keeps_its_time_though_the_rate_varies(
    tmp_path: Path, pts: list[int], suffix: str
) -> None:
    source = make_clip(tmp_path / "in.mp4", len(pts), pts=pts, time_base=Fraction(1, 30))
    output = tmp_path / f"out{suffix}"
    video = VideoOptions(preset="ultrafast")
    assert upscale(source, output, video=video).exit_code == 0
    expected, found = read_times(source), read_times(output)
    tolerance = 0 if suffix == ".mp4" else Fraction(1, 1000)  # of Matroska's ticks
    assert len(expected) == len(found) == len(pts)
    assert all(abs(a - b) <= tolerance for a, b in zip(expected, found, strict=True))


def test_fps_repeats_and_drops_frames_and_keeps_the_length(tmp_path: Path) -> None:
    source = make_clip(tmp_path / "in.mp4", 10, sound=Tone(0.4))
    for fps, number in ((50, 20), (10, 4)):
        output = tmp_path / f"out{fps}.mkv"
        video = VideoOptions(codec="ffv1", fps=Fraction(fps))
        network = CountingNetwork()
        assert upscale(source, output, video=video, network=network).exit_code == 0
        times = read_times(output)
        assert len(times) == number
        assert network.num_calls == min(number, 10)
        assert times[-1] + Fraction(1, fps) == pytest.approx(0.4, abs=0.002)


def test_start_and_end_cut_video_and_sound(tmp_path: Path) -> None:
    source = make_clip(tmp_path / "in.mp4", 50, sound=Tone(2.0))
    output = tmp_path / "out.mp4"
    video = VideoOptions(
        encoder_options={"qp": "0"},
        start=Moment(Fraction(1, 2)),
        end=Moment(frame=40),
    )
    assert upscale(source, output, video=video).exit_code == 0
    frames, original = read_frames(output), read_frames(source)
    assert len(frames) == 27  # 0.52 s is the first that begins to show from 0.5 s on
    np.testing.assert_array_equal(frames[0].planes[0], original[13].planes[0])
    assert read_times(output)[0] == 0
    with av.open(str(output)) as container:
        sound: Any = container.streams.audio[0]
        assert float(sound.duration * sound.time_base) == pytest.approx(27 / 25, abs=0.15)


def test_rotation_aspect_and_exact_size_are_those_that_players_show(tmp_path: Path) -> None:
    source = tmp_path / "in.mp4"
    with av.open(str(source), "w") as container:
        stream = container.add_stream("libx264", rate=25)
        stream.width, stream.height, stream.pix_fmt = 32, 24, "yuv420p"
        stream.codec_context.sample_aspect_ratio = Fraction(4, 3)
        stream.set_display_rotation(90)
        frame = av.VideoFrame(32, 24, "yuv420p")
        container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    output = tmp_path / "out.mp4"
    video = VideoOptions()
    summary = upscale(source, output, video=video, size=(64, 48))
    assert summary.exit_code == 0
    with open_video(source) as before, open_video(output) as after:
        assert (after.info.width, after.info.height) == (64, 48)
        assert after.info.display_matrix == before.info.display_matrix is not None
        assert after.info.sample_aspect_ratio == Fraction(4, 3)


def test_odd_sizes_that_an_encoder_cannot_hold_gain_a_row_and_a_column(tmp_path: Path) -> None:
    source = make_clip(tmp_path / "in.mkv", 2, size=(23, 31), codec="ffv1")
    output, listener = tmp_path / "out.mp4", Listener()
    video = VideoOptions(encoder_options={"qp": "0"})
    assert upscale(source, output, video=video, listener=listener).exit_code == 0
    assert any("even" in each["message"] for each in listener.fields("warning"))
    for frame, result in zip(read_frames(source), read_frames(output), strict=True):
        assert result.planes[0].shape == (24, 32)
        np.testing.assert_array_equal(frame.planes[0], result.planes[0][:23, :31])
        np.testing.assert_array_equal(result.planes[0][22], result.planes[0][23])


def test_frames_become_images_and_images_a_video(tmp_path: Path) -> None:
    source = make_clip(tmp_path / "in.mkv", 3, pix_fmt="bgr0", codec="ffv1")
    pattern = tmp_path / "frames" / "%03d.png"
    assert upscale(source, pattern).exit_code == 0
    names = sorted(path.name for path in pattern.parent.iterdir())
    assert names == ["000.png", "001.png", "002.png"]
    for again in (pattern, pattern.parent):
        output = tmp_path / f"{again.stem.strip('%')}.mkv"
        video = VideoOptions(codec="ffv1", fps=Fraction(30))
        assert upscale(again, output, video=video).exit_code == 0
        assert_same_frames(source, output)
        assert read_times(output)[1] == pytest.approx(1 / 30, abs=0.001)


def test_a_folder_of_images_and_videos_is_done_as_a_whole(tmp_path: Path) -> None:
    folder = tmp_path / "mixed"
    folder.mkdir()
    make_clip(tmp_path / "mixed/a.mp4", 3)
    make_clip(tmp_path / "mixed/b.avi", 3, codec="mpeg4")
    (folder / "bad.mkv").write_bytes(b"no video")
    pattern = tmp_path / "mixed" / "c%d.png"
    upscale(make_clip(tmp_path / "single.mkv", 1, codec="ffv1"), pattern)
    summary = upscale(folder, tmp_path / "out", video=VideoOptions(), outscale=1)
    assert summary.exit_code == 3
    assert [path.name for path in summary.failures] == ["bad.mkv"]
    names = sorted(path.name for path in (tmp_path / "out").iterdir())
    assert names == ["a_x1.mp4", "b_x1.mkv", "c0_x1.png"]


def test_previews_come_before_the_work(tmp_path: Path) -> None:
    source = make_clip(tmp_path / "in.mp4", 10)
    listener = Listener()
    video = VideoOptions(codec="ffv1", preview=2)
    summary = upscale(
        source,
        tmp_path / "out.mkv",
        video=video,
        network=CountingNetwork(2),
        listener=listener,
    )
    assert summary.exit_code == 0
    previews = [each["preview"].name for each in listener.fields("progress") if "preview" in each]
    assert previews == ["out_preview_00002_0.080s.png", "out_preview_00007_0.280s.png"]
    assert all((tmp_path / name).is_file() for name in previews)


def test_the_temporal_filter_leaves_times_and_number_of_frames(tmp_path: Path) -> None:
    source = make_clip(tmp_path / "in.mp4", 6, still=(2,))
    output = tmp_path / "out.mkv"
    video = VideoOptions(codec="ffv1", temporal_filter=True)
    assert upscale(source, output, video=video, network=CountingNetwork(2)).exit_code == 0
    assert len(read_times(output)) == 6


def test_progress_has_frames_speed_and_queues(tmp_path: Path) -> None:
    source = make_clip(tmp_path / "in.mp4", 4)
    listener = Listener()
    upscale(source, tmp_path / "out.mkv", listener=listener)
    progress = listener.fields("progress")
    assert [each["frame"] for each in progress] == [1, 2, 3, 4]
    assert set(progress[0]["queues"]) == {"decode", "convert", "network", "levels"}
    assert progress[0]["bottleneck"] in {*progress[0]["queues"], "encode"}
    assert progress[0]["frames"] == 4
    assert {"fps", "seconds_left"} <= progress[0].keys()


def test_nothing_is_left_beside_the_result(tmp_path: Path) -> None:
    upscale(make_clip(tmp_path / "in.mp4"), tmp_path / "out" / "out.mp4", video=VideoOptions())
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["out.mp4"]


def test_sound_stays_in_time_and_is_copied(tmp_path: Path) -> None:
    source = make_clip(tmp_path / "in.mp4", 50, sound=Tone(3.0, start=0.25))
    output = tmp_path / "out.mp4"
    assert upscale(source, output, video=VideoOptions()).exit_code == 0

    def packets(path: Path) -> list[tuple[Fraction, bytes]]:
        with av.open(str(path)) as container:
            found: Any = [packet for packet in container.demux(audio=0) if packet.size]
            return [(packet.pts * packet.time_base, bytes(packet)) for packet in found]

    assert packets(source) == packets(output)


def test_a_change_of_size_is_said_while_the_video_is_upscaled(tmp_path: Path) -> None:
    first = make_clip(tmp_path / "a.h264", 40, size=(16, 16))
    second = make_clip(tmp_path / "b.h264", 2, size=(48, 64))
    source = tmp_path / "in.h264"
    source.write_bytes(first.read_bytes() + second.read_bytes())
    listener = Listener()
    assert upscale(source, tmp_path / "out.mkv", listener=listener).exit_code == 0
    assert len(read_frames(tmp_path / "out.mkv")) == 42
    (warning,) = [note for note in listener.warnings if "converted" in note]
    assert warning.endswith("are converted to the first one's 16x16 yuv420p, from frame 40 on")
    stopping = VideoOptions(codec="ffv1", damaged="stop")
    summary = upscale(source, tmp_path / "cut.mkv", video=stopping)
    assert summary.exit_code == 4
    assert len(read_frames(tmp_path / "cut.mkv")) == 40


def test_the_projection_of_360_degree_video_is_carried(tmp_path: Path) -> None:
    source = make_clip(tmp_path / "in.mkv", 3, codec="ffv1")
    add_to_video_element(source, EQUIRECTANGULAR)
    for name in ("out.mkv", "out.mp4"):
        network = CountingNetwork(2)
        assert upscale(source, tmp_path / name, network=network).exit_code == 0
        with open_video(tmp_path / name) as reader:
            assert (reader.info.width, reader.info.height) == (64, 48)
            assert reader.info.spatial[0].startswith("Spherical Mapping: equirectangular")


@pytest.mark.parametrize("name", ["out.mp4", "out.mkv"])
def test_a_time_code_stays(tmp_path: Path, name: str) -> None:
    source = tmp_path / "in.mov"
    write_time_code(source, 1)
    listener = Listener()
    assert upscale(source, tmp_path / name, listener=listener).exit_code == 0
    assert listener.warnings == []
    with av.open(str(tmp_path / name)) as container:
        tags = {key.lower(): value for key, value in container.streams.video[0].metadata.items()}
    assert tags["timecode"] == "01:02:03:04"


@pytest.mark.parametrize("degrees", [90, 180, 270])
@pytest.mark.parametrize(("hflip", "vflip"), [(False, False), (True, False), (False, True)])
def test_frames_as_images_are_turned_as_players_would(
    tmp_path: Path, degrees: int, hflip: bool, vflip: bool
) -> None:
    source = tmp_path / "in.mkv"
    plain = make_clip(tmp_path / "plain.mkv", 1, codec="ffv1", pix_fmt="bgr0", size=(6, 8))
    with av.open(str(plain)) as given, av.open(str(source), "w") as container:
        stream = container.add_stream_from_template(given.streams.video[0])
        stream.set_display_rotation(degrees, hflip=hflip, vflip=vflip)
        for packet in given.demux(video=0):
            if packet.size:
                packet.stream = stream
                container.mux(packet)
    images = []
    for clip in (plain, source):
        pattern = tmp_path / clip.stem / "%d.png"
        assert upscale(clip, pattern).exit_code == 0
        images.append(read_rgb8(pattern.parent / "0.png"))
    expected = np.rot90(images[0], degrees // 90)  # counter-clockwise
    expected = expected[:, ::-1] if hflip else expected
    expected = expected[::-1] if vflip else expected
    np.testing.assert_array_equal(images[1], expected)


def test_frames_are_filled_while_others_are_encoded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    threads: list[str] = []

    def fill(*given: Any) -> Any:
        threads.append(threading.current_thread().name)
        return make_frame(*given)

    monkeypatch.setattr("sr.inference.video.segment_encoder.make_frame", fill)
    upscale(make_clip(tmp_path / "lr.mkv", 4), tmp_path / "sr.mkv")
    assert threads == ["sr-levels"] * 4
