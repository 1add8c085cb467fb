"""Broken videos, full disks, faults on the way: told in a line, nothing half done left, in time."""

import re
import resource
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from torch import nn

from sr.cli import infer
from sr.inference.video import prefetch as ahead
from sr.inference.video import segment_encoder as encode
from sr.inference.video import upscale as job
from sr.inference.video.options import VideoMaking
from sr.inference.video.resume import parts_folder
from sr.io.video.encode.segment_writer import SegmentWriter
from sr.io.video.frame import VideoError
from sr.models.loaded_model import LoadedGenerator

PART = 8  # frames
SIZE = (48, 64)
RATE = 25

Call = Callable[..., int]


@pytest.fixture(autouse=True)
def short_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(encode, "frames_a_part", lambda *_: PART)


@pytest.fixture
def call(studio: Any, monkeypatch: pytest.MonkeyPatch) -> Call:
    """The exit code of infer.py with an identity network."""

    def called(*arguments: object, network: Any = None) -> int:
        upscaler = studio.upscaler(network or studio.Counting())
        generator = LoadedGenerator(nn.Identity(), upscaler.scale, 0, "test", "test")
        monkeypatch.setattr(infer, "load_generator", lambda _: generator)
        monkeypatch.setattr(infer, "upscalers_of", lambda *_, **__: [upscaler])
        with pytest.raises(SystemExit) as stop:
            infer.main([str(argument) for argument in arguments])
        assert isinstance(stop.value.code, int)
        return stop.value.code

    return called


def failure(capsys: pytest.CaptureFixture[str]) -> str:
    """The one line that tells why the one input failed."""
    lines = capsys.readouterr().err.splitlines()
    assert not any("Traceback" in line for line in lines)
    (line,) = lines[lines.index("1 input(s) failed:") + 1 :]
    return line.strip()


def warnings(capsys: pytest.CaptureFixture[str]) -> list[str]:
    lines = capsys.readouterr().err.splitlines()
    told = [line for line in lines if line.startswith("warning: ")]
    return [line for line in told if "unknown, taken as" not in line]


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir()) if folder.exists() else []


def times_of(path: Path) -> list[float]:
    """When the frames of a video show, as PyAV decodes them."""
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        return [float(frame.pts * stream.time_base) for frame in container.decode(stream)]


def packets_of(path: Path) -> list[Any]:
    with av.open(str(path)) as container:
        packets = [packet for packet in container.demux() if packet.size]
        return [(packet.stream_index, packet.pts, bytes(packet)) for packet in packets]


def tone_of(path: Path) -> tuple[float, float]:
    """When the sound begins and ends to be heard, in seconds, as far as it can be decoded."""
    heard: list[float] = []
    with av.open(str(path)) as container, suppress(av.InvalidDataError):
        for frame in container.decode(audio=0):
            samples = np.abs(frame.to_ndarray()).max(0)
            loud = np.flatnonzero(samples > 0.02 * (1 if samples.dtype.kind == "f" else 2**15))
            start = float(frame.pts * frame.time_base)
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
    studio: Any,
    call: Call,
    capsys: pytest.CaptureFixture[str],
    name: str,
    content: bytes,
    message: str,
) -> None:
    source = studio.folder / name
    source.write_bytes(content)
    for output in ("out", "out.mp4", "out/%03d.png"):
        assert call("-i", source, "-o", studio.folder / output) == 4
        line = failure(capsys)
        assert line.startswith(f"{source}: ")
        assert message in line
    assert names(studio.folder / "out") == []
    assert names(studio.folder) == sorted(["out", name])


def test_a_file_with_sound_alone_is_refused(
    studio: Any, call: Call, capsys: pytest.CaptureFixture[str]
) -> None:
    source = studio.folder / "sound.mkv"
    with av.open(str(source), "w") as container:
        stream = container.add_stream("pcm_s16le", rate=8000, layout="mono")
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 4096), np.int16), layout="mono")
        frame.sample_rate, frame.pts = 8000, 0
        container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    assert call("-i", source, "-o", studio.folder / "out.mp4") == 4
    assert "expected a video stream, got a file with none" in failure(capsys)


