"""Runs that a launcher starts, in two processes where it can."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from sr.device import DeviceError
from sr.options.load import dump_options
from sr.options.schema import Options
from sr.training.checkpoint import read_state
from sr.training.distributed import choose_local_device
from sr.training.run import train

ROOT = Path(__file__).resolve().parents[2]
LAUNCHERS = {
    "torchrun": ["torch.distributed.run", "--standalone", "--nproc-per-node=2"],
    "accelerate": [
        "accelerate.commands.launch",
        "--cpu",  # one process: more of them on CPUs are torchrun's
        "--num_processes=1",
        "--num_machines=1",
        "--mixed_precision=no",
        "--dynamo_backend=no",
    ],
}


def launch(
    script: Path, options: Options, tmp_path: Path, launcher: str
) -> subprocess.CompletedProcess[str]:
    """Run a script like train.py with these options."""
    file = tmp_path / f"{options.name}.yml"
    file.write_text(dump_options(options))
    return subprocess.run(
        [sys.executable, "-m", *LAUNCHERS[launcher], str(script), "-opt", str(file)],
        cwd=tmp_path,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )


def final_state(options: Options) -> dict[str, Any]:
    folder = options.log.folder / options.name / "checkpoints"
    return read_state(folder / "step_000000004.state")


def test_each_process_takes_a_gpu_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setattr(torch.cuda, "current_device", lambda: 0)
    assert choose_local_device("cuda:1") == torch.device("cuda", 1)  # one process
    monkeypatch.setenv("WORLD_SIZE", "3")
    for rank in (0, 1):
        monkeypatch.setenv("LOCAL_RANK", str(rank))
        assert choose_local_device("auto") == torch.device("cuda", rank)
    with pytest.raises(DeviceError, match=r"expected auto for several processes.*got cuda:1"):
        choose_local_device("cuda:1")
    monkeypatch.setenv("LOCAL_RANK", "2")
    with pytest.raises(DeviceError, match="process 3 of this machine"):
        choose_local_device("auto")


def test_two_processes_learn_what_one_learns_from_the_doubled_batch(
    gan_options: Callable[..., Options], tmp_path: Path
) -> None:
    # Spectral normalization would go on by one iteration a batch, not a step.
    patchgan = "discriminator={type: PatchGAN, num_features: 4, num_layers: 1, normalisation: none}"
    common = ("train.steps=4", "validate.interval=4", "train.optimizer={type: Adam}", patchgan)
    two = gan_options("name=two", "datasets.train.batch_size=2", "train.accumulation=2", *common)
    one = gan_options("name=one", "datasets.train.batch_size=8", *common)
    done = launch(ROOT / "train.py", two, tmp_path, "torchrun")
    assert done.returncode == 0, done.stderr
    assert train(one)

    ours, theirs = final_state(two), final_state(one)
    for part in ("generator", "ema"):
        for name, value in ours[part].items():
            torch.testing.assert_close(value, theirs[part][name], rtol=1e-4, atol=1e-5)
    expected = theirs["adversarial"]["discriminator"]
    for name, value in ours["adversarial"]["discriminator"].items():
        torch.testing.assert_close(value, expected[name], rtol=1e-4, atol=1e-5)

    assert done.stderr.count("finished, saved") == 1  # only the first process prints and writes
    folder = two.log.folder / "two"
    assert (folder / "log.jsonl").read_text().count('"event": "done"') == 1
    assert len(list((folder / "tensorboard").iterdir())) == 1
    assert not list(folder.glob("images*"))


def test_two_processes_learn_from_a_teacher_what_one_learns(
    tiny_options: Callable[..., Options], tmp_path: Path
) -> None:
    teacher = "losses.teacher={model: compact_x2, inputs: [lr, zoomed]}"
    common = ("train.steps=4", "validate.interval=4", "train.optimizer={type: Adam}", teacher)
    two = tiny_options("name=two", "datasets.train.batch_size=2", "train.accumulation=2", *common)
    one = tiny_options("name=one", "datasets.train.batch_size=8", *common)
    done = launch(ROOT / "train.py", two, tmp_path, "torchrun")
    assert done.returncode == 0, done.stderr
    assert train(one)
    theirs = final_state(one)["generator"]
    for name, value in final_state(two)["generator"].items():
        torch.testing.assert_close(value, theirs[name], rtol=1e-4, atol=1e-5)


def test_accelerate_launch_trains_like_the_plain_command(
    gan_options: Callable[..., Options], tmp_path: Path
) -> None:
    launched, plain = (gan_options(f"name={name}", "train.steps=4") for name in ("a", "b"))
    done = launch(ROOT / "train.py", launched, tmp_path, "accelerate")
    assert done.returncode == 0, done.stderr
    assert train(plain)
    ours, theirs = (final_state(options)["generator"] for options in (launched, plain))
    for name, value in ours.items():
        torch.testing.assert_close(value, theirs[name], rtol=1e-4, atol=1e-5)


def test_a_fault_of_one_process_ends_all_without_a_hang(
    tiny_options: Callable[..., Options], tmp_path: Path
) -> None:
    options = tiny_options("name=fault", "train.steps=100000")
    script = tmp_path / "fails_on_the_second.py"
    script.write_text(
        "import os, sys\n"
        f"sys.path.insert(0, {str(ROOT)!r})\n"
        "from sr.losses import pixel\n"
        "from sr.cli.train import main\n"
        "true_l1, calls = pixel.l1, []\n"
        "def l1(sr, hr):\n"
        "    calls.append(1)\n"
        "    if os.environ['RANK'] == '1' and len(calls) == 5:\n"
        "        raise OSError('the disk is gone')\n"
        "    return true_l1(sr, hr)\n"
        "pixel.l1 = l1\n"
        "main()\n"
    )
    done = launch(script, options, tmp_path, "torchrun")
    assert done.returncode != 0
    assert "the disk is gone" in done.stderr


def test_an_alarm_of_the_monitor_ends_all_processes_alike(
    gan_options: Callable[..., Options], tmp_path: Path
) -> None:
    monitor = "train.gan.monitor={window: 3, max_colour_drift: 1e-6, action: stop}"
    done = launch(
        ROOT / "train.py",
        gan_options("name=monitor", "train.steps=100000", monitor),
        tmp_path,
        "torchrun",
    )
    assert done.returncode != 0
    assert "step 3: mean" in done.stderr
    assert "colors drift" in done.stderr
