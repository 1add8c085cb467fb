"""Adversarial runs as a whole: options to checkpoints."""

from collections.abc import Callable

import pytest
import torch
from helpers.runs import (
    assert_a_resumed_run_equals_an_unbroken_one,
    find_model,
    load_state,
    read_events,
    read_progress,
    run_folder,
)
from torch import nn

from sr.io.model_file import read_model_file
from sr.losses.imagenet_features import ImageNetFeatures
from sr.options.read_yaml import OptionsError
from sr.options.schema import Options
from sr.training import run
from sr.training.checkpoint import CheckpointError
from sr.training.distributed import make_accelerator
from sr.training.gan_monitor import GANDivergedError
from sr.training.run import CatchInterruption
from sr.training.setup import make_loss, make_state

MakeOptions = Callable[..., Options]

PATCHGAN = "discriminator={type: PatchGAN, num_features: 4, num_layers: 1}"
SRGAN = "discriminator={type: SRGAN, num_features: 4}"
SRRESNET = "generator={type: SRResNet, num_features: 4, num_blocks: 1}"
HINGE_R1 = "losses.adversarial={type: hinge, weight: 0.01, r1_weight: 0.1, r1_interval: 2}"
LPIPS = "{network: VGG16, weights: random}"
RELATIVISTIC = "losses.adversarial={type: relativistic_average, weight: 0.01}"


@pytest.mark.parametrize(
    "overrides",
    [
        ("train.gan.lead_steps=1",),
        (PATCHGAN, SRRESNET, HINGE_R1, "train.accumulation=2"),
        (SRGAN, RELATIVISTIC, "train.gan.updates=2", "train.gan.interval=2"),
        ("train.precision=bf16", "train.gan.start_step=3", "train.gan.clip_norm=0.1"),
    ],
    ids=["unet", "patchgan-r1-accumulation", "srgan-relativistic-updates", "bf16-late-start"],
)
def test_k_steps_and_resume_and_k_steps_equal_2k_steps_with_a_discriminator(
    gan_options: MakeOptions,
    stop_after: Callable[[int], CatchInterruption],
    overrides: tuple[str, ...],
) -> None:
    assert_a_resumed_run_equals_an_unbroken_one(gan_options, *overrides, interruption=stop_after(3))


def test_the_log_holds_each_term_unweighted_and_weighted(gan_options: MakeOptions) -> None:
    options = gan_options()
    run.train(options)
    first = read_progress(options)[0]
    weights = {"l1": 1.0, "adversarial": 0.01, "total_variation": 1e-4}
    for name, weight in weights.items():
        assert first[f"weighted_{name}"] == pytest.approx(weight * first[f"loss_{name}"])
    assert first["loss"] == pytest.approx(sum(first[f"weighted_{name}"] for name in weights))
    assert {"discriminator_loss", "health_d_real", "health_d_sr", "health_margin"} <= first.keys()
    shares = read_events(options, item="liveness")[0]
    assert [term["name"] for term in shares["terms"]] == list(weights)


def test_the_discriminator_starts_leads_and_pauses_as_the_options_say(
    gan_options: MakeOptions,
) -> None:
    options = gan_options(
        "train.gan.start_step=2", "train.gan.lead_steps=2", "train.gan.interval=2"
    )
    run.train(options)
    trained = [event["step"] for event in read_progress(options) if "discriminator_loss" in event]
    counted = [event["step"] for event in read_progress(options) if "loss_adversarial" in event]
    assert trained == [2, 4, 6]
    assert counted == [4, 5, 6]


def test_the_adversarial_term_changes_what_the_generator_learns(gan_options: MakeOptions) -> None:
    runs = []
    for weight in ("1e-2", "1e-1"):
        options = gan_options(f"name=w{weight}", f"losses.adversarial.weight={weight}")
        run.train(options)
        runs.append(load_state(options, 6)["generator"]["body.0.weight"])
    assert not torch.equal(*runs)


def test_r1_is_computed_in_every_nth_step(gan_options: MakeOptions) -> None:
    options = gan_options(HINGE_R1)
    run.train(options)
    with_r1 = [event["step"] for event in read_progress(options) if "loss_r1" in event]
    assert with_r1 == [2, 4, 6]


def test_r1_counts_the_steps_in_which_the_discriminator_learns(gan_options: MakeOptions) -> None:
    options = gan_options(HINGE_R1, "train.gan.interval=2", "train.steps=8")
    run.train(options)
    assert [e["step"] for e in read_progress(options) if "discriminator_loss" in e] == [1, 3, 5, 7]
    assert [e["step"] for e in read_progress(options) if "loss_r1" in e] == [3, 7]


def test_an_alarm_warns_and_the_last_healthy_checkpoint_stays(gan_options: MakeOptions) -> None:
    options = gan_options(
        "train.gan.monitor={window: 3, max_colour_drift: 1e-6}",
        "train.checkpoint_interval=1",
        "train.keep_last=1",
    )
    run.train(options)
    warnings = read_events(options, event="warning")
    assert {event["step"] for event in warnings} == {3, 6}
    assert "colors drift" in warnings[0]["message"]
    kept = sorted((run_folder(options) / "checkpoints").glob("step_*.safetensors"))
    assert [path.stem for path in kept] == ["step_000000002", "step_000000006"]


