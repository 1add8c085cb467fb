"""The command line of training: exit codes, and messages without traceback."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from sr.cli import train
from sr.io.rgb8 import write_rgb8
from sr.training.checkpoint import find_latest_state

Call = Callable[..., Any]
SLOW = ("generator.num_features=48", "generator.num_convs=12", "datasets.train.batch_size=16")
COMMAND = [sys.executable, "-W", "error", "train.py", "-opt"]


@pytest.fixture
def option_file(tmp_path: Path) -> Path:
    """A run of a million tiny steps on one image."""
    (tmp_path / "photographs").mkdir()
    image = np.random.default_rng(0).integers(0, 256, (32, 32, 3), dtype=np.uint8)
    write_rgb8(tmp_path / "photographs" / "noise.png", image)
    tree = {
        "name": "tiny",
        "scale": 2,
        "generator": {"type": "Compact", "num_features": 4, "num_convs": 1},
        "losses": {"pixel": {"type": "L1"}},
        "datasets": {
            "train": {
                "source": {"type": "HRFolders", "hr": [str(tmp_path / "photographs")]},
                "crop_size": 16,
                "batch_size": 2,
                "num_workers": 1,
            }
        },
        "train": {
            "steps": 1_000_000,
            "device": "cpu",
            "optimizer": {"type": "Adam"},
            "schedule": {"type": "multi_step", "milestones": [100]},
            "checkpoint_interval": 1_000_000,
        },
        "log": {"folder": str(tmp_path / "runs"), "interval": 1},
    }
    path = tmp_path / "tiny.yml"
    path.write_text(yaml.safe_dump(tree))
    return path


@pytest.fixture
def call(monkeypatch: pytest.MonkeyPatch, repository: Path) -> Call:
    """Calls train.py's main in this process; gives its exit code."""

    def call(*arguments: object) -> Any:
        monkeypatch.chdir(repository)
        monkeypatch.setattr(sys, "argv", ["train.py", "-opt", *map(str, arguments)])
        with pytest.raises(SystemExit) as stop:
            train.main()
        return stop.value.code

    return call


@pytest.mark.slow
def test_a_signal_to_all_processes_saves_and_leaves_with_130_and_the_run_goes_on(
    repository: Path,
    option_file: Path,
    tmp_path: Path,
    call: Call,
    capsys: pytest.CaptureFixture[str],
) -> None:
    log = tmp_path / "runs" / "tiny" / "log.jsonl"
    with subprocess.Popen(
        [*COMMAND, str(option_file), *SLOW],
        cwd=repository,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,  # so that the signal reaches the workers too, as of torchrun
    ) as process:
        deadline = time.monotonic() + 240
        while not (log.is_file() and '"progress"' in log.read_text()):
            assert process.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.1)
        os.killpg(process.pid, signal.SIGTERM)
        _, stderr = process.communicate(timeout=240)
    assert process.returncode == 130, stderr
    assert "Traceback" not in stderr
    assert "interrupted, saved" in stderr
    state = find_latest_state(tmp_path / "runs" / "tiny" / "checkpoints")
    assert state is not None
    step = int(state.stem.removeprefix("step_"))
    assert step >= 1

    # Without a worker, which takes seconds to start and makes the same batches.
    go_on = (*SLOW, "datasets.train.num_workers=0", f"train.steps={step + 2}")
    assert call(option_file, *go_on) == 0
    assert f"from step {step} to {step + 2}" in capsys.readouterr().err


def test_a_typo_is_one_clear_message_and_code_2(
    option_file: Path, call: Call, capsys: pytest.CaptureFixture[str]
) -> None:
    assert call(option_file, "train.stesp=3") == 2
    shown = capsys.readouterr().err
    assert "train.stesp: unknown key, did you mean 'steps'?" in shown
    assert "Traceback" not in shown


def test_a_missing_data_folder_is_one_clear_message_and_code_2(
    option_file: Path, call: Call, capsys: pytest.CaptureFixture[str]
) -> None:
    assert call(option_file, "datasets.train.source.hr=[nowhere]") == 2
    assert capsys.readouterr().err == "error: no such folder of images: nowhere\n"
    assert not (option_file.parent / "runs").exists()


def test_a_run_folder_that_cannot_be_made_is_one_clear_message_and_code_2(
    option_file: Path, call: Call, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").touch()
    assert call(option_file, f"log.folder={tmp_path / 'file'}") == 2
    shown = capsys.readouterr().err
    assert str(tmp_path / "file") in shown
    assert "Traceback" not in shown


GAN = (
    "discriminator={type: PatchGAN, num_features: 4, num_layers: 1}",
    "losses.adversarial={type: standard, weight: 0.1}",
)


@pytest.mark.slow
def test_an_alarm_that_stops_the_run_is_code_1(
    option_file: Path, call: Call, capsys: pytest.CaptureFixture[str]
) -> None:
    monitor = "{window: 2, max_colour_drift: 1e-9, action: stop}"
    gan = f"train.gan={{optimizer: {{type: Adam}}, monitor: {monitor}}}"
    assert call(option_file, *GAN, gan, "train.steps=20") == 1
    shown = capsys.readouterr().err
    assert "colors drift" in shown
    assert "Traceback" not in shown


def test_weights_that_cannot_be_had_are_one_clear_message_and_code_2(
    option_file: Path, call: Call, capsys: pytest.CaptureFixture[str]
) -> None:
    term = "losses.perceptual={type: VGG16, layers: {conv1_2: 1}, weights: nowhere.safetensors}"
    assert call(option_file, term) == 2
    shown = capsys.readouterr().err
    assert "nowhere.safetensors" in shown
    assert "Traceback" not in shown


@pytest.mark.parametrize("kind", [KeyError, ValueError, OSError])
def test_a_fault_of_the_program_is_not_hidden(
    option_file: Path, call: Call, monkeypatch: pytest.MonkeyPatch, kind: type[Exception]
) -> None:
    def crash(*_: object) -> bool:
        raise kind("a fault of ours")

    monkeypatch.setattr("sr.training.run.train", crash)
    with pytest.raises(kind, match="a fault of ours"):  # of which Python makes code 1
        call(option_file)


def test_losses_that_are_not_finite_are_one_clear_message_and_code_1(
    option_file: Path, call: Call, capsys: pytest.CaptureFixture[str]
) -> None:
    optimizer = "train.optimizer={type: Adam, learning_rate: 1e30}"
    assert call(option_file, optimizer, "datasets.train.num_workers=0") == 1
    shown = capsys.readouterr().err
    assert "10 in a row were not finite" in shown
    assert "Traceback" not in shown


def test_check_and_preview_report_show_and_leave(
    option_file: Path, call: Call, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    sheets = tmp_path / "sheets"
    assert call(option_file, "--check", "--preview-data", sheets) == 0
    shown = capsys.readouterr().out
    assert "images to train on 1, to validate on" in shown
    assert "1000000 take" in shown
    assert (sheets / "tiny.png").is_file()
    assert not (tmp_path / "runs").exists()
