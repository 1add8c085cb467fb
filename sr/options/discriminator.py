"""Options of the discriminators, a union discriminated by `type`."""

from typing import Annotated, Literal

from pydantic import Field

from sr.options.base import Count, Section


class SRGANDiscriminatorOptions(Section):
    """SRGAN's, Ledig et al. 2017: one logit per image. Its crop size is that of the data set."""

    type: Literal["SRGAN"]
    num_features: Count = 64
    """Channels of the first layer; the last has 8 times as many."""
    head: Literal["dense", "pooled"] = "dense"
    """dense: the paper's, for images of the crop size only; pooled: iSeeBetter's, any size."""
    normalisation: Literal["batch", "spectral", "none"] = "batch"
    """Normalization of the layers; batch is the paper's."""

    @property
    def last_convolution(self) -> int:
        """Index of the last convolution before the head, counted from 0."""
        return 7


class PatchGANOptions(Section):
    """PatchGAN, Isola et al. 2017 (pix2pix): one logit per patch of the image."""

    type: Literal["PatchGAN"]
    num_features: Count = 64
    """Channels of the first layer; the last has up to 8 times as many."""
    num_layers: Count = 3
    """Strided convolutions; 1 to 5 give patches of 16, 34, 70, 142 and 286 pixels."""
    normalisation: Literal["batch", "instance", "spectral", "none"] = "batch"
    """Normalization of the layers; batch is the paper's."""

    @property
    def last_convolution(self) -> int:
        """Index of the last convolution, counted from 0."""
        return self.num_layers + 1


class UNetDiscriminatorOptions(Section):
    """Real-ESRGAN's U-Net, Wang et al. 2021: one logit per pixel."""

    type: Literal["UNet"]
    num_features: Count = 64
    """Channels of the first layer; the deepest has 8 times as many."""
    skip_connections: bool = True
    """Add the features of the encoder to those of the decoder."""
    spectral_norm: bool = True
    """Spectral normalization of all layers except the first and last."""

    @property
    def last_convolution(self) -> int:
        """Index of the last convolution, counted from 0."""
        return 9


DiscriminatorOptions = Annotated[
    SRGANDiscriminatorOptions | PatchGANOptions | UNetDiscriminatorOptions,
    Field(discriminator="type"),
]
