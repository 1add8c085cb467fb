import inspect
from typing import Any, get_args

import pytest
from pydantic import TypeAdapter, ValidationError
from torch import nn

from sr.networks.patchgan import PatchGAN
from sr.networks.srgan_discriminator import SRGANDiscriminator
from sr.networks.unet_discriminator import UNetDiscriminator
from sr.options.base import Section
from sr.options.discriminator import (
    DiscriminatorOptions,
    PatchGANOptions,
    SRGANDiscriminatorOptions,
    UNetDiscriminatorOptions,
)
from sr.options.read_docstrings import read_docstrings

NETWORKS: dict[type[Section], type[nn.Module]] = {
    SRGANDiscriminatorOptions: SRGANDiscriminator,
    PatchGANOptions: PatchGAN,
    UNetDiscriminatorOptions: UNetDiscriminator,
}
FROM_THE_DATA = {"crop_size"}

every_options = pytest.mark.parametrize("options", NETWORKS)
adapter: TypeAdapter[Any] = TypeAdapter(DiscriminatorOptions)


def test_the_table_of_this_file_is_complete() -> None:
    assert set(get_args(get_args(DiscriminatorOptions)[0])) == set(NETWORKS)


@every_options
def test_the_options_are_the_arguments_of_the_network(options: type[Section]) -> None:
    arguments = dict(inspect.signature(NETWORKS[options]).parameters)
    for name in FROM_THE_DATA:
        arguments.pop(name, None)
    fields = {name: field for name, field in options.model_fields.items() if name != "type"}
    assert set(fields) == set(arguments)
    for name, field in fields.items():
        assert field.default == arguments[name].default, name
        assert field.annotation == arguments[name].annotation, name


@every_options
def test_every_field_is_described(options: type[Section]) -> None:
    assert read_docstrings(options).keys() >= options.model_fields.keys() - {"type"}


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("SRGAN", SRGANDiscriminatorOptions),
        ("PatchGAN", PatchGANOptions),
        ("UNet", UNetDiscriminatorOptions),
    ],
)
def test_the_type_selects_the_discriminator(name: str, options: type[Section]) -> None:
    assert type(adapter.validate_python({"type": name})) is options


@pytest.mark.parametrize(
    ("wrong", "where"),
    [
        ({"type": "VGG"}, "SRGAN"),
        ({"type": "SRGAN", "crop_size": 96}, "crop_size"),
        ({"type": "SRGAN", "normalisation": "instance"}, "normalisation"),
        ({"type": "SRGAN", "head": "linear"}, "head"),
        ({"type": "PatchGAN", "num_layers": 0}, "num_layers"),
        ({"type": "PatchGAN", "normalisation": "layer"}, "normalisation"),
        ({"type": "UNet", "num_features": 0}, "num_features"),
        ({"type": "UNet", "normalisation": "batch"}, "normalisation"),
    ],
)
def test_what_no_discriminator_has_is_refused(wrong: dict[str, Any], where: str) -> None:
    with pytest.raises(ValidationError, match=where):
        adapter.validate_python(wrong)
