"""A watch over adversarial training: running means, limits, alarms, and what an alarm does."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

Action = Literal["warn", "lower_weight", "pause_discriminator", "stop"]


class UnhealthyError(ArithmeticError):
    """Adversarial training was stopped by an alarm, as the options ask."""


@dataclass(frozen=True)
class Limits:
    """When to raise an alarm and what to do then; see the options of the same names."""

    window: int
    max_margin: float
    max_colour_drift: float
    max_nonfinite_share: float
    action: Action
    lower_factor: float


@dataclass
class Health:
    """State of the watch; all of it is in a state file."""

    limits: Limits
    means: dict[str, float] = field(default_factory=dict)
    counts: dict[str, int] = field(default_factory=dict)
    alarms: dict[str, int] = field(default_factory=dict)  # lasting alarm -> step last told
    weight_factor: float = 1.0  # of the adversarial weight
    paused_until: int = 0  # last step of the discriminator's pause
    last_healthy: int | None = None  # step of the last checkpoint without an alarm

    def observe(self, step: int, values: Mapping[str, float]) -> list[str]:
        """Take in what a step measured; returns the alarms to tell, with numbers.

        values, any of them: `d_real` and `d_sr`, mean logits; `drift_red`, `drift_green`,
        `drift_blue`, mean of sr less mean of lr; `nonfinite`, 1 for a skipped step. Means run over
        `window` steps. A lasting alarm is told once a window. Raises UnhealthyError where an alarm
        is to stop the run.
        """
        for name, value in values.items():
            count = self.counts.get(name, 0) + 1
            share = max(1 / count, 1 / self.limits.window)  # plain mean at first
            self.means[name] = self.means.get(name, 0.0) * (1 - share) + value * share
            self.counts[name] = count
        faults = self._faults()
        self.alarms = {name: told for name, told in self.alarms.items() if name in faults}
        fresh = [
            name
            for name in faults
            if step >= self.alarms.get(name, -self.limits.window) + self.limits.window
        ]
        for name in fresh:
            self.alarms[name] = step
        if fresh:
            self._act(step, [faults[name] for name in fresh])
        return [faults[name] for name in fresh]

    def summary(self) -> dict[str, float]:
        """Running means and the margin, for logs."""
        margin = {"margin": self._margin()} if "d_real" in self.means else {}
        return {**self.means, **margin, "adversarial_factor": self.weight_factor}

    def pauses(self, step: int) -> bool:
        """Whether the discriminator is not to be trained in this step."""
        return step <= self.paused_until

    def state_dict(self) -> dict[str, Any]:
        """Everything but the limits, which are the options'."""
        state = asdict(self)
        del state["limits"]
        return state

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """The reverse of `state_dict`."""
        for name, value in state.items():
            setattr(self, name, value)

    def _margin(self) -> float:
        return self.means["d_real"] - self.means["d_sr"]

    def _faults(self) -> dict[str, str]:
        """Limits that are passed, by name, with the numbers; none before a window is full."""
        limits, means = self.limits, self.means
        full = {name for name, count in self.counts.items() if count >= limits.window}
        faults = {}
        if {"d_real", "d_sr"} <= full and self._margin() > limits.max_margin:
            faults["margin"] = (
                f"D(hr) - D(sr) is {self._margin():.2f}, above {limits.max_margin:g}: the "
                "discriminator tells sr apart without effort"
            )
        for channel in ("red", "green", "blue"):
            name = f"drift_{channel}"
            if name in full and abs(means[name]) > limits.max_colour_drift:
                faults[name] = (
                    f"mean {channel} of sr is {means[name]:+.4f} off that of lr, more than "
                    f"{limits.max_colour_drift:g}: colours drift"
                )
        if "nonfinite" in full and means["nonfinite"] > limits.max_nonfinite_share:
            faults["nonfinite"] = (
                f"{means['nonfinite']:.1%} of the steps were not finite, more than "
                f"{limits.max_nonfinite_share:.1%}"
            )
        return faults

    def _act(self, step: int, faults: list[str]) -> None:
        if self.limits.action == "lower_weight":
            self.weight_factor *= self.limits.lower_factor
        elif self.limits.action == "pause_discriminator":
            self.paused_until = step + self.limits.window
        elif self.limits.action == "stop":
            raise UnhealthyError(f"step {step}: {'; '.join(faults)}")
