"""Options of optimizers and of learning-rate schedules, unions discriminated by `type`."""

from typing import Annotated, Literal, Self

from pydantic import (
    Field,
    NonNegativeFloat,
    NonNegativeInt,
    PositiveFloat,
    PositiveInt,
    model_validator,
)

from sr.options.base import Decay, Factor, Section


class AdamOptions(Section):
    """Adam, Kingma and Ba 2015."""

    type: Literal["Adam"]
    learning_rate: PositiveFloat = 1e-4
    """Learning rate, before the factor of the schedule."""
    betas: tuple[Decay, Decay] = (0.9, 0.999)
    """Decay of the running means of gradient and squared gradient."""


class AdamWOptions(Section):
    """AdamW, Loshchilov and Hutter 2019."""

    type: Literal["AdamW"]
    learning_rate: PositiveFloat = 2e-4
    """Learning rate, before the factor of the schedule."""
    betas: tuple[Decay, Decay] = (0.9, 0.99)
    """Decay of the running means of gradient and squared gradient."""
    weight_decay: NonNegativeFloat = 0.0
    """Decoupled weight decay."""


class MuonOptions(Section):
    """Muon, Jordan et al. 2024: orthogonalized momentum for inner convolutions, AdamW elsewhere."""

    type: Literal["Muon"]
    learning_rate: PositiveFloat = 0.02
    """Learning rate of the orthogonalized updates of the inner convolutions."""
    momentum: Decay = 0.95
    """Decay of the running mean of the gradient."""
    adamw_learning_rate: PositiveFloat = 1e-3
    """Learning rate of all other parameters (first and last layer, biases, slopes, norms)."""
    adamw_betas: tuple[Decay, Decay] = (0.9, 0.99)
    """Decay of the running means of gradient and squared gradient in AdamW."""


OptimizerOptions = Annotated[AdamOptions | AdamWOptions | MuonOptions, Field(discriminator="type")]


class CosineOptions(Section):
    """Cosine from the full learning rate down to `final_factor` of it."""

    type: Literal["cosine"]
    warmup_steps: NonNegativeInt = 0
    """Steps of linear growth from zero."""
    final_factor: Annotated[float, Field(ge=0, le=1)] = 0.01
    """Factor of the learning rate at the last step."""


class MultiStepOptions(Section):
    """The learning rate is multiplied by `gamma` at each milestone."""

    type: Literal["multi_step"]
    warmup_steps: NonNegativeInt = 0
    """Steps of linear growth from zero."""
    milestones: tuple[PositiveInt, ...]
    """Steps after which the factor is applied, in ascending order."""
    gamma: Factor = 0.5
    """Factor at each milestone."""

    @model_validator(mode="after")
    def _milestones_rise(self) -> Self:
        if list(self.milestones) != sorted(set(self.milestones)):
            raise ValueError(f"milestones must rise, got {list(self.milestones)}")
        return self


ScheduleOptions = Annotated[CosineOptions | MultiStepOptions, Field(discriminator="type")]
