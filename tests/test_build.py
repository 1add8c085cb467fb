from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any, get_args

import numpy as np
import pytest
import torch
from pydantic import TypeAdapter
from torch.optim import Adam, AdamW

from sr.build import build_generator
from sr.build_data import build_degradation, find_image_sources
from sr.build_losses import LossParts, build_loss, build_uncertainty
from sr.build_training import (
    build_discriminator,
    build_discriminator_loss,
    build_optimizer,
    build_schedule,
)
from sr.data.hr_only import HRImage
from sr.data.paired import PairedImage
from sr.io.rgb8 import write_rgb8
from sr.losses import total_variation
from sr.losses.discriminator import DiscriminatorLoss
from sr.networks.compact import Compact
from sr.networks.patchgan import PatchGAN
from sr.networks.srresnet import SRResNet
from sr.optim.muon import Muon
from sr.options.datasets import HRFolders, PairedFolders
from sr.options.degradations import DegradationOptions
from sr.options.discriminator import DiscriminatorOptions
from sr.options.generator import (
    SCALES,
    CompactOptions,
    GeneratorOptions,
    RBPNOptions,
    SRResNetOptions,
)
from sr.options.losses import AdversarialOptions, LossesOptions
from sr.options.train import OptimizerOptions, ScheduleOptions


def types(union: Any) -> list[str]:
    """The `type` of every member of a union of options."""
    members = get_args(get_args(union)[0])
    return [get_args(member.model_fields["type"].annotation)[0] for member in members]


def optimizer_options(**parts: Any) -> OptimizerOptions:
    options: OptimizerOptions = TypeAdapter(OptimizerOptions).validate_python(parts)
    return options


def schedule_of(**parts: Any) -> Callable[[int], float]:
    options: ScheduleOptions = TypeAdapter(ScheduleOptions).validate_python(parts)
    return build_schedule(options, steps=100)


@pytest.mark.parametrize(
    ("type_", "scale"),
    [
        (type_, scale)
        for type_ in types(GeneratorOptions)
        if type_ not in ("BasicSR", "Spandrel")  # which have tests of their own
        for scale in SCALES.get(type_, (2, 3, 4, 8))
    ],
)
def test_every_generator_is_built_for_every_scale_that_it_allows(type_: str, scale: int) -> None:
    options: GeneratorOptions = TypeAdapter(GeneratorOptions).validate_python(
        {"type": type_, "num_features": 4}
    )
    network = build_generator(options, scale).eval()
    inputs = [torch.rand(1, 3, 3, 4)]
    if isinstance(options, RBPNOptions):
        inputs += [torch.rand(1, 6, channels, 3, 4) for channels in (3, 2)]
    with torch.no_grad():
        assert network(*inputs).shape == (1, 3, 3 * scale, 4 * scale)


def test_the_options_of_a_generator_reach_its_constructor() -> None:
    compact = build_generator(CompactOptions(type="Compact", num_features=5, num_convs=3), 2)
    assert isinstance(compact, Compact)
    shapes = {name: value.shape for name, value in compact.state_dict().items()}
    assert shapes == {name: value.shape for name, value in Compact(2, 5, 3).state_dict().items()}
    resnet = build_generator(SRResNetOptions(type="SRResNet", num_features=6, num_blocks=2), 4)
    assert isinstance(resnet, SRResNet)
    assert len(resnet.blocks) == 2
    assert resnet.tail.weight.shape[1] == 6


@pytest.mark.parametrize(
    ("pixel", "distance"),
    [
        ({"type": "L1"}, 0.5),
        ({"type": "MSE"}, 0.25),
        ({"type": "Charbonnier", "epsilon": 1.2}, 1.3),
    ],
)
def test_a_loss_has_the_term_and_the_weight_of_the_options(
    pixel: dict[str, Any], distance: float
) -> None:
    loss = build_loss(LossesOptions.model_validate({"pixel": {**pixel, "weight": 3.0}}))
    sr = torch.full((1, 3, 2, 2), 0.75, requires_grad=True)
    total, terms = loss(sr, torch.full((1, 3, 2, 2), 0.25))
    assert list(terms) == [pixel["type"].lower()]
    assert next(iter(terms.values())).item() == pytest.approx(distance)
    assert total.item() == pytest.approx(3 * distance)
    (gradient,) = torch.autograd.grad(total, sr)
    assert (gradient > 0).all()


