"""Options of the loop: length, optimizer, schedule, precision, checkpoints."""

from pathlib import Path
from typing import Literal, Self

from pydantic import Field, PositiveFloat, PositiveInt, model_validator

from sr.options.base import Decay, Section
from sr.options.gan import GANOptions
from sr.options.optimization import OptimizerOptions, ScheduleOptions


class TrainOptions(Section):
    """The loop: length, optimizer, precision, checkpoints."""

    steps: PositiveInt
    """Optimizer updates of the whole run."""
    optimizer: OptimizerOptions
    """What updates the generator."""
    schedule: ScheduleOptions
    """Of the learning rate."""
    gan: GANOptions | None = None
    """Needed with a discriminator."""
    initial_generator: Path | None = None
    """Model file whose weights a new run starts from; network and scale must be the same, unless
    `initial_partial` is set."""
    initial_partial: bool = False
    """Take from `initial_generator` the weights whose names and shapes fit, and begin the others
    again: for another scale or size. The run tells which began again."""
    ema_decay: Decay = 0.999
    """Decay of the running mean of the weights, which is validated and shipped; 0 is off."""
    accumulation: PositiveInt = 1
    """Batches whose gradients make one update: memory of one, effect of all."""
    max_nonfinite_steps: PositiveInt = 10
    """Steps in a row whose loss or gradient is not finite, at which the run stops; fewer are
    skipped with a warning."""
    clip_norm: PositiveFloat | None = None
    """Largest norm of the gradient; longer ones are scaled down. Off by default."""
    device: str = Field(default="auto", pattern=r"^(auto|cpu|cuda(:\d+)?|mps)$")
    """auto takes a GPU if there is one."""
    precision: Literal["auto", "fp32", "bf16", "fp16"] = "auto"
    """Arithmetic of the networks; losses stay fp32. auto: bf16 where the hardware has it."""
    memory_format: Literal["auto", "channels_last", "contiguous"] = "auto"
    """Layout of activations. auto: channels_last with bf16 and fp16."""
    compile: bool = False
    """Compile the networks with torch.compile: a minute at the start, faster steps later."""
    checkpoint_interval: PositiveInt = 1000
    """Steps between two checkpoints."""
    keep_last: PositiveInt = 3
    """Checkpoints kept, next to the best one and the last without an alarm."""

    @model_validator(mode="after")
    def _a_part_is_of_something(self) -> Self:
        if self.initial_partial and self.initial_generator is None:
            raise ValueError("initial_partial needs initial_generator, the file to take from")
        return self
