"""Two processes that torchrun starts, and what `accelerate launch` would start, in this one."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from accelerate import Accelerator
from accelerate.commands.launch import _validate_launch_command, launch_command_parser
from accelerate.utils.launch import prepare_simple_launcher_cmd_env
from helpers.runs import load_state
from torch import Tensor, distributed, nn

from sr.cli.train import main
from sr.device import DeviceError
from sr.errors import UserError
from sr.options.load import dump_options
from sr.options.schema import Options
from sr.training import setup
from sr.training.distributed import (
    _leave,
    choose_local_device,
    distribute_network,
    make_accelerator,
    name_machine,
    wait_for_everyone,
)
from sr.training.run import train

MakeOptions = Callable[..., Options]
ROOT = Path(__file__).resolve().parents[2]
RUN_EACH = """
import os, sys
from pathlib import Path
from sr.cli.train import main
from sr.losses import pixel

def l1(sr, hr):
    calls.append(1)
    if name == "fault" and rank == "1" and len(calls) == 5:
        raise OSError("the disk is gone")
    return true_l1(sr, hr)

true_l1, pixel.l1, rank = pixel.l1, l1, os.environ["RANK"]
for file in list(sys.argv[1:]):
    name, calls, sys.argv = Path(file).stem, [], ["train.py", "-opt", file]
    if name == "differs":
        sys.argv.append(f"seed={rank}")
    try:
        main()
    except SystemExit as end:
        Path(f"{file}.{rank}").write_text(str(end.code))
