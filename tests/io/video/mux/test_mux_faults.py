import os
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import pytest
from helpers.streams import mux_clip, read_stamps, write_segments, write_source

from sr.io.video.frame import Color, VideoError
from sr.io.video.mux.mux import mux_video
from sr.io.video.mux.streams import StreamPlan, plan_streams
from sr.io.video.mux.video_track import VideoTrack

UNIT = Fraction(1, 12800)
TIMES = [512 * number for number in range(50)]  # 25 frames a second
SUFFIXES = [".mp4", ".mkv", ".webm"]


VIDEO = VideoTrack(UNIT, Fraction(25), Fraction(1), Color(1, 1, 1, False))


def _mux(segments: list[Path], output: Path) -> None:
    mux_video(segments, output, video=VIDEO, source=None, plan=StreamPlan())


@pytest.mark.parametrize("suffix", [".mp4", ".mkv"])
def test_a_source_cut_off_ends_its_sound_and_no_more(tmp_path: Path, suffix: str) -> None:
    whole = write_source(tmp_path / "whole.mkv")
    source = tmp_path / "cut.mkv"
    source.write_bytes(whole.read_bytes()[: whole.stat().st_size // 2])
    output = mux_clip(tmp_path, suffix, source=source)
    assert len(read_stamps(output)) == 50
    assert 0 < read_stamps(output, "audio")[-1] < 1.5


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_damage_in_the_middle_leaves_the_rest_in_time(tmp_path: Path, suffix: str) -> None:
    source = write_source(tmp_path / "in.mkv", num_frames=150, sounds=("aac",))
    data = bytearray(source.read_bytes())
    middle = len(data) // 2
    data[middle : middle + 3000] = bytes(3000)
    source.write_bytes(data)
    times = [512 * number for number in range(150)]
    segments = write_segments(
        tmp_path, times, time_base=UNIT, codec="libvpx-vp9" if suffix == ".webm" else "libx264"
    )
    plan = plan_streams(source, video_stream=0, suffix=suffix)
    output = tmp_path / f"out{suffix}"
    mux_video(segments, output, video=VIDEO, source=source, plan=plan)
    assert len(read_stamps(output)) == 150
    assert read_stamps(output, "audio")[-1] == pytest.approx(
        read_stamps(source, "audio")[-1], abs=0.05
    )


def test_sound_longer_than_the_image_is_kept_whole(tmp_path: Path) -> None:
    source = write_source(tmp_path / "in.mkv", sounds=("aac",), sound_seconds=Fraction(5))
    output = mux_clip(tmp_path, ".mp4", source=source)
    assert read_stamps(output, "audio")[-1] == pytest.approx(5, abs=0.05)


def test_segments_of_different_encoders_are_refused(tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    segments = write_segments(tmp_path, TIMES[:20], time_base=UNIT)
    others = write_segments(
        tmp_path / "other", TIMES[20:], time_base=UNIT, options={"preset": "ultrafast"}
    )
    with pytest.raises(VideoError, match=r"another encoder version; start again without --resume"):
        _mux([*segments, *others], tmp_path / "out.mkv")


def test_segments_that_hold_the_same_frame_are_refused(tmp_path: Path) -> None:
    segments = write_segments(tmp_path, TIMES[:20], time_base=UNIT)
    with pytest.raises(VideoError, match="got two at 0"):
        _mux([*segments, *segments], tmp_path / "o.mkv")


def test_no_segments_and_broken_segments_are_named(tmp_path: Path) -> None:
    output = tmp_path / "out.mkv"
    with pytest.raises(VideoError, match="at least one segment"):
        _mux([], output)
    broken = tmp_path / "segment-00000.nut"
    broken.write_bytes(b"no segment")
    with pytest.raises(VideoError, match=r"segment-00000\.nut: expected a video"):
        _mux([broken], output)


def test_a_codec_that_the_container_cannot_hold_is_named(tmp_path: Path) -> None:
    segments = write_segments(tmp_path, TIMES[:5], time_base=UNIT)
    with pytest.raises(VideoError, match=r"out\.webm: the container cannot hold h264"):
        _mux(segments, tmp_path / "out.webm")


def test_an_output_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    segments = write_segments(tmp_path, TIMES[:5], time_base=UNIT)
    output = tmp_path / "nowhere" / "out.mkv"
    with pytest.raises(VideoError, match=r"nowhere/out\.mkv: cannot be written") as caught:
        _mux(segments, output)
    assert isinstance(caught.value.__cause__, OSError)


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs /dev/full")
@pytest.mark.parametrize("suffix", [".mp4", ".mkv"])
def test_a_full_disk_is_reported(tmp_path: Path, suffix: str) -> None:
    segments = write_segments(tmp_path, TIMES, time_base=UNIT)
    output = tmp_path / f"full{suffix}"
    output.symlink_to("/dev/full")
    with pytest.raises(VideoError, match=r"cannot be written: .*No space left"):
        _mux(segments, output)


@pytest.mark.parametrize("name", ["12:30.mkv", "a:b/clip.mkv", "http:x.mkv", "50%d.mkv"])
def test_names_like_addresses_are_those_of_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.chdir(tmp_path)
    source = Path(name)
    source.parent.mkdir(exist_ok=True)
    write_source(tmp_path / "in.mkv", attached=True).rename(tmp_path / source)
    output = source.with_name(f"out-{source.name}")
    plan = plan_streams(source, video_stream=0, suffix=".mkv")
    segments = [
        segment.rename(source.with_name(f"{number}:{segment.name}"))
        for number, segment in enumerate(write_segments(Path(), TIMES, time_base=UNIT))
    ]
    assert mux_video(segments, output, video=VIDEO, source=source, plan=plan) == ()
    assert len(read_stamps(tmp_path / output)) == len(TIMES)


def test_suffixes_may_be_in_capitals(tmp_path: Path) -> None:
    segments = write_segments(tmp_path, TIMES, time_base=UNIT)
    output = tmp_path / "out.MP4"
    _mux(segments, output)
    with av.open(str(output)) as container:
        assert "mp4" in container.format.name


@pytest.mark.parametrize(("suffix", "layout"), [(".avi", "stereo"), (".mov", "downmix")])
def test_pcm_in_any_order_of_channels_goes_into_mp4(
    tmp_path: Path, suffix: str, layout: str
) -> None:
    """AVI has the number of channels alone; what mixes two of them MP4 has no number for."""
    source = tmp_path / f"in{suffix}"
    with av.open(str(source), "w") as container:
        video: Any = container.add_stream("libx264", rate=25, options={"preset": "ultrafast"})
        video.width, video.height, video.pix_fmt = 32, 24, "yuv420p"
        sound: Any = container.add_stream("pcm_s16le", rate=48000, layout=layout)
        for number in range(50):
            image = av.VideoFrame(32, 24, "yuv420p")
            image.pts, image.time_base = number, Fraction(1, 25)
            container.mux(video.encode(image))
            samples = av.AudioFrame("s16", layout, 1920)
            samples.sample_rate, samples.pts, samples.time_base = (
                48000,
                1920 * number,
                Fraction(1, 48000),
            )
            samples.planes[0].update(bytes(samples.planes[0].buffer_size))
            container.mux(sound.encode(samples))
        container.mux(video.encode(None))
    plan = plan_streams(source, video_stream=0, suffix=".mp4")
    assert plan.passthrough[0].codec == "aac"
    label = "stream 1 (audio, pcm_s16le)"
    assert plan.notes == (f"{label}: becomes AAC, since few players take it in MP4; MKV keeps it",)
    output = tmp_path / "out.mp4"
    segments = write_segments(tmp_path, TIMES, time_base=UNIT)
    assert mux_video(segments, output, video=VIDEO, source=source, plan=plan) == ()
    with av.open(str(output)) as container:
        codec = container.streams.audio[0].codec_context
        assert (codec.name, codec.channels) == ("aac", 2)
