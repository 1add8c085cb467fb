from functools import partial
from math import sqrt

import pytest
import torch

from sr.losses.combined import Term
from sr.losses.pixel import charbonnier, l1, mse

TERMS: dict[str, Term] = {
    "l1": l1,
    "mse": mse,
    "charbonnier": partial(charbonnier, epsilon=1e-3),
}
each_term = pytest.mark.parametrize("term", TERMS.values(), ids=TERMS)


def test_the_terms_of_four_values_calculated_by_hand() -> None:
    sr = torch.tensor([0.5, 0.1, 1.0, 0.3]).reshape(1, 1, 2, 2)
    hr = torch.tensor([0.5, 0.4, 0.0, 0.7]).reshape(1, 1, 2, 2)
    # Differences 0, -0.3, 1, -0.4.
    assert l1(sr, hr).item() == pytest.approx(1.7 / 4)
    assert mse(sr, hr).item() == pytest.approx(1.25 / 4)
    rooted = 0.1 + sqrt(0.1) + sqrt(1.01) + sqrt(0.17)
    assert charbonnier(sr, hr, epsilon=0.1).item() == pytest.approx(rooted / 4)


def test_charbonnier_lies_between_l1_and_l1_plus_epsilon() -> None:
    sr, hr = torch.rand(2, 3, 5, 7), torch.rand(2, 3, 5, 7)
    for epsilon in (1e-6, 1e-3, 0.1):
        assert l1(sr, hr) <= charbonnier(sr, hr, epsilon) <= l1(sr, hr) + epsilon


def test_equal_images_have_no_distance() -> None:
    image = torch.rand(2, 3, 5, 7)
    assert l1(image, image) == 0
    assert mse(image, image) == 0
    assert charbonnier(image, image, 1e-3).item() == pytest.approx(1e-3)


@each_term
def test_a_term_is_a_scalar_symmetric_and_a_mean_over_the_batch(term: Term) -> None:
    sr, hr = torch.rand(4, 3, 6, 5), torch.rand(4, 3, 6, 5)
    whole = term(sr, hr)
    assert whole.shape == ()
    torch.testing.assert_close(term(hr, sr), whole)
    parts = torch.stack([term(sr[i : i + 1], hr[i : i + 1]) for i in range(4)])
    torch.testing.assert_close(parts.mean(), whole)


@each_term
def test_the_gradient_of_a_term_alone_reaches_every_pixel_of_sr(term: Term) -> None:
    hr = torch.rand(2, 3, 4, 4)
    sr = (hr + 0.1).requires_grad_()
    (gradient,) = torch.autograd.grad(term(sr, hr), sr)
    assert (gradient > 0).all()  # a lower sr lowers the distance


@each_term
def test_the_gradient_of_equal_images_is_zero_and_finite(term: Term) -> None:
    hr = torch.rand(1, 3, 4, 4)
    sr = hr.clone().requires_grad_()
    (gradient,) = torch.autograd.grad(term(sr, hr), sr)
    assert (gradient == 0).all()
