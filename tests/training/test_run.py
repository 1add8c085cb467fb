import json
import sys
from collections.abc import Callable

import pytest
import torch
from helpers.locks import hold_elsewhere
from helpers.runs import (
    find_model,
    load_state,
    read_events,
    read_progress,
    run_folder,
)
from torch import Tensor

from sr.errors import ModelFileError, UserError
from sr.io.process_lock import LockedError
from sr.losses import pixel
from sr.models.load import load_generator
from sr.options.load import load_options
from sr.options.schema import Options
from sr.training import run
from sr.training.loop import NonFiniteStepError

MakeOptions = Callable[..., Options]
SRRESNET = "generator={type: SRResNet, num_features: 4, num_blocks: 1}"
COMPACT = "generator={type: Compact, num_features: 4, num_convs: 2}"


def test_an_optimizer_that_is_not_installed_is_reported_before_anything_is_written(
    tiny_options: MakeOptions, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "pytorch_optimizer", None)
    options = tiny_options("train.optimizer={type: Prodigy}")
    with pytest.raises(UserError, match="expected the package pytorch_optimizer"):
        run.train(options)
    assert not run_folder(options).exists()


def test_gradient_checkpointing_trains_the_same_weights(tiny_options: MakeOptions) -> None:
    plain = tiny_options("name=plain", SRRESNET)
    checkpointed = tiny_options("name=checkpointed", SRRESNET, "train.gradient_checkpointing=true")
    for options in (plain, checkpointed):
        assert run.train(options)
    first, second = (load_state(options, 6) for options in (plain, checkpointed))
    torch.testing.assert_close(first["generator"], second["generator"])
    torch.testing.assert_close(first["ema"], second["ema"])


def test_gradient_checkpointing_without_known_blocks_is_refused(tiny_options: MakeOptions) -> None:
    with pytest.raises(ValueError, match=r"with known blocks, one of SRResNet, .*; got Compact"):
        tiny_options(COMPACT, "train.gradient_checkpointing=true")


def test_another_seed_gives_other_weights(tiny_options: MakeOptions) -> None:
    run.train(tiny_options("name=a"))
    run.train(tiny_options("name=b", "seed=1"))
    first = load_state(tiny_options("name=a"), 6)["generator"]["body.0.weight"]
    second = load_state(tiny_options("name=b"), 6)["generator"]["body.0.weight"]
    assert not torch.equal(first, second)


def test_a_run_leaves_options_environment_log_and_usable_models(tiny_options: MakeOptions) -> None:
    options = tiny_options()
    run.train(options)
    folder = run_folder(options)
    assert load_options(folder / "options.yml") == options
    environment = json.loads((folder / "environment.json").read_text())
    assert environment["seed"] == 0
    assert environment["versions"]["torch"] == torch.__version__.split("+")[0]
    events = read_events(options)
    assert [event["event"] for event in events][:3] == ["start", "item_done", "progress"]
    assert events[-1]["event"] == "done"
    scores = read_events(options, item="validation")
    assert [event["step"] for event in scores] == [3, 6]
    assert scores[0]["scores"]["same"].keys() == {"psnr_y", "ssim_y", "psnr_rgb", "ssim_rgb"}
    assert scores[0]["bicubic"]["same"]["psnr_y"] > 10
    for name in ("best", "step_000000006"):
        loaded = load_generator(folder / "checkpoints" / f"{name}.safetensors")
        assert loaded.scale == 2
        assert loaded.receptive_radius == 4
        assert loaded.network(torch.rand(1, 3, 5, 4)).shape == (1, 3, 10, 8)
    assert list((folder / "tensorboard").iterdir())
    assert not list(folder.glob("images*"))


def test_only_the_last_checkpoints_are_kept(tiny_options: MakeOptions) -> None:
    options = tiny_options("train.keep_last=2")
    run.train(options)
    states = sorted((run_folder(options) / "checkpoints").glob("*.state"))
    assert [path.stem for path in states] == ["step_000000004", "step_000000006"]


def test_the_shipped_weights_are_the_mean_not_the_last(tiny_options: MakeOptions) -> None:
    options = tiny_options()
    run.train(options)
    state = load_state(options, 6)
    path = find_model(options, 6)
    weight = load_generator(path).network.state_dict()["body.0.weight"]
    assert torch.equal(weight, state["ema"]["body.0.weight"])
    assert not torch.equal(weight, state["generator"]["body.0.weight"])


