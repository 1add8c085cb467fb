"""Options of the generators, a union discriminated by `type`."""

from typing import Annotated, Any, Literal

from pydantic import Field, PositiveFloat, field_validator

from sr.options.base import MAX_COUNT, Count, Section


class SRResNetOptions(Section):
    """SRResNet, Ledig et al. 2017: residual blocks with batch normalization."""

    type: Literal["SRResNet"]
    num_features: Count = 64
    """Channels of the hidden layers."""
    num_blocks: Count = 16
    """Residual blocks."""


class MSRResNetOptions(Section):
    """MSRResNet of BasicSR: SRResNet without batch normalization, added to bilinear upscaling."""

    type: Literal["MSRResNet"]
    num_features: Count = 64
    """Channels of the hidden layers."""
    num_blocks: Count = 16
    """Residual blocks."""


class EDSROptions(Section):
    """EDSR, Lim et al. 2017: residual blocks without batch normalization."""

    type: Literal["EDSR"]
    num_features: Count = 64
    """Channels of the hidden layers; 256 in the paper's large network."""
    num_blocks: Count = 16
    """Residual blocks; 32 in the large network."""
    residual_scale: PositiveFloat = 1.0
    """Factor of each block's residual; 0.1 in the large network, for stability."""


class RRDBNetOptions(Section):
    """RRDBNet of ESRGAN and Real-ESRGAN, Wang et al. 2018 and 2021: dense residual blocks. Not for
    scale 3."""

    type: Literal["RRDBNet"]
    num_features: Count = 64
    """Channels between the blocks."""
    num_blocks: Count = 23
    """Blocks of three dense blocks; 6 in Real-ESRGAN's network for drawings."""
    num_growth: Count = 32
    """Channels that each convolution of a dense block adds."""


class CompactOptions(Section):
    """Compact, the SRVGGNetCompact design of Real-ESRGAN: plain 3x3 convolutions, fast."""

    type: Literal["Compact"]
    num_features: Count = 64
    """Channels of the hidden layers."""
    num_convs: Count = 16
    """Convolutions between the first and the last."""


class SPANOptions(Section):
    """SPAN, Wan et al. 2024: few convolutions and attention without parameters, fast."""

    type: Literal["SPAN"]
    num_features: Count = 48
    """Channels of the hidden layers."""
    num_blocks: Count = 6
    """Attention blocks of three convolutions."""
    normalise: bool = True
    """Subtract the mean color of DIV2K from lr and multiply by 255 first, as published."""


class RLFNOptions(Section):
    """RLFN, Kong et al. 2022: residual blocks with attention from a coarse map. Tiles differ a
    little from the whole image."""

    type: Literal["RLFN"]
    num_features: Count = 52
    """Channels between the blocks."""
    num_blocks: Count = 6
    """Residual blocks of three convolutions."""
    num_inner_features: Count | None = None
    """Channels between the convolutions of a block; as many as num_features if not given."""
    num_esa_features: Count = 16
    """Channels of the attention's map."""
    value_range: Literal[1, 255] = 1
    """Largest color inside the network; 255 in the published files."""


class DBPNOptions(Section):
    """DBPN, Haris et al. 2018: up- and down-projections with dense connections."""

    type: Literal["DBPN"]
    num_shallow_features: Count = 256
    """Channels of the first convolution, the paper's n_0."""
    num_features: Count = 64
    """Channels of the projections, the paper's n_R."""
    num_stages: Count = 7
    """Up-projections, the paper's T; there is one down-projection less."""
    bicubic_skip: bool = False
    """Add bicubic upscaling of lr to the result; not in the paper."""


class RBPNOptions(Section):
    """RBPN, Haris et al. 2019: multi-frame super-resolution with optical flow to the neighbors. The
    generator of iSeeBetter. Needs clips."""

    type: Literal["RBPN"]
    num_shallow_features: Count = 256
    """Channels at low resolution, the paper's c^l = c^m."""
    num_features: Count = 64
    """Channels at high resolution, the paper's c^h."""
    num_stages: Count = 3
    """Up-projections of the single-image part."""
    num_res_blocks: Count = 5
    """Residual blocks in each of the three other parts."""
    num_frames: Annotated[int, Field(ge=3, le=MAX_COUNT)] = 7
    """Frames per window, the reference in the middle; an odd number."""
    bicubic_skip: bool = False
    """Add bicubic upscaling of the reference to the result; not in the paper."""

    @field_validator("num_frames")
    @classmethod
    def _has_a_middle(cls, num_frames: int) -> int:
        if num_frames % 2 == 0:
            raise ValueError(
                f"expected an odd number, with a reference in the middle, got {num_frames}"
            )
        return num_frames


class ISeeBetterSRResNetOptions(Section):
    """SRResNet as in iSeeBetter's repository, for the weights published there. Not for scale 3."""

    type: Literal["ISeeBetterSRResNet"]
    num_features: Count = 64
    """Channels of the hidden layers."""


class BasicSROptions(Section):
    """A network of BasicSR, which must be installed as well (docs/training.md)."""

    type: Literal["BasicSR"]
    arch: str
    """Its name in BasicSR's registry, for instance SwinIR."""
    options: dict[str, Any] = Field(default_factory=dict)
    """Its keyword arguments, as in BasicSR's `network_g`; without scale and channels."""


class SpandrelOptions(Section):
    """A network of spandrel's registry: SwinIR, HAT, DAT, RealPLKSR, RCAN, OmniSR, ATD and others
    (docs/training.md)."""

    type: Literal["Spandrel"]
    arch: str
    """Name of its class, for instance HAT."""
    options: dict[str, Any] = Field(default_factory=dict)
    """Arguments of its constructor; without scale and channels."""


GeneratorOptions = Annotated[
    SRResNetOptions
    | MSRResNetOptions
    | EDSROptions
    | RRDBNetOptions
    | CompactOptions
    | SPANOptions
    | RLFNOptions
    | DBPNOptions
    | RBPNOptions
    | ISeeBetterSRResNetOptions
    | BasicSROptions
    | SpandrelOptions,
    Field(discriminator="type"),
]

WITH_BLOCKS = (
    "SRResNet",
    "MSRResNet",
    "EDSR",
    "RRDBNet",
    "SPAN",
    "RLFN",
    "DBPN",
    "RBPN",
    "ISeeBetterSRResNet",
)
"""Generators made of blocks, which gradient checkpointing needs."""

SCALES: dict[str, tuple[int, ...]] = {
    "SRResNet": (1, 2, 3, 4, 8),
    "Compact": (1, 2, 3, 4, 8),
    "SPAN": (1, 2, 3, 4, 8),
    "RLFN": (1, 2, 3, 4, 8),
    "BasicSR": (1, 2, 3, 4, 8),
    "Spandrel": (1, 2, 3, 4, 8),
    "RRDBNet": (1, 2, 4, 8),
    "ISeeBetterSRResNet": (2, 4, 8),
}
"""Scales of the generators whose scales are not 2, 3, 4 and 8."""


def name_network(options: GeneratorOptions) -> str:
    """Return what a generator is called in messages."""
    match options:
        case BasicSROptions():
            return f"{options.arch} of BasicSR"
        case SpandrelOptions():
            return f"{options.arch} of spandrel"
        case _:
            return options.type
