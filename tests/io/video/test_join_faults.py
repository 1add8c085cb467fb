import os
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import pytest

from sr.io.video.frame import Color, VideoError
from sr.io.video.mux.mux import mux_video
from sr.io.video.mux.streams import StreamPlan, plan_streams
from sr.io.video.mux.video_track import VideoTrack
from sr.io.video.time_range import WHOLE, TimeRange

WriteSource = Callable[..., Path]
WriteSegments = Callable[..., list[Path]]
UNIT = Fraction(1, 12800)
TIMES = [512 * number for number in range(50)]  # 25 frames a second
COLOR = Color(1, 1, 1, False)
SUFFIXES = [".mp4", ".mkv", ".webm"]


def _track(**changes: Any) -> VideoTrack:
    given: dict[str, Any] = {
        "time_base": UNIT,
        "rate": Fraction(25),
        "sample_aspect_ratio": Fraction(1),
        "color": COLOR,
    }
    return VideoTrack(**(given | changes))


def _codec(suffix: str) -> str:
    return "libvpx-vp9" if suffix == ".webm" else "libx264"


def _stamps(path: Path, kind: str = "video", number: int = 0) -> list[float]:
    """Time stamps of a stream in seconds, in order of time."""
    with av.open(str(path)) as container:
        stream = [one for one in container.streams if one.type == kind][number]
        packets = [packet for packet in container.demux(stream) if packet.size]
        return sorted(float((packet.pts or 0) * packet.time_base) for packet in packets)


def _join(
    folder: Path,
    write_segments: WriteSegments,
    suffix: str,
    times: list[int],
    *,
    source: Path | None = None,
    time_range: TimeRange = WHOLE,
    **changes: Any,
) -> Path:
    """Parts at these times joined with all of the source; nothing may be lost."""
    video = _track(**changes)
    parts = write_segments(folder, times, time_base=video.time_base, codec=_codec(suffix))
    output = folder / f"out{suffix}"
    plan = StreamPlan() if source is None else plan_streams(source, video_stream=0, suffix=suffix)
    assert (
        mux_video(parts, output, video=video, source=source, plan=plan, time_range=time_range) == ()
    )
    return output


