"""What a step has to tell: numbers for the watch over both networks, and for the logs."""

from collections.abc import Sequence

import torch
from torch import Tensor

from sr.training.parts import ADVERSARIAL, Training
from sr.training.steps import Batch, Update


def measure(
    updates: dict[str, Update], drawn: Sequence[Batch], images: Sequence[Tensor]
) -> dict[str, float]:
    """What the watch over the networks is told of a step."""
    finite = all(update.finite for update in updates.values())
    if not finite:
        return {"nonfinite": 1.0}
    # The mean of sr equals that of sr downscaled to lr's size.
    means = [
        sr.mean((0, 2, 3)) - batch.lr.mean((0, 2, 3))
        for batch, sr in zip(drawn[: len(images)], images, strict=True)
    ]
    drift = torch.stack(means).mean(0).tolist()
    measured = {"nonfinite": 0.0}
    measured |= dict(zip(("drift_red", "drift_green", "drift_blue"), drift, strict=True))
    if "discriminator" in updates:
        terms = updates["discriminator"].terms
        measured |= {name: terms[name] for name in ("d_real", "d_sr")}
    return measured


def fields_of(training: Training, updates: dict[str, Update], step: int) -> dict[str, float]:
    """Numbers of a step for the logs, by name."""
    update, adversary = updates["generator"], training.adversary
    factors = {} if adversary is None else {ADVERSARIAL: adversary.factor(step)}
    weights = training.loss.weights(factors)
    rates = training.learning_rates
    fields = {
        "loss": update.loss,
        **{f"loss_{name}": value for name, value in update.terms.items()},
        **{f"weighted_{name}": weights[name] * value for name, value in update.terms.items()},
        "learning_rate": rates.factor(step) * rates.base[0],
        "gradient_norm": update.gradient_norm,
    }
    if adversary is not None:
        judged = updates.get("discriminator")
        if judged is not None:
            fields["discriminator_loss"] = judged.loss
            fields["discriminator_gradient_norm"] = judged.gradient_norm
            if "r1" in judged.terms:
                fields["loss_r1"] = judged.terms["r1"]
        rates = adversary.learning_rates
        fields["discriminator_learning_rate"] = rates.factor(step) * rates.base[0]
    return fields


def health_of(training: Training) -> dict[str, float]:
    """What the watch over both networks knows, for the logs."""
    if training.adversary is None:
        return {}
    summary = training.adversary.health.summary()
    return {f"health_{name}": value for name, value in summary.items()}
