"""The base of all option sections and the number types that they share."""

from typing import Annotated

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    NonNegativeFloat,
    PositiveFloat,
    ValidationError,
)

MAX_COUNT = 100_000
"""Of channels or layers, far above any network: what is larger is a slip of the hand."""

Count = Annotated[int, Field(ge=1, le=MAX_COUNT)]
Decay = Annotated[float, Field(ge=0, lt=1)]
Factor = Annotated[float, Field(gt=0, le=1)]
Probability = Annotated[float, Field(ge=0, le=1)]


def describe_faults(error: ValidationError) -> str:
    """Return what pydantic found, in one line: key, what is wrong, the value."""
    faults = error.errors(include_url=False)
    return "; ".join(
        f"{'.'.join(map(str, fault['loc']))}: {fault['msg']}, got {str(fault['input'])[:80]}"
        for fault in faults
    )


def check_order(bounds: tuple[float, float]) -> tuple[float, float]:
    """Raise ValueError for a range whose larger number comes first."""
    if bounds[0] > bounds[1]:
        raise ValueError(f"expected the smaller number first, got {list(bounds)}")
    return bounds


FactorRange = Annotated[tuple[Factor, Factor], AfterValidator(check_order)]
PositiveRange = Annotated[tuple[PositiveFloat, PositiveFloat], AfterValidator(check_order)]
Range = Annotated[tuple[NonNegativeFloat, NonNegativeFloat], AfterValidator(check_order)]


class Section(BaseModel):
    """Frozen; unknown keys and infinite numbers are refused.

    The docstring under a field is its description.
    """

    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        allow_inf_nan=False,
        defer_build=True,  # most runs use few of the sections
    )