def test_an_mp4_without_its_index_is_refused(
    studio: Any, call: Call, capsys: pytest.CaptureFixture[str]
) -> None:
    source = cut(studio.clip("in.mp4", 20, sound=studio.Sound(0.8)), 0.6)
    assert call("-i", source, "-o", studio.folder / "out" / "out.mp4") == 4
    assert "got an MP4 file cut short: without its index (moov)" in failure(capsys)
    assert names(studio.folder / "out") == []


@pytest.mark.parametrize(
    ("name", "codec"), [("in.mkv", "libx264"), ("in.webm", "libvpx-vp9"), ("in.avi", "mpeg4")]
)
def test_of_a_file_that_was_cut_short_all_that_is_there_comes_out(
    studio: Any, call: Call, capsys: pytest.CaptureFixture[str], name: str, codec: str
) -> None:
    sound = None if codec == "libvpx-vp9" else studio.Sound(2.0)
    whole = studio.clip(name, 50, size=SIZE, codec=codec, sound=sound)
    source = cut(whole, 0.6)
    output = (studio.folder / "out.mkv").with_suffix(".webm" if sound is None else ".mkv")
    assert call("-i", source, "-o", output) == 0
    (warning,) = warnings(capsys)
    assert "ends early, with frame " in warning
    assert re.search(r"expected about 5\d frames", warning)
    times = times_of(output)
    assert 20 <= len(times) < 40
    assert times == pytest.approx(times_of(whole)[: len(times)], abs=0.001)
    if sound is not None:
        assert tone_of(output)[0] == pytest.approx(tone_of(source)[0], abs=0.01)
        assert tone_of(output)[1] == pytest.approx(tone_of(source)[1], abs=0.01)
    stopped = output.with_stem("stopped")
    assert call("-i", source, "-o", stopped, "--damaged", "stop") == 4
    assert f"ends early, with frame {len(times) - 1}" in failure(capsys)
    assert times_of(stopped) == times


def test_an_mp4_whose_index_comes_first_is_read_as_far_as_it_goes(
    studio: Any, call: Call, capsys: pytest.CaptureFixture[str]
) -> None:
    whole = studio.clip("in.mp4", 50, size=SIZE, sound=studio.Sound(2.0))
    first = studio.folder / "first.mp4"
    assert call("-i", whole, "-o", first, "--encoder-option", "qp=0") == 0  # index at the start
    source = cut(first, 0.6)
    capsys.readouterr()
    assert call("-i", source, "-o", studio.folder / "out.mp4") == 0
    assert any("ends early" in warning for warning in warnings(capsys))
    times = times_of(studio.folder / "out.mp4")
    assert 20 <= len(times) < 40
    assert times == pytest.approx(times_of(whole)[: len(times)])
    assert tone_of(studio.folder / "out.mp4")[0] == pytest.approx(tone_of(whole)[0], abs=0.01)


# Damage in the middle.


def test_damaged_packets_are_passed_over_and_told_and_all_stays_in_time(
    studio: Any, call: Call, capsys: pytest.CaptureFixture[str]
) -> None:
    whole = studio.clip("in.mp4", 50, size=SIZE, sound=studio.Sound(2.0))
    output = studio.folder / "out.mp4"
    assert call("-i", spoilt(whole, range(21, 23)), "-o", output) == 0
    (warning,) = warnings(capsys)
    assert "frame 21 (0.84 s) is damaged; frame 22 (0.88 s) is damaged" in warning
    before, after = times_of(whole), times_of(output)
    assert set(after) <= set(before)
    assert len(after) >= len(before) - 2
    assert (after[0], after[-1]) == (before[0], before[-1])
    assert tone_of(output) == pytest.approx(tone_of(whole), abs=0.005)


