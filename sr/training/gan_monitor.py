"""Watch adversarial training: running means, limits, alarms, and what an alarm does."""

import math
from collections.abc import Mapping
from typing import Any, Literal

Action = Literal["warn", "lower_weight", "pause_discriminator", "stop"]

MIN_WEIGHT_FACTOR = 1e-3  # of the adversarial weight, however often it is lowered


class GANDivergedError(ArithmeticError):
    """Adversarial training that an alarm ended, as the options ask."""


class GANMonitor:
    """Running means of what the steps of a run measure, and the alarms that they raise."""

    def __init__(
        self,
        *,
        window: int,
        max_margin: float,
        max_color_drift: float,
        max_nonfinite_share: float,
        action: Action,
        lower_factor: float,
    ) -> None:
        """Take the options of the same names."""
        self.window = window
        self.max_margin = max_margin
        self.max_color_drift = max_color_drift
        self.max_nonfinite_share = max_nonfinite_share
        self.action = action
        self.lower_factor = lower_factor
        self.means: dict[str, float] = {}
        self.counts: dict[str, int] = {}
        self.alarms: list[str] = []  # that last
        self.reported: dict[str, int] = {}  # alarm -> step in which it was last reported
        self.last_acted: int | None = None  # step of the last action
        self.weight_factor = 1.0  # of the adversarial weight
        self.paused_until = 0  # last step of the discriminator's pause
        self.last_healthy: int | None = None  # step of the last checkpoint without an alarm

    def observe(self, step: int, values: Mapping[str, float]) -> list[str]:
        """Take in what a step measured; return the alarms to report, with numbers.

        values, any of them: `d_real` and `d_sr`, mean logits; `drift_red`, `drift_green`,
        `drift_blue`, mean of sr less mean of lr; `nonfinite`, 1 for a skipped step. Means run over
        `window` steps and leave out what is not finite. An alarm is reported once per window at
        most, and acted upon once per window, however many there are.
        """
        for name, value in values.items():
            if not math.isfinite(value):
                continue
            count = self.counts.get(name, 0) + 1
            share = max(1 / count, 1 / self.window)  # plain mean at first
            self.means[name] = self.means.get(name, 0.0) * (1 - share) + value * share
            self.counts[name] = count
        faults = self._find_faults()
        self.alarms = list(faults)
        fresh = [name for name in faults if self._window_is_over(step, self.reported.get(name))]
        self.reported |= dict.fromkeys(fresh, step)
        if faults and self._window_is_over(step, self.last_acted):
            self.last_acted = step
            self._act(step)
        return [faults[name] for name in fresh]

    @property
    def stops(self) -> bool:
        """Whether the run is to end now."""
        return bool(self.alarms) and self.action == "stop"

    def pauses(self, step: int) -> bool:
        """Return whether the discriminator is not to be trained in this step."""
        return step <= self.paused_until

    def summarize(self) -> dict[str, float]:
        """Return running means and the margin, for logs."""
        margin = {"margin": self._margin()} if "d_real" in self.means else {}
        return {**self.means, **margin, "adversarial_factor": self.weight_factor}

    def state_dict(self) -> dict[str, Any]:
        """Return everything but the limits, which are the options'."""
        return {
            "means": dict(self.means),
            "counts": dict(self.counts),
            "alarms": list(self.alarms),
            "told": dict(self.reported),  # the key of all state files so far
            "last_acted": self.last_acted,
            "weight_factor": self.weight_factor,
            "paused_until": self.paused_until,
            "last_healthy": self.last_healthy,
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take over what `state_dict` returned."""
        for name, value in state.items():
            setattr(self, "reported" if name == "told" else name, value)

    def _window_is_over(self, step: int, since: int | None) -> bool:
        return since is None or step >= since + self.window

    def _margin(self) -> float:
        return self.means["d_real"] - self.means["d_sr"]

    def _find_faults(self) -> dict[str, str]:
        """Return limits that are passed, by name, with numbers; none before a window is full."""
        means = self.means
        full = {name for name, count in self.counts.items() if count >= self.window}
        faults = {}
        if {"d_real", "d_sr"} <= full and self._margin() > self.max_margin:
            faults["margin"] = (
                f"D(hr) - D(sr) is {self._margin():.2f}, above {self.max_margin:g}: the "
                "discriminator has won"
            )
        for channel in ("red", "green", "blue"):
            name = f"drift_{channel}"
            if name in full and abs(means[name]) > self.max_color_drift:
                faults[name] = (
                    f"mean {channel} of sr is {means[name]:+.4f} off that of lr, more than "
                    f"{self.max_color_drift:g}: colors drift"
                )
        if "nonfinite" in full and means["nonfinite"] > self.max_nonfinite_share:
            faults["nonfinite"] = (
                f"{means['nonfinite']:.1%} of the steps were not finite, more than "
                f"{self.max_nonfinite_share:.1%}"
            )
        return faults

    def _act(self, step: int) -> None:
        if self.action == "lower_weight":
            lowered = self.weight_factor * self.lower_factor
            self.weight_factor = max(lowered, MIN_WEIGHT_FACTOR)
        elif self.action == "pause_discriminator":
            self.paused_until = step + self.window
            # Nothing is measured meanwhile; the old means would prolong the pause for ever.
            for name in ("d_real", "d_sr"):
                self.means.pop(name, None)
                self.counts.pop(name, None)
