"""Options of adversarial training: the discriminator's updates, and the GAN monitor."""

from typing import Annotated, Literal

from pydantic import Field, NonNegativeInt, PositiveFloat, PositiveInt

from sr.options.base import Factor, Section
from sr.options.optimization import OptimizerOptions, ScheduleOptions


class MonitorOptions(Section):
    """GAN monitor: limits beyond which adversarial training is considered unstable."""

    window: PositiveInt = 200
    """Steps of the running means; a value with fewer measurements raises no alarm."""
    max_margin: PositiveFloat = 10.0
    """Alarm when mean D(hr) - D(sr), in logits, is larger: the discriminator has won."""
    max_colour_drift: Annotated[float, Field(gt=0, le=1)] = 0.02
    """Alarm when the mean of sr minus that of lr, in any channel, is larger ([0, 1] range)."""
    max_nonfinite_share: Annotated[float, Field(ge=0, le=1)] = 0.05
    """Alarm when a larger share of steps was skipped because they were not finite."""
    action: Literal["warn", "lower_weight", "pause_discriminator", "stop"] = "warn"
    """What an alarm does in addition to the warning."""
    lower_factor: Factor = 0.5
    """lower_weight: factor of the adversarial weight, applied once per window, down to 1e-3."""


class GANOptions(Section):
    """Training of the discriminator."""

    optimizer: OptimizerOptions
    """Optimizer of the discriminator."""
    schedule: ScheduleOptions | None = None
    """Of the discriminator's learning rate, counted from the first step of the run; null: the
    same as the generator's."""
    start_step: PositiveInt = 1
    """First step in which the discriminator is trained."""
    lead_steps: NonNegativeInt = 0
    """Warm-up: steps of the discriminator before the adversarial term is used."""
    interval: PositiveInt = 1
    """The discriminator is trained in every N-th step."""
    updates: PositiveInt = 1
    """Its updates per such step, each with other images."""
    clip_norm: PositiveFloat | None = None
    """Largest norm of its gradient; null: no clipping."""
    monitor: MonitorOptions = MonitorOptions()
