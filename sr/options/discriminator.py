"""Options of the discriminators, a union told apart by `type`."""

from typing import Annotated, Literal

from pydantic import Field, PositiveInt

from sr.options.base import Section


class SRGANDiscriminatorOptions(Section):
    """SRGAN's, Ledig et al. 2017: one logit an image. Its crop size is that of the data set."""

    type: Literal["SRGAN"]
    num_features: PositiveInt = 64
    """Channels of the first layer; the last has 8 times as many."""
    head: Literal["dense", "pooled"] = "dense"
    """dense: the paper's, for images of the crop size only; pooled: iSeeBetter's, any size."""
    normalisation: Literal["batch", "spectral", "none"] = "batch"
    """What normalises the layers; batch is the paper's."""


class PatchGANOptions(Section):
    """PatchGAN, Isola et al. 2017 (pix2pix): one logit a patch of the image."""

    type: Literal["PatchGAN"]
    num_features: PositiveInt = 64
    """Channels of the first layer; the last has up to 8 times as many."""
    num_layers: PositiveInt = 3
    """Halving convolutions; 1 to 5 make patches of 16, 34, 70, 142 and 286 pixels."""
    normalisation: Literal["batch", "instance", "spectral", "none"] = "batch"
    """What normalises the layers; batch is the paper's."""


class UNetDiscriminatorOptions(Section):
    """Real-ESRGAN's U-Net, Wang et al. 2021: one logit a pixel."""

    type: Literal["UNet"]
    num_features: PositiveInt = 64
    """Channels of the first layer; the deepest has 8 times as many."""
    skip_connections: bool = True
    """Add the features of the way down to those of the way up."""
    spectral_norm: bool = True
    """Normalise all layers but the first and last spectrally."""


DiscriminatorOptions = Annotated[
    SRGANDiscriminatorOptions | PatchGANOptions | UNetDiscriminatorOptions,
    Field(discriminator="type"),
]