@pytest.mark.parametrize("suffix", [".mp4", ".mkv"])
def test_a_source_cut_off_ends_its_sound_and_no_more(
    tmp_path: Path, write_source: WriteSource, write_segments: WriteSegments, suffix: str
) -> None:
    whole = write_source(tmp_path / "whole.mkv")
    source = tmp_path / "cut.mkv"
    source.write_bytes(whole.read_bytes()[: whole.stat().st_size // 2])
    output = _join(tmp_path, write_segments, suffix, TIMES, source=source)
    assert len(_stamps(output)) == 50
    assert 0 < _stamps(output, "audio")[-1] < 1.5


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_damage_in_the_middle_leaves_the_rest_in_time(
    tmp_path: Path, write_source: WriteSource, write_segments: WriteSegments, suffix: str
) -> None:
    source = write_source(tmp_path / "in.mkv", num_frames=150, sounds=("aac",))
    data = bytearray(source.read_bytes())
    middle = len(data) // 2
    data[middle : middle + 3000] = bytes(3000)
    source.write_bytes(data)
    times = [512 * number for number in range(150)]
    parts = write_segments(tmp_path, times, time_base=UNIT, codec=_codec(suffix))
    plan = plan_streams(source, video_stream=0, suffix=suffix)
    output = tmp_path / f"out{suffix}"
    mux_video(parts, output, video=_track(), source=source, plan=plan)
    assert len(_stamps(output)) == 150
    assert _stamps(output, "audio")[-1] == pytest.approx(_stamps(source, "audio")[-1], abs=0.05)


def test_sound_longer_than_the_image_is_kept_whole(
    tmp_path: Path, write_source: WriteSource, write_segments: WriteSegments
) -> None:
    source = write_source(tmp_path / "in.mkv", sounds=("aac",), sound_seconds=Fraction(5))
    output = _join(tmp_path, write_segments, ".mp4", TIMES, source=source)
    assert _stamps(output, "audio")[-1] == pytest.approx(5, abs=0.05)


def test_parts_of_different_encoders_are_refused(
    tmp_path: Path, write_segments: WriteSegments
) -> None:
    (tmp_path / "other").mkdir()
    parts = write_segments(tmp_path, TIMES[:20], time_base=UNIT)
    others = write_segments(
        tmp_path / "other", TIMES[20:], time_base=UNIT, options={"preset": "ultrafast"}
    )
    with pytest.raises(VideoError, match=r"another encoder version; start again without --resume"):
        mux_video(
            [*parts, *others],
            tmp_path / "out.mkv",
            video=_track(),
            source=None,
            plan=StreamPlan(),
        )


def test_parts_that_hold_the_same_frame_are_refused(
    tmp_path: Path, write_segments: WriteSegments
) -> None:
    parts = write_segments(tmp_path, TIMES[:20], time_base=UNIT)
    with pytest.raises(VideoError, match="got two at 0"):
        mux_video(
            [*parts, *parts], tmp_path / "o.mkv", video=_track(), source=None, plan=StreamPlan()
        )


def test_no_parts_and_broken_parts_are_named(tmp_path: Path) -> None:
    output = tmp_path / "out.mkv"
    with pytest.raises(VideoError, match="at least one segment"):
        mux_video([], output, video=_track(), source=None, plan=StreamPlan())
    broken = tmp_path / "part-00000.nut"
    broken.write_bytes(b"no part")
    with pytest.raises(VideoError, match=r"part-00000\.nut: expected a video"):
        mux_video([broken], output, video=_track(), source=None, plan=StreamPlan())


def test_a_codec_that_the_container_cannot_hold_is_named(
    tmp_path: Path, write_segments: WriteSegments
) -> None:
    parts = write_segments(tmp_path, TIMES[:5], time_base=UNIT)
    with pytest.raises(VideoError, match=r"out\.webm: the container cannot hold h264"):
        mux_video(parts, tmp_path / "out.webm", video=_track(), source=None, plan=StreamPlan())


def test_an_output_that_cannot_be_written_is_named(
    tmp_path: Path, write_segments: WriteSegments
) -> None:
    parts = write_segments(tmp_path, TIMES[:5], time_base=UNIT)
    output = tmp_path / "nowhere" / "out.mkv"
    with pytest.raises(VideoError, match=r"nowhere/out\.mkv: cannot be written") as caught:
        mux_video(parts, output, video=_track(), source=None, plan=StreamPlan())
    assert isinstance(caught.value.__cause__, OSError)


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs /dev/full")
@pytest.mark.parametrize("suffix", [".mp4", ".mkv"])
def test_a_full_disk_is_told(tmp_path: Path, write_segments: WriteSegments, suffix: str) -> None:
    parts = write_segments(tmp_path, TIMES, time_base=UNIT)
    output = tmp_path / f"full{suffix}"
    output.symlink_to("/dev/full")
    with pytest.raises(VideoError, match=r"cannot be written: .*No space left"):
        mux_video(parts, output, video=_track(), source=None, plan=StreamPlan())


@pytest.mark.parametrize("name", ["12:30.mkv", "a:b/clip.mkv", "http:x.mkv", "50%d.mkv"])
def test_names_that_look_like_addresses_are_those_of_files(
    tmp_path: Path,
    write_source: WriteSource,
    write_segments: WriteSegments,
    monkeypatch: pytest.MonkeyPatch,
    name: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    source = Path(name)
    source.parent.mkdir(exist_ok=True)
    write_source(tmp_path / "in.mkv", attached=True).rename(tmp_path / source)
    output = source.with_name(f"out-{source.name}")
    plan = plan_streams(source, video_stream=0, suffix=".mkv")
    parts = [
        part.rename(source.with_name(f"{number}:{part.name}"))
        for number, part in enumerate(write_segments(Path(), TIMES, time_base=UNIT))
    ]
    assert mux_video(parts, output, video=_track(), source=source, plan=plan) == ()
    assert len(_stamps(tmp_path / output)) == len(TIMES)


def test_suffixes_may_be_in_capitals(tmp_path: Path, write_segments: WriteSegments) -> None:
    parts = write_segments(tmp_path, TIMES, time_base=UNIT)
    output = tmp_path / "out.MP4"
    mux_video(parts, output, video=_track(), source=None, plan=StreamPlan())
    with av.open(str(output)) as container:
        assert "mp4" in container.format.name


@pytest.mark.parametrize(("suffix", "layout"), [(".avi", "stereo"), (".mov", "downmix")])
def test_channels_in_an_order_that_mp4_does_not_know_are_found_before_the_work(
    tmp_path: Path, write_segments: WriteSegments, suffix: str, layout: str
) -> None:
    """AVI tells the number of channels alone; what mixes two of them MP4 has no number for."""
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
    assert plan.passthrough[0].codec == (None if layout == "stereo" else "aac")
    assert len(plan.notes) == (layout != "stereo")
    output = tmp_path / "out.mp4"
    parts = write_segments(tmp_path, TIMES, time_base=UNIT)
    assert mux_video(parts, output, video=_track(), source=source, plan=plan) == ()
    with av.open(str(output)) as container:
        codec = container.streams.audio[0].codec_context
        assert (codec.name, codec.channels) == ("pcm_s16le" if layout == "stereo" else "aac", 2)
