"""Runs that go on: the same as unbroken ones, and states that are refused."""

from collections.abc import Callable
from pathlib import Path

import pytest
from helpers.runs import (
    assert_a_resumed_run_equals_an_unbroken_one,
    assert_equal,
    load_state,
    run_folder,
)

from sr.options.schema import Options
from sr.training import run
from sr.training.checkpoint import CheckpointError, read_state, write_state
from sr.training.run import CatchInterruption

MakeOptions = Callable[..., Options]
MUON = "train.optimizer={type: Muon}"
ADAMW = "train.optimizer={type: AdamW, learning_rate: 1e-3}"
SRRESNET = "generator={type: SRResNet, num_features: 4, num_blocks: 1}"
COMPACT = "generator={type: Compact, num_features: 4, num_convs: 2}"


@pytest.mark.parametrize(
    ("generator", "optimizer", "precision"),
    [
        (COMPACT, ADAMW, "fp32"),
        (SRRESNET, MUON, "fp32"),
        (SRRESNET, ADAMW, "fp32"),
        (COMPACT, MUON, "bf16"),
    ],
)
def test_k_steps_and_resume_and_k_steps_equal_2k_steps(
    tiny_options: MakeOptions,
    stop_after: Callable[[int], CatchInterruption],
    generator: str,
    optimizer: str,
    precision: str,
) -> None:
    common = (optimizer, generator, f"train.precision={precision}")
    assert_a_resumed_run_equals_an_unbroken_one(tiny_options, *common, interruption=stop_after(3))


@pytest.mark.parametrize("name", ["Adan", "ScheduleFreeAdamW", "SOAP", "Prodigy"])
def test_runs_with_optimizers_of_pytorch_optimizer_resume_too(
    tiny_options: MakeOptions, stop_after: Callable[[int], CatchInterruption], name: str
) -> None:
    pytest.importorskip("pytorch_optimizer")
    common = (f"train.optimizer={{type: {name}}}", "train.schedule={type: constant}")
    assert_a_resumed_run_equals_an_unbroken_one(tiny_options, *common, interruption=stop_after(3))


@pytest.mark.slow
def test_a_run_that_goes_on_with_a_worker_that_reads_beyond_the_cache_equals_one_without(
    tiny_options: MakeOptions, stop_after: Callable[[int], CatchInterruption]
) -> None:
    common = (MUON, "train.accumulation=2")
    whole = tiny_options("name=whole", *common)
    assert run.train(whole)
    beyond = ("name=halves", *common, "datasets.train.cache_gib=1e-5")
    assert not run.train(tiny_options(*beyond), catch_interruption=stop_after(3))
    halves = tiny_options(*beyond, "datasets.train.num_workers=1")  # seconds to start, so once
    assert run.train(halves)
    first, second = load_state(whole, 6), load_state(halves, 6)
    del first["options"], second["options"]
    assert_equal(first, second)


def test_a_finished_run_is_done_and_says_so_when_it_is_started_again(
    tiny_options: MakeOptions, capsys: pytest.CaptureFixture[str]
) -> None:
    run.train(tiny_options())
    folder = run_folder(tiny_options())
    before = {path: path.stat().st_mtime_ns for path in folder.rglob("*") if path.is_file()}
    capsys.readouterr()
    for more in ("train.steps=6", "train.steps=4"):
        assert run.train(tiny_options(more))
        (line,) = capsys.readouterr().err.splitlines()
        assert f"is of step 6 of {more[-1]}; raise train.steps to go on" in line
    after = {path: path.stat().st_mtime_ns for path in folder.rglob("*") if path.is_file()}
    assert after == before


def test_never_moves_the_old_run_aside(tiny_options: MakeOptions, tmp_path: Path) -> None:
    run.train(tiny_options())
    run.train(tiny_options(), resume="never")
    folders = sorted(path.name for path in (tmp_path / "runs").iterdir() if path.is_dir())
    assert folders[0] == "tiny"
    assert folders[1].startswith("tiny.until-")


def test_a_state_of_another_network_is_refused(tiny_options: MakeOptions) -> None:
    run.train(tiny_options())
    with pytest.raises(CheckpointError, match=r"expected a state with generator .* got"):
        run.train(tiny_options(SRRESNET))
    with pytest.raises(CheckpointError, match="expected a state with optimizer Muon, got AdamW"):
        run.train(tiny_options(MUON))


def test_going_back_to_an_earlier_state_keeps_the_later_ones_aside(
    tiny_options: MakeOptions,
) -> None:
    options = tiny_options()
    run.train(options)
    folder = run_folder(options)
    run.train(options, resume=str(folder / "checkpoints" / "step_000000002.state"))
    assert load_state(options, 6)["step"] == 6
    (aside,) = folder.glob("left-*")
    assert {path.name for path in aside.glob("*.state")} == {
        "step_000000004.state",
        "step_000000006.state",
    }


def test_a_resumed_run_takes_the_optimizers_settings_from_the_options(
    tiny_options: MakeOptions,
) -> None:
    run.train(tiny_options("train.steps=2"))
    options = tiny_options("train.optimizer.betas=[0.5, 0.6]")
    run.train(options)
    (group,) = load_state(options, 6)["optimizer"]["param_groups"]
    assert tuple(group["betas"]) == (0.5, 0.6)


def test_a_state_with_missing_parts_is_refused(tiny_options: MakeOptions) -> None:
    options = tiny_options("train.steps=2")
    run.train(options)
    path = run_folder(options) / "checkpoints" / "step_000000002.state"
    state = read_state(path)
    del state["ema"]
    write_state(path, state)
    with pytest.raises(CheckpointError, match=r"does not fit these options: 'ema'"):
        run.train(tiny_options())


def test_a_state_without_its_step_is_refused(tiny_options: MakeOptions, tmp_path: Path) -> None:
    write_state(tmp_path / "odd.state", {"generator": {}})
    with pytest.raises(CheckpointError, match=r"odd\.state: expected a step number, got None"):
        run.train(tiny_options(), resume=str(tmp_path / "odd.state"))


def test_a_run_that_goes_on_with_larger_batches_draws_no_image_twice(
    tiny_options: MakeOptions, tmp_path: Path
) -> None:
    run.train(tiny_options("train.steps=2"))
    state = load_state(tiny_options(), 2)
    assert state["draws"] == 2 * 3
    run.train(tiny_options("train.steps=4", "datasets.train.batch_size=4"))
    assert load_state(tiny_options(), 4)["draws"] == 2 * 3 + 2 * 4

    del state["draws"], state["format"]  # of a version that did not count them
    write_state(tmp_path / "older.state", state)
    options = tiny_options("train.steps=3", "train.accumulation=2", "datasets.train.batch_size=4")
    run.train(options, resume=str(tmp_path / "older.state"))
    assert load_state(options, 3)["draws"] == 2 * 3 + 2 * 4
