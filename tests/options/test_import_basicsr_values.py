"""Each value of a BasicSR file arrives where it belongs."""

from pathlib import Path
from typing import Any

import pytest
import yaml
from helpers.basicsr_files import (
    EDSR,
    ESRGAN,
    MSRRESNET,
    REAL_ESRGAN,
    KeyPath,
    change,
    find_line,
    get_value,
    load,
)

from sr.options.image_sources import LRFolders, PairedFolders
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


def test_data_sets_arrive(tmp_path: Path) -> None:
    data = load(MSRRESNET, tmp_path).datasets
    assert data.train.source.model_dump(mode="json") == {
        "type": "PairedFolders",
        "hr": ["data/hr"],
        "lr": ["data/lr"],
        "exclude": [],
        "exclude_list": None,
    }
    assert (data.train.crop_size, data.train.batch_size, data.train.num_workers) == (128, 16, 6)
    assert data.train.flips
    assert data.train.transposes
    assert [found.name for found in data.validation] == ["five", "fourteen"]
    source = data.validation[1].source
    assert isinstance(source, PairedFolders)
    assert source.hr == (Path("fourteen/hr"),)


def test_without_lr_folder_it_is_made_from_hr(tmp_path: Path) -> None:
    loaded = load(change(EDSR, ("datasets", "train", "dataroot_lq"), None), tmp_path)
    assert loaded.datasets.train.source.type == "HRFolders"


def test_a_validation_set_without_hr_is_measured_without(tmp_path: Path) -> None:
    only_lr = {"type": "SingleImageDataset", "name": "seen", "dataroot_lq": "x"}
    first, _ = load(change(EDSR, ("datasets", "val"), only_lr), tmp_path).datasets.validation
    assert first.name == "seen"
    assert isinstance(first.source, LRFolders)
    assert first.source.lr == (Path("x"),)


def test_a_validation_set_without_any_folder_is_listed(tmp_path: Path) -> None:
    text = change(EDSR, ("datasets", "val"), {"type": "SingleImageDataset", "name": "seen"})
    assert [found.name for found in load(text, tmp_path).datasets.validation] == ["fourteen"]
    assert "dataroot_lq" in find_line(text, "datasets.val.name")


def test_validation_sets_of_one_name_get_different_names(tmp_path: Path) -> None:
    loaded = load(change(EDSR, ("datasets", "val_2", "name"), "five"), tmp_path)
    assert [found.name for found in loaded.datasets.validation] == ["five", "five_2"]


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


def test_another_network_stays_one_of_basicsr(tmp_path: Path) -> None:
    ecbsr = {"type": "ECBSR", "upscale": 4, "num_in_ch": 3, "num_block": 4, "act_type": "prelu"}
    text = change(MSRRESNET, ("network_g",), {**ecbsr, "resi": {"kind": "1conv", "bias": None}})
    assert load(text, tmp_path).generator.model_dump() == {
        "type": "BasicSR",
        "arch": "ECBSR",
        "options": {
            "num_block": 4,
            "act_type": "prelu",
            "resi": {"kind": "1conv", "bias": None},
        },
    }
    assert "must be installed" in find_line(text, "network_g.type")
    assert not find_line(text, "network_g.num_block")


def test_swinir_and_rcan_become_those_of_spandrel(tmp_path: Path) -> None:
    swinir = {"type": "SwinIR", "upscale": 4, "in_chans": 3, "depths": [6, 6], "upsampler": "x"}
    text = change(MSRRESNET, ("network_g",), swinir)
    assert load(change(text, ("model_type",), "SwinIRModel"), tmp_path).generator.model_dump() == {
        "type": "Spandrel",
        "arch": "SwinIR",
        "options": {"depths": [6, 6], "upsampler": "x"},
    }
    rcan = {"type": "RCAN", "num_group": 5, "num_block": 20, "upscale": 4, "img_range": 255.0}
    text = change(MSRRESNET, ("network_g",), rcan)
    assert load(text, tmp_path).generator.model_dump() == {
        "type": "Spandrel",
        "arch": "RCAN",
        "options": {
            "n_feats": 64,
            "n_resgroups": 5,
            "n_resblocks": 20,
            "reduction": 16,
            "res_scale": 1,
        },
    }
    text = change(text, ("path", "pretrain_network_g"), "rcan.pth")  # names of BasicSR's
    assert load(text, tmp_path).generator.type == "BasicSR"


def test_a_network_of_another_scale_than_its_file_is_listed(tmp_path: Path) -> None:
    rcan = {"type": "RCAN", "num_group": 5, "num_block": 20, "upscale": 2}
    text = change(MSRRESNET, ("network_g",), rcan)
    assert load(text, tmp_path).scale == 4
    assert "the network has the scale of the file, 4" in find_line(text, "network_g.upscale")


@pytest.mark.parametrize("key", ["num_in_ch", "in_chans"])
def test_another_network_must_be_of_our_colors(key: str) -> None:
    text = change(MSRRESNET, ("network_g",), {"type": "SwinIR", key: 1})
    with pytest.raises(ValueError, match=rf"network_g\.{key}: expected 3, .*got 1"):
        import_basicsr(text)


def test_initial_weights_may_fit_in_part(tmp_path: Path) -> None:
    train = load(change(EDSR, ("path", "strict_load"), True), tmp_path).train
    assert (train.initial_generator, train.initial_partial) == (Path("edsr_x2.pth"), False)
    train = load(EDSR, tmp_path).train
    assert (train.initial_generator, train.initial_partial) == (Path("edsr_x2.pth"), True)
    text = change(EDSR, ("path", "strict_load_g"), True)  # the newer key counts
    assert not load(text, tmp_path).train.initial_partial
    assert "strict_load_g counts" in find_line(text, "path.strict_load")


