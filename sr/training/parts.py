"""What the training loop works with: the networks in training, their loss, the numbers."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from accelerate import Accelerator

from sr.losses.combined import CombinedLoss
from sr.losses.discriminator import DiscriminatorLoss
from sr.training.gan_monitor import Health
from sr.training.logging import RunLog
from sr.training.state import Trainee
from sr.training.steps import Trained

ADVERSARIAL = "adversarial"  # name of the loss term that the discriminator decides


@dataclass(frozen=True)
class LearningRates:
    """Learning rates of one optimizer over the run."""

    base: Sequence[float]  # of the parameter groups
    factor: Callable[[int], float]  # of a step, counted from 1


@dataclass(frozen=True)
class Plan:
    """Numbers of the loop, in steps where not said otherwise."""

    steps: int
    accumulation: int  # batches of one update
    max_nonfinite_steps: int
    validate_interval: int
    checkpoint_interval: int


@dataclass(frozen=True)
class Adversary:
    """The discriminator, how it learns and when it counts; see the options of the same names."""

    trained: Trained
    loss: DiscriminatorLoss
    learning_rates: LearningRates
    health: Health
    start_step: int
    lead_steps: int
    interval: int
    updates: int

    def learns(self, step: int) -> bool:
        """Whether the discriminator is trained in this step."""
        due = step >= self.start_step and (step - self.start_step) % self.interval == 0
        return due and not self.health.pauses(step)

    def number(self, step: int) -> int:
        """Of a step in which the discriminator learns, among those, counted from 1."""
        return (step - self.start_step) // self.interval + 1

    def factor(self, step: int) -> float:
        """Factor of the adversarial weight in this step."""
        counts = step >= self.start_step + self.lead_steps
        return self.health.weight_factor if counts else 0.0


@dataclass(frozen=True)
class Training:
    """All that the loop works with."""

    trainee: Trainee
    generator: Trained
    loss: CombinedLoss
    learning_rates: LearningRates
    adversary: Adversary | None
    plan: Plan
    accelerator: Accelerator
    log: RunLog

    @property
    def batches_a_step(self) -> int:
        """Batches that every step draws, whether or not the discriminator learns in it."""
        updates = 1 if self.adversary is None else self.adversary.updates
        return self.plan.accumulation * updates
