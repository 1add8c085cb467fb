from collections.abc import Callable
from pathlib import Path
from typing import Any, get_args

import numpy as np
import pytest
import torch
from pydantic import TypeAdapter
from torch.optim import Adam, AdamW

from sr.build import build_generator
from sr.build_data import build_degradation, find_image_sources
from sr.build_training import (
    build_discriminator,
    build_discriminator_loss,
    build_optimizer,
    build_schedule,
)
from sr.data.hr_only import HRImage
from sr.data.paired import PairedImage
from sr.io.rgb8 import write_rgb8
from sr.losses.discriminator import DiscriminatorLoss
from sr.networks.compact import Compact
from sr.networks.srresnet import SRResNet
from sr.optim.muon import Muon
from sr.options.degradations import DegradationOptions
from sr.options.discriminator import DiscriminatorOptions
from sr.options.generator import (
    SCALES,
    CompactOptions,
    GeneratorOptions,
    RBPNOptions,
    SRResNetOptions,
)
from sr.options.image_sources import HRFolders, PairedFolders
from sr.options.losses import AdversarialOptions
from sr.options.optimizers import OptimizerOptions, ScheduleOptions


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
    if type_ not in ("Adam", "AdamW", "Muon"):
        pytest.importorskip("pytorch_optimizer")
    torch.manual_seed(0)
    network = Compact(2, 4, 2)
    optimizer = build_optimizer(optimizer_options(type=type_), network)
    before = {name: value.clone() for name, value in network.state_dict().items()}
    network(torch.rand(1, 3, 8, 8)).square().mean().backward()
    optimizer.step()
    optimizer.step()  # the first of SOAP only starts its means
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
    factor = schedule_of(
        type="cosine_restarts", periods=[40, 60], restart_factors=[1, 0.5], final_factor=0.2
    )
    assert [factor(step) for step in (1, 41, 71, 101)] == pytest.approx([1, 0.2, 0.4, 0.2])
    factor = schedule_of(type="constant", warmup_steps=4)
    assert [factor(step) for step in (1, 4, 100)] == [0.25, 1, 1]


def test_the_tables_of_schedules_above_are_complete() -> None:
    assert types(ScheduleOptions) == ["cosine", "cosine_restarts", "multi_step", "constant"]


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