def test_initial_weights_of_a_discriminator_arrive(tmp_path: Path) -> None:
    gan = load(REAL_ESRGAN, tmp_path).train.gan
    assert gan is not None
    assert (gan.initial_discriminator, gan.initial_partial) == (Path("netD.pth"), False)
    text = change(REAL_ESRGAN, ("path", "strict_load_d"), False)
    gan = load(text, tmp_path).train.gan
    assert gan is not None
    assert gan.initial_partial
    text = change(ESRGAN, ("path", "pretrain_network_d"), "netD.pth")
    gan = load(text, tmp_path).train.gan
    assert gan is not None
    assert gan.initial_discriminator is None
    assert "another one here" in find_line(text, "path.pretrain_network_d")


def test_pairs_in_one_folder_are_told_apart_by_their_list(tmp_path: Path) -> None:
    text = change(MSRRESNET, ("datasets", "train", "type"), "RealESRGANPairedDataset")
    text = change(text, ("datasets", "train", "dataroot_gt"), "data")
    text = change(text, ("datasets", "train", "dataroot_lq"), "data")
    listed = tmp_path / "pairs.txt"
    with_list = change(text, ("datasets", "train", "meta_info"), str(listed))
    for unreadable in (text, with_list):
        source = load(unreadable, tmp_path).datasets.train.source
        assert isinstance(source, PairedFolders)
        assert (source.hr, source.lr) == ((Path("data/HR"),), (Path("data/LR"),))
        assert "put them into data/HR" in find_line(unreadable, "datasets.train.dataroot_lq")
    listed.write_text("sub/a.png, small/a.png\nsub/b.png, small/b.png\n")
    source = load(with_list, tmp_path).datasets.train.source
    assert isinstance(source, PairedFolders)
    assert (source.hr, source.lr) == ((Path("data/sub"),), (Path("data/small"),))
    listed.write_text("sub/a.png\n")
    with pytest.raises(ValueError, match=r"meta_info: expected lines with `hr, lr` in .*pairs"):
        import_basicsr(with_list)


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


@pytest.mark.parametrize(
    ("hflip", "rot", "ours", "note"),
    [
        (True, True, (True, True), ""),
        (False, False, (False, False), ""),
        (True, False, (True, False), "left-right only"),
        (False, True, (True, True), "upside down only"),
    ],
)
def test_flips(tmp_path: Path, hflip: bool, rot: bool, ours: tuple[bool, bool], note: str) -> None:
    text = change(EDSR, ("datasets", "train", "use_hflip"), hflip)
    text = change(text, ("datasets", "train", "use_rot"), rot)
    train = load(text, tmp_path).datasets.train
    assert (train.flips, train.transposes) == ours
    lines = [find_line(text, f"datasets.train.{key}") for key in ("use_hflip", "use_rot")]
    assert note in "".join(lines)
    assert bool(note) == any(lines)


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


def test_the_published_degradation_has_our_defaults(tmp_path: Path) -> None:
    train = load(REAL_ESRGAN, tmp_path).datasets.train
    assert train.source.type == "HRFolders"
    assert train.crop_size == 256
    assert train.degradation is not None
    assert train.degradation.clean_probability == 0
    defaults = change(REAL_ESRGAN, ("second_blur_prob",), ...)
    for key in list(yaml.safe_load(REAL_ESRGAN)):
        if key.startswith(("resize_", "gaussian_", "noise_", "poisson_", "gray_", "jpeg_")):
            defaults = change(defaults, (key,), ...)
    assert train.degradation == load(defaults, tmp_path).datasets.train.degradation


@pytest.mark.parametrize(
    ("key", "value", "place"),
    [
        ("noise_range2", [2, 9], ("second", "gaussian_sigma")),
        ("jpeg_range", [50, 60], ("first", "quality")),
        ("second_blur_prob", 0.3, ("second", "blur_probability")),
        ("resize_prob", [2, 7, 1], ("first", "resize_probabilities")),
    ],
)
def test_degradation_values_arrive(key: str, value: Any, place: KeyPath) -> None:
    made = settings(import_basicsr(change(REAL_ESRGAN, (key,), value)))
    wanted = [0.2, 0.7, 0.1] if key == "resize_prob" else value
    assert get_value(made["datasets"]["train"]["degradation"], place) == pytest.approx(wanted)


@pytest.mark.parametrize(("gan_gt_usm", "targets"), [(False, "all_but_adversarial"), (True, "all")])
def test_real_esrgans_sharpening_is_taken_over(
    tmp_path: Path, gan_gt_usm: bool, targets: str
) -> None:
    text = change(REAL_ESRGAN, ("gan_gt_usm",), gan_gt_usm)
    sharpening = load(text, tmp_path).datasets.train.sharpening
    assert sharpening is not None
    assert sharpening.targets == targets
    assert not any(find_line(text, key) for key in ("l1_gt_usm", "percep_gt_usm", "gan_gt_usm"))


def test_sharpening_of_some_terms_alone_is_listed(tmp_path: Path) -> None:
    text = change(REAL_ESRGAN, ("percep_gt_usm",), False)
    assert load(text, tmp_path).datasets.train.sharpening is None
    assert "for all terms or all but the adversarial" in find_line(text, "percep_gt_usm")
    assert "sharpens hr before it is degraded" in find_line(text, "model_type")
