from pathlib import Path
from typing import Literal

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional
from torchmetrics.functional.image import lpips as reference_module

from sr.errors import ModelFileError
from sr.losses.lpips import LPIPS


@pytest.fixture(scope="module", params=["AlexNet", "VGG16"])
def lpips(request: pytest.FixtureRequest) -> LPIPS:
    torch.manual_seed(0)
    return LPIPS(request.param, "random")


@pytest.fixture
def hr() -> Tensor:
    return torch.rand(2, 3, 36, 31)


def is_alexnet(lpips: LPIPS) -> bool:
    return "relu5" in lpips.features.layers


def assert_grows_with_blur(lpips: LPIPS) -> None:
    torch.manual_seed(0)
    hr = torch.rand(1, 3, 40, 40)
    blurred = [functional.avg_pool2d(hr, size, 1, size // 2) for size in (1, 3, 7)]
    with torch.no_grad():
        distances = [lpips(sr, hr).item() for sr in blurred]
    assert distances[0] == 0
    assert distances == sorted(set(distances))


def reference(lpips: LPIPS, monkeypatch: pytest.MonkeyPatch) -> nn.Module:
    """torchmetrics' own network with the same backbone."""

    def backbone(net: str, pretrained: bool) -> nn.Sequential:
        assert not pretrained
        assert net == ("alexnet" if is_alexnet(lpips) else "vgg16")
        return lpips.features.features

    monkeypatch.setattr(reference_module, "_get_tv_model_features", backbone)
    net: Literal["alex", "vgg"] = "alex" if is_alexnet(lpips) else "vgg"
    return reference_module._LPIPS(pretrained=True, net=net, pnet_rand=True)


def test_it_equals_torchmetrics(lpips: LPIPS, hr: Tensor, monkeypatch: pytest.MonkeyPatch) -> None:
    sr = torch.rand(hr.shape)
    with torch.no_grad():
        expected = reference(lpips, monkeypatch)(sr, hr, normalize=True)
        value = lpips(sr, hr)
    assert value.shape == ()
    assert expected.shape == (2, 1, 1, 1)
    torch.testing.assert_close(value, expected.mean())


def test_equal_images_have_no_distance(lpips: LPIPS, hr: Tensor) -> None:
    assert lpips(hr, hr) == 0


def test_it_grows_with_blur(lpips: LPIPS) -> None:
    assert_grows_with_blur(lpips)


def test_with_imagenet_weights_it_grows_with_blur(shared_data: Path) -> None:
    path = shared_data / "weights" / "vgg16_features_imagenet.safetensors"
    if not path.is_file():
        pytest.skip("needs ../shared/data/weights/vgg16_features_imagenet.safetensors")
    assert_grows_with_blur(LPIPS("VGG16", path))


def test_the_gradient_of_the_term_alone_reaches_every_pixel_of_sr(lpips: LPIPS, hr: Tensor) -> None:
    sr = torch.rand(hr.shape, requires_grad=True)
    loss = lpips(sr, hr.requires_grad_())
    loss.backward()
    assert sr.grad is not None
    assert (sr.grad != 0).all()
    assert hr.grad is None
    assert all(parameter.grad is None for parameter in lpips.parameters())
    with torch.no_grad():
        assert lpips(sr - 1e-2 * sr.grad / sr.grad.norm(), hr) < loss


def test_maps_without_any_activity_have_no_distance_and_a_finite_gradient() -> None:
    dead = LPIPS("VGG16", "random")
    for parameter in dead.parameters():
        parameter.zero_()
    sr = torch.rand(1, 3, 16, 16, requires_grad=True)
    loss = dead(sr, torch.rand(1, 3, 16, 16))
    (gradient,) = torch.autograd.grad(loss, sr)
    assert loss == 0
    assert (gradient == 0).all()


def test_it_is_frozen_and_stays_in_eval_mode(lpips: LPIPS) -> None:
    assert not any(parameter.requires_grad for parameter in lpips.parameters())
    assert not lpips.train().features.training


def test_the_weights_of_the_channels_follow_to_the_device(lpips: LPIPS) -> None:
    buffers = dict(lpips.named_buffers())
    channels = [64, 192, 384, 256, 256] if is_alexnet(lpips) else [64, 128, 256, 512, 512]
    assert sum(tensor.numel() for tensor in buffers.values()) == sum(channels) + 6


def test_under_autocast_the_loss_is_float32(lpips: LPIPS, hr: Tensor) -> None:
    sr = torch.rand(hr.shape)
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
        value = lpips(sr, hr)
    assert value.dtype == torch.float32
    with torch.no_grad():
        torch.testing.assert_close(value, lpips(sr, hr), rtol=0.05, atol=0)


def test_an_image_too_small_for_the_network_is_refused(lpips: LPIPS) -> None:
    size = 31 if is_alexnet(lpips) else 16
    least = torch.rand(1, 3, size, size)
    assert lpips(least, least) == 0
    small = torch.rand(1, 3, size, size - 1)
    with pytest.raises(ValueError, match=f"at least {size} x {size} px"):
        lpips(small, small)


def test_weights_that_do_not_fit_are_refused_as_by_the_features(tmp_path: Path) -> None:
    with pytest.raises(ModelFileError, match=r"alexnet\.pth: no such model file"):
        LPIPS("AlexNet", tmp_path / "alexnet.pth")
