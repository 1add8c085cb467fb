"""Each value of a BasicSR file arrives where it belongs."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from sr.options.import_basicsr import Translation, import_basicsr
from sr.options.load import load_options
from sr.options.schema import Options

Path_ = tuple[str, ...]


def changed(text: str, path: Path_, value: object) -> str:
    """The file with one value changed, added or, with `...`, left out."""
    tree = yaml.safe_load(text)
    section = tree
    for key in path[:-1]:
        section = section[key]
    section[path[-1]] = value
    if value is ...:
        del section[path[-1]]
    return yaml.safe_dump(tree)


def settings(imported: Translation) -> Any:
    return yaml.safe_load(imported.text)


def options(text: str, tmp_path: Path) -> Options:
    path = tmp_path / "options.yml"
    path.write_text(import_basicsr(text).text, encoding="utf-8")
    return load_options(path)


def listed(text: str, key: str) -> str:
    """The line of a key among what is not taken over, or nothing."""
    lines = [line for line in import_basicsr(text).unused if line.startswith(f"{key}: ")]
    assert len(lines) <= 1
    return "".join(lines)


def test_general_values_arrive(msrresnet: str, tmp_path: Path) -> None:
    loaded = options(msrresnet, tmp_path)
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


def test_data_sets_arrive(msrresnet: str, tmp_path: Path) -> None:
    data = options(msrresnet, tmp_path).datasets
    assert data.train.source.model_dump(mode="json") == {
        "type": "PairedFolders",
        "hr": ["data/hr"],
        "lr": ["data/lr"],
        "exclude": [],
    }
    assert (data.train.crop_size, data.train.batch_size, data.train.num_workers) == (128, 16, 6)
    assert data.train.flips
    assert data.train.transposes
    assert [found.name for found in data.validation] == ["five", "fourteen"]
    assert data.validation[1].source.hr == (Path("fourteen/hr"),)


def test_without_lr_folder_it_is_made_from_hr(edsr: str, tmp_path: Path) -> None:
    loaded = options(changed(edsr, ("datasets", "train", "dataroot_lq"), None), tmp_path)
    assert loaded.datasets.train.source.type == "HRFolders"


def test_a_validation_set_without_hr_is_listed(edsr: str, tmp_path: Path) -> None:
    only_lr = {"type": "SingleImageDataset", "name": "seen", "dataroot_lq": "x"}
    text = changed(edsr, ("datasets", "val"), only_lr)
    assert [found.name for found in options(text, tmp_path).datasets.validation] == ["fourteen"]
    assert "without hr" in listed(text, "datasets.val.dataroot_lq")


def test_validation_sets_of_one_name_are_told_apart(edsr: str, tmp_path: Path) -> None:
    loaded = options(changed(edsr, ("datasets", "val_2", "name"), "five"), tmp_path)
    assert [found.name for found in loaded.datasets.validation] == ["five", "five_2"]


def test_milestones_warm_up_and_an_older_key_of_the_start_arrive(edsr: str, tmp_path: Path) -> None:
    train = options(edsr, tmp_path).train
    assert train.schedule.model_dump() == {
        "type": "multi_step",
        "warmup_steps": 500,
        "milestones": (200_000,),
        "gamma": 0.5,
    }
    assert train.initial_generator == Path("edsr_x2.pth")
    assert train.ema_decay == 0  # BasicSR's default
    assert "same network" in listed(edsr, "path.strict_load")


def test_a_cosine_with_restarts_becomes_one_cosine(msrresnet: str, tmp_path: Path) -> None:
    schedule = options(msrresnet, tmp_path).train.schedule
    assert schedule.type == "cosine"
    assert schedule.final_factor == pytest.approx(1e-7 / 2e-4)
    assert "one cosine over all 1000000 steps" in listed(msrresnet, "train.scheduler.periods")
    above = ("train", "scheduler")
    once = changed(
        changed(msrresnet, (*above, "periods"), [1_000_000]), (*above, "restart_weights"), [1]
    )
    assert not listed(once, "train.scheduler.periods")
    assert not listed(once, "train.scheduler.restart_weights")


def test_losses_and_the_discriminators_training_arrive(real_esrgan: str, tmp_path: Path) -> None:
    loaded = options(real_esrgan, tmp_path)
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


def test_esrgan_is_relativistic_with_its_mean_of_two_halves(esrgan: str, tmp_path: Path) -> None:
    loaded = options(esrgan, tmp_path)
    assert loaded.losses.adversarial is not None
    assert loaded.losses.adversarial.type == "relativistic_average"
    assert loaded.losses.adversarial.weight == 5e-3 / 2
    assert loaded.discriminator is not None
    assert loaded.discriminator.type == "SRGAN"
    assert loaded.discriminator.num_features == 32
    assert "pooled head" in listed(esrgan, "network_d.type")
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
def test_adversarial_kinds(
    real_esrgan: str, tmp_path: Path, theirs: str, ours: str, factor: float
) -> None:
    text = changed(real_esrgan, ("train", "gan_opt", "gan_type"), theirs)
    adversarial = options(text, tmp_path).losses.adversarial
    assert adversarial is not None
    assert (adversarial.type, adversarial.weight) == (ours, factor * 5e-3)


def test_leads_and_updates_of_the_discriminator_arrive(real_esrgan: str, tmp_path: Path) -> None:
    text = changed(real_esrgan, ("train", "net_d_init_iters"), 1000)
    text = changed(text, ("train", "net_d_iters"), 2)
    gan = options(text, tmp_path).train.gan
    assert gan is not None
    assert (gan.lead_steps, gan.updates) == (1000, 2)
    assert "stands still" in listed(text, "train.net_d_init_iters")
    assert "divide" in listed(text, "train.net_d_iters")


def test_another_network_stays_one_of_basicsr(msrresnet: str, tmp_path: Path) -> None:
    swinir = {"type": "SwinIR", "upscale": 4, "in_chans": 3, "depths": [6, 6], "upsampler": "x"}
    text = changed(msrresnet, ("network_g",), {**swinir, "resi": {"kind": "1conv", "bias": None}})
    assert options(text, tmp_path).generator.model_dump() == {
        "type": "BasicSR",
        "arch": "SwinIR",
        "options": {
            "upscale": 4,
            "in_chans": 3,
            "depths": [6, 6],
            "upsampler": "x",
            "resi": {"kind": "1conv", "bias": None},
        },
    }
    assert "must be installed" in listed(text, "network_g.type")
    assert not listed(text, "network_g.depths")


@pytest.mark.parametrize(("key", "value"), [("upscale", 3), ("scale", 2), ("in_chans", 1)])
def test_another_network_must_be_of_our_scale_and_colors(
    msrresnet: str, key: str, value: int
) -> None:
    text = changed(msrresnet, ("network_g",), {"type": "SwinIR", key: value})
    with pytest.raises(ValueError, match=rf"network_g\.{key}: expected .*[34], .*got {value}"):
        import_basicsr(text)


def test_compact_and_the_other_pixel_terms(msrresnet: str, tmp_path: Path) -> None:
    compact = {"type": "SRVGGNetCompact", "num_feat": 24, "num_conv": 8, "act_type": "prelu"}
    text = changed(msrresnet, ("network_g",), compact)
    charbonnier = {"type": "CharbonnierLoss", "loss_weight": 2, "eps": 1e-6}
    loaded = options(changed(text, ("train", "pixel_opt"), charbonnier), tmp_path)
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


def test_adamw_brings_its_decay_and_adams_is_listed(edsr: str, tmp_path: Path) -> None:
    text = changed(edsr, ("train", "optim_g", "weight_decay"), 0.1)
    assert "AdamW" in listed(text, "train.optim_g.weight_decay")
    adamw = options(changed(text, ("train", "optim_g", "type"), "AdamW"), tmp_path)
    assert adamw.train.optimizer.model_dump()["weight_decay"] == 0.1


def test_a_learning_rate_without_a_tag_is_a_number(edsr: str, tmp_path: Path) -> None:
    text = edsr.replace("!!float 1e-4", "1e-4")  # a text, to YAML
    assert options(text, tmp_path).train.optimizer.model_dump()["learning_rate"] == 1e-4


def test_gan_parts_in_a_fidelity_run_are_listed(real_esrgan: str) -> None:
    text = changed(real_esrgan, ("model_type",), "SRModel")
    assert settings(import_basicsr(text)).keys().isdisjoint({"discriminator"})
    assert "model_type" in listed(text, "network_d.type")
    assert "model_type" in listed(text, "train.gan_opt.gan_type")


@pytest.mark.parametrize("term", ["pixel_opt", "perceptual_opt"])
def test_a_term_of_weight_0_is_left_out_and_listed(esrgan: str, tmp_path: Path, term: str) -> None:
    weight = {"pixel_opt": "loss_weight", "perceptual_opt": "perceptual_weight"}[term]
    text = changed(esrgan, ("train", term, weight), 0)
    losses = options(text, tmp_path).losses
    assert (losses.pixel is None, losses.perceptual is None) == (
        term == "pixel_opt",
        term == "perceptual_opt",
    )
    assert "its weight is 0" in listed(text, f"train.{term}.type")


@pytest.mark.parametrize(
    ("hflip", "rot", "ours", "told"),
    [
        (True, True, (True, True), ""),
        (False, False, (False, False), ""),
        (True, False, (True, False), "left-right only"),
        (False, True, (True, True), "upside down only"),
    ],
)
def test_flips(
    edsr: str, tmp_path: Path, hflip: bool, rot: bool, ours: tuple[bool, bool], told: str
) -> None:
    text = changed(edsr, ("datasets", "train", "use_hflip"), hflip)
    text = changed(text, ("datasets", "train", "use_rot"), rot)
    train = options(text, tmp_path).datasets.train
    assert (train.flips, train.transposes) == ours
    lines = [listed(text, f"datasets.train.{key}") for key in ("use_hflip", "use_rot")]
    assert told in "".join(lines)
    assert bool(told) == any(lines)


def test_of_an_older_and_a_newer_key_the_newer_counts(edsr: str, tmp_path: Path) -> None:
    text = changed(edsr, ("datasets", "train", "use_flip"), False)
    text = changed(text, ("path", "pretrain_network_g"), "newer.pth")
    loaded = options(text, tmp_path)
    assert loaded.datasets.train.flips
    assert loaded.train.initial_generator == Path("newer.pth")
    assert "use_hflip counts" in listed(text, "datasets.train.use_flip")
    assert "pretrain_network_g counts" in listed(text, "path.pretrain_model_g")


def test_sections_set_to_null_are_as_if_left_out(edsr: str, tmp_path: Path) -> None:
    text = changed(edsr, ("datasets", "val"), None)
    text = changed(text, ("train", "perceptual_opt"), None)
    loaded = options(text, tmp_path)
    assert [found.name for found in loaded.datasets.validation] == ["fourteen"]
    assert listed(text, "train.perceptual_opt") == "train.perceptual_opt: null -- nothing was set"


def test_a_cosine_to_a_floor_ends_there_for_both_networks(
    msrresnet: str, esrgan: str, tmp_path: Path
) -> None:
    cosine = yaml.safe_load(msrresnet)["train"]["scheduler"]
    gan = options(changed(esrgan, ("train", "scheduler"), cosine), tmp_path).train.gan
    assert gan is not None
    assert gan.schedule is not None
    assert gan.schedule.model_dump()["final_factor"] == pytest.approx(1e-7 / 2e-4)
