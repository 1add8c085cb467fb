"""Each value of a BasicSR file arrives where it belongs; data and networks have their own files."""

from pathlib import Path
from typing import Any

import pytest
import yaml
from helpers.basicsr_files import (
    EDSR,
    ESRGAN,
    MSRRESNET,
    REAL_ESRGAN,
    change,
    find_line,
    load,
)

from sr.options.import_basicsr import Translation, import_basicsr


def settings(imported: Translation) -> Any:
    return yaml.safe_load(imported.text)


def test_general_values_arrive(tmp_path: Path) -> None:
    loaded = load(MSRRESNET, tmp_path)
    assert (loaded.name, loaded.seed) == ("001_msrresnet", 7)
    assert loaded.generator.model_dump() == {
        "type": "MSRResNet",
        "num_features": 48,
        "num_blocks": 12,
    }
    assert loaded.train.steps == 1_000_000
    assert loaded.train.ema_decay == 0.995
    assert loaded.train.initial_generator is None
    assert loaded.train.optimizer.model_dump() == {
        "type": "Adam",
        "learning_rate": 2e-4,
        "betas": (0.9, 0.99),
    }
    assert loaded.losses.model_dump(exclude_none=True) == {"pixel": {"type": "L1", "weight": 1.0}}
    assert loaded.train.gan is None
    assert loaded.discriminator is None


def test_milestones_warm_up_and_an_older_key_of_the_start_arrive(tmp_path: Path) -> None:
    train = load(EDSR, tmp_path).train
    assert train.schedule.model_dump() == {
        "type": "multi_step",
        "warmup_steps": 500,
        "milestones": (200_000,),
        "gamma": 0.5,
    }
    assert train.initial_generator == Path("edsr_x2.pth")
    assert train.ema_decay == 0  # BasicSR's default


def test_a_cosine_with_restarts_is_taken_over(tmp_path: Path) -> None:
    schedule = load(MSRRESNET, tmp_path).train.schedule
    assert schedule.type == "cosine_restarts"
    assert schedule.final_factor == pytest.approx(1e-7 / 2e-4)
    assert schedule.periods == (250_000,) * 4
    assert schedule.restart_factors == (1, 1, 1, 1)
    for key in ("periods", "restart_weights", "eta_min"):
        assert not find_line(MSRRESNET, f"train.scheduler.{key}")


def test_a_cosine_over_the_whole_run_has_no_restarts(tmp_path: Path) -> None:
    above = ("train", "scheduler")
    once = change(
        change(MSRRESNET, (*above, "periods"), [1_000_000]), (*above, "restart_weights"), [1]
    )
    assert load(once, tmp_path).train.schedule.type == "cosine"
    assert not find_line(once, "train.scheduler.periods")
    assert not find_line(once, "train.scheduler.restart_weights")
    warmed_up = change(once, ("train", "warmup_iter"), 100)
    schedule = load(warmed_up, tmp_path).train.schedule
    assert schedule.type == "cosine_restarts"
    assert schedule.warmup_steps == 100


def test_losses_and_the_discriminators_training_arrive(tmp_path: Path) -> None:
    loaded = load(REAL_ESRGAN, tmp_path)
    assert loaded.losses.perceptual is not None
    assert loaded.losses.perceptual.layers == {
        "conv1_2": 0.1,
        "conv2_2": 0.1,
        "conv3_4": 1,
        "conv4_4": 1,
        "conv5_4": 1,
    }
    assert loaded.losses.adversarial is not None
    assert loaded.losses.adversarial.type == "standard"
    assert loaded.losses.adversarial.weight == 5e-3
    assert loaded.discriminator is not None
    assert loaded.discriminator.type == "UNet"
    assert loaded.train.gan is not None
    assert loaded.train.gan.optimizer.model_dump() == {
        "type": "Adam",
        "learning_rate": 2e-4,
        "betas": (0.5, 0.99),
    }
    assert loaded.train.initial_generator == Path("RealESRNet_x4plus.pth")


def test_esrgan_is_relativistic_with_its_mean_of_two_halves(tmp_path: Path) -> None:
    loaded = load(ESRGAN, tmp_path)
    assert loaded.losses.adversarial is not None
    assert loaded.losses.adversarial.type == "relativistic_average"
    assert loaded.losses.adversarial.weight == 5e-3 / 2
    assert loaded.discriminator is not None
    assert loaded.discriminator.type == "SRGAN"
    assert loaded.discriminator.num_features == 32
    assert "pooled head" in find_line(ESRGAN, "network_d.type")
    assert loaded.train.gan is not None


