"""Options of optimizers and learning-rate schedules."""

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


class AdanOptions(Section):
    """Adan, Xie et al. 2022 (arXiv 2208.06677): Nesterov momentum from differences of gradients."""

    type: Literal["Adan"]
    learning_rate: PositiveFloat = 1e-3
    """Learning rate, before the factor of the schedule."""
    betas: tuple[Decay, Decay, Decay] = (0.98, 0.92, 0.99)
    """Decay of the running means of gradient, its difference to the last one, and their square."""
    weight_decay: NonNegativeFloat = 0.0
    """Weight decay, by division by 1 + learning rate * decay."""


class ScheduleFreeOptions(Section):
    """Schedule-free AdamW, Defazio et al. 2024 (arXiv 2405.15682): averages weights instead of
    lowering the learning rate. The schedule must be constant. The mean is what validation and model
    files take, after `ema_decay`, which is best 0."""

    type: Literal["ScheduleFreeAdamW"]
    learning_rate: PositiveFloat = 2.5e-3
    """Learning rate, before the factor of the warm-up."""
    betas: tuple[Annotated[float, Field(gt=0, lt=1)], Decay] = (0.9, 0.99)
    """Share of the mean in the weights at which gradients are taken, and decay of the running mean
    of the squared gradient."""
    weight_decay: NonNegativeFloat = 0.0
    """Decoupled weight decay."""


class SOAPOptions(Section):
    """SOAP, Vyas et al. 2024 (arXiv 2409.11321): Adam in the eigenbasis of Shampoo. The first step
    only starts its means."""

    type: Literal["SOAP"]
    learning_rate: PositiveFloat = 1e-3
    """Learning rate, before the factor of the schedule."""
    betas: tuple[Decay, Decay] = (0.95, 0.95)
    """Decay of the running means of gradient and squared gradient; the second also of the
    preconditioner."""
    weight_decay: NonNegativeFloat = 0.0
    """Decoupled weight decay."""
    precondition_interval: PositiveInt = 10
    """Steps between two updates of the eigenbasis."""
    max_precondition_size: PositiveInt = 1024
    """Sides of weights that are longer are not preconditioned."""


class ProdigyOptions(Section):
    """Prodigy, Mishchenko and Defazio 2023 (arXiv 2306.06101): Adam that estimates its learning
    rate from the distance to the initial weights."""

    type: Literal["Prodigy"]
    learning_rate: PositiveFloat = 1.0
    """Factor of the estimated learning rate, before that of the schedule."""
    betas: tuple[Decay, Decay] = (0.9, 0.999)
    """Decay of the running means of gradient and squared gradient."""
    weight_decay: NonNegativeFloat = 0.0
    """Decoupled weight decay."""
    initial_distance: PositiveFloat = 1e-6
    """First estimate of the distance; the estimate only grows."""
    distance_factor: PositiveFloat = 1.0
    """Factor of the estimate, to be changed before the learning rate is."""


OptimizerOptions = Annotated[
    AdamOptions
    | AdamWOptions
    | MuonOptions
    | AdanOptions
    | ScheduleFreeOptions
    | SOAPOptions
    | ProdigyOptions,
    Field(discriminator="type"),
]


class CosineOptions(Section):
    """Cosine from the full learning rate down to `final_factor` of it."""

    type: Literal["cosine"]
    warmup_steps: NonNegativeInt = 0
    """Steps of linear growth from zero."""
    final_factor: Annotated[float, Field(ge=0, le=1)] = 0.01
    """Factor of the learning rate at the last step."""


class ConstantOptions(Section):
    """The learning rate stays as it is; for ScheduleFreeAdamW."""

    type: Literal["constant"]
    warmup_steps: NonNegativeInt = 0
    """Steps of linear growth from zero."""


class CosineRestartsOptions(Section):
    """Half a cosine in each of several periods, one after the other, as BasicSR's
    CosineAnnealingRestartLR (SGDR, Loshchilov and Hutter 2017). After the last period the learning
    rate stays where that ends."""

    type: Literal["cosine_restarts"]
    warmup_steps: NonNegativeInt = 0
    """Steps of linear growth from zero, in place of the first period's beginning."""
    periods: tuple[PositiveInt, ...] = Field(min_length=1)
    """Steps of each period."""
    restart_factors: tuple[PositiveFloat, ...] = (1.0,)
    """Factors by which each period is higher or lower; one is of all."""
    final_factor: Annotated[float, Field(ge=0, le=1)] = 0.01
    """Factor of the learning rate at the end of each period."""

    @model_validator(mode="after")
    def _each_period_has_a_factor(self) -> Self:
        if len(self.restart_factors) not in (1, len(self.periods)):
            raise ValueError(
                f"restart_factors: expected one, or one for each of {len(self.periods)} periods, "
                f"got {len(self.restart_factors)}"
            )
        return self


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
            raise ValueError(f"milestones: expected rising steps, got {list(self.milestones)}")
        return self


ScheduleOptions = Annotated[
    CosineOptions | CosineRestartsOptions | MultiStepOptions | ConstantOptions,
    Field(discriminator="type"),
]


def check_schedule(optimizer: OptimizerOptions, schedule: ScheduleOptions, key: str) -> None:
    """Raise ValueError for a schedule that does not suit an optimizer. key: of the schedule."""
    if isinstance(optimizer, ScheduleFreeOptions) and not isinstance(schedule, ConstantOptions):
        raise ValueError(
            f"{key}: expected constant for ScheduleFreeAdamW, whose mean of weights takes the "
            f"place of a falling learning rate, got {schedule.type}"
        )


LIBRARY_OPTIMIZERS = (AdanOptions, ScheduleFreeOptions, SOAPOptions, ProdigyOptions)
"""Those of the package pytorch_optimizer."""
