"""Broken videos, full disks, faults on the way: one line each, nothing half done left, in time."""

import re
import threading
from contextlib import suppress
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from helpers.clips import Tone, make_clip
from helpers.disks import limit_file_size
from helpers.videos import CountingNetwork, Listener, make_upscaler, upscale

from sr.cli import infer
from sr.inference.video import mux_segments
from sr.inference.video.resume import locate_segments
from sr.inference.video_options import VideoOptions
from sr.io.video.time_range import Moment
from sr.io.video.verify import verify_video

SIZE = (48, 64)
RATE = 25
VIDEO = VideoOptions(encoder_options={"qp": "0"}, frames_per_segment=8)


def call(*arguments: object, network: CountingNetwork | None = None) -> int:
    """Return the exit code of infer.py with an identity network."""
    network = network or CountingNetwork()
    with pytest.raises(SystemExit) as stop:
        infer.main(list(map(str, arguments)), [make_upscaler(network, network.scale)])
    assert isinstance(stop.value.code, int)
    return stop.value.code


def failure(capsys: pytest.CaptureFixture[str]) -> str:
    """The one line that says why the one input failed."""
    lines = capsys.readouterr().err.splitlines()
    assert not any("Traceback" in line for line in lines)
    (line,) = lines[lines.index("1 input(s) failed:") + 1 :]
    return line.strip()


def warnings(capsys: pytest.CaptureFixture[str]) -> list[str]:
    lines = capsys.readouterr().err.splitlines()
    found = [line for line in lines if line.startswith("warning: ")]
    return [line for line in found if "unknown, taken as" not in line]


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir()) if folder.exists() else []


def decode_times(path: Path) -> list[float]:
    """When the frames of a video show, as PyAV decodes them."""
    with av.open(str(path)) as container:
        return [float(frame.time or 0) for frame in container.decode(video=0)]


def packets_of(path: Path) -> list[Any]:
    with av.open(str(path)) as container:
        packets = [packet for packet in container.demux() if packet.size]
        return [(packet.stream_index, packet.pts, bytes(packet)) for packet in packets]


def find_tone(path: Path) -> tuple[float, float]:
    """When the sound begins and ends to be heard, in seconds, as far as it can be decoded."""
    heard: list[float] = []
    with av.open(str(path)) as container, suppress(av.InvalidDataError):
        for frame in container.decode(audio=0):
            samples = np.abs(frame.to_ndarray()).max(0)
            loud = np.flatnonzero(samples > 0.02 * (1 if samples.dtype.kind == "f" else 2**15))
            start = float(frame.time or 0)
            heard += [start + loud[end] / frame.sample_rate for end in (0, -1) if len(loud)]
    return heard[0], heard[-1]


def cut(path: Path, share: float) -> Path:
    """A file that ends after a share of its bytes."""
    content = path.read_bytes()
    short = path.with_name(f"cut{path.suffix}")
    short.write_bytes(content[: round(len(content) * share)])
    return short


def spoilt(path: Path, numbers: range, stream: int = 0) -> Path:
    """An mp4 in which some packets of a stream are damaged but for their first bytes."""
    content = bytearray(path.read_bytes())
    with av.open(str(path)) as container:
        packets = [packet for packet in container.demux(stream) if packet.size]
        for number in numbers:
            start = packets[number].pos
            assert start is not None
            for place in range(start + 10, start + packets[number].size):
                content[place] = content[place] * 7 + 13 & 255
    bad = path.with_name("bad.mp4")
    bad.write_bytes(content)
    return bad


# Files that are no videos, or not whole.


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("zero.mp4", b"", "got an empty file"),
        ("zero.mkv", b"", "got an empty file"),
        ("text.mp4", b"only words", "got a file of another kind"),
        ("noise.avi", bytes(range(256)) * 40, "got a file of another kind"),
    ],
)
def test_what_is_no_video_is_named_in_one_line(
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    name: str,
    content: bytes,
    message: str,
) -> None:
    source = tmp_path / name
    source.write_bytes(content)
    for output in ("out", "out.mp4", "out/%03d.png"):
        assert call("-i", source, "-o", tmp_path / output) == 4
        line = failure(capsys)
        assert line.startswith(f"{source}: ")
        assert message in line
    assert names(tmp_path / "out") == []
    assert names(tmp_path) == sorted(["out", name])


