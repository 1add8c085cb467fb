"""A watch over adversarial training: running means, limits, alarms, and what an alarm does."""

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

Action = Literal["warn", "lower_weight", "pause_discriminator", "stop"]


LEAST_FACTOR = 1e-3  # of the adversarial weight, however often it is lowered


class GANDivergedError(ArithmeticError):
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
    alarms: list[str] = field(default_factory=list)  # that last
    told: dict[str, int] = field(default_factory=dict)  # alarm -> step in which it was last told
    last_acted: int | None = None  # step of the last action
    weight_factor: float = 1.0  # of the adversarial weight
    paused_until: int = 0  # last step of the discriminator's pause
    last_healthy: int | None = None  # step of the last checkpoint without an alarm

    def observe(self, step: int, values: Mapping[str, float]) -> list[str]:
        """Take in what a step measured; returns the alarms to tell, with numbers.

        values, any of them: `d_real` and `d_sr`, mean logits; `drift_red`, `drift_green`,
        `drift_blue`, mean of sr less mean of lr; `nonfinite`, 1 for a skipped step. Means run over
        `window` steps and leave out what is not finite. An alarm is told once a window at most, and
        acted upon once a window, however many there are.
        """
        for name, value in values.items():
            if not math.isfinite(value):
                continue
            count = self.counts.get(name, 0) + 1
            share = max(1 / count, 1 / self.limits.window)  # plain mean at first
            self.means[name] = self.means.get(name, 0.0) * (1 - share) + value * share
            self.counts[name] = count
        faults = self._faults()
        self.alarms = list(faults)
        fresh = [name for name in faults if self._window_is_over(step, self.told.get(name))]
        self.told |= dict.fromkeys(fresh, step)
        if faults and self._window_is_over(step, self.last_acted):
            self.last_acted = step
            self._act(step)
        return [faults[name] for name in fresh]

    @property
    def stops(self) -> bool:
        """Whether the run is to end now."""
        return bool(self.alarms) and self.limits.action == "stop"

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

    def _window_is_over(self, step: int, since: int | None) -> bool:
        return since is None or step >= since + self.limits.window

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
                    f"{limits.max_colour_drift:g}: colors drift"
                )
        if "nonfinite" in full and means["nonfinite"] > limits.max_nonfinite_share:
            faults["nonfinite"] = (
                f"{means['nonfinite']:.1%} of the steps were not finite, more than "
                f"{limits.max_nonfinite_share:.1%}"
            )
        return faults

    def _act(self, step: int) -> None:
        if self.limits.action == "lower_weight":
            lowered = self.weight_factor * self.limits.lower_factor
            self.weight_factor = max(lowered, LEAST_FACTOR)
        elif self.limits.action == "pause_discriminator":
            self.paused_until = step + self.limits.window
            # Nothing is measured meanwhile; the old means would prolong the pause for ever.
            for name in ("d_real", "d_sr"):
                self.means.pop(name, None)
                self.counts.pop(name, None)