def test_every_term_of_the_options_is_in_the_loss_with_its_weight() -> None:
    options = LossesOptions.model_validate(
        {
            "pixel": {"type": "MSE", "weight": 1.0},
            "perceptual": {"type": "VGG16", "layers": {"conv1_2": 2.0}, "weights": "random"},
            "adversarial": {"type": "hinge", "weight": 0.2},
            "total_variation": {"type": "absolute", "weight": 0.3},
            "ms_ssim": {"weight": 0.4},
            "lpips": {"weight": 0.5, "weights": "random"},
        }
    )
    torch.manual_seed(0)
    sr, hr = torch.rand(2, 1, 3, 32, 32)
    judge = PatchGAN(4, 1, "none")
    contexts = []

    @contextmanager
    def autocast() -> Iterator[None]:
        contexts.append(1)
        yield

    loss = build_loss(options, LossParts(judge, autocast))
    total, terms = loss(sr, hr)
    assert loss.weights() == {
        "mse": 1.0,
        "perceptual": 1.0,
        "adversarial": 0.2,
        "total_variation": 0.3,
        "ms_ssim": 0.4,
        "lpips": 0.5,
    }
    assert len(contexts) == 3  # networks run in reduced precision, all else does not
    assert terms["adversarial"] == pytest.approx(-judge(sr).mean().item(), rel=1e-4)
    assert terms["total_variation"] == pytest.approx(total_variation.measure_absolute(sr).item())
    summed = sum(loss.weights()[name] * value.item() for name, value in terms.items())
    assert total.item() == pytest.approx(summed, rel=1e-5)


VGG = {"type": "VGG16", "layers": {"relu2_2": 1.0}, "weights": "random"}
LIVE_TERMS: dict[str, dict[str, Any]] = {
    "perceptual": VGG,
    "ms_ssim": {"weight": 1.0},
    "ms_ssim_l1": {},
    "lpips": {"weight": 1.0, "network": "AlexNet", "weights": "random"},
    "dists": {"weight": 1.0, "weights": "random"},
    "frequency": {"type": "L1"},
    "wavelet": {"levels": 3},
    "color": {"pool_size": 4},
    "gradient_variance": {},
    "s3im": {"repeats": 2},
    "ldl": {},
    "contextual": {**VGG, "max_side": 8},
    "high_frequency": {**VGG, "levels": 2},
    "distribution": {**VGG, "temperature": 2.0},
    "contrastive": {"samples": 1},
}


def test_every_term_that_compares_images_is_tried() -> None:
    others = {"pixel", "adversarial", "total_variation", "temporal", "teacher", "uncertainty"}
    assert set(LIVE_TERMS) == set(LossesOptions.model_fields) - others


@pytest.mark.parametrize("key", LIVE_TERMS)
def test_the_term_of_each_key_reaches_the_generator(key: str) -> None:
    """Alone, with its weight, also in bf16."""
    torch.manual_seed(0)
    term = {"weight": 0.7, **LIVE_TERMS[key]}
    adversarial = {"adversarial": {"type": "standard", "weight": 0}} if key == "contrastive" else {}
    options = LossesOptions.model_validate(
        {"pixel": {"type": "L1"}, key: {**term, "weight": 0.7}, **adversarial}
    )
    generator, discriminator = Compact(2, 4, 1), PatchGAN(4, 1, "none").requires_grad_(False)
    autocast = partial(torch.autocast, "cpu", torch.bfloat16)
    parts = LossParts(discriminator, autocast, averaged=Compact(2, 4, 1).eval(), seed=3)
    lr, hr = torch.rand(2, 3, 16, 16), torch.rand(2, 3, 32, 32)
    with autocast():
        sr = generator(lr)
    loss = build_loss(options, parts)
    total, terms = loss(sr.float(), hr, {"l1": 0.0}, inputs=(lr,), step=2)
    assert terms.keys() == {key}
    assert terms[key].dtype == torch.float32
    torch.testing.assert_close(total.detach(), 0.7 * terms[key])
    total.backward()
    gradients = [p.grad for p in generator.parameters() if p.grad is not None]
    norm = torch.cat([gradient.flatten() for gradient in gradients]).norm()
    assert norm > 0
    assert norm.isfinite()


def test_learned_weights_are_those_of_the_terms_that_lead_to_the_original() -> None:
    options = LossesOptions.model_validate(
        {
            "pixel": {"type": "Charbonnier", "weight": 2.0},
            "frequency": {"weight": 3.0},
            "color": {},
            "uncertainty": {"learning_rate": 0.1},
        }
    )
    uncertainty = build_uncertainty(options)
    assert uncertainty is not None
    assert uncertainty.factors.keys() == {"charbonnier", "frequency"}
    assert build_uncertainty(options.model_copy(update={"uncertainty": None})) is None
    loss = build_loss(options)
    assert loss.weights(uncertainty.factors) == {"charbonnier": 2.0, "frequency": 3.0, "color": 1.0}


@pytest.mark.parametrize("type_", types(DiscriminatorOptions))
def test_every_discriminator_is_built_for_the_crops(type_: str) -> None:
    options: DiscriminatorOptions = TypeAdapter(DiscriminatorOptions).validate_python(
        {"type": type_, "num_features": 4}
    )
    logits = build_discriminator(options, crop_size=32)(torch.rand(2, 3, 32, 32))
    assert logits.shape[:2] == (2, 1)