def test_the_best_checkpoint_is_that_of_the_lowest_lpips(gan_options: MakeOptions) -> None:
    options = gan_options(
        f"validate={{interval: 2, lpips: {LPIPS}}}", "train.checkpoint_interval=6"
    )
    run.train(options)
    done = read_events(options, item="validation")
    measured = [event["scores"]["same"]["lpips"] for event in done]
    lowest_so_far = [min(measured[: index + 1]) for index in range(len(measured))]
    assert len(set(measured)) == 3
    assert [event["best"] for event in done] == [
        value == lowest and value not in measured[:index]
        for index, (value, lowest) in enumerate(zip(measured, lowest_so_far, strict=True))
    ]
    best = read_model_file(run_folder(options) / "checkpoints" / "best.safetensors")
    assert best.metadata["step"] == 2 * (1 + measured.index(min(measured)))
    assert load_state(options, 6)["best"] == -min(measured)


def test_without_lpips_an_adversarial_run_has_no_best(gan_options: MakeOptions) -> None:
    options = gan_options()
    run.train(options)
    assert not (run_folder(options) / "checkpoints" / "best.safetensors").exists()


@pytest.mark.parametrize(("lpips", "kept"), [(LPIPS, True), ("null", False)])
def test_without_its_measure_the_best_so_far_is_void(
    gan_options: MakeOptions, lpips: str, kept: bool
) -> None:
    run.train(gan_options(f"validate.lpips={LPIPS}", "train.steps=3"))
    options = gan_options("train.steps=6", f"validate.lpips={lpips}")
    run.train(options)
    assert (load_state(options, 6)["best"] > float("-inf")) == kept


def test_an_alarm_stops_the_run_where_asked(gan_options: MakeOptions) -> None:
    options = gan_options("train.gan.monitor={window: 3, max_colour_drift: 1e-6, action: stop}")
    with pytest.raises(GANDivergedError, match=r"step 3: mean .* of sr .* colors drift"):
        run.train(options)


def test_an_alarm_lowers_the_adversarial_weight_where_asked(gan_options: MakeOptions) -> None:
    options = gan_options(
        "train.gan.monitor={window: 3, max_colour_drift: 1e-6, action: lower_weight}"
    )
    run.train(options)
    last = read_progress(options)[-1]
    assert last["health_adversarial_factor"] < 0.5
    before = read_progress(options)[3]
    assert before["weighted_adversarial"] == pytest.approx(
        0.01 * before["health_adversarial_factor"] * before["loss_adversarial"]
    )


def test_a_state_without_the_discriminator_is_refused(
    tiny_options: MakeOptions, gan_options: MakeOptions
) -> None:
    run.train(tiny_options("train.steps=2"))
    with pytest.raises(CheckpointError, match=r"expected a state with discriminator .*UNet"):
        run.train(gan_options())


@pytest.mark.parametrize("missing", ["discriminator", "losses.adversarial", "train.gan"])
def test_adversarial_parts_come_together_or_are_refused(
    gan_options: MakeOptions, missing: str
) -> None:
    with pytest.raises(OptionsError, match=f"expected {missing} too, got none"):
        gan_options(f"{missing}=null")


def test_an_adversarial_run_starts_from_a_pixel_trained_checkpoint(
    tiny_options: MakeOptions, gan_options: MakeOptions
) -> None:
    pixel = tiny_options("name=pixel")
    run.train(pixel)
    options = gan_options(f"train.initial_generator={find_model(pixel, 6)}", "train.ema_decay=0")
    run.train(options)
    first = read_progress(options)[0]["loss_l1"]
    assert first < read_progress(pixel)[0]["loss_l1"]


def test_only_the_generator_is_compiled(
    gan_options: MakeOptions, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Compiled for the CPU or a GPU, spectral normalization fails in the second pass of a step.
    compiled: list[nn.Module] = []

    def compile_network(network: nn.Module) -> nn.Module:
        compiled.append(network)
        return network

    monkeypatch.setattr(torch, "compile", compile_network)
    accelerator = make_accelerator(torch.device("cpu"), torch.float32)
    state, _ = make_state(gan_options("train.compile=true"), accelerator, None)
    assert compiled == [state.generator.network]


@pytest.mark.parametrize(
    ("precision", "held"),
    [
        ("bf16", (torch.bfloat16, torch.channels_last)),
        ("fp32", (torch.float32, torch.contiguous_format)),
    ],
)
def test_networks_of_losses_are_held_in_the_precision_and_layout_of_the_run(
    precision: str, held: object, gan_options: MakeOptions, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[object] = []
    monkeypatch.setattr(ImageNetFeatures, "hold_as", lambda _, *given: seen.append(given))
    options = gan_options(
        f"train.precision={precision}",
        "losses.perceptual={type: VGG19, weights: random, layers: {conv1_2: 1.0}}",
        "losses.lpips={network: VGG16, weights: random, weight: 1.0}",
        "losses.dists={weights: random, weight: 1.0}",
    )
    dtype = {"bf16": torch.bfloat16, "fp32": torch.float32}[precision]
    accelerator = make_accelerator(torch.device("cpu"), dtype)
    state, _ = make_state(options, accelerator, None)
    make_loss(options, state, None, accelerator)
    assert seen == [held] * 3
