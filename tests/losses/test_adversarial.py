from math import exp, log
from typing import get_args

import pytest
import torch
from torch import Tensor

from sr.losses.adversarial import (
    KINDS_WITH_LABEL_SMOOTHING,
    AdversarialKind,
    discriminator_loss,
    generator_loss,
)

KINDS: tuple[AdversarialKind, ...] = get_args(AdversarialKind)
each_kind = pytest.mark.parametrize("kind", KINDS)
REAL, SR = [1.5, -0.5, 0.25], [-2.0, 0.75, -1.25]
MEAN_REAL, MEAN_SR = sum(REAL) / 3, sum(SR) / 3


def s(x: float) -> float:
    return 1 / (1 + exp(-x))


def mean(*values: float) -> float:
    return sum(values) / len(values)


def column(values: list[float]) -> Tensor:
    return torch.tensor(values).view(-1, 1).requires_grad_()


def closed_form_of_the_discriminator(kind: AdversarialKind, smoothing: float) -> float:
    def entropy(x: float, target: float) -> float:
        return -target * log(s(x)) - (1 - target) * log(1 - s(x))

    t = 1 - smoothing
    match kind:
        case "standard":
            return mean(*(entropy(x, t) for x in REAL)) - mean(*(log(1 - s(x)) for x in SR))
        case "least_squares":
            return mean(*((x - t) ** 2 / 2 for x in REAL)) + mean(*(x**2 / 2 for x in SR))
        case "hinge":
            return mean(*(max(0, 1 - x) for x in REAL)) + mean(*(max(0, 1 + x) for x in SR))
        case "wasserstein":
            return MEAN_SR - MEAN_REAL
        case "relativistic_average":
            return mean(*(entropy(x - MEAN_SR, t) for x in REAL)) + mean(
                *(-log(1 - s(x - MEAN_REAL)) for x in SR)
            )


def closed_form_of_the_generator(kind: AdversarialKind) -> float:
    match kind:
        case "standard":
            return mean(*(-log(s(x)) for x in SR))
        case "least_squares":
            return mean(*((x - 1) ** 2 / 2 for x in SR))
        case "hinge" | "wasserstein":
            return -MEAN_SR
        case "relativistic_average":
            return mean(*(-log(1 - s(x - MEAN_SR)) for x in REAL)) + mean(
                *(-log(s(x - MEAN_REAL)) for x in SR)
            )


@each_kind
def test_both_losses_have_their_closed_form(kind: AdversarialKind) -> None:
    real, sr = column(REAL), column(SR)
    assert discriminator_loss(kind, real, sr).item() == pytest.approx(
        closed_form_of_the_discriminator(kind, 0), rel=1e-5
    )
    assert generator_loss(kind, real, sr).item() == pytest.approx(
        closed_form_of_the_generator(kind), rel=1e-5
    )


@pytest.mark.parametrize("kind", KINDS_WITH_LABEL_SMOOTHING)
def test_label_smoothing_lowers_the_target_of_real_alone(kind: AdversarialKind) -> None:
    assert discriminator_loss(kind, column(REAL), column(SR), 0.1).item() == pytest.approx(
        closed_form_of_the_discriminator(kind, 0.1), rel=1e-5
    )


@each_kind
def test_label_smoothing_is_taken_or_refused_as_the_constant_says(kind: AdversarialKind) -> None:
    if kind in KINDS_WITH_LABEL_SMOOTHING:
        assert discriminator_loss(kind, column(REAL), column(SR), 0.1) != discriminator_loss(
            kind, column(REAL), column(SR)
        )
    else:
        with pytest.raises(ValueError, match=f"no meaning with {kind}; .*standard"):
            discriminator_loss(kind, column(REAL), column(SR), 0.1)


@pytest.mark.parametrize("smoothing", [-0.1, 1.0, float("nan")])
def test_label_smoothing_outside_its_range_is_refused(smoothing: float) -> None:
    with pytest.raises(ValueError, match="label_smoothing: expected 0 <= s < 1"):
        discriminator_loss("standard", column(REAL), column(SR), smoothing)


@each_kind
def test_the_generators_loss_falls_when_the_verdict_on_sr_rises(kind: AdversarialKind) -> None:
    real, sr = column(REAL), column([-2.0, -1.0, 0.5])
    loss = generator_loss(kind, real, sr)
    of_real, of_sr = torch.autograd.grad(loss, (real, sr), allow_unused=True)
    assert (of_sr < 0).all()
    assert of_real is None


@each_kind
def test_the_discriminators_loss_falls_when_real_rises_and_sr_falls(kind: AdversarialKind) -> None:
    real, sr = column([-0.5, 0.5, 0.75]), column([0.5, 0.1, 0.25])  # none past its target
    of_real, of_sr = torch.autograd.grad(discriminator_loss(kind, real, sr), (real, sr))
    assert (of_real < 0).all()
    assert (of_sr > 0).all()


@each_kind
@pytest.mark.parametrize("logit", [-100.0, 100.0])
def test_extreme_logits_give_finite_losses_and_gradients(
    kind: AdversarialKind, logit: float
) -> None:
    real, sr = column([-logit, -logit]), column([logit, logit])
    for loss in (discriminator_loss(kind, real, sr), generator_loss(kind, real, sr)):
        assert torch.isfinite(loss)
        for gradient in torch.autograd.grad(loss, (real, sr), allow_unused=True):
            assert gradient is None or torch.isfinite(gradient).all()


def test_a_sure_discriminator_leaves_the_standard_generator_its_gradient() -> None:
    sr = column([-6.0])
    (gradient,) = torch.autograd.grad(generator_loss("standard", None, sr), sr)
    assert gradient.item() == pytest.approx(-1, abs=0.003)
    (linear,) = torch.autograd.grad(1 - torch.sigmoid(sr).mean(), sr)  # iSeeBetter's
    assert abs(linear.item()) < 0.003


@each_kind
def test_a_map_of_logits_counts_each_position(kind: AdversarialKind) -> None:
    real, sr = torch.randn(2, 1, 3, 4), torch.randn(2, 1, 3, 4)
    flat = real.reshape(-1, 1), sr.reshape(-1, 1)
    torch.testing.assert_close(discriminator_loss(kind, real, sr), discriminator_loss(kind, *flat))
    torch.testing.assert_close(generator_loss(kind, real, sr), generator_loss(kind, *flat))
    assert generator_loss(kind, real, sr).shape == ()


@each_kind
def test_logits_in_half_precision_are_judged_in_float32(kind: AdversarialKind) -> None:
    real, sr = torch.randn(8, 1).bfloat16(), torch.randn(8, 1).bfloat16()
    for loss, wide in (
        (discriminator_loss(kind, real, sr), discriminator_loss(kind, real.float(), sr.float())),
        (generator_loss(kind, real, sr), generator_loss(kind, real.float(), sr.float())),
    ):
        assert loss.dtype == torch.float32
        assert loss == wide


@each_kind
def test_only_the_relativistic_generator_needs_real(kind: AdversarialKind) -> None:
    if kind == "relativistic_average":
        with pytest.raises(ValueError, match=r"relativistic_average: expected .* hr .* got None"):
            generator_loss(kind, None, column(SR))
    else:
        assert generator_loss(kind, None, column(SR)) == generator_loss(
            kind, column(REAL), column(SR)
        )