def test_damage_can_end_the_video_and_what_came_before_is_kept_with_its_sound(
    studio: Any, call: Call, capsys: pytest.CaptureFixture[str]
) -> None:
    whole = studio.clip("in.mp4", 50, size=SIZE, sound=studio.Sound(2.0))
    source, output = spoilt(whole, range(21, 23)), studio.folder / "out.mp4"
    assert call("-i", source, "-o", output, "--damaged", "stop") == 4
    line = failure(capsys)
    assert "near frame 21 (0.84 s)" in line
    assert line.endswith(f"{output} ends there, its sound too")
    times = times_of(output)
    assert times == times_of(whole)[: len(times)]
    assert len(times) == 21
    end = times[-1] + 1 / RATE
    assert tone_of(output) == pytest.approx((tone_of(whole)[0], end), abs=0.14)  # a packet
    assert not parts_folder(output).exists()


@pytest.mark.parametrize("start", [0, 10])
def test_damage_before_the_first_frame_that_is_wanted_leaves_no_result(
    studio: Any, call: Call, capsys: pytest.CaptureFixture[str], start: int
) -> None:
    source = spoilt(studio.clip("in.mp4", 20, size=SIZE), range(max(start - 5, 0), 20))
    output = studio.folder / "out" / "out.mp4"
    arguments = ["-i", source, "-o", output, "--damaged", "stop", "--start", f"{start}f"]
    assert call(*arguments) == 4
    assert re.search(rf"near frame {max(start - 5, 0)} .*a packet that cannot", failure(capsys))
    assert names(output.parent) == []


def test_images_of_frames_come_up_to_the_damage(
    studio: Any, call: Call, capsys: pytest.CaptureFixture[str]
) -> None:
    source = spoilt(studio.clip("in.mp4", 20, size=SIZE), range(11, 12))
    output = studio.folder / "out" / "%d.png"
    assert call("-i", source, "-o", output, "--damaged", "stop") == 4
    assert "near frame 11 (0.44 s)" in failure(capsys)
    assert len(names(output.parent)) == 11


