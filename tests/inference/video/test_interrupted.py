"""Jobs that were interrupted continue where they were, and end as if nothing had happened."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import typer
from helpers.clips import Tone, make_clip, read_frames, read_times
from helpers.locks import hold_elsewhere
from helpers.videos import CountingNetwork, Listener, make_upscaler, upscale
from torch import Tensor

from sr.cli import infer
from sr.errors import UsageError
from sr.inference.options import InferOptions, OutputOptions, RuntimeOptions
from sr.inference.run import LONG_RUN, run
from sr.inference.run_summary import RunSummary
from sr.inference.video.resume import MANIFEST, locate_segments
from sr.inference.video_options import VideoOptions
from sr.tiling.upscaler import Upscaler

SEGMENT = 4  # frames
VIDEO = VideoOptions(crf=20, preset="fast", frames_per_segment=SEGMENT)


@pytest.mark.parametrize("temporal_filter", [False, True])
@pytest.mark.parametrize("fault_at", [1, 4, 7, 12])
def test_a_resumed_job_gives_the_very_file_of_an_unbroken_one(
    tmp_path: Path, fault_at: int, temporal_filter: bool
) -> None:
    source = make_clip(tmp_path / "in.mp4", 14, sound=Tone(0.5), still=(4, 8))
    whole, output = tmp_path / "whole.mp4", tmp_path / "out.mp4"
    options: dict[str, Any] = {"temporal_filter": temporal_filter, "frames_per_segment": SEGMENT}
    video = VideoOptions(crf=20, preset="fast", **options)
    assert upscale(source, whole, video=video).exit_code == 0
    failing = CountingNetwork(fault_at=min(fault_at, 11))  # of 12 distinct frames
    assert upscale(source, output, video=video, network=failing).exit_code == 4
    assert not output.exists()
    listener = Listener()
    assert upscale(source, output, video=video, listener=listener, resume=True).exit_code == 0
    assert output.read_bytes() == whole.read_bytes()
    (done,) = listener.fields("item_done")
    assert done["resumed_at"] % SEGMENT == 0
    assert done["frames"] == 14
    assert not locate_segments(output).exists()


def test_only_what_is_missing_is_computed(tmp_path: Path) -> None:
    source, output = make_clip(tmp_path / "in.mp4", 14), tmp_path / "out.mp4"
    upscale(source, output, video=VIDEO, network=CountingNetwork(fault_at=13))
    again = CountingNetwork()
    upscale(source, output, video=VIDEO, network=again, resume=True)
    assert again.num_calls <= 6  # frames 8 to 13, or fewer where the last segment was complete


def test_segments_that_were_left_are_not_thrown_away_unasked(tmp_path: Path) -> None:
    source, output = make_clip(tmp_path / "in.mp4", 10), tmp_path / "out.mp4"
    upscale(source, output, video=VIDEO, network=CountingNetwork(fault_at=9))
    with pytest.raises(UsageError, match=r"--resume.*--overwrite"):
        upscale(source, output, video=VIDEO)
    assert locate_segments(output).exists()
    assert upscale(source, output, video=VIDEO, overwrite=True).exit_code == 0


def test_segments_made_with_other_options_are_refused(tmp_path: Path) -> None:
    source, output = make_clip(tmp_path / "in.mp4", 10), tmp_path / "out.mp4"
    upscale(source, output, video=VIDEO, network=CountingNetwork(fault_at=9))
    summary = upscale(source, output, video=VideoOptions(crf=30), resume=True)
    assert summary.exit_code == 4
    assert "expected segments of the same run, got those of another" in summary.failures[source]
    assert upscale(source, output, video=VIDEO, resume=True).exit_code == 0


@pytest.mark.parametrize(
    ("then", "now"), [("openvino", "torch"), ("openvino", "auto"), ("auto", "openvino")]
)
def test_the_back_end_that_was_chosen_is_kept_whatever_would_be_chosen_now(
    then: str, now: str, model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source, output = make_clip(tmp_path / "in.mp4", 10), tmp_path / "out.mp4"
    used: list[str] = []

    def run_by(backend: str, network: CountingNetwork, *, resume: bool = False) -> RunSummary:
        """Run with a choice of `backend`; `auto`: too short to choose one."""

        def make(*arguments: Any, **_: Any) -> list[Upscaler]:
            used.append(arguments[3].backend)
            return [make_upscaler(network, 2)]

        monkeypatch.setitem(LONG_RUN, "video", 10**9 if backend == "auto" else 1)
        monkeypatch.setattr("sr.models.choose_backend.choose_backend", lambda *_: backend)
        monkeypatch.setattr("sr.inference.run.make_upscalers", make)
        output_options = OutputOptions(output, resume=resume)
        runtime = RuntimeOptions(devices=("cpu",))
        options = InferOptions([source], output_options, str(model), runtime, VIDEO)
        return run(options, Listener())

    assert run_by(then, CountingNetwork(2, fault_at=9)).exit_code == 4
    summary = run_by(now, CountingNetwork(2), resume=True)
    assert (summary.exit_code, summary.failures) == (0, {})
    assert used == [then, then]


@pytest.mark.parametrize("options", [{"resume": True}, {"skip_existing": True}])
def test_image_sequences_continue_with_the_first_file_that_is_missing(
    tmp_path: Path, options: dict[str, Any]
) -> None:
    source = make_clip(tmp_path / "in.mp4", 6)
    pattern = tmp_path / "out" / "%04d.png"
    upscale(source, pattern)
    (pattern.parent / "0004.png").unlink()
    network = CountingNetwork()
    assert upscale(source, pattern, network=network, **options).exit_code == 0
    assert network.num_calls == 2
    assert len(list(pattern.parent.iterdir())) == 6


def wait_for_segments(output: Path, count: int, is_alive: Callable[[], bool]) -> None:
    """Wait until so many segments are complete: their lines follow the manifest's first one."""
    manifest = locate_segments(output) / MANIFEST
    deadline = time.monotonic() + 120
    while not manifest.exists() or manifest.read_bytes().count(b"\n") <= count:
        assert is_alive()
        assert time.monotonic() < deadline
        time.sleep(0.01)


