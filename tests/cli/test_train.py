"""train.py as a user runs it, in a process of its own."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import yaml

from sr.io.image import write_rgb8
from sr.training.checkpoint import latest_state

COMMAND = [sys.executable, "-W", "error", "train.py", "-opt"]


@pytest.fixture
def option_file(tmp_path: Path) -> Path:
    """A run of a million tiny steps on one picture."""
    (tmp_path / "photographs").mkdir()
    picture = np.random.default_rng(0).integers(0, 256, (32, 32, 3), dtype=np.uint8)
    write_rgb8(tmp_path / "photographs" / "noise.png", picture)
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


def run(repository: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*COMMAND, *arguments], cwd=repository, capture_output=True, text=True, timeout=300
    )


def test_ctrl_c_saves_leaves_with_130_and_the_same_command_goes_on(
    repository: Path, option_file: Path, tmp_path: Path
) -> None:
    log = tmp_path / "runs" / "tiny" / "log.jsonl"
    with subprocess.Popen(
        [*COMMAND, str(option_file)],
        cwd=repository,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,  # so that the signal reaches the workers too, as in a terminal
    ) as process:
        deadline = time.monotonic() + 240
        while not (log.is_file() and '"progress"' in log.read_text()):
            assert process.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.1)
        os.killpg(process.pid, signal.SIGINT)
        _, stderr = process.communicate(timeout=240)
    assert process.returncode == 130, stderr
    assert "Traceback" not in stderr
    assert "interrupted, saved" in stderr
    state = latest_state(tmp_path / "runs" / "tiny" / "checkpoints")
    assert state is not None
    step = int(state.stem.removeprefix("step_"))
    assert step >= 1

    resumed = run(repository, str(option_file), f"train.steps={step + 2}")
    assert resumed.returncode == 0, resumed.stderr
    assert f"from step {step} to {step + 2}" in resumed.stderr


def test_a_typo_is_one_clear_message_and_code_2(repository: Path, option_file: Path) -> None:
    result = run(repository, str(option_file), "train.stesp=3")
    assert result.returncode == 2
    assert "train.stesp: unknown key, did you mean 'steps'?" in result.stderr
    assert "Traceback" not in result.stderr


def test_a_missing_data_folder_is_one_clear_message_and_code_2(
    repository: Path, option_file: Path
) -> None:
    result = run(repository, str(option_file), "datasets.train.source.hr=[nowhere]")
    assert result.returncode == 2
    assert "no such folder of pictures: nowhere" in result.stderr
    assert "Traceback" not in result.stderr
    assert not (option_file.parent / "runs").exists()


def test_a_run_folder_that_cannot_be_made_is_one_clear_message_and_code_2(
    repository: Path, option_file: Path, tmp_path: Path
) -> None:
    (tmp_path / "file").touch()
    result = run(repository, str(option_file), f"log.folder={tmp_path / 'file'}")
    assert result.returncode == 2
    assert str(tmp_path / "file") in result.stderr
    assert "Traceback" not in result.stderr


GAN = (
    "discriminator={type: PatchGAN, num_features: 4, num_layers: 1}",
    "losses.adversarial={type: standard, weight: 0.1}",
)


def test_an_alarm_that_stops_the_run_is_code_1(repository: Path, option_file: Path) -> None:
    monitor = "{window: 2, max_colour_drift: 1e-9, action: stop}"
    gan = f"train.gan={{optimizer: {{type: Adam}}, monitor: {monitor}}}"
    result = run(repository, str(option_file), *GAN, gan, "train.steps=20")
    assert result.returncode == 1
    assert "colours drift" in result.stderr
    assert "Traceback" not in result.stderr


def test_weights_that_cannot_be_had_are_one_clear_message_and_code_2(
    repository: Path, option_file: Path
) -> None:
    term = "losses.perceptual={type: VGG16, layers: {conv1_2: 1}, weights: nowhere.safetensors}"
    result = run(repository, str(option_file), term)
    assert result.returncode == 2
    assert "nowhere.safetensors" in result.stderr
    assert "Traceback" not in result.stderr


def test_a_fault_of_the_program_is_not_code_0(repository: Path, option_file: Path) -> None:
    program = (
        "import sys\n"
        "from sr.cli import train\n"
        "def crash(*_): raise KeyError('a fault of ours')\n"
        "train.train = crash\n"
        f"sys.argv = ['train.py', '-opt', {str(option_file)!r}]\n"
        "train.main()\n"
    )
    result = subprocess.run(
        [sys.executable, "-c", program], cwd=repository, capture_output=True, text=True, timeout=300
    )
    assert result.returncode == 1
    assert "a fault of ours" in result.stderr


def test_check_and_preview_tell_show_and_leave(
    repository: Path, option_file: Path, tmp_path: Path
) -> None:
    sheets = tmp_path / "sheets"
    result = run(repository, str(option_file), "--check", "--preview-data", str(sheets))
    assert result.returncode == 0, result.stderr
    assert "pictures to train on 1, to validate on" in result.stdout
    assert "1000000 take" in result.stdout
    assert (sheets / "tiny.png").is_file()
    assert not (tmp_path / "runs").exists()
