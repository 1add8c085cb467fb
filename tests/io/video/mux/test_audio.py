from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import numpy.typing as npt
import pytest
from helpers.streams import mux_clip, write_source

from sr.io.video.mux.audio import AudioTimeline
from sr.io.video.mux.streams import plan_streams
from sr.io.video.time_range import WHOLE, TimeRange

RATE = 1000


def _frame(samples: int, start: int | None, value: float = 1.0) -> av.AudioFrame:
    """Mono at 1000 samples a second, from sample `start`."""
    frame = av.AudioFrame.from_ndarray(np.full((1, samples), value, np.float32), "fltp", "mono")
    frame.sample_rate = RATE
    frame.pts = start
    frame.time_base = Fraction(1, RATE)
    return frame


def _put(
    frames: list[av.AudioFrame], time_range: TimeRange = WHOLE
) -> tuple[Fraction | None, list[float]]:
    """Where the line begins, and its samples."""
    line = AudioTimeline(time_range)
    pieces = [piece.to_ndarray()[0] for frame in frames for piece in line.put(frame)]
    return line.start, [] if not pieces else [float(v) for v in np.concatenate(pieces)]


def test_frames_without_gaps_are_put_as_they_are() -> None:
    assert _put([_frame(50, 20), _frame(50, 70)]) == (Fraction(20, RATE), [1.0] * 100)


def test_a_gap_becomes_silence_of_its_length() -> None:
    _, samples = _put([_frame(50, 0), _frame(50, 150)])
    assert samples == [1.0] * 50 + [0.0] * 100 + [1.0] * 50


def test_a_gap_of_hours_is_filled_piece_by_piece() -> None:
    line = AudioTimeline(WHOLE)
    list(line.put(_frame(50, 0)))
    pieces = list(line.put(_frame(50, 60 * RATE)))
    assert max(piece.samples for piece in pieces) <= RATE
    assert sum(piece.samples for piece in pieces) == 60 * RATE


def test_what_overlaps_is_dropped() -> None:
    _, samples = _put([_frame(100, 0), _frame(100, 40, 0.5), _frame(10, 140)])
    assert samples == [1.0] * 100 + [0.5] * 40 + [1.0] * 10


def test_rounded_times_do_not_add_up() -> None:
    starts = [round(number * 23.4) for number in range(200)]
    _, samples = _put([_frame(23, start) for start in starts])
    assert abs(len(samples) - (starts[-1] + 23)) <= 10
    assert _put([_frame(23, 23 * number + number % 3) for number in range(9)])[1] == [1.0] * 207


def test_frames_without_times_follow_the_one_before() -> None:
    assert _put([_frame(50, 20), _frame(50, None)]) == (Fraction(20, RATE), [1.0] * 100)


def test_the_line_is_cut_to_the_time_range() -> None:
    time_range = TimeRange(Fraction(30, RATE), Fraction(120, RATE))
    frames = [_frame(50, 0, 0.25), _frame(50, 50, 0.5), _frame(50, 100, 0.75), _frame(50, 150)]
    assert _put(frames, time_range) == (Fraction(0), [0.25] * 20 + [0.5] * 50 + [0.75] * 20)


def _onset(path: Path) -> float:
    """Seconds from the first frame to the first sound that is heard."""
    with av.open(str(path)) as container:
        first = next(container.decode(video=0))
        assert first.time is not None
    with av.open(str(path)) as container:
        for time, samples in _sound(container):
            loud = np.flatnonzero(np.abs(samples) > 0.1)
            if loud.size:
                return float(time + loud[0] / 48000 - first.time)
    raise AssertionError("no sound")


def _sound(
    container: av.container.InputContainer,
) -> Iterator[tuple[float, npt.NDArray[np.float32]]]:
    resampler = av.AudioResampler("fltp", "mono", 48000)
    for frame in container.decode(audio=0):
        for piece in resampler.resample(frame):
            if piece.time is not None:
                yield piece.time, piece.to_ndarray()[0]


@pytest.mark.parametrize(
    ("codec", "source_suffix", "suffix", "encoder"),
    [
        ("aac", ".mp4", ".webm", "libopus"),
        ("flac", ".mkv", ".webm", "libopus"),
        ("pcm_u8", ".mkv", ".mp4", "aac"),
        ("libmp3lame", ".mkv", ".webm", "libopus"),
    ],
)
@pytest.mark.parametrize("late", [Fraction(0), Fraction(3, 10)])
def test_converted_audio_is_heard_when_it_was(
    tmp_path: Path, codec: str, source_suffix: str, suffix: str, encoder: str, late: Fraction
) -> None:
    source = write_source(tmp_path / f"in{source_suffix}", sounds=(codec,), sound_offset=late)
    plan = plan_streams(source, video_stream=0, suffix=suffix)
    assert [stream.codec for stream in plan.passthrough] == [encoder]
    output = mux_clip(tmp_path, suffix, source=source)
    assert _onset(output) == pytest.approx(_onset(source), abs=0.006)
    with av.open(str(output)) as container:
        stream = container.streams.audio[0]
        assert (stream.rate, stream.channels, stream.language) == (48000, 2, "eng")


def test_audio_of_many_channels_keeps_them(tmp_path: Path) -> None:
    source = tmp_path / "in.mkv"
    with av.open(str(source), "w") as container:
        container.add_stream("mpeg4", rate=25)
        stream = container.add_stream("flac", rate=44100)
        assert isinstance(stream, av.AudioStream)
        stream.codec_context.layout = "5.1"
        for number in range(10):
            noise = np.random.default_rng(number).integers(-9000, 9000, (1, 6 * 4410), np.int16)
            frame = av.AudioFrame.from_ndarray(noise, "s16", "5.1")
            frame.sample_rate, frame.pts = 44100, number * 4410
            frame.time_base = Fraction(1, 44100)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    with av.open(str(mux_clip(tmp_path, ".webm", source=source))) as result:
        assert result.streams.audio[0].channels == 6
