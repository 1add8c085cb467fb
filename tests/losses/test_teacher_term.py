import pytest
import torch
from torch import Tensor

from sr.losses.combined import CombinedLoss, WeightedTerm
from sr.losses.pixel import l1, mse
from sr.losses.teacher_term import TeacherTerm


def enlarge(lr: Tensor) -> Tensor:
    return torch.nn.functional.interpolate(lr, scale_factor=2)


def test_the_term_is_the_distance_to_the_teachers_result_and_reaches_sr_alone() -> None:
    lr = torch.full((2, 3, 4, 4), 0.25, requires_grad=True)
    sr = torch.full((2, 3, 8, 8), 0.75, requires_grad=True)
    value = TeacherTerm(mse, enlarge)(sr, lr)
    assert value.item() == pytest.approx(0.25)
    value.backward()
    assert sr.grad is not None
    assert (sr.grad > 0).all()
    assert lr.grad is None


def test_the_teachers_overshoots_are_clamped_and_those_of_sr_are_not() -> None:
    lr = torch.full((1, 3, 4, 4), 1.5)
    sr = torch.full((1, 3, 8, 8), 1.25, requires_grad=True)
    value = TeacherTerm(l1, enlarge)(sr, lr)
    assert value.item() == pytest.approx(0.25)
    (gradient,) = torch.autograd.grad(value, sr)
    assert (gradient > 0).all()


def test_zoomed_results_count_for_the_teacher_alone() -> None:
    inputs = torch.rand(4, 3, 4, 4)
    sr, hr = torch.rand(4, 3, 8, 8, requires_grad=True), torch.rand(2, 3, 8, 8)
    loss = CombinedLoss(
        {
            "l1": WeightedTerm(l1, 1.0),
            "teacher": WeightedTerm(TeacherTerm(l1, enlarge), 3.0, ("all_sr", "all_lr")),
        }
    )
    total, terms = loss(sr, hr, inputs=(inputs,))
    torch.testing.assert_close(terms["l1"], l1(sr[:2], hr).detach())
    torch.testing.assert_close(terms["teacher"], l1(sr, enlarge(inputs)).detach())
    torch.testing.assert_close(total.detach(), terms["l1"] + 3 * terms["teacher"])
    (of_l1,) = torch.autograd.grad(loss(sr, hr, {"teacher": 0.0})[0], sr)
    assert (of_l1[:2] != 0).all()
    assert not of_l1[2:].any()


def test_a_teachers_term_without_inputs_is_refused() -> None:
    loss = CombinedLoss(
        {"teacher": WeightedTerm(TeacherTerm(l1, enlarge), 1.0, ("all_sr", "all_lr"))}
    )
    with pytest.raises(ValueError, match="expected the generator's inputs, got none"):
        loss(torch.rand(1, 3, 8, 8), torch.rand(1, 3, 8, 8))
