import copy

import pytest
import torch
from torch import Tensor

from sr.losses.imagenet_features import ImageNetFeatures
from sr.losses.perceptual import Criterion, PerceptualLoss

LAYER_WEIGHTS = {"conv1_2": 0.1, "relu2_1": 2.0}


@pytest.fixture(scope="module")
def features() -> ImageNetFeatures:
    return ImageNetFeatures("VGG16", tuple(LAYER_WEIGHTS), "random")


@pytest.fixture
def sr() -> Tensor:
    return torch.rand(2, 3, 8, 9).requires_grad_()


@pytest.fixture
def hr() -> Tensor:
    return torch.rand(2, 3, 8, 9)


@pytest.mark.parametrize("criterion", ["L1", "MSE"])
def test_it_is_the_weighted_sum_of_the_layers_distances(
    features: ImageNetFeatures, sr: Tensor, hr: Tensor, criterion: Criterion
) -> None:
    value = PerceptualLoss(features, LAYER_WEIGHTS, criterion)(sr, hr)
    power = 1 if criterion == "L1" else 2
    of_sr, of_hr = features(sr), features(hr)
    expected = sum(
        weight * (of_sr[name] - of_hr[name]).abs().pow(power).mean().item()
        for name, weight in LAYER_WEIGHTS.items()
    )
    assert value.shape == ()
    assert value.item() == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("criterion", ["L1", "MSE"])
def test_equal_images_have_no_distance(
    features: ImageNetFeatures, hr: Tensor, criterion: Criterion
) -> None:
    assert PerceptualLoss(features, LAYER_WEIGHTS, criterion)(hr, hr) == 0


@pytest.mark.parametrize("criterion", ["L1", "MSE"])
def test_the_gradient_of_the_term_alone_reaches_every_pixel_of_sr(
    features: ImageNetFeatures, sr: Tensor, hr: Tensor, criterion: Criterion
) -> None:
    PerceptualLoss(features, LAYER_WEIGHTS, criterion)(sr, hr).backward()
    assert sr.grad is not None
    assert (sr.grad != 0).all()
    assert all(parameter.grad is None for parameter in features.parameters())


def test_a_step_against_the_gradient_lowers_the_loss(
    features: ImageNetFeatures, sr: Tensor, hr: Tensor
) -> None:
    loss = PerceptualLoss(features, LAYER_WEIGHTS, "L1")
    before = loss(sr, hr)
    (gradient,) = torch.autograd.grad(before, sr)
    with torch.no_grad():
        assert loss(sr - 1e-3 * gradient / gradient.norm(), hr) < before


def test_hr_gets_no_gradient_and_no_graph(
    features: ImageNetFeatures, sr: Tensor, hr: Tensor
) -> None:
    hr.requires_grad_()
    PerceptualLoss(features, LAYER_WEIGHTS, "L1")(sr, hr).backward()
    assert hr.grad is None


def test_under_autocast_the_loss_is_float32(
    features: ImageNetFeatures, sr: Tensor, hr: Tensor
) -> None:
    loss = PerceptualLoss(features, LAYER_WEIGHTS, "MSE")
    with torch.autocast("cpu", torch.bfloat16):
        assert features(hr)["conv1_2"].dtype == torch.bfloat16
        value = loss(sr, hr)
    assert value.dtype == torch.float32
    torch.testing.assert_close(value, loss(sr, hr), rtol=0.05, atol=0)


def test_maps_in_low_precision_are_compared_in_float32(
    features: ImageNetFeatures, sr: Tensor, hr: Tensor
) -> None:
    low = copy.deepcopy(features).bfloat16()
    value = PerceptualLoss(low, LAYER_WEIGHTS, "L1")(sr.bfloat16(), hr.bfloat16())
    assert value.dtype == torch.float32


def test_layers_without_a_weight_or_a_map_are_refused(features: ImageNetFeatures) -> None:
    for weights in ({"conv1_2": 1.0}, LAYER_WEIGHTS | {"conv5_4": 1.0}):
        with pytest.raises(ValueError, match=r"expected a weight .* conv1_2, relu2_1, got"):
            PerceptualLoss(features, weights, "L1")