def test_a_file_with_sound_alone_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source = tmp_path / "sound.mkv"
    with av.open(str(source), "w") as container:
        stream = container.add_stream("pcm_s16le", rate=8000, layout="mono")
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 4096), np.int16), layout="mono")
        frame.sample_rate, frame.pts = 8000, 0
        container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    assert call("-i", source, "-o", tmp_path / "out.mp4") == 4
    assert "expected a video stream, got a file with none" in failure(capsys)


def test_an_mp4_without_its_index_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source = cut(make_clip(tmp_path / "in.mp4", 20, sound=Tone(0.8)), 0.6)
    assert call("-i", source, "-o", tmp_path / "out" / "out.mp4") == 4
    assert "got an MP4 file cut short or damaged: without a whole index (moov)" in failure(capsys)
    assert names(tmp_path / "out") == []


@pytest.mark.parametrize(
    ("name", "codec"), [("in.mkv", "libx264"), ("in.webm", "libvpx-vp9"), ("in.avi", "mpeg4")]
)
def test_of_a_file_that_was_cut_short_all_that_is_there_comes_out(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str, codec: str
) -> None:
    sound = None if codec == "libvpx-vp9" else Tone(2.0)
    whole = make_clip(tmp_path / name, 50, size=SIZE, codec=codec, sound=sound)
    source = cut(whole, 0.6)
    output = (tmp_path / "out.mkv").with_suffix(".webm" if sound is None else ".mkv")
    assert call("-i", source, "-o", output) == 0
    (warning,) = warnings(capsys)
    assert "ends early, with frame " in warning
    assert re.search(r"expected about 5\d frames", warning)
    times = decode_times(output)
    assert 20 <= len(times) < 40
    assert times == pytest.approx(decode_times(whole)[: len(times)], abs=0.001)
    if sound is not None:
        assert find_tone(output)[0] == pytest.approx(find_tone(source)[0], abs=0.01)
        assert find_tone(output)[1] == pytest.approx(find_tone(source)[1], abs=0.01)
    stopped = output.with_stem("stopped")
    assert call("-i", source, "-o", stopped, "--damaged", "stop") == 4
    assert f"ends early, with frame {len(times) - 1}" in failure(capsys)
    assert decode_times(stopped) == times