def test_losses_that_are_not_finite_stop_the_run_as_the_options_say(
    tiny_options: MakeOptions,
) -> None:
    options = tiny_options(
        "train.optimizer={type: Adam, learning_rate: 1e30}",
        "train.schedule.warmup_steps=0",
        "train.max_nonfinite_steps=2",
    )
    with pytest.raises(NonFiniteStepError, match=r"2 in a row .*\(terms: l1 .*images: .*image_"):
        run.train(options)


def test_training_on_one_image_beats_bicubic(tiny_options: MakeOptions) -> None:
    options = tiny_options(
        "train.steps=300",
        "train.schedule.warmup_steps=10",
        "train.optimizer={type: Muon}",
        "generator.num_features=16",
        "validate.interval=300",
        "train.checkpoint_interval=300",
        "log.interval=300",
        "train.ema_decay=0.9",
    )
    run.train(options)
    (event,) = read_events(options, item="validation")
    gain = event["scores"]["same"]["psnr_y"] - event["bicubic"]["same"]["psnr_y"]
    assert gain > 3


def test_bf16_trains_and_keeps_weights_and_losses_in_fp32(tiny_options: MakeOptions) -> None:
    options = tiny_options("train.precision=bf16")
    run.train(options)
    state = load_state(options, 6)
    assert all(weight.dtype == torch.float32 for weight in state["generator"].values())
    in_fp32 = tiny_options("name=fp32")
    run.train(in_fp32)
    losses, expected = (
        [event["loss"] for event in read_progress(each)] for each in (options, in_fp32)
    )
    assert losses == pytest.approx(expected, rel=0.02)
    assert losses != expected


def test_a_run_starts_from_the_weights_of_a_model_file(tiny_options: MakeOptions) -> None:
    first = tiny_options("name=first")
    run.train(first)
    path = find_model(first, 6)
    still = ("train.optimizer.learning_rate=1e-12", "train.ema_decay=0")
    second = tiny_options("name=second", f"train.initial_generator={path}", *still)
    run.train(second)
    ours = load_state(second, 6)["generator"]
    for name, weight in load_generator(path).network.state_dict().items():
        torch.testing.assert_close(ours[name], weight)


def test_initial_weights_of_another_scale_or_network_are_refused(tiny_options: MakeOptions) -> None:
    first = tiny_options("name=first")
    run.train(first)
    path = find_model(first, 6)
    with pytest.raises(ModelFileError, match="expected a model of scale 4, got 2"):
        run.train(tiny_options("name=x4", "scale=4", f"train.initial_generator={path}"))
    with pytest.raises(ModelFileError, match=r"does not fit: .* is missing; .*; \.\.\.$"):
        run.train(tiny_options("name=other", SRRESNET, f"train.initial_generator={path}"))


def test_a_run_of_another_scale_takes_what_fits_and_lists_what_does_not(
    tiny_options: MakeOptions, capsys: pytest.CaptureFixture[str]
) -> None:
    first = tiny_options("name=first", "train.steps=1")
    run.train(first)
    path = find_model(first, 1)
    capsys.readouterr()
    of_first = (f"train.initial_generator={path}", "train.initial_partial=true")
    run.train(tiny_options("name=x4", "scale=4", "train.steps=1", *of_first))
    shown = " ".join(capsys.readouterr().err.split())
    assert "(2 tensors initialized randomly: body.6.weight, body.6.bias)" in shown


def test_two_runs_in_one_folder_are_refused(tiny_options: MakeOptions) -> None:
    options = tiny_options()
    folder = run_folder(options)
    folder.parent.mkdir()
    with (
        hold_elsewhere(folder) as process,
        pytest.raises(LockedError, match=f"got process {process.pid} on .*, started 20"),
    ):
        run.train(options)
    assert not folder.exists()


def test_convolutions_are_tuned_for_crops_alone(
    tiny_options: MakeOptions, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen, measure = [], pixel.l1

    def watch(sr: Tensor, hr: Tensor) -> Tensor:
        seen.append(torch.backends.cudnn.benchmark)
        return measure(sr, hr)

    monkeypatch.setattr(pixel, "l1", watch)
    assert run.train(tiny_options("train.steps=1"))
    assert set(seen) == {True}
    assert not torch.backends.cudnn.benchmark
