import itertools
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
import torch

from sr.io.model_file import ModelFileError
from sr.losses import pixel
from sr.models.load import load_generator
from sr.options.load import load_options
from sr.options.schema import Options
from sr.training import run
from sr.training.checkpoint import CheckpointError, read_state, write_state
from sr.training.loop import NonFiniteStepError
from sr.training.run_folder import locked

MakeOptions = Callable[..., Options]
MUON = "train.optimizer={type: Muon}"
ADAMW = "train.optimizer={type: AdamW, learning_rate: 1e-3}"
SRRESNET = "generator={type: SRResNet, num_features: 4, num_blocks: 1}"
COMPACT = "generator={type: Compact, num_features: 4, num_convs: 2}"


def final_state(options: Options, step: int) -> dict[str, Any]:
    folder = options.log.folder / options.name / "checkpoints"
    return read_state(folder / f"step_{step:09d}.state")


def assert_equal(first: Any, second: Any) -> None:
    """Equal to the bit, through dicts and lists."""
    if isinstance(first, torch.Tensor):
        assert torch.equal(first, second)
    elif isinstance(first, dict):
        assert first.keys() == second.keys()
        for key in first:
            assert_equal(first[key], second[key])
    elif isinstance(first, list | tuple):
        for one, other in zip(first, second, strict=True):
            assert_equal(one, other)
    else:
        assert first == second


@pytest.mark.parametrize(
    ("generator", "optimizer", "num_workers", "precision"),
    [
        (COMPACT, MUON, 1, "fp32"),
        (COMPACT, ADAMW, 0, "fp32"),
        (SRRESNET, MUON, 0, "fp32"),
        (SRRESNET, ADAMW, 0, "fp32"),
        (COMPACT, MUON, 0, "bf16"),
    ],
)
def test_k_steps_and_resume_and_k_steps_equal_2k_steps(
    tiny_options: MakeOptions,
    stop_after: Callable[[int], type],
    monkeypatch: pytest.MonkeyPatch,
    generator: str,
    optimizer: str,
    num_workers: int,
    precision: str,
) -> None:
    common = (
        optimizer,
        generator,
        f"datasets.train.num_workers={num_workers}",
        f"train.precision={precision}",
    )
    whole = tiny_options("name=whole", *common)
    assert run.train(whole)

    halves = tiny_options("name=halves", *common)
    with monkeypatch.context() as patch:
        patch.setattr(run, "Interruption", stop_after(3))
        assert not run.train(halves)
    torch.manual_seed(123)  # whatever the process did meanwhile must not matter
    assert run.train(halves)

    first, second = final_state(whole, 6), final_state(halves, 6)
    for part in ("step", "best", "generator", "ema", "optimizer"):
        assert_equal(first[part], second[part])


def test_another_seed_gives_other_weights(tiny_options: MakeOptions) -> None:
    run.train(tiny_options("name=a"))
    run.train(tiny_options("name=b", "seed=1"))
    first = final_state(tiny_options("name=a"), 6)["generator"]["body.0.weight"]
    second = final_state(tiny_options("name=b"), 6)["generator"]["body.0.weight"]
    assert not torch.equal(first, second)


def test_a_run_leaves_options_environment_log_and_usable_models(tiny_options: MakeOptions) -> None:
    options = tiny_options()
    run.train(options)
    folder = options.log.folder / "tiny"
    assert load_options(folder / "options.yml") == options
    environment = json.loads((folder / "environment.json").read_text())
    assert environment["seed"] == 0
    assert environment["versions"]["torch"] == torch.__version__.split("+")[0]
    events = [json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines()]
    assert [event["event"] for event in events][:3] == ["start", "item_done", "progress"]
    assert events[-1]["event"] == "done"
    scores = [event for event in events if event.get("item") == "validation"]
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
    states = sorted((options.log.folder / "tiny" / "checkpoints").glob("*.state"))
    assert [path.stem for path in states] == ["step_000000004", "step_000000006"]


