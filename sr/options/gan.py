"""Options of adversarial training: the discriminator's updates, and the watch over both."""

from typing import Annotated, Literal

from pydantic import Field, NonNegativeInt, PositiveFloat, PositiveInt

from sr.options.base import Factor, Section
from sr.options.optimization import OptimizerOptions, ScheduleOptions


class MonitorOptions(Section):
    """Signs that generator and discriminator no longer learn from each other."""

    window: PositiveInt = 200
    """Steps that the running means look back; a value measured less often raises no alarm."""
    max_margin: PositiveFloat = 10.0
    """Alarm when mean D(hr) - D(sr), in logits, is larger: sr is told apart without effort."""
    max_colour_drift: Annotated[float, Field(gt=0, le=1)] = 0.02
    """Alarm when the mean of sr less that of lr, in any channel, is larger ([0, 1] range)."""
    max_nonfinite_share: Annotated[float, Field(ge=0, le=1)] = 0.05
    """Alarm when more of the steps were skipped because they were not finite."""
    action: Literal["warn", "lower_weight", "pause_discriminator", "stop"] = "warn"
    """What an alarm does next to the warning."""
    lower_factor: Factor = 0.5
    """lower_weight: the adversarial weight is multiplied by this, once a window, down to 1e-3."""


class GANOptions(Section):
    """How the discriminator is trained, and from when on it counts."""

    optimizer: OptimizerOptions
    """The discriminator's; it has one of its own."""
    schedule: ScheduleOptions | None = None
    """Of the discriminator's learning rate, counted from the run's first step; null takes the
    generator's."""
    start_step: PositiveInt = 1
    """First step in which the discriminator is trained."""
    lead_steps: NonNegativeInt = 0
    """Steps that the discriminator learns before the generator's loss heeds it."""
    interval: PositiveInt = 1
    """The discriminator is trained in every N-th step."""
    updates: PositiveInt = 1
    """Its updates in such a step, each on images of its own."""
    clip_norm: PositiveFloat | None = None
    """Largest norm of its gradient; null does not clip."""
    monitor: MonitorOptions = MonitorOptions()
