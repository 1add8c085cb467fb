import io
from typing import Any

import pytest
import torch

from sr.losses.uncertainty import UncertaintyWeights


def save_and_read(weights: UncertaintyWeights) -> dict[str, Any]:
    file = io.BytesIO()
    torch.save(weights.state_dict(), file)
    file.seek(0)
    state: dict[str, Any] = torch.load(file, weights_only=True)
    return state


def test_all_weights_are_those_of_the_options_at_the_start() -> None:
    weights = UncertaintyWeights({"l1": 2.0, "ms_ssim": 0.5}, learning_rate=0.1)
    assert weights.factors == {"l1": 1.0, "ms_ssim": 1.0}
    assert weights.log_variances == {"l1": 0.0, "ms_ssim": 0.0}


def test_a_step_is_adams_on_the_gradient_of_the_papers_sum() -> None:
    weights = UncertaintyWeights({"l1": 2.0, "ms_ssim": 0.5}, learning_rate=0.1)
    expected = torch.zeros(2, requires_grad=True)
    optimizer = torch.optim.Adam([expected], 0.1)
    for l1, ms_ssim in ((0.1, 4.0), (0.2, 3.0)):
        weights.update({"ms_ssim": ms_ssim, "l1": l1, "other": 9.0})
        optimizer.zero_grad()
        losses = torch.tensor([2.0 * l1, 0.5 * ms_ssim])
        ((-expected).exp() * losses + expected).sum().backward()
        optimizer.step()
    assert list(weights.log_variances.values()) == pytest.approx(expected.tolist())
    assert weights.factors["l1"] > 1 > weights.factors["ms_ssim"]


def test_at_rest_each_weighted_term_is_1_but_for_the_bounds() -> None:
    weights = UncertaintyWeights({"l1": 1.0, "mse": 1.0}, learning_rate=0.05)
    for _ in range(500):
        weights.update({"l1": 0.25, "mse": 1e-5})
    assert weights.factors["l1"] * 0.25 == pytest.approx(1, rel=1e-2)
    assert weights.log_variances["mse"] == -4


def test_it_goes_on_from_its_state_with_its_own_learning_rate() -> None:
    one = UncertaintyWeights({"l1": 1.0, "mse": 1.0}, learning_rate=0.1)
    one.update({"l1": 0.3, "mse": 5.0})
    two = UncertaintyWeights({"l1": 1.0, "mse": 1.0}, learning_rate=0.1)
    two.load_state_dict(save_and_read(one))
    assert two.log_variances == one.log_variances
    for weights in (one, two):
        weights.update({"l1": 0.2, "mse": 1.0})
    assert two.log_variances == one.log_variances
    slow = UncertaintyWeights({"l1": 1.0, "mse": 1.0}, learning_rate=1e-9)
    slow.load_state_dict(save_and_read(one))
    slow.update({"l1": 9.0, "mse": 9.0})
    assert slow.log_variances == pytest.approx(one.log_variances)


def test_a_state_of_other_terms_is_left_alone() -> None:
    one = UncertaintyWeights({"l1": 1.0, "mse": 1.0}, learning_rate=0.1)
    one.update({"l1": 0.3, "mse": 5.0})
    two = UncertaintyWeights({"l1": 1.0, "lpips": 1.0}, learning_rate=0.1)
    two.load_state_dict(one.state_dict())
    assert two.factors == {"l1": 1.0, "lpips": 1.0}