def test_the_shipped_weights_are_the_mean_not_the_last(tiny_options: MakeOptions) -> None:
    options = tiny_options()
    run.train(options)
    state = final_state(options, 6)
    path = options.log.folder / "tiny" / "checkpoints" / "step_000000006.safetensors"
    weight = load_generator(path).network.state_dict()["body.0.weight"]
    assert torch.equal(weight, state["ema"]["body.0.weight"])
    assert not torch.equal(weight, state["generator"]["body.0.weight"])


def test_a_finished_run_says_so_instead_of_training_again(tiny_options: MakeOptions) -> None:
    run.train(tiny_options())
    with pytest.raises(CheckpointError, match="already at step 6 of 6"):
        run.train(tiny_options())


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


def breaking_l1(steps: Sequence[int]) -> Callable[[torch.Tensor, torch.Tensor], torch.Tensor]:
    """L1 that is NaN in these steps; the first call is the liveness check's."""
    calls = itertools.count()

    def l1(sr: torch.Tensor, hr: torch.Tensor) -> torch.Tensor:
        return (sr - hr).abs().mean() * (float("nan") if next(calls) in steps else 1.0)

    return l1


def test_losses_that_are_not_finite_stop_with_step_terms_and_images(
    tiny_options: MakeOptions, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pixel, "l1", breaking_l1(steps=[4]))
    options = tiny_options("train.max_nonfinite_steps=1")
    with pytest.raises(NonFiniteStepError, match=r"step 4: .*l1 nan.*images: .*image_"):
        run.train(options)
    weights = final_state(options, 2)["generator"].values()
    assert all(weight.isfinite().all() for weight in weights)


def test_a_step_that_is_not_finite_is_skipped_and_the_run_goes_on(
    tiny_options: MakeOptions, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pixel, "l1", breaking_l1(steps=[3, 4]))
    options = tiny_options(
        "train.max_nonfinite_steps=3", "train.checkpoint_interval=1", "train.keep_last=6"
    )
    assert run.train(options)
    for before, after, equal in ((2, 3, True), (3, 4, True), (4, 5, False)):
        first, second = (final_state(options, step) for step in (before, after))
        for part in ("generator", "ema"):
            weights = zip(first[part].values(), second[part].values(), strict=True)
            assert all(torch.equal(one, other) for one, other in weights) is equal
    lines = (options.log.folder / "tiny" / "log.jsonl").read_text().splitlines()
    warnings = [event for event in map(json.loads, lines) if event["event"] == "warning"]
    assert [event["step"] for event in warnings] == [3, 4]
    assert "l1 nan" in warnings[0]["message"]
    assert "image_" in warnings[0]["message"]


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
    lines = (options.log.folder / "tiny" / "log.jsonl").read_text().splitlines()
    (event,) = [event for event in map(json.loads, lines) if event.get("item") == "validation"]
    gain = event["scores"]["same"]["psnr_y"] - event["bicubic"]["same"]["psnr_y"]
    assert gain > 3


def test_bf16_trains_and_keeps_weights_and_losses_in_fp32(tiny_options: MakeOptions) -> None:
    options = tiny_options("train.precision=bf16")
    run.train(options)
    state = final_state(options, 6)
    assert all(weight.dtype == torch.float32 for weight in state["generator"].values())
    lines = (options.log.folder / "tiny" / "log.jsonl").read_text().splitlines()
    losses = [event["loss"] for event in map(json.loads, lines) if event["event"] == "progress"]
    in_fp32 = run.train(tiny_options("name=fp32"))
    assert in_fp32
    exact = (options.log.folder / "fp32" / "log.jsonl").read_text().splitlines()
    expected = [event["loss"] for event in map(json.loads, exact) if event["event"] == "progress"]
    assert losses == pytest.approx(expected, rel=0.02)
    assert losses != expected


def test_a_run_starts_from_the_weights_of_a_model_file(tiny_options: MakeOptions) -> None:
    first = tiny_options("name=first")
    run.train(first)
    path = first.log.folder / "first" / "checkpoints" / "step_000000006.safetensors"
    still = ("train.optimizer.learning_rate=1e-12", "train.ema_decay=0")
    second = tiny_options("name=second", f"train.initial_generator={path}", *still)
    run.train(second)
    ours = final_state(second, 6)["generator"]
    for name, weight in load_generator(path).network.state_dict().items():
        torch.testing.assert_close(ours[name], weight)