@contextmanager
def start_slowly(source: Path, output: Path) -> Iterator["subprocess.Popen[str]"]:
    """Start a program, and wait until two segments are complete."""
    program = f"import sys; from helpers.videos import *; run_slowly(*sys.argv[1:], {SEGMENT})"
    tests = Path(__file__).resolve().parents[2]
    with subprocess.Popen(
        [sys.executable, "-c", program, str(source), str(output)],
        env={**os.environ, "PYTHONPATH": f"{tests.parent}{os.pathsep}{tests}"},
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        wait_for_segments(output, 2, lambda: process.poll() is None)
        yield process


@pytest.mark.slow
def test_a_killed_run_continues_and_gives_the_file_of_an_unbroken_one(tmp_path: Path) -> None:
    source = make_clip(tmp_path / "in.mp4", 40, sound=Tone(1.6))
    whole, output = tmp_path / "whole.mp4", tmp_path / "out.mp4"
    assert upscale(source, whole, video=VIDEO).exit_code == 0
    with start_slowly(source, output) as process:
        process.kill()
    assert not output.exists()
    listener = Listener()
    assert upscale(source, output, video=VIDEO, resume=True, listener=listener).exit_code == 0
    assert listener.fields("item_done")[0]["resumed_at"] >= 2 * SEGMENT
    assert output.read_bytes() == whole.read_bytes()
    names = sorted(path.name for path in tmp_path.iterdir())
    assert names == ["in.mp4", "log.jsonl", "out.mp4", "whole.mp4"]


def test_an_interrupt_exits_with_130_keeps_the_segments_and_says_how_to_continue(
    tmp_path: Path,
) -> None:
    source = make_clip(tmp_path / "in.mp4", 40, sound=Tone(1.6))
    output = tmp_path / "out" / "out.mp4"
    with start_slowly(source, output) as process:
        process.send_signal(signal.SIGINT)
        shown = process.communicate(timeout=60)[1]
    assert process.returncode == 130
    assert "Traceback" not in shown
    assert "--resume" in shown
    assert shown.splitlines()[-1].startswith("interrupted: 0 done in ")
    log = (tmp_path / "log.jsonl").read_text()
    assert '"ended": "interrupted"' in log.splitlines()[-1]
    assert [path.name for path in output.parent.iterdir()] == [".out.mp4.parts"]
    assert upscale(source, output, video=VIDEO, resume=True).exit_code == 0
    assert read_times(output) == read_times(source)
    assert [path.name for path in output.parent.iterdir()] == ["out.mp4"]


def test_sigterm_keeps_the_segments_as_an_interrupt_does(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    class Terminated(CountingNetwork):
        def forward(self, lr: Tensor) -> Tensor:
            if self.num_calls == 12:
                wait_for_segments(output, 1, lambda: True)  # the encoder may be behind
                os.kill(os.getpid(), signal.SIGTERM)
                time.sleep(0.3)  # the main thread hears of it
            return super().forward(lr)

    source, output = make_clip(tmp_path / "in.mp4", 14), tmp_path / "out" / "out.mp4"
    options = InferOptions([source], OutputOptions(output), video=VIDEO)
    with pytest.raises(typer.Exit) as stop:
        infer.upscale(options, [make_upscaler(Terminated(), 1)])
    assert stop.value.exit_code == 143
    shown = capsys.readouterr().err.splitlines()
    assert " frames are kept in " in shown[-2]
    assert shown[-1].startswith("interrupted: 0 done in ")
    assert [path.name for path in output.parent.iterdir()] == [".out.mp4.parts"]
    assert upscale(source, output, video=VIDEO, resume=True).exit_code == 0


def test_a_second_process_on_one_video_ends_at_once_and_touches_nothing(tmp_path: Path) -> None:
    source, output = make_clip(tmp_path / "in.mp4", 10), tmp_path / "out" / "out.mp4"
    upscale(source, output, video=VIDEO, network=CountingNetwork(fault_at=9))
    folder = locate_segments(output)
    (folder / "segment-00002-unfinished").write_bytes(b"that the other one is writing")
    before = {path: path.read_bytes() for path in folder.iterdir()}
    other, network = make_clip(tmp_path / "other.mp4", 3), CountingNetwork()
    flags: list[dict[str, Any]] = [{}, {"overwrite": True}, {"resume": True}]
    with hold_elsewhere(output) as process:
        for options in flags:
            with pytest.raises(UsageError, match=rf"got process {process.pid} on .*, started 20"):
                upscale(source, output, video=VIDEO, network=network, **options)
        assert network.num_calls == 0
        both = [source.rename(tmp_path / "out.mp4"), other]
        summary = upscale(both, output.parent, video=VIDEO, suffix="", overwrite=True)
        assert summary.exit_code == 3
        assert f"got process {process.pid} on " in summary.failures[both[0]]
        assert {path: path.read_bytes() for path in folder.iterdir()} == before
    assert upscale(both[0], output, video=VIDEO, resume=True).exit_code == 0
    assert {path.name for path in output.parent.iterdir()} == {"out.mp4", "other.mp4"}


def test_a_segment_that_has_changed_is_computed_again_with_a_warning(tmp_path: Path) -> None:
    source, whole, output = (
        make_clip(tmp_path / "in.mp4", 14),
        tmp_path / "a.mp4",
        tmp_path / "b.mp4",
    )
    upscale(source, whole, video=VIDEO)
    upscale(source, output, video=VIDEO, network=CountingNetwork(fault_at=13))
    segment = locate_segments(output) / "segment-00001"
    content = bytearray(segment.read_bytes())
    content[len(content) // 2] ^= 1  # of the same size
    segment.write_bytes(content)
    listener = Listener()
    assert upscale(source, output, video=VIDEO, resume=True, listener=listener).exit_code == 0
    assert listener.fields("item_done")[0]["resumed_at"] == SEGMENT
    (warning,) = listener.warnings
    assert warning.startswith(f"{segment}: expected the segment that the manifest lists")
    assert output.read_bytes() == whole.read_bytes()


def test_a_result_that_was_to_be_replaced_stays_until_there_is_a_new_one(tmp_path: Path) -> None:
    source, output = make_clip(tmp_path / "in.mp4", 10), tmp_path / "out.mp4"
    output.write_bytes(b"old")
    listener, failing = Listener(), CountingNetwork(fault_at=9)
    upscale(source, output, video=VIDEO, network=failing, overwrite=True, listener=listener)
    assert "with --resume, and without --overwrite" in listener.warnings[-1]
    assert output.read_bytes() == b"old"
    upscale(source, output, video=VIDEO, resume=True)
    assert len(read_frames(output)) == 10
    assert not locate_segments(output).exists()
    listener = Listener()
    upscale(source, output, video=VIDEO, resume=True, listener=listener)
    assert [fields["skipped"] for fields in listener.fields("item_done")] == [True]


def test_frames_that_have_changed_are_not_mixed_with_those_before(tmp_path: Path) -> None:
    pattern = tmp_path / "frames" / "%d.png"
    upscale(make_clip(tmp_path / "in.mkv", 10, codec="ffv1"), pattern)
    output = tmp_path / "out.mp4"
    upscale(pattern, output, video=VIDEO, network=CountingNetwork(fault_at=6))
    changed = pattern.parent / "7.png"
    kept = changed.stat()
    os.utime(changed, (1, 1))
    summary = upscale(pattern, output, video=VIDEO, resume=True)
    assert "got those of another (source was" in summary.failures[pattern]
    os.utime(changed, ns=(kept.st_atime_ns, kept.st_mtime_ns))
    assert upscale(pattern, output, video=VIDEO, resume=True).exit_code == 0