def test_one_damaged_video_of_a_folder_does_not_keep_the_others(
    studio: Any, call: Call, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = studio.folder / "in"
    folder.mkdir()
    spoilt(studio.clip("in/a.mp4", 30, size=SIZE), range(10, 12))
    assert call("-i", folder, "-o", studio.folder / "out", "--damaged", "stop") == 3
    assert "bad.mp4: expected an undamaged video" in failure(capsys)
    assert names(studio.folder / "out") == ["a_x1.mp4", "bad_x1.mp4"]


def test_damaged_sound_is_told_and_the_rest_stays_in_time(
    studio: Any, call: Call, capsys: pytest.CaptureFixture[str]
) -> None:
    whole = studio.clip("in.mp4", 50, size=SIZE, sound=studio.Sound(2.0))
    source, output = spoilt(whole, range(5, 8), stream=1), studio.folder / "out.webm"
    assert call("-i", source, "-o", output, "--preset", "5") == 0  # into Opus: decoded
    assert times_of(output) == pytest.approx(times_of(whole), abs=0.001)
    assert tone_of(output) == pytest.approx(tone_of(whole), abs=0.02)
    assert "stream 1 (audio, aac): left out damaged packets: 3" in warnings(capsys)[-1]


@pytest.mark.parametrize("num_bytes", [3000, 30000])
def test_a_hole_in_a_matroska_file_leaves_all_that_follows_in_time(
    studio: Any, call: Call, capsys: pytest.CaptureFixture[str], num_bytes: int
) -> None:
    source = studio.clip("in.mkv", 50, size=SIZE, sound=studio.Sound(2.0))
    before, tone = times_of(source), tone_of(source)
    content = bytearray(source.read_bytes())
    noise = np.random.default_rng(0).bytes(num_bytes)
    start = len(content) // 3
    content[start : start + num_bytes] = noise
    source.write_bytes(content)
    output = studio.folder / "out.mkv"
    assert call("-i", source, "-o", output) == 0
    assert re.search(r"\d frame\(s\) missing before frame \d+|is damaged", warnings(capsys)[0])
    after = times_of(output)
    assert 40 <= len(after) <= 50
    assert set(after) <= set(before)
    assert after[-1] == before[-1]
    assert tone_of(output) == pytest.approx(tone, abs=0.01)


def test_frames_that_change_their_size_end_the_video_with_their_number(
    studio: Any, call: Call, capsys: pytest.CaptureFixture[str]
) -> None:
    source = studio.folder / "both.h264"
    one, two = (studio.clip(f"{rows}.h264", 6, size=(rows, 64)) for rows in (48, 32))
    source.write_bytes(one.read_bytes() + two.read_bytes())
    assert call("-i", source, "-o", studio.folder / "out" / "out.mkv") == 4
    expected = f"{source}: frame 6: expected 64x48 yuv420p, as the frames before, got 64x32"
    assert failure(capsys).startswith(expected)
    assert names(studio.folder / "out") == []


# Sound that does not fit the frames.


@pytest.mark.parametrize("suffix", [".mp4", ".mkv", ".webm"])
@pytest.mark.parametrize(
    ("seconds", "start", "first"),
    [(3.0, 0, 0), (0.5, 0, 0), (1.5, 0.48, 0), (2.0, 0, 12), (None, 0, 0)],
    ids=["longer", "shorter", "later", "earlier", "none"],
)
def test_sound_of_any_length_keeps_its_time(
    studio: Any, call: Call, suffix: str, seconds: float | None, start: float, first: int
) -> None:
    sound = None if seconds is None else studio.Sound(seconds, start)
    source = studio.clip("in.mp4", 50, pts=range(first, first + 50), sound=sound)
    output = studio.folder / f"out{suffix}"
    preset = "5" if suffix == ".webm" else "ultrafast"
    assert call("-i", source, "-o", output, "--preset", preset) == 0
    times = times_of(output)
    assert times == pytest.approx(times_of(source), abs=0.001)
    assert times[0] == pytest.approx(first / RATE, abs=0.001)
    with av.open(str(output)) as container:
        assert len(container.streams.audio) == (sound is not None)
    if sound is not None:
        begin, end = tone_of(output)
        # Matroska has no place for what a decoder needs before, and plays a packet to its end.
        assert begin == pytest.approx(tone_of(source)[0], abs=0.065 if suffix == ".mkv" else 0.01)
        assert end == pytest.approx(start + seconds, abs=0.075)


# Places that cannot be written to.


@pytest.mark.parametrize("output", ["notes/out.mp4", "notes/below", "/proc/none/out.mp4"])
def test_a_folder_that_cannot_be_made_is_told_before_any_work(
    studio: Any, call: Call, capsys: pytest.CaptureFixture[str], output: str
) -> None:
    (studio.folder / "notes").touch()
    network = studio.Counting()
    arguments = ["-i", studio.clip("in.mp4", 3), "-o", studio.folder / output]
    assert call(*arguments, network=network) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("error: -o ")
    assert "no folder can be made" in line
    assert network.num_calls == 0


def test_a_result_that_exists_is_kept(
    studio: Any, call: Call, capsys: pytest.CaptureFixture[str]
) -> None:
    source, output = studio.clip("in.mp4", 3), studio.folder / "out.mp4"
    output.write_bytes(b"precious")
    assert call("-i", source, "-o", output) == 2
    assert "out.mp4 already exists. Add --overwrite" in capsys.readouterr().err
    for more in ("--skip-existing", "--resume"):
        assert call("-i", source, "-o", output, more) == 0
    assert output.read_bytes() == b"precious"
    assert call("-i", source, "-o", source) == 2
    assert "would replace the input" in capsys.readouterr().err
    network = studio.Counting(fault_at=1)
    assert call("-i", source, "-o", output, "--overwrite", network=network) == 4
    assert output.read_bytes() == b"precious"  # until there is a whole new one


@contextmanager
def files_of_at_most(num_bytes: int) -> Iterator[None]:
    """What a full disk does to those who write."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (num_bytes, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.mark.parametrize("what", ["part", "result"])
def test_a_disk_that_takes_no_more_ends_the_video_and_resume_goes_on_once_there_is_room(
    studio: Any, call: Call, capsys: pytest.CaptureFixture[str], what: str
) -> None:
    source = studio.clip("in.mp4", 20, size=SIZE, sound=studio.Sound(0.8))
    folder = studio.folder / "out"
    arguments = ["-i", source, "-o", folder / "out.mp4", "--encoder-option", "qp=0"]
    assert call(*arguments[:3], studio.folder / "whole.mp4", *arguments[4:]) == 0
    size = (studio.folder / "whole.mp4").stat().st_size
    with files_of_at_most(round(size * (0.2 if what == "part" else 0.7))):
        assert call(*arguments) == 4
    assert f"{source}: " in failure(capsys)
    assert set(names(folder)) <= {".out.mp4.parts"}
    assert call(*arguments, "--resume") == 0
    assert (folder / "out.mp4").read_bytes() == (studio.folder / "whole.mp4").read_bytes()
    assert names(folder) == ["out.mp4"]


# Faults on the way.


def test_a_network_that_fails_is_told_with_the_frame(
    studio: Any, call: Call, capsys: pytest.CaptureFixture[str]
) -> None:
    source, output = studio.clip("in.mp4", 20), studio.folder / "out" / "out.mp4"
    assert call("-i", source, "-o", output, network=studio.Counting(fault_at=13)) == 4
    shown = capsys.readouterr().err
    assert "8 frames are kept" in shown
    assert "--resume" in shown
    assert "frame 13: not enough memory" in shown
    assert names(output.parent) == [".out.mp4.parts"]
    assert names(parts_folder(output)) == ["journal.jsonl", "part-00000"]


def test_an_encoder_that_fails_is_told_and_keeps_whole_parts(
    studio: Any,
    call: Call,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    write = SegmentWriter.write

    def failing(self: Any, planes: Any, pts: int, duration: int) -> None:
        if pts == 13 * 512:
            raise VideoError("the encoder is broken")
        write(self, planes, pts, duration)

    monkeypatch.setattr(SegmentWriter, "write", failing)
    source, output = studio.clip("in.mp4", 20), studio.folder / "out" / "out.mp4"
    assert call("-i", source, "-o", output) == 4
    assert "the encoder is broken" in failure(capsys)
    assert names(parts_folder(output)) == ["journal.jsonl", "part-00000"]
    monkeypatch.undo()


@pytest.mark.parametrize(
    ("is_spoilt", "options"),
    [
        (True, []),
        (True, ["--damaged", "stop", "--temporal-filter"]),
        (False, ["--start", "5f", "--end", "1.5", "--fps", "40"]),
    ],
)
def test_a_broken_or_cut_source_is_gone_on_with_to_the_very_same_packets(
    studio: Any, call: Call, is_spoilt: bool, options: list[str]
) -> None:
    source = studio.clip("in.mp4", 40, size=SIZE, sound=studio.Sound(1.6), still=(17, 18))
    if is_spoilt:
        source = spoilt(source, range(31, 33))
    whole, output = studio.folder / "whole.mkv", studio.folder / "out.mkv"
    expected = call("-i", source, "-o", whole, *options)
    network = studio.Counting(fault_at=14)
    assert call("-i", source, "-o", output, *options, network=network) == 4
    assert len(names(parts_folder(output))) >= 2
    assert call("-i", source, "-o", output, *options, "--resume") == expected
    assert packets_of(output) == packets_of(whole)


def test_a_result_grows_among_its_parts_where_a_later_run_clears_up_after_a_kill(
    studio: Any, call: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    source, output = studio.clip("in.mp4", 10), studio.folder / "out" / "out.mp4"
    seen: list[list[str]] = []
    check = job.check

    def watched(path: Path, expected: Any) -> list[str]:
        seen.append(names(output.parent))
        path.with_name("killed.mp4").write_bytes(path.read_bytes())
        return check(path, expected)

    monkeypatch.setattr(job, "check", watched)
    assert call("-i", source, "-o", output) == 0
    assert seen == [[".out.mp4.parts"]]
    assert names(output.parent) == ["out.mp4"]


def test_a_stage_that_fails_ends_the_others(studio: Any, call: Call) -> None:
    source = studio.clip("in.mp4", 40)
    call("-i", source, "-o", studio.folder / "out.mp4", network=studio.Counting(fault_at=9))
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("sr-")]


def test_an_interrupt_exits_with_130_keeps_the_parts_and_says_how_to_go_on(
    studio: Any, model: Path
) -> None:
    source = studio.clip("in.mp4", 40, sound=studio.Sound(1.6))
    output = studio.folder / "out" / "out.mp4"
    script = studio.slow_program(PART)
    log = studio.folder / "log.jsonl"
    arguments = ["-i", source, "-o", output, "-m", model, "--precision", "fp32"]
    command = [sys.executable, "-c", script, *map(str, arguments)]
    process = subprocess.Popen(
        [*command, "--log", str(log)], stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    deadline = time.monotonic() + 120
    while not (parts_folder(output) / "part-00001").exists():
        assert process.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.01)
    process.send_signal(signal.SIGINT)
    shown = process.communicate(timeout=60)[1]
    assert process.returncode == 130
    assert "Traceback" not in shown
    assert "--resume" in shown
    assert shown.splitlines()[-1].startswith("interrupted: 0 done in ")
    assert '"ended": "interrupted"' in log.read_text().splitlines()[-1]
    assert names(output.parent) == [".out.mp4.parts"]
    again = infer.main
    with pytest.raises(SystemExit) as stop:
        again([*map(str, arguments), "--resume"])
    assert stop.value.code == 0
    assert times_of(output) == pytest.approx([number / RATE for number in range(40)])
    assert tone_of(output) == pytest.approx(tone_of(source), abs=0.01)
    assert names(output.parent) == ["out.mp4"]


def test_an_encoder_that_fails_leaves_no_thread_behind(
    studio: Any, call: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    alive: list[str] = []
    leave = ahead.Pipeline.__exit__

    def watched(self: Any, *error: Any) -> None:
        leave(self, *error)
        alive.extend(thread.name for thread in threading.enumerate())

    def failing(*_: Any) -> None:
        time.sleep(0.5)  # until the stages before have run as far ahead as they may
        raise VideoError("the encoder is broken")

    monkeypatch.setattr(ahead.Pipeline, "__exit__", watched)
    monkeypatch.setattr(SegmentWriter, "write", failing)
    assert call("-i", studio.clip("in.mp4", 40), "-o", studio.folder / "out.mp4") == 4
    assert alive
    assert not [name for name in alive if name.startswith("sr-")]


def test_one_video_too_large_for_the_encoder_does_not_keep_the_others(studio: Any) -> None:
    folder = studio.folder / "in"
    folder.mkdir()
    studio.clip("in/good.mp4", 2)
    studio.clip("in/tall.mkv", 2, size=(9000, 24), codec="ffv1")
    network = studio.Counting(2)
    outcome = studio.upscale(folder, studio.folder / "out", network=network, video=VideoMaking())
    assert outcome.exit_code == 3
    assert [path.name for path in outcome.failures] == ["tall.mkv"]