@pytest.mark.parametrize(
    ("theirs", "ours", "factor"),
    [
        ("vanilla", "standard", 1),
        ("lsgan", "least_squares", 2),
        ("hinge", "hinge", 1),
        ("wgan", "wasserstein", 1),
        ("wgan_softplus", "standard", 1),
    ],
)
def test_adversarial_kinds(tmp_path: Path, theirs: str, ours: str, factor: float) -> None:
    text = change(REAL_ESRGAN, ("train", "gan_opt", "gan_type"), theirs)
    adversarial = load(text, tmp_path).losses.adversarial
    assert adversarial is not None
    assert (adversarial.type, adversarial.weight) == (ours, factor * 5e-3)


def test_leads_and_updates_of_the_discriminator_arrive(tmp_path: Path) -> None:
    text = change(REAL_ESRGAN, ("train", "net_d_init_iters"), 1000)
    text = change(text, ("train", "net_d_iters"), 2)
    gan = load(text, tmp_path).train.gan
    assert gan is not None
    assert (gan.lead_steps, gan.updates) == (1000, 2)
    assert "stands still" in find_line(text, "train.net_d_init_iters")
    assert "divide" in find_line(text, "train.net_d_iters")


def test_compact_and_the_other_pixel_terms(tmp_path: Path) -> None:
    compact = {"type": "SRVGGNetCompact", "num_feat": 24, "num_conv": 8, "act_type": "prelu"}
    text = change(MSRRESNET, ("network_g",), compact)
    charbonnier = {"type": "CharbonnierLoss", "loss_weight": 2, "eps": 1e-6}
    loaded = load(change(text, ("train", "pixel_opt"), charbonnier), tmp_path)
    assert loaded.generator.model_dump() == {
        "type": "Compact",
        "num_features": 24,
        "num_convs": 8,
    }
    assert loaded.losses.pixel is not None
    assert loaded.losses.pixel.model_dump() == {
        "type": "Charbonnier",
        "weight": 2,
        "epsilon": pytest.approx(1e-3),  # theirs is its square
    }


def test_adamw_brings_its_decay_and_adams_is_listed(tmp_path: Path) -> None:
    text = change(EDSR, ("train", "optim_g", "weight_decay"), 0.1)
    assert "AdamW" in find_line(text, "train.optim_g.weight_decay")
    adamw = load(change(text, ("train", "optim_g", "type"), "AdamW"), tmp_path)
    assert adamw.train.optimizer.model_dump()["weight_decay"] == 0.1


def test_a_learning_rate_without_a_tag_is_a_number(tmp_path: Path) -> None:
    text = EDSR.replace("!!float 1e-4", "1e-4")  # a text, to YAML
    assert load(text, tmp_path).train.optimizer.model_dump()["learning_rate"] == 1e-4


def test_gan_parts_in_a_fidelity_run_are_listed() -> None:
    text = change(REAL_ESRGAN, ("model_type",), "SRModel")
    assert settings(import_basicsr(text)).keys().isdisjoint({"discriminator"})
    assert "model_type" in find_line(text, "network_d.type")
    assert "model_type" in find_line(text, "train.gan_opt.gan_type")


@pytest.mark.parametrize("term", ["pixel_opt", "perceptual_opt"])
def test_a_term_of_weight_0_is_left_out_and_listed(tmp_path: Path, term: str) -> None:
    weight = {"pixel_opt": "loss_weight", "perceptual_opt": "perceptual_weight"}[term]
    text = change(ESRGAN, ("train", term, weight), 0)
    losses = load(text, tmp_path).losses
    assert (losses.pixel is None, losses.perceptual is None) == (
        term == "pixel_opt",
        term == "perceptual_opt",
    )
    assert "its weight is 0" in find_line(text, f"train.{term}.type")


def test_of_an_older_and_a_newer_key_the_newer_counts(tmp_path: Path) -> None:
    text = change(EDSR, ("datasets", "train", "use_flip"), False)
    text = change(text, ("path", "pretrain_network_g"), "newer.pth")
    loaded = load(text, tmp_path)
    assert loaded.datasets.train.flips
    assert loaded.train.initial_generator == Path("newer.pth")
    assert "use_hflip counts" in find_line(text, "datasets.train.use_flip")
    assert "pretrain_network_g counts" in find_line(text, "path.pretrain_model_g")


def test_sections_set_to_null_are_as_if_left_out(tmp_path: Path) -> None:
    text = change(EDSR, ("datasets", "val"), None)
    text = change(text, ("train", "perceptual_opt"), None)
    loaded = load(text, tmp_path)
    assert [found.name for found in loaded.datasets.validation] == ["fourteen"]
    assert (
        find_line(text, "train.perceptual_opt") == "train.perceptual_opt: null -- nothing was set"
    )


def test_a_cosine_to_a_floor_ends_there_for_both_networks(tmp_path: Path) -> None:
    cosine = yaml.safe_load(MSRRESNET)["train"]["scheduler"]
    gan = load(change(ESRGAN, ("train", "scheduler"), cosine), tmp_path).train.gan
    assert gan is not None
    assert gan.schedule is not None
    assert gan.schedule.model_dump()["final_factor"] == pytest.approx(1e-7 / 2e-4)
