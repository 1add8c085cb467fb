from types import SimpleNamespace

import pytest
import torch
from torch import Tensor, nn
from torchmetrics.functional.image import dists as reference_module

from sr.losses.dists import DISTS, L2Pool, compare_statistics
from sr.losses.imagenet_features import ImageNetFeatures


@pytest.fixture(scope="module")
def dists() -> DISTS:
    torch.manual_seed(0)
    return DISTS("random")


@pytest.fixture
def hr() -> Tensor:
    return torch.rand(2, 3, 21, 16)


def reference(dists: DISTS, monkeypatch: pytest.MonkeyPatch) -> nn.Module:
    """torchmetrics' own network with the same VGG16."""
    monkeypatch.setattr(
        reference_module, "vgg16", lambda **_: SimpleNamespace(features=dists.features.features)
    )
    return reference_module.DISTSNetwork()


def test_it_equals_torchmetrics(dists: DISTS, hr: Tensor, monkeypatch: pytest.MonkeyPatch) -> None:
    sr = torch.rand(hr.shape)
    expected = reference(dists, monkeypatch)(sr, hr, require_grad=True)
    with torch.no_grad():
        value = dists(sr, hr)
    assert value.shape == ()
    torch.testing.assert_close(value, expected.mean().detach())
    assert value > 0.05


def test_alpha_and_beta_sum_to_1_and_equal_images_have_no_distance(
    dists: DISTS, hr: Tensor
) -> None:
    assert (dists.alpha.sum() + dists.beta.sum()).item() == pytest.approx(1)
    assert dists(hr, hr).item() == pytest.approx(0, abs=1e-5)


def test_the_gradient_of_the_term_alone_reaches_every_pixel_of_sr(dists: DISTS, hr: Tensor) -> None:
    sr = torch.rand(hr.shape, requires_grad=True)
    loss = dists(sr, hr.requires_grad_())
    loss.backward()
    assert sr.grad is not None
    assert (sr.grad != 0).all()
    assert hr.grad is None
    assert not any(parameter.requires_grad for parameter in dists.parameters())
    with torch.no_grad():
        assert dists(sr - 1e-2 * sr.grad / sr.grad.norm(), hr) < loss


def test_the_gradient_of_the_statistics_is_that_of_finite_differences() -> None:
    torch.manual_seed(0)
    phi, wanted = torch.rand(2, 2, 3, 3, 4, dtype=torch.float64)
    alpha, beta = torch.rand(2, 3, dtype=torch.float64)
    phi.requires_grad_()
    assert torch.autograd.gradcheck(lambda x: compare_statistics(x, wanted, alpha, beta), phi)


def test_the_pooling_halves_the_map_and_keeps_a_constant() -> None:
    pooled = L2Pool()(torch.full((1, 2, 5, 6), 3.0))
    assert pooled.shape == (1, 2, 3, 3)
    assert pooled[0, 0, 1, 1].item() == pytest.approx(3)
    with torch.autocast("cpu", torch.bfloat16):
        assert L2Pool()(torch.full((1, 1, 4, 4), 1e3).half()).isfinite().all()  # squares overflow


def test_all_poolings_are_replaced(dists: DISTS) -> None:
    kinds = [type(layer) for layer in dists.features.features]
    assert nn.MaxPool2d not in kinds
    assert kinds.count(L2Pool) == 4
    plain = ImageNetFeatures("VGG16", ["relu5_3"], "random")
    assert len(plain.features) == len(kinds)


def test_under_autocast_the_loss_is_float32(dists: DISTS, hr: Tensor) -> None:
    sr = torch.rand(hr.shape)
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
        value = dists(sr, hr)
    assert value.dtype == torch.float32
    with torch.no_grad():
        torch.testing.assert_close(value, dists(sr, hr), rtol=0.05, atol=0)
