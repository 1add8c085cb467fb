"""What changes during a run and is saved whole: networks, optimizers, mean weights, counters."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from sr.losses.discriminator import DiscriminatorLoss
from sr.losses.uncertainty import UncertaintyWeights
from sr.optim.ema import Ema
from sr.optim.library_optimizers import GROUP_STATE, use_averaged_weights
from sr.training.gan_monitor import GANMonitor

Forward = Callable[..., Tensor]


class NetworkState:
    """A network and what updates it."""

    def __init__(
        self,
        network: nn.Module,
        optimizer: Optimizer,
        *,
        forward: nn.Module | Forward | None = None,
        clip_norm: float | None = None,
        schedule: Callable[[int], float] = lambda _step: 1.0,
    ) -> None:
        """forward: the network compiled or wrapped for several processes; None is the network.

        clip_norm: largest norm of its gradient; None does not clip. schedule: step, counted from
        1 -> factor of the learning rates that the optimizer has now.
        """
        self.network = network
        self.forward = network if forward is None else forward
        self.optimizer = optimizer
        self.clip_norm = clip_norm
        self.schedule = schedule
        self._base_learning_rates = [group["lr"] for group in optimizer.param_groups]

    def learning_rate(self, step: int) -> float:
        """Return the learning rate of the first parameter group in a step.

        Of Prodigy, its factor times the estimate.
        """
        estimate = self.optimizer.param_groups[0].get("d", 1.0)
        return float(self._base_learning_rates[0] * self.schedule(step) * estimate)

    def set_learning_rates(self, step: int) -> None:
        """Give each parameter group its learning rate of a step."""
        factor = self.schedule(step)
        for group, base in zip(self.optimizer.param_groups, self._base_learning_rates, strict=True):
            group["lr"] = base * factor

    def load(self, weights: Mapping[str, Any], optimizer: dict[str, Any]) -> None:
        """Load weights and what the optimizer has measured; its settings (betas, ...) stay."""
        self.network.load_state_dict(weights)
        settings = [
            {key: value for key, value in group.items() if key not in ("params", *GROUP_STATE)}
            for group in self.optimizer.param_groups
        ]
        self.optimizer.load_state_dict(optimizer)
        for group, own in zip(self.optimizer.param_groups, settings, strict=True):
            group.update(own)


@dataclass
class GANState:
    """The discriminator, what it is trained with and when, and the monitor of both networks."""

    discriminator: NetworkState
    loss: DiscriminatorLoss
    monitor: GANMonitor
    start_step: int = 1
    warmup_steps: int = 0  # in which the discriminator is trained, but the generator not by it
    interval: int = 1
    updates: int = 1  # of the discriminator in a step in which it is trained

    def updates_at(self, step: int) -> bool:
        """Return whether the discriminator is trained in this step."""
        due = step >= self.start_step and (step - self.start_step) % self.interval == 0
        return due and not self.monitor.pauses(step)

    def update_index(self, step: int) -> int:
        """Return the number of a step among those that train the discriminator, from 1 on."""
        return (step - self.start_step) // self.interval + 1

    def adversarial_factor(self, step: int) -> float:
        """Return the factor of the adversarial term's weight in this step."""
        counts = step >= self.start_step + self.warmup_steps
        return self.monitor.weight_factor if counts else 0.0


@dataclass
class TrainState:
    """Everything that the next step depends on, next to the options."""

    generator: NetworkState
    ema: Ema
    gan: GANState | None = None
    uncertainty: UncertaintyWeights | None = None
    scaler: torch.amp.GradScaler | None = None  # the accelerator's, with fp16
    step: int = 0  # steps done
    draws: int = 0  # images or clips drawn in them, by all processes
    best_score: float = float("-inf")  # highest `checkpoint_score`
    nonfinite_in_row: dict[str, int] = field(default_factory=dict)  # last updates, by network
    validation_due: bool = False  # the one of this step was interrupted

    @property
    def networks(self) -> list[nn.Module]:
        """The generator and, in an adversarial run, the discriminator, without wrappers."""
        discriminators = [] if self.gan is None else [self.gan.discriminator.network]
        return [self.generator.network, *discriminators]

    def update_ema(self) -> None:
        """Take the generator's weights, of an optimizer that averages them its mean, into the EMA.

        Before the step is counted.
        """
        network = self.generator.network
        with use_averaged_weights(self.generator.optimizer, list(network.parameters())):
            self.ema.update(network, num_updates=self.step)

    def loss_factors(self, step: int) -> dict[str, float]:
        """Return the factors of the generator's loss terms in a step, where they are not 1."""
        factors = {} if self.uncertainty is None else self.uncertainty.factors
        if self.gan is not None:
            adversarial = self.gan.adversarial_factor(step)
            factors |= {"adversarial": adversarial, "contrastive": float(adversarial > 0)}
        return factors

    def state_dict(self) -> dict[str, Any]:
        """Return what `load_state_dict` takes; tensors are not copied."""
        gan = None
        if self.gan is not None:
            gan = {
                "discriminator": self.gan.discriminator.network.state_dict(),
                "optimizer": self.gan.discriminator.optimizer.state_dict(),
                "health": self.gan.monitor.state_dict(),  # the key of all state files so far
            }
        return {
            "step": self.step,
            "draws": self.draws,
            "best": self.best_score,
            "nonfinite_in_row": self.nonfinite_in_row,
            "validation_due": self.validation_due,
            "generator": self.generator.network.state_dict(),
            "ema": self.ema.network.state_dict(),
            "optimizer": self.generator.optimizer.state_dict(),
            "adversarial": gan,
            "uncertainty": None if self.uncertainty is None else self.uncertainty.state_dict(),
            "scaler": None if self.scaler is None else self.scaler.state_dict(),
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Raise KeyError, TypeError, RuntimeError or ValueError where the state does not fit."""
        self.generator.load(state["generator"], state["optimizer"])
        self.ema.network.load_state_dict(state["ema"])
        if self.gan is not None:
            gan = state["adversarial"]
            self.gan.discriminator.load(gan["discriminator"], gan["optimizer"])
            self.gan.monitor.load_state_dict(gan["health"])
        if self.uncertainty is not None and state.get("uncertainty"):  # not in older files
            self.uncertainty.load_state_dict(state["uncertainty"])
        self.step, self.draws = int(state["step"]), int(state["draws"])
        self.best_score = float(state["best"])
        self.nonfinite_in_row = dict(state["nonfinite_in_row"])
        self.validation_due = bool(state.get("validation_due"))  # not in older files
        if self.scaler is not None and state["scaler"] is not None:
            self.scaler.load_state_dict(state["scaler"])
