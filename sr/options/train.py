"""Options of training: the loop, and the discriminator's training."""

from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import (
    Field,
    NonNegativeInt,
    PositiveFloat,
    PositiveInt,
    model_validator,
)

from sr.options.base import Decay, Factor, Section
from sr.options.optimizers import OptimizerOptions, ScheduleOptions, check_schedule


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
    initial_discriminator: Path | None = None
    """File with the discriminator's initial weights: published ones, or the .state file of a run
    with the same discriminator."""
    initial_partial: bool = False
    """Load only weights of `initial_discriminator` whose names and shapes match."""
    monitor: MonitorOptions = MonitorOptions()

    @model_validator(mode="after")
    def _a_part_is_of_something(self) -> Self:
        if self.initial_partial and self.initial_discriminator is None:
            raise ValueError(
                "initial_partial: expected initial_discriminator, the file to load from, got none"
            )
        return self


class TrainOptions(Section):
    """The loop: length, optimizer, precision, checkpoints."""

    steps: PositiveInt
    """Optimizer updates of the whole run."""
    optimizer: OptimizerOptions
    """Optimizer of the generator."""
    schedule: ScheduleOptions
    """Of the learning rate."""
    gan: GANOptions | None = None
    """Needed with a discriminator."""
    initial_generator: Path | None = None
    """Model file with the initial weights; network and scale must be the same, unless
    `initial_partial` is set."""
    initial_partial: bool = False
    """Load only weights of `initial_generator` whose names and shapes match, for another scale or
    size. The log lists the ones that were initialized randomly."""
    ema_decay: Decay = 0.999
    """Decay of the exponential moving average of the weights, which is validated and saved; 0 is
    off. After n updates it is at most (1 + n) / (10 + n): 0.999 is reached after 8,990."""
    accumulation: PositiveInt = 1
    """Gradient accumulation: batches per update."""
    max_nonfinite_steps: PositiveInt = 10
    """Consecutive steps with a non-finite loss or gradient after which the run stops; fewer are
    skipped with a warning."""
    clip_norm: PositiveFloat | None = None
    """Largest norm of the gradient; longer ones are scaled down. Off by default."""
    device: str = Field(default="auto", pattern=r"^(auto|cpu|cuda(:\d+)?|mps)$")
    """auto: a GPU if there is one."""
    precision: Literal["auto", "fp32", "bf16", "fp16"] = "auto"
    """Precision of the networks; losses are fp32. auto: bf16 if the hardware supports it. On NVIDIA
    GPUs from Ampere on, convolutions of fp32 are TF32 in training, R1 included, but not in
    validation."""
    memory_format: Literal["auto", "channels_last", "contiguous"] = "auto"
    """Memory layout of activations. auto: channels_last with bf16 and fp16."""
    compile: bool = False
    """Use torch.compile for the generator: a minute at the start, faster steps later."""
    gradient_checkpointing: bool = False
    """Compute the activations of the generator's blocks again in the backward pass instead of
    keeping them: less memory, a third more time per step, the same gradients."""
    checkpoint_interval: PositiveInt = 1000
    """Steps between two checkpoints."""
    keep_last: PositiveInt = 3
    """Checkpoints kept, in addition to the best one and the last without an alarm."""

    @model_validator(mode="after")
    def _a_part_is_of_something(self) -> Self:
        if self.initial_partial and self.initial_generator is None:
            raise ValueError(
                "initial_partial: expected initial_generator, the file to load from, got none"
            )
        return self

    @model_validator(mode="after")
    def _schedules_fit_optimizers(self) -> Self:
        check_schedule(self.optimizer, self.schedule, "schedule")
        if self.gan is not None:
            key = "schedule" if self.gan.schedule is None else "gan.schedule"
            check_schedule(self.gan.optimizer, self.gan.schedule or self.schedule, key)
        return self
