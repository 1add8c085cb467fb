"""What a run reports next to its models: means, trackers, validation images."""

import json
import math
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from helpers.runs import read_progress, run_folder

from sr.errors import UserError
from sr.io.rgb8 import read_rgb8
from sr.options.schema import Options
from sr.training import run
from sr.training.logging import RunLog
from sr.training.run import CatchInterruption
from sr.training.step_metrics import RunningMeans

MakeOptions = Callable[..., Options]


class FakeTracker:
    """Stands for the modules wandb and trackio, as Accelerate uses them."""

    def __init__(self) -> None:
        self.started: list[dict[str, Any]] = []
        self.logged: list[tuple[int, dict[str, float]]] = []
        self.options: dict[str, Any] = {}
        self.num_finished = 0
        self.config = SimpleNamespace(update=lambda values, **_: self.options.update(values))

    def init(self, **settings: Any) -> "FakeTracker":
        self.started.append(settings)
        return self

    def log(self, values: dict[str, float], step: int) -> None:
        self.logged.append((step, values))

    def finish(self) -> None:
        self.num_finished += 1


def test_an_entry_has_the_means_since_the_last_one(tmp_path: Path) -> None:
    with RunLog(tmp_path, 5, 1, 2) as log:
        for step, loss in enumerate((1.0, 3.0, 5.0, 5.0, 7.0), start=1):
            log.write_step(step, {"loss": loss, "gradient_norm": 2 * loss, "learning_rate": step})
    lines = (tmp_path / "log.jsonl").read_text().splitlines()
    entries = [json.loads(line) for line in lines]
    assert [entry["step"] for entry in entries] == [2, 4, 5]
    assert [entry["loss"] for entry in entries] == [2, 5, 7]
    assert [entry["gradient_norm"] for entry in entries] == [4, 10, 14]
    assert [entry["learning_rate"] for entry in entries] == [2, 4, 5]


def test_steps_that_are_not_finite_or_lack_a_term_are_not_in_its_mean() -> None:
    means = RunningMeans()
    means.add({"loss": 1.0, "loss_r1": 4.0, "health_margin": 1.0})
    means.add({"loss": math.nan, "health_margin": 2.0})
    means.add({"loss": 2.0, "health_margin": 3.0})
    assert means.take() == {"loss": 1.5, "loss_r1": 4.0, "health_margin": 3.0}
    means.add({"loss": math.inf})
    assert means.take() == {"loss": math.inf}


@pytest.mark.parametrize("name", ["wandb", "trackio"])
def test_a_tracker_gets_losses_and_scores_and_goes_on_with_a_resumed_run(
    tiny_options: MakeOptions,
    stop_after: Callable[[int], CatchInterruption],
    monkeypatch: pytest.MonkeyPatch,
    name: str,
) -> None:
    fake = FakeTracker()
    monkeypatch.setitem(sys.modules, name, fake)
    options = tiny_options(f"log.trackers=[{name}]", "log.project=mine")
    run.train(options, catch_interruption=stop_after(4))
    run.train(options)
    losses = {step: values for step, values in fake.logged if "train/loss" in values}
    expected = {event["step"]: event["loss"] for event in read_progress(options)}
    assert {step: values["train/loss"] for step, values in losses.items()} == expected
    scores = [step for step, values in fake.logged if "validation/same/psnr_y" in values]
    assert scores == [3, 6]
    assert fake.options["train"]["steps"] == 6
    assert fake.num_finished == len(fake.started) == 2
    assert fake.started[0] == fake.started[1]
    assert fake.started[0]["project"] == "mine"
    assert fake.started[0]["name"] == "tiny"
    assert fake.started[0]["resume"] == "allow"
    assert not (run_folder(options) / "tensorboard").exists()


def test_a_tracker_that_is_not_installed_is_reported_before_anything_is_written(
    tiny_options: MakeOptions, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "wandb", None)
    options = tiny_options("log.trackers=[tensorboard, wandb]")
    with pytest.raises(UserError, match=r"log\.trackers: expected the package wandb.*pip install"):
        run.train(options)
    assert not run_folder(options).exists()


def test_the_first_results_of_the_last_validations_are_kept(
    tiny_options: MakeOptions, photographs: Path
) -> None:
    options = tiny_options(
        "validate={interval: 2, save_images: 2}", "train.keep_last=2", "log.num_images=0"
    )
    run.train(options)
    folder = run_folder(options) / "validation"
    found = sorted(str(path.relative_to(folder)) for path in folder.rglob("*.png"))
    names = sorted(path.stem for path in photographs.iterdir())[:2]
    assert found == [
        f"step_00000000{step}/same/000{index}_{name}.png"
        for step in (4, 6)
        for index, name in enumerate(names)
    ]
    size = read_rgb8(sorted(photographs.iterdir())[0]).shape
    assert read_rgb8(folder / found[0]).shape == size


def test_no_results_are_kept_by_default(tiny_options: MakeOptions) -> None:
    options = tiny_options("train.steps=2")
    run.train(options)
    assert not (run_folder(options) / "validation").exists()
