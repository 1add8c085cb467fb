from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import pytest
from av.stream import Discard
from helpers.streams import mux_clip, write_source

from sr.io.video.frame import Color, VideoError
from sr.io.video.mux.streams import StreamPlan, plan_streams
from sr.io.video.mux.video_track import VideoTrack
from sr.io.video.read.container import open_container
from sr.io.video.time_range import WHOLE, TimeRange
from sr.io.video.verify import StreamTimes, read_timestamps, verify_video

UNIT = Fraction(1, 12800)
TIMES = [512 * number for number in range(50)]  # 25 frames a second
SUFFIXES = [".mp4", ".mkv", ".webm"]
TURNED = (0, 65536, 0, -65536, 0, 0, 0, 0, 1 << 30)
TRACK = VideoTrack(UNIT, Fraction(25), Fraction(4, 3), Color(1, 1, 1, False), TURNED)


def _verify(
    output: Path,
    source: Path,
    times: list[int] = TIMES,
    *,
    time_range: TimeRange = WHOLE,
    video: VideoTrack = TRACK,
    **changes: Any,
) -> list[str]:
    expected: dict[str, Any] = {
        "plan": plan_streams(source, video_stream=0, suffix=output.suffix),
        "num_frames": len(times),
        "first": times[0] * video.time_base - time_range.shift,
        "last": times[-1] * video.time_base - time_range.shift,
    }
    expected |= changes
    return verify_video(output, source=source, video=video, time_range=time_range, **expected)


def mux(
    source: Path,
    suffix: str,
    times: list[int] = TIMES,
    *,
    video: VideoTrack = TRACK,
    plan: StreamPlan | None = None,
    time_range: TimeRange = WHOLE,
) -> Path:
    """Mux a clip with all of a source."""
    return mux_clip(
        source.parent,
        suffix,
        times,
        source=source,
        plan=plan,
        time_range=time_range,
        video=video,
        name=f"out-of-{source.stem}",
    )


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize(
    ("source_suffix", "streams"),
    [
        (".mkv", {"sounds": ("aac", "libopus"), "subtitle": "subrip", "attached": True}),
        (".mp4", {"sounds": ("aac", "libmp3lame"), "subtitle": "mov_text", "chapters": True}),
        (".mkv", {"sounds": ("flac",), "sound_offset": Fraction(3, 10)}),
        (".mkv", {"sounds": ()}),
        (".mkv", {"sounds": ("aac",), "sound_seconds": Fraction(7, 2)}),
    ],
)
def test_a_muxed_video_is_as_expected(
    tmp_path: Path, suffix: str, source_suffix: str, streams: dict[str, Any]
) -> None:
    source = write_source(tmp_path / f"in{source_suffix}", **streams)
    assert _verify(mux(source, suffix), source) == []


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_a_time_range_is_as_expected(tmp_path: Path, suffix: str) -> None:
    source = write_source(tmp_path / "in.mp4", sounds=("aac",), subtitle="mov_text")
    times = TIMES[15:40]
    time_range = TimeRange(times[0] * UNIT, (times[-1] + 512) * UNIT)
    output = mux(source, suffix, times, time_range=time_range)
    assert _verify(output, source, times, time_range=time_range) == []


def test_frames_that_begin_late_are_as_expected(tmp_path: Path) -> None:
    source = write_source(tmp_path / "in.mkv", sounds=("aac",))
    times = [17920 + time for time in TIMES]
    assert _verify(mux(source, ".mp4", times), source, times) == []


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_a_missing_frame_is_found(tmp_path: Path, suffix: str) -> None:
    source = write_source(tmp_path / "in.mkv", sounds=("libopus",))
    middle = mux(source, suffix, TIMES[:20] + TIMES[21:])
    assert _verify(middle, source) == ["video: expected 50 frames, got 49"]
    last = _verify(mux(source, suffix, TIMES[:-1]), source)
    assert last == [
        "video: expected 50 frames, got 49",
        "video: expected the last frame at 1.960 s, got 1.920 s (-0.040 s)",
    ]


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize("late", [Fraction(1, 10), Fraction(-1, 10)])
def test_sound_that_is_off_by_100_ms_is_found(tmp_path: Path, suffix: str, late: Fraction) -> None:
    right = write_source(tmp_path / "right.mkv", sounds=("libopus",), sound_offset=Fraction(1, 5))
    wrong = write_source(
        tmp_path / "wrong.mkv", sounds=("libopus",), sound_offset=Fraction(1, 5) + late
    )
    faults = _verify(mux(wrong, suffix), right)
    assert len(faults) == 2
    for fault, what in zip(faults, ("start", "end"), strict=True):
        assert fault.startswith(f"stream 1 (audio, opus, eng): expected its {what} at")
        assert fault.endswith(f"({float(late):+.3f} s)")


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize("codec", ["wmav1", "wmav2"])
def test_codecs_whose_first_packet_is_not_heard_are_as_expected(
    tmp_path: Path, suffix: str, codec: str
) -> None:
    source = write_source(tmp_path / "in.wmv", sounds=(codec,))
    assert _verify(mux(source, suffix), source) == []


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_sound_that_ends_early_is_found(tmp_path: Path, suffix: str) -> None:
    right = write_source(tmp_path / "right.mkv", sounds=("aac",))
    wrong = write_source(tmp_path / "wrong.mkv", sounds=("aac",), sound_seconds=Fraction(1))
    faults = _verify(mux(wrong, suffix), right)
    assert len(faults) == 1
    assert faults[0].startswith("stream 1 (audio, aac, eng): expected its end at 2.0")


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_a_drift_of_the_video_is_found(tmp_path: Path, suffix: str) -> None:
    source = write_source(tmp_path / "in.mkv", sounds=())
    times = [number * 530 for number in range(50)]  # as if there were 24.15 frames a second
    faults = _verify(mux(source, suffix, times), source)
    assert faults == ["video: expected the last frame at 1.960 s, got 2.029 s (+0.069 s)"]
    late = [time + 1280 for time in TIMES]
    faults = _verify(mux(source, suffix, late), source)
    assert faults == ["video: expected the first frame at 0.000 s, got 0.100 s (+0.100 s)"]


