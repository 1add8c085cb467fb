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
    """Precision of the networks; losses are fp32. auto: bf16 if the hardware supports it."""
    memory_format: Literal["auto", "channels_last", "contiguous"] = "auto"
    """Memory layout of activations. auto: channels_last with bf16 and fp16."""
    compile: bool = False
    """Use torch.compile: a minute at the start, faster steps later."""
    checkpoint_interval: PositiveInt = 1000
    """Steps between two checkpoints."""
    keep_last: PositiveInt = 3
    """Checkpoints kept, in addition to the best one and the last without an alarm."""

    @model_validator(mode="after")
    def _a_part_is_of_something(self) -> Self:
        if self.initial_partial and self.initial_generator is None:
            raise ValueError("initial_partial needs initial_generator, the file to take from")
        return self
