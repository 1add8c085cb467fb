"""Options of the optical flow, a union discriminated by `type`."""

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field

from sr.options.base import Section


class DISOptions(Section):
    """Dense inverse search, Kroeger et al. 2016: fast on a CPU, needs no weights."""

    type: Literal["DIS"]


class FarnebackOptions(Section):
    """Polynomial expansion, Farneback 2003: on a CPU, needs no weights."""

    type: Literal["Farneback"]


class RAFTOptions(Section):
    """RAFT, Teed and Deng 2020, a network: on a GPU, needs weights."""

    type: Literal["RAFT"]
    size: Literal["small", "large"] = "small"
    """0.99 or 5.3 million parameters; large takes four times the arithmetic."""
    weights: Literal["torchvision"] | Path = "torchvision"
    """torchvision: downloaded once. Else a local safetensors or pth file with torchvision's key
    names."""


FlowOptions = Annotated[DISOptions | FarnebackOptions | RAFTOptions, Field(discriminator="type")]