def test_initial_weights_of_another_scale_or_network_are_refused(tiny_options: MakeOptions) -> None:
    first = tiny_options("name=first")
    run.train(first)
    path = first.log.folder / "first" / "checkpoints" / "step_000000006.safetensors"
    with pytest.raises(ModelFileError, match="expected a model of scale 4, got 2"):
        run.train(tiny_options("name=x4", "scale=4", f"train.initial_generator={path}"))
    with pytest.raises(ModelFileError, match="does not fit"):
        run.train(tiny_options("name=other", SRRESNET, f"train.initial_generator={path}"))


def test_a_run_of_another_scale_takes_what_fits_and_tells_what_does_not(
    tiny_options: MakeOptions, capsys: pytest.CaptureFixture[str]
) -> None:
    first = tiny_options("name=first", "train.steps=1")
    run.train(first)
    path = first.log.folder / "first" / "checkpoints" / "step_000000001.safetensors"
    capsys.readouterr()
    of_first = (f"train.initial_generator={path}", "train.initial_partial=true")
    run.train(tiny_options("name=x4", "scale=4", "train.steps=1", *of_first))
    shown = " ".join(capsys.readouterr().err.split())
    assert "(2 tensors again: body.6.weight, body.6.bias)" in shown


def test_going_back_to_an_earlier_state_keeps_the_later_ones_aside(
    tiny_options: MakeOptions,
) -> None:
    options = tiny_options()
    run.train(options)
    folder = options.log.folder / "tiny"
    run.train(options, resume=str(folder / "checkpoints" / "step_000000002.state"))
    assert final_state(options, 6)["step"] == 6
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
    (group,) = final_state(options, 6)["optimizer"]["param_groups"]
    assert tuple(group["betas"]) == (0.5, 0.6)


def test_two_runs_in_one_folder_are_refused(tiny_options: MakeOptions) -> None:
    options = tiny_options()
    with (
        locked(options.log.folder / "tiny"),
        pytest.raises(CheckpointError, match="another process is training there"),
    ):
        run.train(options)


def test_images_beyond_the_cache_are_read_by_workers(tiny_options: MakeOptions) -> None:
    assert run.train(tiny_options("datasets.train.cache_gib=1e-5", "datasets.train.num_workers=1"))


def test_a_state_with_missing_parts_is_refused(tiny_options: MakeOptions) -> None:
    options = tiny_options("train.steps=2")
    run.train(options)
    path = options.log.folder / "tiny" / "checkpoints" / "step_000000002.state"
    state = read_state(path)
    del state["ema"]
    write_state(path, state)
    with pytest.raises(CheckpointError, match=r"does not fit these options: 'ema'"):
        run.train(tiny_options())


def test_a_gradient_that_is_not_finite_stops_also_without_clipping(
    tiny_options: MakeOptions, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = itertools.count()

    def finite_with_infinite_slope(sr: torch.Tensor, hr: torch.Tensor) -> torch.Tensor:
        value = (sr - hr).abs().mean()
        if next(calls) == 0:  # the liveness check
            return value
        return (sr - sr.detach()).sum().square().sqrt() + value

    monkeypatch.setattr(pixel, "l1", finite_with_infinite_slope)
    options = tiny_options("train.clip_norm=null", "train.max_nonfinite_steps=1")
    with pytest.raises(NonFiniteStepError, match=r"step 1: .*norm of the gradient nan"):
        run.train(options)


def test_a_state_without_its_step_is_refused(tiny_options: MakeOptions, tmp_path: Path) -> None:
    write_state(tmp_path / "odd.state", {"generator": {}})
    with pytest.raises(CheckpointError, match=r"odd\.state: expected a step number, got None"):
        run.train(tiny_options(), resume=str(tmp_path / "odd.state"))
