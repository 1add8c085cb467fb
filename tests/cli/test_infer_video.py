"""The command line of upscaling videos: options, messages, exit codes, log."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
import torch
import typer
from helpers.clips import Tone, make_clip
from PIL import Image
from torch import Tensor, nn

from sr.cli import display
from sr.cli.infer import upscale
from sr.inference.options import InferOptions, OutputOptions, RuntimeOptions
from sr.inference.video import mux_segments
from sr.inference.video_options import VideoOptions
from sr.io.rgb8 import read_size, write_rgb8
from sr.tiling.upscaler import Upscaler

Call = Callable[..., Any]


def make_clip_with_sound(path: Path, num_frames: int = 10, codec: str = "libx264") -> Path:
    """A tone where the container takes AAC."""
    sound = None if path.suffix == ".webm" else Tone(num_frames / 25)
    return make_clip(path, num_frames, codec=codec, sound=sound)


@pytest.fixture
def clip(tmp_path: Path) -> Path:
    return make_clip_with_sound(tmp_path / "in.mp4")


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def frames_of(path: Path) -> list[av.VideoFrame]:
    with av.open(str(path)) as container:
        return list(container.decode(video=0))


def test_a_clip_is_upscaled(
    call: Call, clip: Path, model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    output, log = tmp_path / "out.mp4", tmp_path / "run.jsonl"
    assert call("-i", clip, "-o", output, "-m", model, "--log", log) == 0
    frames = frames_of(output)
    assert [(frame.width, frame.height) for frame in frames] == [(64, 48)] * 10
    events = [json.loads(line) for line in log.read_text().splitlines()]
    progress = next(event for event in events if event["event"] == "progress")
    assert {"frame", "frames", "fps", "seconds_left", "queues", "bottleneck"} <= progress.keys()
    shown = capsys.readouterr()
    assert shown.out == ""
    lines = shown.err.splitlines()
    assert lines[0].startswith("tiny.safetensors: x2, 1 input(s), ")
    described = f"[1/1] {clip} -> {output} (64x48, 10 frames, 0 of them repeated, "
    assert lines[-2].startswith(described)
    assert lines[-1].startswith("1 done in ")


def test_all_options_of_a_video_work_together(
    call: Call, clip: Path, model: Path, tmp_path: Path
) -> None:
    log = tmp_path / "run.jsonl"
    arguments = ["-i", clip, "-o", tmp_path / "out", "-m", model, "--log", log, "--resume"]
    arguments += ["--codec", "libx265", "--crf", "24", "--preset", "ultrafast"]
    arguments += ["--pix-fmt", "yuv420p10le", "--encoder-option", "tune=grain"]
    arguments += ["--container", "mkv", "--stream", "0", "--fps", "50", "--start", "0.08"]
    arguments += ["--end", "8f", "--damaged", "stop", "--temporal-filter", "--preview", "2"]
    arguments += ["--suffix", "_big", "--size", "80x64", "--precision", "fp32", "-t", "16"]
    assert call(*arguments) == 0
    previews = ["in_big_preview_00003_0.140s.png", "in_big_preview_00009_0.260s.png"]
    assert names(tmp_path / "out") == ["in_big.mkv", *previews]
    frames = frames_of(tmp_path / "out" / "in_big.mkv")
    assert len(frames) == 12  # frames 2 to 7, each twice
    assert {(frame.width, frame.height, frame.format.name) for frame in frames} == {
        (80, 64, "yuv420p10le")
    }
    with av.open(str(tmp_path / "out" / "in_big.mkv")) as container:
        assert container.streams.video[0].codec_context.name == "hevc"
        assert len(container.streams.audio) == 1
        assert container.duration == pytest.approx(12 / 50 * 1e6, abs=0.15e6)
    assert read_size(tmp_path / "out" / previews[0]) == (64, 2 * 80 + 4)
    events = [json.loads(line) for line in log.read_text().splitlines()]
    kinds = [event["event"] for event in events if event["event"] != "progress"]
    assert (kinds[0], kinds[-2:]) == ("start", ["item_done", "done"])
    assert set(kinds[1:-2]) <= {"warning"}
    done = events[-2]
    assert (done["frames"], done["repeated"], done["resumed_at"]) == (12, 6, 0)
    assert (done["lr_size"], done["sr_size"]) == ([32, 24], [80, 64])
    assert done["source"] == str(clip)
    assert done["seconds"] > 0
    assert done["fps"] > 0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("--codec libx265x", "did you mean 'libx265'?"),
        ("--codec prores", ".mp4 cannot hold what prores_ks writes"),
        ("--codec ffv1 --crf 10", "ffv1 is without loss and takes no crf"),
        ("--crf 99", "expected a crf of libx264, a number from 0 (best) to 51, got 99"),
        ("--crf nan", "expected a crf of libx264"),
        ("--encoder-option tunes=film", "got 'tunes'; did you mean 'tune'?"),
        ("--encoder-option tune", "--encoder-option: expected KEY=VALUE, got tune"),
        ("--encoder-option threads=many", "the encoder libx264 does not open"),
        ("--preset fats", "got 'fats'; did you mean 'fast'?"),
        ("--pix-fmt nonsense", "expected a pixel format that libx264 takes"),
        ("--fps 0", "--fps: expected a number above 0"),
        ("--start nonsense", "--start: expected a time"),
        ("--start 5f --end 3f", "--end: expected a time after 5f, got 3f"),
        ("--damaged x", "--damaged: expected continue or stop, got x"),
        ("--overwrite --resume", "--overwrite and --resume: expected one of them"),
        ("--container mkv", "--container mkv: expected what fits the output file"),
        ("--suffix _big", "--suffix _big: expected a folder as -o, got the file"),
        ("--reference none", "--reference none: expected a folder of original images or clips"),
        ("--lpips torchvision", "--lpips: needs --reference"),
        ("--reference . --lpips none.pth", "--lpips: none.pth: no such model file"),
        ("-o -", "-o -: expected a file for a video, got standard output"),
        ("-o out.avi", "-o out.avi: expected .mp4, .mkv or .webm, got .avi"),
        ("-o out.png", "-o out.png: expected .mp4, .mkv, .webm, or a pattern"),
        ("-o %d.mp4", "-o %d.mp4: expected frames as .png"),
        ("-o in.mp4", "in.mp4: the result of in.mp4 would replace the input"),
        ("-i in.mp4 in.mp4 -o out.mp4", "expected a folder for "),
        ("-o out.webm --codec libx264", ".webm cannot hold what libx264 writes"),
        (f"-o {'x' * 246}.mkv", "expected a name of at most 255 bytes"),
    ],
)
def test_wrong_use_exits_with_2_and_one_line(
    call: Call,
    clip: Path,
    model: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    arguments: str,
    message: str,
) -> None:
    monkeypatch.chdir(clip.parent)
    before = names(clip.parent)
    assert call("-i", "in.mp4", "-o", "out.mp4", "-m", model, *arguments.split()) == 2
    shown = capsys.readouterr().err
    assert shown.startswith("error: ")
    assert message in shown
    assert len(shown.splitlines()) == 1
    assert names(clip.parent) == before


@pytest.mark.parametrize(
    "arguments", ["--crf high", "--stream -1", "--container avi", "--preview -1", "--preview x"]
)
def test_options_that_cannot_be_parsed_exit_with_2(call: Call, clip: Path, arguments: str) -> None:
    assert call("-i", clip, "-o", clip.with_name("out.mp4"), *arguments.split()) == 2
    assert names(clip.parent) == ["in.mp4"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("--stream 9", "expected the index of a video stream (0: h264 32x24), got 9"),
        ("--stream 1", "expected the index of a video stream (0: h264 32x24), got 1"),
        (
            "--start 100",
            "expected frames between --start and --end, got none; it has about 10 frames, 0.40 s",
        ),
        ("--start 10f", "expected frames between --start and --end, got none"),
        ("--size 60000x60000", "60000"),
    ],
)
def test_what_a_video_cannot_give_exits_with_4(
    call: Call,
    clip: Path,
    model: Path,
    capsys: pytest.CaptureFixture[str],
    arguments: str,
    message: str,
) -> None:
    output = clip.parent / "out" / "out.mp4"
    assert call("-i", clip, "-o", output, "-m", model, *arguments.split()) == 4
    shown = capsys.readouterr().err
    assert f"  {clip}: " in shown
    assert message in shown
    assert "Traceback" not in shown
    assert names(output.parent) == []


def test_long_videos_print_progress_lines_where_there_are_no_bars(
    call: Call,
    clip: Path,
    model: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(display, "LINE_INTERVAL", 0.0)
    assert call("-i", clip, "-o", tmp_path / "out.mp4", "-m", model) == 0
    shown = [line for line in capsys.readouterr().err.splitlines() if "[1/1] frame " in line]
    assert len(shown) == 10
    assert shown[0].startswith("[1/1] frame 1/10, ")
    assert " fps, " in shown[0]
    assert shown[0].endswith(" is slowest")


def test_bars_are_shown_on_a_terminal(
    call: Call,
    clip: Path,
    model: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")  # rich then takes stderr for a terminal
    assert call("-i", clip, "-o", tmp_path / "out.mp4", "-m", model) == 0
    shown = capsys.readouterr().err
    assert "frames" in shown
    assert "inputs" in shown
    assert "[1/1]" not in shown


def test_frames_become_images_and_images_a_video(
    call: Call, clip: Path, model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pattern = tmp_path / "frames" / "f_%03d.png"
    assert call("-i", clip, "-o", pattern, "-m", model, "--end", "4f") == 0
    assert names(pattern.parent) == [f"f_{number:03}.png" for number in range(4)]
    assert read_size(pattern.parent / "f_000.png") == (48, 64)
    assert "sound and other streams are left out" in capsys.readouterr().err
    for given, output in (
        (pattern, tmp_path / "one.mkv"),
        (pattern.parent, tmp_path / "two.mp4"),
        (pattern, tmp_path / "folder"),
    ):
        assert call("-i", given, "-o", output, "-m", model, "--fps", "12.5") == 0
    assert "left out" not in capsys.readouterr().err
    assert names(tmp_path / "folder") == ["f_x2.mkv"]
    for name in ("one.mkv", "two.mp4", "folder/f_x2.mkv"):
        frames = frames_of(tmp_path / name)
        assert [(frame.width, frame.height) for frame in frames] == [(128, 96)] * 4
        assert float(frames[1].time or 0) == pytest.approx(0.08, abs=0.001)
    again = tmp_path / "again" / "%d.jpg"
    assert call("-i", pattern, "-o", again, "-m", model) == 0
    assert names(again.parent) == [f"{number}.jpg" for number in range(4)]


def test_frames_that_exist_are_kept(call: Call, clip: Path, model: Path, tmp_path: Path) -> None:
    pattern = tmp_path / "frames" / "%d.png"
    pattern.parent.mkdir()
    (pattern.parent / "0.png").write_bytes(b"precious")
    assert call("-i", clip, "-o", pattern, "-m", model) == 2
    assert names(pattern.parent) == ["0.png"]
    assert (pattern.parent / "0.png").read_bytes() == b"precious"


def test_a_gap_in_the_numbers_is_reported(
    call: Call, model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pattern = tmp_path / "in%02d.png"
    assert call("-i", pattern, "-o", tmp_path / "out.mp4", "-m", model) == 4
    assert "expected numbered images, got no such file" in capsys.readouterr().err
    for number in (3, 4, 6):
        write_rgb8(tmp_path / f"in{number:02}.png", np.zeros((8, 8, 3), np.uint8))
    assert call("-i", pattern, "-o", tmp_path / "out.mp4", "-m", model) == 4
    assert "in05.png: expected images without a gap" in capsys.readouterr().err
    write_rgb8(tmp_path / "in05.png", np.zeros((8, 9, 3), np.uint8))
    assert call("-i", pattern, "-o", tmp_path / "out.mp4", "-m", model) == 4
    assert "in05.png: expected 8x8 RGB, as in03.png is, got 9x8 RGB" in capsys.readouterr().err


@pytest.mark.parametrize("suffix", ["gif", "webp"])
def test_an_animation_becomes_a_video_with_its_times(
    call: Call, model: Path, tmp_path: Path, suffix: str
) -> None:
    source = tmp_path / f"moving.{suffix}"
    random = np.random.default_rng(0)
    pages = [Image.fromarray(random.integers(0, 256, (16, 16, 3), np.uint8)) for _ in range(3)]
    pages[0].save(source, save_all=True, append_images=pages[1:], duration=[50, 200, 100])
    output = tmp_path / "out.mp4"
    assert call("-i", source, "-o", output, "-m", model) == 0
    frames = frames_of(output)
    assert [round(float(frame.time or 0), 3) for frame in frames] == [0, 0.05, 0.25]
    with av.open(str(output)) as container:
        assert container.duration == pytest.approx(0.35e6, abs=1000)


def test_a_folder_of_all_kinds_is_done_as_a_whole(
    call: Call, model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "in"
    (folder / "deep").mkdir(parents=True)
    for name, codec in (("a.mp4", "libx264"), ("b.MOV", "libx264"), ("c.webm", "libvpx-vp9")):
        make_clip_with_sound(folder / name, 3, codec)
    make_clip_with_sound(folder / "deep" / "d.avi", 3, "mpeg4")
    write_rgb8(folder / "image.png", np.zeros((8, 8, 3), np.uint8))
    write_rgb8(folder / "100%done.png", np.zeros((8, 8, 3), np.uint8))  # no pattern: it is there
    (folder / "bad.mp4").write_text("only words")
    (folder / "notes.txt").touch()
    arguments = ["-i", folder, "-o", tmp_path / "out", "-m", model, "--recursive"]
    assert call(*arguments) == 3
    shown = capsys.readouterr().err
    assert "7 input(s) (1 other files ignored)" in shown
    assert "6 done, 1 failed in " in shown
    done = ["100_done_x2.png", "a_x2.mp4", "b_x2.mp4", "c_x2.webm", "deep", "image_x2.png"]
    assert names(tmp_path / "out") == done
    assert names(tmp_path / "out" / "deep") == ["d_x2.mkv"]
    assert call(*arguments) == 2
    assert "6 done" not in capsys.readouterr().err
    assert call(*arguments, "--skip-existing") == 3
    assert "0 done, 6 skipped, 1 failed in " in capsys.readouterr().err
    assert call(*arguments[:2], "-o", tmp_path / "mkv", "-m", model, "--container", "mkv") == 3
    assert names(tmp_path / "mkv")[1:4] == ["a_x2.mkv", "b_x2.mkv", "c_x2.mkv"]


def test_a_videos_name_may_look_like_a_pattern(call: Call, model: Path, tmp_path: Path) -> None:
    source = make_clip_with_sound(tmp_path / "50%discount.mp4", 3)
    assert call("-i", source, "-o", tmp_path / "out", "-m", model) == 0
    assert names(tmp_path / "out") == ["50_discount_x2.mp4"]
    assert call("-i", source, "-o", tmp_path / "plain.mp4", "-m", model) == 0
    assert len(frames_of(tmp_path / "plain.mp4")) == 3


def test_segments_of_an_earlier_run_are_reported(
    call: Call, clip: Path, model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / ".out.mp4.parts").mkdir()
    arguments = ["-i", clip, "-o", tmp_path / "out.mp4", "-m", model]
    assert call(*arguments) == 2
    assert "from a run that was interrupted. Add --resume" in capsys.readouterr().err
    assert call(*arguments, "--resume") == 0
    assert names(tmp_path) == ["in.mp4", "out.mp4", "tiny.safetensors"]


def test_a_result_that_is_not_as_it_should_be_is_kept_and_exits_with_1(
    call: Call,
    clip: Path,
    model: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(
        mux_segments, "verify_video", lambda *_, **__: ["stream 1 (audio, aac): is late"]
    )
    assert call("-i", clip, "-o", tmp_path / "out.mp4", "-m", model) == 1
    shown = capsys.readouterr().err
    assert "out.mp4: is written, but stream 1 (audio, aac): is late" in shown
    assert "Traceback" not in shown
    assert names(tmp_path) == ["in.mp4", "out.mp4", "tiny.safetensors"]


def test_two_devices_give_the_frames_of_one(
    call: Call, clip: Path, model: Path, tmp_path: Path
) -> None:
    found = []
    for devices in ("cpu", "cpu,cpu"):
        output = tmp_path / f"{len(devices)}.mkv"
        arguments = ["-i", clip, "-o", output, "-m", model, "--codec", "ffv1"]
        assert call(*arguments, "--precision", "fp32", "--device", devices) == 0
        found.append([frame.to_ndarray() for frame in frames_of(output)])
    for one, two in zip(*found, strict=True):
        np.testing.assert_array_equal(one, two)


@pytest.mark.parametrize("name", ["OUT.MP4", "OUT.MKV", "Out.WebM"])
def test_suffixes_may_be_large(
    call: Call, clip: Path, model: Path, tmp_path: Path, name: str
) -> None:
    output = tmp_path / "out" / name
    assert call("-i", clip, "-o", output, "-m", model) == 0
    assert names(output.parent) == [name]
    assert len(frames_of(output)) == 10


def test_segments_made_with_other_options_of_the_network_are_refused(
    clip: Path, model: Path, tmp_path: Path
) -> None:
    class Interrupted(nn.Module):
        num_passes = 0

        def forward(self, lr: Tensor) -> Tensor:
            self.num_passes += 1
            if self.num_passes == 6:
                raise KeyboardInterrupt
            return lr

    network = Interrupted()
    cpu = torch.device("cpu")
    upscaler = Upscaler(network, scale=1, halo=0, tile_size=0, device=cpu, dtype=torch.float32)
    options = InferOptions(
        [clip],
        OutputOptions(tmp_path / "out.mp4", resume=True),
        model=str(model),
        video=VideoOptions(frames_per_segment=2),
    )
    codes = []
    tiles = RuntimeOptions(tile_size=16)  # less memory must not keep a video from being continued
    for changed in (
        options,
        replace(options, runtime=RuntimeOptions(tta=True)),
        replace(options, model="compact_x4"),
        replace(options, runtime=tiles),
    ):
        with pytest.raises(typer.Exit) as stop:
            upscale(changed, [upscaler])
        codes.append(stop.value.exit_code)
    assert codes == [130, 4, 4, 0]
    assert network.num_passes > 10  # passes of the first run are not repeated


def test_quality_and_lossless_hold_for_frames_as_images(
    call: Call, clip: Path, model: Path, tmp_path: Path
) -> None:
    arguments = ["-i", clip, "-m", model, "--end", "1f", "--precision", "fp32"]
    for name, more in (("png", []), ("webp", ["--lossless"])):
        assert call(*arguments, "-o", tmp_path / name / f"%d.{name}", *more) == 0
    one = np.asarray(Image.open(tmp_path / "png" / "0.png"))
    other = np.asarray(Image.open(tmp_path / "webp" / "0.webp"))
    np.testing.assert_array_equal(one, other)
    for quality in (20, 95):
        pattern = tmp_path / str(quality) / "%d.jpg"
        assert call(*arguments, "-o", pattern, "--quality", quality) == 0
    small, large = ((tmp_path / str(quality) / "0.jpg").stat().st_size for quality in (20, 95))
    assert small < large / 2


@pytest.mark.parametrize("name", ["0.png", "7.png", "123.png"])
def test_no_numbered_image_is_replaced_unasked(
    call: Call,
    clip: Path,
    model: Path,
    tmp_path: Path,
    name: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    pattern = tmp_path / "frames" / "%d.png"
    pattern.parent.mkdir()
    (pattern.parent / name).write_bytes(b"precious")
    (pattern.parent / "007.png").touch()  # none of the pattern's
    assert call("-i", clip, "-o", pattern, "-m", model) == 2
    assert f"{name} already exists" in capsys.readouterr().err
    assert names(pattern.parent) == sorted({name, "007.png"})


def test_clips_are_scored_against_their_originals(
    call: Call,
    model: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    random = np.random.default_rng(0)
    for folder, size in (("lr/walk", 20), ("hr/walk", 40)):
        (tmp_path / folder).mkdir(parents=True)
        for number in range(3):
            pixels = random.integers(0, 256, (size, size, 3), np.uint8)
            write_rgb8(tmp_path / folder / f"{number}.png", pixels)
    log = tmp_path / "log"
    pattern = tmp_path / "lr" / "walk" / "%d.png"
    arguments = ["-i", pattern, "-m", model, "--reference", tmp_path / "hr", "--log", log]
    assert call(*arguments, "-o", tmp_path / "out.mkv") == 0
    shown = capsys.readouterr().out
    assert all(word in shown for word in ("walk", "frames", "PSNR Y", "flicker", "tOF"))
    saved = json.loads((tmp_path / "scores.json").read_text())
    (score,) = saved["clips"].values()
    assert (score["frames"], score["pairs"]) == (3, 0)  # noise is nothing but cuts
    events = [json.loads(line) for line in log.read_text().splitlines()]
    (done,) = [event for event in events if event["event"] == "item_done"]
    assert done["scores"] == score
    assert call(*arguments, "-o", tmp_path / "again.mkv", "--resume") == 0