def test_the_discriminators_loss_has_the_numbers_of_the_options() -> None:
    options = AdversarialOptions(
        type="least_squares", weight=0.1, label_smoothing=0.1, r1_weight=3.0, r1_interval=4
    )
    assert build_discriminator_loss(options) == DiscriminatorLoss("least_squares", 0.1, 3.0, 4)


@pytest.mark.parametrize(("type_", "num_stages"), [("RealESRGAN", 2), ("Real", 2), ("Light", 1)])
def test_a_degradation_has_the_stages_of_the_options(type_: str, num_stages: int) -> None:
    options: DegradationOptions = TypeAdapter(DegradationOptions).validate_python(
        {"type": type_, "clean_probability": 0.3}
    )
    degradation = build_degradation(options)
    assert len(degradation.stages) == num_stages
    assert degradation.clean_probability == 0.3
    assert degradation.final_sinc_probability == options.final_sinc_probability


def test_an_optimizer_has_the_numbers_of_the_options() -> None:
    network = Compact(2, 4, 2)
    parts = {"type": "Adam", "learning_rate": 0.3, "betas": [0.1, 0.2]}
    adam = build_optimizer(optimizer_options(**parts), network)
    assert type(adam) is Adam
    assert (adam.defaults["lr"], adam.defaults["betas"]) == (0.3, (0.1, 0.2))
    parts |= {"type": "AdamW", "weight_decay": 0.05}
    adamw = build_optimizer(optimizer_options(**parts), network)
    assert type(adamw) is AdamW
    assert (adamw.defaults["lr"], adamw.defaults["betas"]) == (0.3, (0.1, 0.2))
    assert adamw.defaults["weight_decay"] == 0.05
    parts = {
        "type": "Muon",
        "learning_rate": 0.3,
        "momentum": 0.8,
        "adamw_learning_rate": 0.4,
        "adamw_betas": [0.1, 0.2],
    }
    muon = build_optimizer(optimizer_options(**parts), network)
    assert type(muon) is Muon
    inner, rest = muon.param_groups
    assert (inner["lr"], inner["momentum"]) == (0.3, 0.8)
    assert (rest["lr"], rest["betas"]) == (0.4, (0.1, 0.2))


@pytest.mark.parametrize("type_", types(OptimizerOptions))
def test_every_optimizer_moves_every_parameter(type_: str) -> None:
    torch.manual_seed(0)
    network = Compact(2, 4, 2)
    optimizer = build_optimizer(optimizer_options(type=type_), network)
    before = {name: value.clone() for name, value in network.state_dict().items()}
    network(torch.rand(1, 3, 8, 8)).square().mean().backward()
    optimizer.step()
    for name, value in network.state_dict().items():
        assert not torch.equal(value, before[name]), name


def test_a_schedule_has_the_numbers_of_the_options() -> None:
    factor = schedule_of(type="cosine", warmup_steps=10, final_factor=0.2)
    assert factor(5) == pytest.approx(0.5)
    assert factor(10) == pytest.approx(1)
    assert factor(55) == pytest.approx(0.6)
    assert factor(100) == pytest.approx(0.2)
    factor = schedule_of(type="multi_step", milestones=[50, 80], gamma=0.1, warmup_steps=4)
    steps = (1, 50, 51, 80, 81)
    assert [factor(step) for step in steps] == pytest.approx([0.25, 1, 0.1, 0.1, 0.01])


def test_the_tables_of_schedules_above_are_complete() -> None:
    assert types(ScheduleOptions) == ["cosine", "multi_step"]


def test_sources_are_found_in_hr_folders_and_in_paired_folders(tmp_path: Path) -> None:
    for folder, side in (("hr", 16), ("lr", 4)):
        (tmp_path / folder).mkdir()
        for name in ("a", "b"):
            write_rgb8(tmp_path / folder / f"{name}.png", np.zeros((side, side, 3), np.uint8))
    hr = HRFolders(type="HRFolders", hr=(tmp_path / "hr",), exclude=("b*",), downscale=(1.0, 0.5))
    degraded = find_image_sources(hr, 4)
    assert [(type(source), source.name) for source in degraded] == [
        (HRImage, str(tmp_path / "hr" / "a.png")),
        (HRImage, f"{tmp_path / 'hr' / 'a.png'} at 0.5 of its size"),
    ]
    assert [source.hr_size for source in degraded] == [(16, 16), (8, 8)]
    folders = {"hr": (tmp_path / "hr",), "lr": (tmp_path / "lr",)}
    paired = find_image_sources(PairedFolders(type="PairedFolders", exclude=("a*",), **folders), 4)
    assert [(type(source), source.name) for source in paired] == [
        (PairedImage, str(tmp_path / "hr" / "b.png"))
    ]
