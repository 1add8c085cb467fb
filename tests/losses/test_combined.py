import pytest
import torch

from sr.losses.combined import CombinedLoss, WeightedTerm
from sr.losses.pixel import l1, mse

SR, HR = torch.full((1, 3, 4, 4), 0.75), torch.full((1, 3, 4, 4), 0.25)  # l1 0.5, mse 0.25


def test_the_total_is_the_weighted_sum_of_the_terms() -> None:
    loss = CombinedLoss({"l1": WeightedTerm(l1, 3.0), "mse": WeightedTerm(mse, 0.2)})
    total, _ = loss(SR, HR)
    assert total.shape == ()
    assert total.item() == pytest.approx(3.0 * 0.5 + 0.2 * 0.25)


def test_the_terms_are_returned_by_name_unweighted_and_detached() -> None:
    loss = CombinedLoss({"l1": WeightedTerm(l1, 3.0), "mse": WeightedTerm(mse, 0.2)})
    total, terms = loss(SR.clone().requires_grad_(), HR)
    assert {name: term.item() for name, term in terms.items()} == {"l1": 0.5, "mse": 0.25}
    assert not any(term.requires_grad for term in terms.values())
    assert total.requires_grad


def test_the_gradient_is_the_weighted_sum_of_the_terms_gradients() -> None:
    def gradient(**terms: WeightedTerm) -> torch.Tensor:
        sr = SR.clone().requires_grad_()
        return torch.autograd.grad(CombinedLoss(terms)(sr, HR)[0], sr)[0]

    both = gradient(l1=WeightedTerm(l1, 3.0), mse=WeightedTerm(mse, 0.2))
    alone = gradient(l1=WeightedTerm(l1, 1.0)), gradient(mse=WeightedTerm(mse, 1.0))
    assert all((part != 0).all() for part in alone)
    torch.testing.assert_close(both, 3.0 * alone[0] + 0.2 * alone[1])
