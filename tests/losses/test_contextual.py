import numpy as np
import pytest
import torch
from torch import Tensor

from sr.losses.contextual import contextual_distance


def maps() -> tuple[Tensor, Tensor]:
    torch.manual_seed(0)
    phi, wanted = torch.rand(2, 2, 5, 3, 4, dtype=torch.float64)
    return phi, wanted


def measure(phi: np.ndarray, wanted: np.ndarray, h: float) -> float:
    """The paper's equations, one point after the other."""
    center = wanted.mean(1, keepdims=True)
    x, y = ((m - center) / np.linalg.norm(m - center, axis=0) for m in (phi, wanted))
    count = x.shape[1]
    contextual = np.empty((count, count))
    for i in range(count):
        distances = np.array([1 - x[:, i] @ y[:, j] for j in range(count)])
        weights = np.exp((1 - distances / (distances.min() + 1e-5)) / h)
        contextual[i] = weights / weights.sum()
    return float(-np.log(contextual.max(0).mean()))


@pytest.mark.parametrize("bandwidth", [0.2, 0.5])
def test_it_is_the_papers_formula(bandwidth: float) -> None:
    phi, wanted = maps()
    expected = [
        measure(ours, theirs, bandwidth)
        for ours, theirs in zip(phi.flatten(2).numpy(), wanted.flatten(2).numpy(), strict=True)
    ]
    value = contextual_distance(phi, wanted, bandwidth=bandwidth, max_side=32)
    assert value.item() == pytest.approx(np.mean(expected), rel=1e-9)


def test_its_gradient_is_that_of_finite_differences() -> None:
    phi, wanted = maps()
    phi.requires_grad_()
    assert torch.autograd.gradcheck(lambda x: contextual_distance(x, wanted, 0.5, 32), phi)


def test_it_does_not_matter_where_a_feature_is() -> None:
    phi, wanted = maps()
    moved = wanted.flip(-1)
    near = contextual_distance(moved, wanted, bandwidth=0.5, max_side=32)
    assert near.item() == pytest.approx(0, abs=1e-3)
    assert contextual_distance(phi, wanted, bandwidth=0.5, max_side=32) > 0.1


def test_large_maps_are_averaged_down() -> None:
    phi, wanted = torch.rand(2, 1, 5, 8, 4)
    small = [m.view(1, 5, 4, 2, 4).mean(3) for m in (phi, wanted)]
    value = contextual_distance(phi, wanted, bandwidth=0.5, max_side=4)
    torch.testing.assert_close(value, contextual_distance(small[0], small[1], 0.5, 32))


def test_flat_maps_and_equal_maps_have_a_finite_gradient() -> None:
    for phi in (torch.zeros(1, 4, 3, 3), maps()[1].float()):
        wanted = phi.clone()
        (gradient,) = torch.autograd.grad(
            contextual_distance(phi.requires_grad_(), wanted, bandwidth=0.5, max_side=32), phi
        )
        assert torch.isfinite(gradient).all()


def test_autocast_does_not_lower_its_precision() -> None:
    phi, wanted = (m.float() for m in maps())
    plain = contextual_distance(phi, wanted, bandwidth=0.5, max_side=32)
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(contextual_distance(phi, wanted, 0.5, 32), plain)
