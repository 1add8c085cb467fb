import pytest
import torch

from sr import build_losses
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


def test_a_target_takes_the_place_of_hr_but_not_for_what_discriminates() -> None:
    terms = {"l1": WeightedTerm(l1, 1.0), "real": WeightedTerm(l1, 1.0, ("sr", "real"))}
    _, values = CombinedLoss(terms)(SR, HR, target=SR - 0.125)
    assert {name: float(value) for name, value in values.items()} == {"l1": 0.125, "real": 0.5}


def test_the_terms_of_the_discriminator_take_hr_as_it_is() -> None:
    takes = {name: arguments for name, (_, arguments) in build_losses._TERMS.items()}
    unsharpened = {name for name, arguments in takes.items() if "real" in arguments}
    assert unsharpened == {"adversarial", "contrastive"}
    assert not any("hr" in takes[name] for name in unsharpened)
