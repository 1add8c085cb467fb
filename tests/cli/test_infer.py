"""The command line of upscaling: exit codes, messages without traceback, and what is shown."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from sr.cli.infer import main, repeat_inputs
from sr.io.rgb8 import read_rgb8, read_size
from sr.tiling.upscaler import Upscaler

Call = Callable[..., Any]


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_a_folder_is_upscaled(
    call: Call, images: Path, model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    output = tmp_path / "out"
    assert call("-i", images, "-o", output, "-m", model) == 0
    assert names(output) == ["a_x2.png", "b_x2.png"]
    assert read_size(output / "a_x2.png") == (40, 50)
    shown = capsys.readouterr()
    lines = shown.err.splitlines()
    lines[1:3] = sorted(lines[1:3])  # in the order in which they end
    assert lines[0].startswith("tiny.safetensors: x2, 2 input(s), ")
    assert lines[1].startswith(f"[1/2] {images}/a.png -> {output}/a_x2.png (50x40, ")
    assert lines[3].startswith("2 done in ")
    assert shown.out == ""


def test_all_options_of_an_image_work_together(
    call: Call, images: Path, model: Path, tmp_path: Path
) -> None:
    log = tmp_path / "logs" / "run.jsonl"
    arguments = ["-i", images / "a.png", images / "b.png", "-o", tmp_path / "out", "-m", model]
    arguments += ["-s", "3", "-t", "8", "--halo", "3", "--precision", "fp32", "--device", "cpu"]
    arguments += ["--suffix", "_big", "--ext", "tif", "--overwrite", "--recursive", "--log", log]
    assert call(*arguments) == 0
    assert names(tmp_path / "out") == ["a_big.tif", "b_big.tif"]
    assert read_size(tmp_path / "out" / "a_big.tif") == (60, 75)
    events = [json.loads(line) for line in log.read_text().splitlines()]
    events = [event for event in events if event["event"] != "progress"]  # as time allows
    assert all(event["time"] for event in events)
    assert [event["event"] for event in events] == ["start", "item_done", "item_done", "done"]
    assert (events[0]["tile_size"], events[0]["precision"]) == (8, "fp32")
    assert (events[1]["lr_size"], events[1]["sr_size"]) == ([25, 20], [75, 60])
    assert events[1]["seconds"] >= events[1]["network_seconds"] > 0


def test_tiles_do_not_change_the_result(
    call: Call, images: Path, model: Path, tmp_path: Path
) -> None:
    for tile_size in (0, 7):
        output = tmp_path / f"{tile_size}.png"
        arguments = ["-i", images / "a.png", "-o", output, "-m", model, "-t", tile_size]
        assert call(*arguments, "--precision", "fp32") == 0
    whole, tiled = (read_rgb8(tmp_path / f"{size}.png").astype(int) for size in (0, 7))
    assert np.abs(whole - tiled).max() <= 1  # 1e-5 apart may round to two sides


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["-m", "none.safetensors"], "none.safetensors: no such model file. Bundled models: span"),
        (
            ["-m", "spam_x4"],
            "spam_x4: no such model file, did you mean span_x4 or span_x2? Bundled",
        ),
        (["-m", "in"], "in: a folder; expected a model file"),
        (["-m", "in/a.png"], "expected a model file"),
        (["-s", "0"], "-s 0: expected a number above 0"),
        (["-s", "nan"], "-s nan: expected a number above 0"),
        (["--overwrite", "--skip-existing"], "expected one of them, got both"),
        (
            ["--device", "gpu"],
            "expected auto, cpu, cuda, cuda:N, mps, vulkan, vulkan:N or openvino:NAME, got 'gpu'",
        ),
        (["--device", "cpu", "--precision", "fp16"], "precision: expected bf16 or fp32 on a CPU"),
        (["--precision", "int8"], "expected auto, fp32, bf16 or fp16"),
        (["--suffix", "a/b"], "--suffix: expected a part of a file name"),
        (["--reference", "none"], "--reference none: expected a folder"),
        (["--log", "in"], "--log in: cannot be written"),
        (["-s", "1e308"], "-s 1e+308: expected a number above 0, at most 1000"),
        (["--lossless", "--ext", "jpg"], "--lossless: JPEG is always lossy"),
        (["-o", "-", "--reference", "in"], "expected a folder for 2 inputs"),
        (["--suffix", "x" * 252], "expected a name of at most 255 bytes"),
        (["-s", "2", "--size", "9x9"], "-s and --size: expected one of them"),
        (["--size", "9"], "--size: expected WIDTHxHEIGHT in pixels"),
        (["-t", "many"], "-t: expected auto or a number of pixels, 0 or more, got many"),
        (["--alpha", "keep"], "--alpha: expected model or bicubic or drop, got keep"),
        (["--frames", "all"], "--frames: expected refuse or each or files, got all"),
        (["--backend", "tensorrt"], "backend: expected one of torch, onnxruntime, openvino"),
        (
            ["--device", "cpu,gpu"],
            "expected auto, cpu, cuda, cuda:N, mps, vulkan, vulkan:N or openvino:NAME, got 'gpu'",
        ),
        (["-i", "-"], "-i -: standard input is one image; expected no other inputs"),
        (["-o", "o.png"], "-o o.png: expected a folder for 2 inputs"),
    ],
)
def test_wrong_use_exits_with_2_and_one_line(
    call: Call,
    images: Path,
    model: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    arguments: list[str],
    message: str,
) -> None:
    monkeypatch.chdir(images.parent)
    assert call("-i", "in", "-o", "out", "-m", model, *arguments) == 2
    shown = capsys.readouterr()
    assert shown.err.startswith("error: ")
    assert message in shown.err
    assert len(shown.err.splitlines()) == 1
    assert not (images.parent / "out").exists()


@pytest.mark.parametrize(
    "arguments",
    [["-i", "in"], ["-o", "out"], ["-i", "in", "-o", "out", "-t", "-1"], ["in", "-o", "out"]]
    + [["-i", "in", "-o", "out", more, "x"] for more in ("--ext", "--halo", "--unknown", "-s")],
)
def test_options_that_cannot_be_parsed_exit_with_2(call: Call, arguments: list[str]) -> None:
    assert call(*arguments) == 2


def test_existing_results_exit_with_2_and_are_kept(
    call: Call, images: Path, model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["-i", images, "-o", tmp_path / "out", "-m", model]
    assert call(*arguments) == 0
    capsys.readouterr()
    before = (tmp_path / "out" / "a_x2.png").stat().st_mtime_ns
    assert call(*arguments) == 2
    assert "b_x2.png already exist. Add --overwrite or --skip-existing" in capsys.readouterr().err
    assert call(*arguments, "--skip-existing") == 0
    assert "2 skipped" in capsys.readouterr().err
    assert (tmp_path / "out" / "a_x2.png").stat().st_mtime_ns == before
    assert call(*arguments, "--overwrite") == 0
    assert (tmp_path / "out" / "a_x2.png").stat().st_mtime_ns > before


def test_some_failures_exit_with_3_and_a_summary(
    call: Call, images: Path, model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (images / "b.png").write_text("only words")
    assert call("-i", images, "-o", tmp_path / "out", "-m", model) == 3
    shown = capsys.readouterr().err
    assert "1 done, 1 failed in " in shown
    assert "1 input(s) failed:" in shown
    assert f"  {images}/b.png: expected an image" in shown
    assert names(tmp_path / "out") == ["a_x2.png"]


@pytest.mark.parametrize("source", ["text.png", "none.png", "empty"])
def test_no_usable_input_exits_with_4(
    call: Call, tmp_path: Path, model: Path, capsys: pytest.CaptureFixture[str], source: str
) -> None:
    (tmp_path / "text.png").write_text("only words")
    (tmp_path / "empty").mkdir()
    assert call("-i", tmp_path / source, "-o", tmp_path / "out", "-m", model) == 4
    shown = capsys.readouterr().err
    assert source in shown
    assert "Traceback" not in shown


class Interrupted(nn.Module):
    """An interrupt at the second image."""

    def __init__(self, error: BaseException) -> None:
        super().__init__()
        self.num_calls = 0
        self.error = error

    def forward(self, lr: Tensor) -> Tensor:
        self.num_calls += 1
        if self.num_calls == 2:
            raise self.error
        return lr


def upscaler_of(network: nn.Module) -> Upscaler:
    cpu = torch.device("cpu")
    return Upscaler(network, scale=1, halo=0, tile_size=0, device=cpu, dtype=torch.float32)


def test_an_interrupt_exits_with_130_and_leaves_whole_files(
    call: Call,
    images: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    upscaler = upscaler_of(Interrupted(KeyboardInterrupt()))
    log = tmp_path / "log.jsonl"
    output = tmp_path / "out"
    assert call("-i", images, "-o", output, "--log", log, upscalers=[upscaler]) == 130
    assert "interrupted: 1 done in " in capsys.readouterr().err
    assert len(names(tmp_path / "out")) == 1  # whichever of the two got first
    assert json.loads(log.read_text().splitlines()[-1])["ended"] == "interrupted"


def test_a_fault_of_ours_is_not_hidden(
    images: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    upscaler = upscaler_of(Interrupted(AssertionError("ours")))
    with pytest.raises(AssertionError, match="ours"):
        main(["-i", str(images), "-o", str(tmp_path / "out")], [upscaler])


def test_scores_are_shown_as_a_table_on_stdout(
    call: Call,
    images: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    arguments = ["-i", images, "-o", tmp_path / "out", "--reference", images]
    assert call(*arguments, upscalers=[upscaler_of(nn.Identity())]) == 0
    shown = capsys.readouterr().out
    assert "PSNR Y (dB)" in shown
    assert all(name in shown for name in ("a.png", "b.png", "mean", "inf", "1.0000"))
    assert (tmp_path / "out" / "scores.json").is_file()


def test_scores_that_cannot_be_saved_are_one_line_and_shown(
    call: Call, images: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    saved = tmp_path / "out" / "scores.json"
    saved.mkdir(parents=True)
    arguments = ["-i", images, "-o", tmp_path / "out", "--reference", images, "--overwrite"]
    assert call(*arguments, upscalers=[upscaler_of(nn.Identity())]) == 3
    shown = capsys.readouterr()
    assert "mean" in shown.out
    (line,) = [line for line in shown.err.splitlines() if line.startswith("warning: ")]
    assert line == f"warning: {saved}: cannot be written: Is a directory"
    assert "done" in shown.err.splitlines()[-1]


def test_bars_are_shown_on_a_terminal(
    call: Call,
    images: Path,
    model: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")  # rich then takes stderr for a terminal
    assert call("-i", images, "-o", tmp_path / "out", "-m", model, "-t", "8") == 0
    shown = capsys.readouterr().err
    assert "inputs" in shown
    assert "tiles" in shown
    assert "[1/2]" not in shown


@pytest.mark.parametrize(
    ("given", "repeated"),
    [
        ("-i a b c -o d", "-i a -i b -i c -o d"),
        ("-o d --input a b", "-o d --input a --input b"),
        ("--merge-logs a b", "--merge-logs a --merge-logs b"),
        ("-i a -i b c", "-i a -i b -i c"),
        ("-i a -o d e", "-i a -o d e"),
        ("--input=a b", "--input=a b"),
        ("-i -o d", "-i -o d"),
    ],
)
def test_one_option_takes_several_inputs(given: str, repeated: str) -> None:
    assert repeat_inputs(given.split()) == repeated.split()


def test_a_log_that_cannot_be_written_does_not_keep_the_images(
    call: Call, images: Path, model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    if not Path("/dev/full").exists():
        pytest.skip("needs /dev/full")
    assert call("-i", images, "-o", tmp_path / "out", "-m", model, "--log", "/dev/full") == 0
    assert capsys.readouterr().err.count("--log: no more can be written") == 1
    assert len(names(tmp_path / "out")) == 2


def test_streams_are_not_scored(
    call: Call, images: Path, model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert call("-i", images / "a.png", "-o", "-", "-m", model, "--reference", images) == 2
    assert "--reference: needs files" in capsys.readouterr().err


def test_names_that_no_file_can_have_are_no_input(
    call: Call, model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert call("-i", "x" * 300, "-o", tmp_path / "out", "-m", model) == 4
    assert "no such file or folder" in capsys.readouterr().err


def test_control_characters_of_names_are_escaped(
    call: Call, images: Path, model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (images / "a.png").rename(images / "a\x1b[31m\x07.png")
    (images / "b.png").rename(images / "b\x1b]0;x.png")
    (images / "b\x1b]0;x.png").write_bytes(b"none")
    assert call("-i", images, "-o", tmp_path / "out", "-m", model) == 3
    assert call("-i", images, "-o", tmp_path / "o\x1b.bmp", "-m", model) == 2
    assert call("-i", images, "-o", tmp_path / "out", "-m", "m\x1b.pth") == 2
    shown = capsys.readouterr()
    assert r"a\x1b[31m\x07_x2.png" in shown.err
    assert r"b\x1b]0;x.png: expected an image" in shown.err
    assert not {"\x1b", "\x07"} & set(shown.err + shown.out)