"""
"""As train.py with each of several option files; in the run that is called fault, one fails."""


def write_options(options: Options, folder: Path) -> str:
    path = folder / f"{options.name}.yml"
    path.write_text(dump_options(options))
    return str(path)


def assert_close(ours: dict[str, Tensor], theirs: dict[str, Tensor]) -> None:
    for name, value in ours.items():
        torch.testing.assert_close(value, theirs[name], rtol=1e-4, atol=1e-5)


@pytest.mark.slow
def test_two_processes_learn_what_one_learns_from_doubled_batches_and_end_together(
    tiny_options: MakeOptions, gan_options: MakeOptions, tmp_path: Path
) -> None:
    # All in one start of two processes, which takes longer than the runs.
    common = ("train.steps=4", "validate.interval=4", "train.optimizer={type: Adam}")
    half, whole = (
        ("datasets.train.batch_size=2", "train.accumulation=2", *common),
        ("datasets.train.batch_size=8", *common),
    )
    # Spectral normalization would go on by one iteration a batch, not a step.
    patchgan = "discriminator={type: PatchGAN, num_features: 4, num_layers: 1, normalisation: none}"
    teacher = "losses.teacher={model: compact_x2, inputs: [lr, zoomed]}"
    monitor = "train.gan.monitor={window: 3, max_colour_drift: 1e-6, action: stop}"
    gan = gan_options("name=gan", *half, patchgan)
    learned = ("losses.uncertainty={learning_rate: 0.1}", "losses.frequency={type: L1}")
    taught = tiny_options("name=taught", *half, teacher, *learned)
    alarm = gan_options("name=alarm", "train.steps=100000", monitor)
    fault = tiny_options("name=fault", "train.steps=100000")
    differs = tiny_options("name=differs")
    (tmp_path / "run_each.py").write_text(RUN_EACH)
    files = [write_options(options, tmp_path) for options in (gan, taught, alarm, differs, fault)]
    torchrun = ["torch.distributed.run", "--standalone", "--nproc-per-node=2"]
    done = subprocess.run(
        [sys.executable, "-m", *torchrun, "run_each.py", *files],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    codes = {
        "gan": "0",
        "taught": "0",
        "alarm": "1",
        "differs": "2",
    }  # the fault ends all, without a hang
    expected = {f"{name}.yml.{rank}": code for name, code in codes.items() for rank in (0, 1)}
    ends = {path.name: path.read_text() for path in tmp_path.glob("*.yml.*")}
    assert ends == expected, done.stderr
    assert done.returncode != 0
    assert "OSError: the disk is gone" in done.stderr
    assert "step 3: mean" in done.stderr
    assert "process 1 on machine 0: expected the same data" in done.stderr
    assert "got others: option seed: 0 and 1\n" in done.stderr
    assert "colors drift" in done.stderr

    alone = gan_options("name=alone", *whole, patchgan)
    assert train(alone)
    ours, theirs = load_state(gan, 4), load_state(alone, 4)
    for part in ("generator", "ema"):
        assert_close(ours[part], theirs[part])
    for state in (ours, theirs):
        state |= state["adversarial"]
    assert_close(ours["discriminator"], theirs["discriminator"])
    alone = tiny_options("name=taught_alone", *whole, teacher, *learned)
    assert train(alone)
    ours, theirs = load_state(taught, 4), load_state(alone, 4)
    assert_close(ours["generator"], theirs["generator"])
    learned_weights = (state["uncertainty"]["log_variances"] for state in (ours, theirs))
    torch.testing.assert_close(*learned_weights, rtol=1e-4, atol=1e-5)

    folder = gan.log.folder / "gan"
    assert done.stderr.count(f"finished, saved {folder}") == 1  # the first prints and writes
    assert (folder / "log.jsonl").read_text().count('"event": "done"') == 1
    assert len(list((folder / "tensorboard").iterdir())) == 1
    assert not list(folder.glob("images*"))


def test_what_accelerate_launch_starts_trains_like_the_plain_command(
    gan_options: MakeOptions, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    launched, plain = (gan_options(f"name={name}", "train.steps=4") for name in ("a", "b"))
    command = ["train.py", "-opt", write_options(launched, tmp_path)]
    # One process: more of them on CPUs are torchrun's.
    flags = ["--cpu", "--num_processes=1", "--num_machines=1", "--mixed_precision=no"]
    parsed = launch_command_parser().parse_args([*flags, "--dynamo_backend=no", *command])
    started, environment = prepare_simple_launcher_cmd_env(_validate_launch_command(parsed)[0])
    assert started == [sys.executable, *command]
    with monkeypatch.context() as patch:
        for name, value in environment.items():
            patch.setenv(name, value)
        patch.setattr(sys, "argv", command)
        with pytest.raises(SystemExit) as end:
            main()
    assert end.value.code == 0
    assert train(plain)
    assert_close(load_state(launched, 4)["generator"], load_state(plain, 4)["generator"])


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


def test_a_group_of_processes_is_used_without_warnings_and_left(tmp_path: Path) -> None:
    distributed.init_process_group(
        "gloo", init_method=f"file://{tmp_path / 'store'}", world_size=1, rank=0
    )
    try:
        two: Any = SimpleNamespace(num_processes=2, device=torch.device("cpu"))
        network = nn.Sequential(nn.Conv2d(3, 3, 1), nn.BatchNorm2d(3))
        forward: Any = distribute_network(network, two)
        assert forward.module is network
        for _ in range(2):
            wait_for_everyone(two)
    finally:
        _leave()
    assert not distributed.is_initialized()


@pytest.mark.parametrize(
    ("variables", "name"),
    [
        ({}, "0"),
        ({"WORLD_SIZE": "4", "GROUP_RANK": "1", "SLURM_NODEID": "0"}, "1"),
        ({"WORLD_SIZE": "4", "SLURM_NODEID": "2"}, "2"),
        ({"WORLD_SIZE": "4"}, "here"),
    ],
)
def test_each_machine_has_a_name_of_its_own(
    variables: dict[str, str], name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("platform.node", lambda: "here")
    for variable in ("WORLD_SIZE", "GROUP_RANK", "SLURM_NODEID"):
        monkeypatch.delenv(variable, raising=False)
    for variable, value in variables.items():
        monkeypatch.setenv(variable, value)
    assert name_machine() == name


@pytest.mark.parametrize(("normalisation", "fits"), [("batch", False), ("instance", True)])
def test_r1_with_statistics_that_gpus_share_is_refused(
    normalisation: str, fits: bool, gan_options: MakeOptions, monkeypatch: pytest.MonkeyPatch
) -> None:
    def convert(network: nn.Module, _accelerator: Accelerator) -> nn.Module:
        converted: nn.Module = nn.SyncBatchNorm.convert_sync_batchnorm(network)
        return converted

    monkeypatch.setattr(setup, "share_batch_statistics", convert)
    patchgan = f"{{type: PatchGAN, num_features: 4, num_layers: 1, normalisation: {normalisation}}}"
    options = gan_options(f"discriminator={patchgan}", "losses.adversarial.r1_weight=10")
    accelerator = make_accelerator(torch.device("cpu"), torch.float32)
    if fits:
        assert setup.make_state(options, accelerator, None)[0].gan is not None
        return
    with pytest.raises(UserError, match=r"r1_weight: expected 0 with batch norm.*got 10; another"):
        setup.make_state(options, accelerator, None)
