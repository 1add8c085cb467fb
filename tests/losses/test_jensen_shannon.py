from math import log

import pytest
import torch
from scipy.spatial.distance import jensenshannon

from sr.losses.jensen_shannon import jensen_shannon_divergence


def test_it_is_scipys_divergence_of_the_softmax_at_each_point() -> None:
    torch.manual_seed(0)
    phi, wanted = 3 * torch.randn(2, 2, 5, 2, 3, dtype=torch.float64)
    p, q = (m.div(2.0).softmax(1).movedim(1, -1).reshape(-1, 5).numpy() for m in (phi, wanted))
    expected = (jensenshannon(p, q, axis=1) ** 2).mean()  # its name is of the root
    value = jensen_shannon_divergence(phi, wanted, temperature=2.0)
    assert value.item() == pytest.approx(expected, rel=1e-9)


def test_distributions_without_a_common_channel_are_log_2_apart() -> None:
    phi, wanted = torch.zeros(2, 1, 2, 1, 1)
    phi[0, 0], wanted[0, 1] = 1e4, 1e4
    phi.requires_grad_()
    value = jensen_shannon_divergence(phi, wanted, temperature=1.0)
    assert value.item() == pytest.approx(log(2))
    (gradient,) = torch.autograd.grad(value, phi)
    assert torch.isfinite(gradient).all()


def test_its_gradient_is_that_of_finite_differences() -> None:
    torch.manual_seed(0)
    phi, wanted = torch.randn(2, 1, 4, 2, 2, dtype=torch.float64)
    phi.requires_grad_()
    assert torch.autograd.gradcheck(lambda x: jensen_shannon_divergence(x, wanted, 0.7), phi)


def test_equal_maps_have_no_divergence_also_in_bf16() -> None:
    phi = torch.randn(1, 8, 2, 2)
    with torch.autocast("cpu", torch.bfloat16):
        value = jensen_shannon_divergence(phi.bfloat16(), phi.bfloat16(), temperature=1.0)
    assert value.dtype == torch.float32
    assert value.item() == pytest.approx(0, abs=1e-6)