def test_an_mp4_whose_index_comes_first_is_read_as_far_as_it_goes(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    whole = make_clip(tmp_path / "in.mp4", 50, size=SIZE, sound=Tone(2.0))
    first = tmp_path / "first.mp4"
    assert call("-i", whole, "-o", first, "--encoder-option", "qp=0") == 0  # index at the start
    source = cut(first, 0.6)
    capsys.readouterr()
    assert call("-i", source, "-o", tmp_path / "out.mp4") == 0
    assert any("ends early" in warning for warning in warnings(capsys))
    times = decode_times(tmp_path / "out.mp4")
    assert 20 <= len(times) < 40
    assert times == pytest.approx(decode_times(whole)[: len(times)])
    assert find_tone(tmp_path / "out.mp4")[0] == pytest.approx(find_tone(whole)[0], abs=0.01)


# Damage in the middle.


def test_damaged_packets_are_skipped_and_reported_and_all_stays_in_time(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    whole = make_clip(tmp_path / "in.mp4", 50, size=SIZE, sound=Tone(2.0))
    output = tmp_path / "out.mp4"
    assert call("-i", spoilt(whole, range(21, 23)), "-o", output) == 0
    (warning,) = warnings(capsys)
    assert "frame 21 (0.84 s) is damaged; frame 22 (0.88 s) is damaged" in warning
    before, after = decode_times(whole), decode_times(output)
    assert set(after) <= set(before)
    assert len(after) >= len(before) - 2
    assert (after[0], after[-1]) == (before[0], before[-1])
    assert find_tone(output) == pytest.approx(find_tone(whole), abs=0.005)


def test_damage_can_end_the_video_and_what_is_before_it_is_kept_with_its_sound(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    whole = make_clip(tmp_path / "in.mp4", 50, size=SIZE, sound=Tone(2.0))
    source, output = spoilt(whole, range(21, 23)), tmp_path / "out.mp4"
    assert call("-i", source, "-o", output, "--damaged", "stop") == 4
    line = failure(capsys)
    assert "near frame 21 (0.84 s)" in line
    assert line.endswith(f"{output} ends there, its sound too")
    times = decode_times(output)
    assert times == decode_times(whole)[: len(times)]
    assert len(times) == 21
    end = times[-1] + 1 / RATE
    assert find_tone(output) == pytest.approx((find_tone(whole)[0], end), abs=0.14)  # a packet
    assert not locate_segments(output).exists()


@pytest.mark.parametrize("start", [0, 10])
def test_damage_before_the_first_frame_that_is_wanted_leaves_no_result(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], start: int
) -> None:
    source = spoilt(make_clip(tmp_path / "in.mp4", 20, size=SIZE), range(max(start - 5, 0), 20))
    output = tmp_path / "out" / "out.mp4"
    arguments = ["-i", source, "-o", output, "--damaged", "stop", "--start", f"{start}f"]
    assert call(*arguments) == 4
    assert re.search(rf"near frame {max(start - 5, 0)} .*a packet that cannot", failure(capsys))
    assert names(output.parent) == []


def test_images_of_frames_come_up_to_the_damage(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source = spoilt(make_clip(tmp_path / "in.mp4", 20, size=SIZE), range(11, 12))
    output = tmp_path / "out" / "%d.png"
    assert call("-i", source, "-o", output, "--damaged", "stop") == 4
    assert "near frame 11 (0.44 s)" in failure(capsys)
    assert len(names(output.parent)) == 11


def test_one_damaged_video_of_a_folder_does_not_keep_the_others(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    spoilt(make_clip(tmp_path / "in/a.mp4", 30, size=SIZE), range(10, 12))
    assert call("-i", folder, "-o", tmp_path / "out", "--damaged", "stop") == 3
    assert "bad.mp4: expected an undamaged video" in failure(capsys)
    assert names(tmp_path / "out") == ["a_x1.mp4", "bad_x1.mp4"]


def test_damaged_sound_is_reported_and_the_rest_stays_in_time(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    whole = make_clip(tmp_path / "in.mp4", 50, size=SIZE, sound=Tone(2.0))
    source, output = spoilt(whole, range(5, 8), stream=1), tmp_path / "out.webm"
    assert call("-i", source, "-o", output, "--preset", "5") == 0  # into Opus: decoded
    assert decode_times(output) == pytest.approx(decode_times(whole), abs=0.001)
    assert find_tone(output) == pytest.approx(find_tone(whole), abs=0.02)
    assert "stream 1 (audio, aac): left out damaged packets: 3" in warnings(capsys)[-1]


@pytest.mark.parametrize("num_bytes", [3000, 30000])
def test_a_hole_in_a_matroska_file_leaves_all_that_follows_in_time(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], num_bytes: int
) -> None:
    source = make_clip(tmp_path / "in.mkv", 50, size=SIZE, sound=Tone(2.0))
    before, tone = decode_times(source), find_tone(source)
    content = bytearray(source.read_bytes())
    noise = np.random.default_rng(0).bytes(num_bytes)
    start = len(content) // 3
    content[start : start + num_bytes] = noise
    source.write_bytes(content)
    output = tmp_path / "out.mkv"
    assert call("-i", source, "-o", output) == 0
    assert re.search(r"\d frame\(s\) missing before frame \d+|is damaged", warnings(capsys)[0])
    after = decode_times(output)
    assert 40 <= len(after) <= 50
    assert set(after) <= set(before)
    assert after[-1] == before[-1]
    assert find_tone(output) == pytest.approx(tone, abs=0.01)


def test_frames_that_change_their_size_end_the_video_where_damage_is_to_stop(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source = tmp_path / "both.h264"
    one, two = (make_clip(tmp_path / f"{rows}.h264", 6, size=(rows, 64)) for rows in (48, 32))
    source.write_bytes(one.read_bytes() + two.read_bytes())
    output = tmp_path / "out" / "out.mkv"
    assert call("-i", source, "-o", output, "--damaged", "stop") == 4
    expected = f"{source}: expected an undamaged video, got frame 6 of 64x32 yuv420p after 64x48"
    assert failure(capsys).startswith(expected)
    assert len(decode_times(output)) == 6


# Sound that does not fit the frames.


@pytest.mark.parametrize("suffix", [".mp4", ".mkv", ".webm"])
@pytest.mark.parametrize(
    ("seconds", "start", "first"),
    [(3.0, 0, 0), (0.5, 0, 0), (1.5, 0.48, 0), (2.0, 0, 12), (None, 0, 0)],
    ids=["longer", "shorter", "later", "earlier", "none"],
)
def test_sound_of_any_length_keeps_its_time(
    tmp_path: Path, suffix: str, seconds: float | None, start: float, first: int
) -> None:
    sound = None if seconds is None else Tone(seconds, start)
    source = make_clip(tmp_path / "in.mp4", 50, pts=range(first, first + 50), sound=sound)
    output = tmp_path / f"out{suffix}"
    preset = "5" if suffix == ".webm" else "ultrafast"
    assert call("-i", source, "-o", output, "--preset", preset) == 0
    times = decode_times(output)
    assert times == pytest.approx(decode_times(source), abs=0.001)
    assert times[0] == pytest.approx(first / RATE, abs=0.001)
    with av.open(str(output)) as container:
        assert len(container.streams.audio) == (sound is not None)
    if seconds is not None:
        begin, end = find_tone(output)
        # Matroska has no place for what a decoder needs before, and plays a packet to its end.
        assert begin == pytest.approx(find_tone(source)[0], abs=0.065 if suffix == ".mkv" else 0.01)
        assert end == pytest.approx(start + seconds, abs=0.075)


# Places that cannot be written to.


@pytest.mark.parametrize("output", ["notes/out.mp4", "notes/below", "/proc/none/out.mp4"])
def test_a_folder_that_cannot_be_made_is_reported_before_any_work(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], output: str
) -> None:
    (tmp_path / "notes").touch()
    network = CountingNetwork()
    arguments = ["-i", make_clip(tmp_path / "in.mp4", 3), "-o", tmp_path / output]
    assert call(*arguments, network=network) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("error: -o ")
    assert "cannot create a folder" in line
    assert network.num_calls == 0


def test_a_result_that_exists_is_kept(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source, output = make_clip(tmp_path / "in.mp4", 3), tmp_path / "out.mp4"
    output.write_bytes(b"precious")
    assert call("-i", source, "-o", output) == 2
    assert "out.mp4 already exists. Add --overwrite" in capsys.readouterr().err
    for more in ("--skip-existing", "--resume"):
        assert call("-i", source, "-o", output, more) == 0
    assert output.read_bytes() == b"precious"
    assert call("-i", source, "-o", source) == 2
    assert "would replace the input" in capsys.readouterr().err
    network = CountingNetwork(fault_at=1)
    assert call("-i", source, "-o", output, "--overwrite", network=network) == 4
    assert output.read_bytes() == b"precious"  # until there is a whole new one


@pytest.mark.parametrize("share", [0.2, 0.7], ids=["segment", "result"])
def test_a_full_disk_ends_the_video_and_resume_continues_once_there_is_room(
    tmp_path: Path, share: float
) -> None:
    source = make_clip(tmp_path / "in.mp4", 20, size=SIZE, sound=Tone(0.8))
    whole, output = tmp_path / "whole.mp4", tmp_path / "out" / "out.mp4"
    assert upscale(source, whole, video=VIDEO).exit_code == 0
    with limit_file_size(round(whole.stat().st_size * share)):
        summary = upscale(source, output, video=VIDEO)
    assert summary.exit_code == 4
    assert summary.failures[source].startswith(f"{source}: ")
    assert set(names(output.parent)) <= {".out.mp4.parts"}
    assert upscale(source, output, video=VIDEO, resume=True).exit_code == 0
    assert output.read_bytes() == whole.read_bytes()
    assert names(output.parent) == ["out.mp4"]


# Faults on the way.


def test_a_network_that_fails_is_reported_with_the_frame(tmp_path: Path) -> None:
    source, output = make_clip(tmp_path / "in.mp4", 20), tmp_path / "out" / "out.mp4"
    listener = Listener()
    network = CountingNetwork(fault_at=13)
    summary = upscale(source, output, network=network, video=VIDEO, listener=listener)
    assert summary.exit_code == 4
    assert "8 frames are kept" in listener.warnings[-1]
    assert "--resume" in listener.warnings[-1]
    assert "frame 13: not enough memory" in summary.failures[source]
    assert names(output.parent) == [".out.mp4.parts"]
    assert names(locate_segments(output)) == ["manifest.jsonl", "segment-00000"]


@pytest.mark.parametrize(
    ("is_spoilt", "options"),
    [
        (True, {}),
        (True, {"damaged": "stop", "temporal_filter": True}),
        (False, {"start": Moment(frame=5), "end": Moment(Fraction(3, 2)), "fps": Fraction(40)}),
    ],
)
def test_a_broken_or_cut_source_is_continued_to_the_very_same_packets(
    tmp_path: Path, is_spoilt: bool, options: dict[str, Any]
) -> None:
    source = make_clip(tmp_path / "in.mp4", 40, size=SIZE, sound=Tone(1.6), still=(17, 18))
    if is_spoilt:
        source = spoilt(source, range(31, 33))
    whole, output = tmp_path / "whole.mkv", tmp_path / "out.mkv"
    video = VideoOptions(frames_per_segment=8, **options)
    expected = upscale(source, whole, video=video).exit_code
    assert expected == (4 if options.get("damaged") == "stop" else 0)
    network = CountingNetwork(fault_at=14)
    assert upscale(source, output, video=video, network=network).exit_code == 4
    assert len(names(locate_segments(output))) >= 2
    assert upscale(source, output, video=video, resume=True).exit_code == expected
    assert packets_of(output) == packets_of(whole)


def test_a_result_grows_among_its_segments_where_a_later_run_clears_up_after_a_kill(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source, output = make_clip(tmp_path / "in.mp4", 10), tmp_path / "out" / "out.mp4"
    seen: list[list[str]] = []
    verify = verify_video

    def watch(path: Path, **expected: Any) -> list[str]:
        seen.append(names(output.parent))
        path.with_name("killed.mp4").write_bytes(path.read_bytes())
        return verify(path, **expected)

    monkeypatch.setattr(mux_segments, "verify_video", watch)
    assert call("-i", source, "-o", output) == 0
    assert seen == [[".out.mp4.lock", ".out.mp4.parts"]]
    assert names(output.parent) == ["out.mp4"]


@pytest.mark.parametrize("fails", ["network", "encoder"])
def test_a_stage_that_fails_ends_the_others(tmp_path: Path, fails: str) -> None:
    source, output = make_clip(tmp_path / "in.mp4", 40), tmp_path / "out.mp4"
    if fails == "network":
        upscale(source, output, network=CountingNetwork(fault_at=9))
    else:
        with limit_file_size(1000):
            (fault,) = upscale(source, output).failures.values()
        assert "too large" in fault
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("sr-")]


def test_one_video_too_large_for_the_encoder_does_not_keep_the_others(tmp_path: Path) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    make_clip(tmp_path / "in/good.mp4", 2)
    make_clip(tmp_path / "in/tall.mkv", 2, size=(9000, 24), codec="ffv1")
    network = CountingNetwork(2)
    summary = upscale(folder, tmp_path / "out", network=network, video=VideoOptions())
    assert summary.exit_code == 3
    assert [path.name for path in summary.failures] == ["tall.mkv"]
