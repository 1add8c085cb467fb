"""Numbers of a step: for the logs, for the GAN monitor, and for messages."""

import math
from collections.abc import Mapping, Sequence
from statistics import fmean

from accelerate import Accelerator
from accelerate.utils import gather_object

from sr.losses.combined import CombinedLoss
from sr.training.state import TrainState
from sr.training.steps import Batch, StepResult


def collect_fields(
    state: TrainState, loss: CombinedLoss, results: Mapping[str, StepResult], step: int
) -> dict[str, float]:
    """Return the numbers of a step for the logs, by name."""
    result, weights = results["generator"], loss.weights(state.loss_factors(step))
    fields = {
        "loss": result.loss,
        **{f"loss_{name}": value for name, value in result.terms.items()},
        **{f"weighted_{name}": weights[name] * value for name, value in result.terms.items()},
        "learning_rate": state.generator.learning_rate(step),
        "gradient_norm": result.gradient_norm,
    }
    if state.uncertainty is not None:
        logged = state.uncertainty.log_variances.items()
        fields |= {f"log_variance_{name}": value for name, value in logged}
    if "discriminator" in results:
        result = results["discriminator"]
        fields["discriminator_loss"] = result.loss
        fields["discriminator_gradient_norm"] = result.gradient_norm
        if "r1" in result.terms:
            fields["loss_r1"] = result.terms["r1"]
    if state.gan is not None:
        fields["discriminator_learning_rate"] = state.gan.discriminator.learning_rate(step)
    return fields


class RunningMeans:
    """Means of a step's numbers since the last entry of the log."""

    def __init__(self) -> None:
        self._values: dict[str, list[float]] = {}
        self._last: dict[str, float] = {}

    def add(self, fields: Mapping[str, float]) -> None:
        """Add the numbers of a step; those that are not finite leave the means alone."""
        self._last |= fields
        for name, value in fields.items():
            if is_averaged(name) and math.isfinite(value):
                self._values.setdefault(name, []).append(value)

    def take(self) -> dict[str, float]:
        """Return means of losses and norms, the last value of all else, and begin again.

        A term that was computed in some of the steps only has its mean over these.
        """
        means = {name: fmean(values) for name, values in self._values.items()}
        taken = {name: means.get(name, value) for name, value in self._last.items()}
        self._values, self._last = {}, {}
        return taken


def is_averaged(name: str) -> bool:
    """Return whether a number is of a batch; others are settings, or means already."""
    return name.startswith(("loss", "weighted_")) or name.endswith(("_loss", "gradient_norm"))


def measure_step(results: Mapping[str, StepResult]) -> dict[str, float]:
    """Return what the GAN monitor observes of a step, over all processes."""
    broken = [result for result in results.values() if not result.finite]
    if broken:
        return {} if all(result.overflowed for result in broken) else {"nonfinite": 1.0}
    averages = results["generator"].averages
    drift = {name: value for name, value in averages.items() if name.startswith("drift_")}
    measured = {"nonfinite": 0.0, **drift}
    if "discriminator" in results:
        averages = results["discriminator"].averages
        measured |= {name: averages[name] for name in ("d_real", "d_sr")}
    return measured


def describe_nonfinite(
    results: Mapping[str, StepResult], batches: Sequence[Batch], accelerator: Accelerator
) -> str:
    """Name the results that are not finite and the images that led there, of all processes.

    All processes come here together, since an update is finite for all or for none.
    """
    broken = "; ".join(
        f"{name}: loss {result.loss:g}, norm of the gradient {result.gradient_norm:g} (terms: "
        + ", ".join(f"{term} {value:g}" for term, value in result.terms.items())
        + ")"
        for name, result in results.items()
        if not result.finite
    )
    images = ", ".join(name for batch in batches for name in batch.names)
    messages = [f"{broken}; images: {images}"]
    if accelerator.num_processes > 1:
        messages = gather_object(messages)
    return " | ".join(messages)
