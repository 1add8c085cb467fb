import inspect
import itertools
import json
from collections.abc import Callable
from typing import Any, get_args

import pytest
from pydantic import ValidationError

from sr.build import GENERATORS
from sr.losses import pixel
from sr.losses.adversarial import KINDS_WITH_LABEL_SMOOTHING, AdversarialKind
from sr.losses.imagenet_features import Architecture, list_layers
from sr.options.base import Section
from sr.options.feature_losses import PerceptualOptions
from sr.options.generator import (
    GeneratorOptions,
)
from sr.options.image_losses import CharbonnierOptions, L1Options, MSEOptions, PixelOptions
from sr.options.json_schema import generate_schema
from sr.options.losses import AdversarialOptions
from sr.options.schema import Options

LOSSES: dict[type[Section], Callable[..., Any]] = {
    L1Options: pixel.l1,
    MSEOptions: pixel.mse,
    CharbonnierOptions: pixel.charbonnier,
}


def members(union: Any) -> set[type[Section]]:
    """Classes of `Annotated[A | B, ...]`."""
    return set(get_args(get_args(union)[0]))


def sections_in(annotation: Any) -> set[type[Section]]:
    """The sections that a type mentions, and all below them."""
    if not (isinstance(annotation, type) and issubclass(annotation, Section)):
        return {section for part in get_args(annotation) for section in sections_in(part)}
    fields = annotation.model_fields.values()
    return {annotation}.union(*(sections_in(field.annotation) for field in fields))


def test_the_tables_of_this_file_are_complete() -> None:
    assert members(GeneratorOptions) == set(GENERATORS)
    assert members(PixelOptions) == set(LOSSES)
    assert set(GENERATORS) | set(LOSSES) < sections_in(Options)


@pytest.mark.parametrize("options", GENERATORS)
def test_generator_options_are_the_arguments_of_the_network(options: type[Section]) -> None:
    arguments = inspect.signature(GENERATORS[options]).parameters
    assert set(arguments) - {"scale"} == set(options.model_fields) - {"type"}
    for name in set(arguments) - {"scale"}:
        given = options.model_fields[name].get_default(call_default_factory=True)
        required = options.model_fields[name].is_required()
        assert (inspect.Parameter.empty if required else given) == arguments[name].default


@pytest.mark.parametrize("options", LOSSES)
def test_loss_options_are_the_arguments_of_the_term_and_its_weight(options: type[Section]) -> None:
    arguments = inspect.signature(LOSSES[options]).parameters
    assert set(arguments) - {"sr", "hr"} == set(options.model_fields) - {"type", "weight"}


@pytest.fixture(scope="module")
def schema() -> dict[str, Any]:
    """The JSON schema of option files."""
    content: dict[str, Any] = json.loads(generate_schema())
    return content


@pytest.mark.parametrize("section", sorted(sections_in(Options), key=str))
def test_every_section_is_frozen_strict_and_described(
    section: type[Section], schema: dict[str, Any]
) -> None:
    assert section.model_config["frozen"]
    assert section.model_config["extra"] == "forbid"
    assert section.__doc__
    # Sections describe themselves; `type` and `learning_rate` need no words.
    keys = (schema if section is Options else schema["$defs"][section.__name__])["properties"]
    undescribed = {
        name
        for name, field in section.model_fields.items()
        if not keys[field.alias or name].get("description") and not sections_in(field.annotation)
    }
    assert undescribed <= {"type", "learning_rate"}


def test_the_layers_of_perceptual_options_are_those_of_the_networks() -> None:
    architectures: tuple[Architecture, ...] = ("VGG16", "VGG19")
    for architecture in architectures:
        known = set(list_layers(architecture))
        for block, number, kind in itertools.product(range(1, 7), range(1, 6), ("conv", "relu")):
            name = f"{kind}{block}_{number}"
            try:
                PerceptualOptions.model_validate({"type": architecture, "layers": {name: 1.0}})
            except ValidationError:
                assert name not in known
            else:
                assert name in known


def test_kinds_that_refuse_label_smoothing_are_those_of_the_loss() -> None:
    kinds = get_args(AdversarialOptions.model_fields["type"].annotation)
    assert set(kinds) == set(get_args(AdversarialKind))
    for kind in kinds:
        try:
            AdversarialOptions(type=kind, weight=1.0, label_smoothing=0.1)
        except ValidationError:
            assert kind not in KINDS_WITH_LABEL_SMOOTHING
        else:
            assert kind in KINDS_WITH_LABEL_SMOOTHING