@pytest.mark.parametrize("suffix", [".mp4", ".mkv"])
def test_streams_that_are_missing_are_named(tmp_path: Path, suffix: str) -> None:
    source = write_source(tmp_path / "in.mkv", subtitle="ass", attached=suffix == ".mkv")
    output = mux(source, suffix, plan=StreamPlan())
    faults = _verify(output, source)
    expected = plan_streams(source, video_stream=0, suffix=suffix).passthrough
    assert sorted(faults) == sorted(f"{stream.label}: is missing" for stream in expected)


def test_a_stream_without_packets_is_named(tmp_path: Path) -> None:
    source = write_source(tmp_path / "in.mkv", sounds=("aac",))
    empty = write_source(tmp_path / "empty.mkv", sounds=("aac",), sound_seconds=Fraction(0))
    faults = _verify(mux(empty, ".mkv"), source)
    assert faults == ["stream 1 (audio, aac, eng): is empty"]


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"sample_aspect_ratio": Fraction(1)}, ["aspect ratio 1.333, got 1"]),
        ({"display_matrix": None}, ["rotation by the matrix [0.0, 1.0, -1.0, 0.0]"]),
        ({"color": Color(1, 9, 16, False)}, ["primaries 1, got 9", "transfer 1, got 16"]),
        ({"color": Color(6, 1, 1, False)}, ["matrix 1, got 6"]),
        ({"color": Color(1, 1, 1, True)}, ["range (1 limited, 2 full) 1, got 2"]),
    ],
    ids=["shape", "turn", "primaries", "matrix", "range"],
)
def test_wrong_tags_are_found(
    tmp_path: Path, suffix: str, wrong: dict[str, Any], words: list[str]
) -> None:
    if suffix == ".webm" and wrong.get("color", TRACK.color).full_range:
        pytest.skip("the frames of VP9 hold their range themselves")
    if suffix == ".webm" and "sample_aspect_ratio" in wrong:
        pytest.skip("WebM cannot say it")
    source = write_source(tmp_path / "in.mkv", sounds=())
    output = mux(source, suffix, video=replace(TRACK, **wrong))
    faults = _verify(output, source)
    assert len(faults) == len(words)
    assert all(word in fault for word, fault in zip(words, faults, strict=True))


def test_a_file_without_video_is_reported(tmp_path: Path) -> None:
    source = write_source(tmp_path / "in.mkv", sounds=("flac",))
    sound = tmp_path / "sound.mkv"
    with open_container(source) as container, av.open(str(sound), "w") as result:
        track = result.add_stream_from_template(container.streams.audio[0])
        for packet in container.demux(audio=0):
            if packet.size:
                packet.stream = track
                result.mux(packet)
    assert _verify(sound, source) == ["expected a video stream, got none"]


def test_a_file_that_cannot_be_read_is_an_error(tmp_path: Path) -> None:
    source = write_source(tmp_path / "in.mkv", sounds=())
    with pytest.raises(VideoError, match=r"gone\.mkv"):
        _verify(tmp_path / "gone.mkv", source)


def test_a_source_of_images_has_nothing_to_compare(tmp_path: Path) -> None:
    source = write_source(tmp_path / "in.mkv", sounds=())
    output = mux(source, ".mp4")
    assert _verify(output, tmp_path, plan=StreamPlan()) == []


def _read_video_times(source: Path, time_range: TimeRange) -> StreamTimes:
    with open_container(source) as container:
        return read_timestamps(container, [container.streams[0]], time_range)[0]


def test_times_of_frames_are_those_of_the_time_range(tmp_path: Path) -> None:
    source = write_source(tmp_path / "in.mp4", sounds=())
    whole = _read_video_times(source, WHOLE)
    assert (whole.count, whole.start, whole.last) == (50, Fraction(0), Fraction(49, 25))
    inside = _read_video_times(source, TimeRange(Fraction(1, 5), Fraction(2, 5)))
    assert (inside.count, inside.start, inside.last) == (5, Fraction(0), Fraction(4, 25))


def test_streams_that_are_not_asked_for_are_not_read(tmp_path: Path) -> None:
    source = write_source(tmp_path / "in.mp4")
    with open_container(source) as container:
        read_timestamps(container, [container.streams[1]])
        unread = [stream.index for stream in container.streams if stream.discard == Discard.all]
    assert unread == [0, 2]


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_real_clips_go_through(tmp_path: Path, shared_data: Path, suffix: str) -> None:
    folder = shared_data / "video" / "clips"
    if not folder.is_dir():
        pytest.skip("needs the clips in ../shared/data/video/clips")
    for source in sorted(folder.iterdir()):
        with open_container(source) as container:
            stream = container.streams.video[0]
            unit, rate = stream.time_base, stream.average_rate
            assert unit is not None
            assert rate is not None
            times = sorted(one.pts for one in container.demux(stream) if one.pts is not None)
        video = replace(TRACK, time_base=unit, rate=rate)
        output = mux_clip(tmp_path, suffix, times, source=source, video=video)
        assert _verify(output, source, times, video=video) == [], source.name
