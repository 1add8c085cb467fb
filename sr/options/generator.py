"""Options of the generators, a union told apart by `type`."""

from typing import Annotated, Literal

from pydantic import Field, PositiveInt

from sr.options.section import Section


class SRResNetOptions(Section):
    """SRResNet, Ledig et al. 2017: residual blocks with batch normalisation."""

    type: Literal["SRResNet"]
    num_features: PositiveInt = 64
    """Channels of the hidden layers."""
    num_blocks: PositiveInt = 16
    """Residual blocks."""


class CompactOptions(Section):
    """Compact, the SRVGGNetCompact design of Real-ESRGAN: plain 3x3 convolutions, fast."""

    type: Literal["Compact"]
    num_features: PositiveInt = 64
    """Channels of the hidden layers."""
    num_convs: PositiveInt = 16
    """Convolutions between the first and the last."""


GeneratorOptions = Annotated[SRResNetOptions | CompactOptions, Field(discriminator="type")]
