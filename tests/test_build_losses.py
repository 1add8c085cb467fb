"""Options of losses -> the loss: each key gives its term, with its weight and its arguments."""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import pytest
import torch
from pydantic import TypeAdapter

from sr.build_losses import LossParts, build_loss, build_uncertainty
from sr.build_training import build_discriminator
from sr.losses import total_variation
from sr.losses.contrastive import embed_by_layer
from sr.networks.compact import Compact
from sr.networks.patchgan import PatchGAN
from sr.options.discriminator import DiscriminatorOptions
from sr.options.losses import LossesOptions


@pytest.mark.parametrize(
    ("pixel", "distance"),
    [
        ({"type": "L1"}, 0.5),
        ({"type": "MSE"}, 0.25),
        ({"type": "Charbonnier", "epsilon": 1.2}, 1.3),
    ],
)
def test_a_loss_has_the_term_and_the_weight_of_the_options(
    pixel: dict[str, Any], distance: float
) -> None:
    loss = build_loss(LossesOptions.model_validate({"pixel": {**pixel, "weight": 3.0}}))
    sr = torch.full((1, 3, 2, 2), 0.75, requires_grad=True)
    total, terms = loss(sr, torch.full((1, 3, 2, 2), 0.25))
    assert list(terms) == [pixel["type"].lower()]
    assert next(iter(terms.values())).item() == pytest.approx(distance)
    assert total.item() == pytest.approx(3 * distance)
    (gradient,) = torch.autograd.grad(total, sr)
    assert (gradient > 0).all()


def test_every_term_of_the_options_is_in_the_loss_with_its_weight() -> None:
    options = LossesOptions.model_validate(
        {
            "pixel": {"type": "MSE", "weight": 1.0},
            "perceptual": {"type": "VGG16", "layers": {"conv1_2": 2.0}, "weights": "random"},
            "adversarial": {"type": "hinge", "weight": 0.2},
            "total_variation": {"type": "absolute", "weight": 0.3},
            "ms_ssim": {"weight": 0.4},
            "lpips": {"weight": 0.5, "weights": "random"},
        }
    )
    torch.manual_seed(0)
    sr, hr = torch.rand(2, 1, 3, 32, 32)
    judge = PatchGAN(4, 1, "none")
    contexts = []

    @contextmanager
    def autocast() -> Iterator[None]:
        contexts.append(1)
        yield

    loss = build_loss(options, LossParts(judge, autocast))
    total, terms = loss(sr, hr)
    assert loss.weights() == {
        "mse": 1.0,
        "perceptual": 1.0,
        "adversarial": 0.2,
        "total_variation": 0.3,
        "ms_ssim": 0.4,
        "lpips": 0.5,
    }
    assert len(contexts) == 3  # networks run in reduced precision, all else does not
    assert terms["adversarial"] == pytest.approx(-judge(sr).mean().item(), rel=1e-4)
    assert terms["total_variation"] == pytest.approx(total_variation.measure_absolute(sr).item())
    summed = sum(loss.weights()[name] * value.item() for name, value in terms.items())
    assert total.item() == pytest.approx(summed, rel=1e-5)


VGG = {"type": "VGG16", "layers": {"relu2_2": 1.0}, "weights": "random"}
LIVE_TERMS: dict[str, dict[str, Any]] = {
    "perceptual": VGG,
    "ms_ssim": {"weight": 1.0},
    "ms_ssim_l1": {},
    "lpips": {"weight": 1.0, "network": "AlexNet", "weights": "random"},
    "dists": {"weight": 1.0, "weights": "random"},
    "frequency": {"type": "L1"},
    "wavelet": {"levels": 3},
    "color": {"pool_size": 4},
    "gradient_variance": {},
    "s3im": {"repeats": 2},
    "ldl": {},
    "contextual": {**VGG, "max_side": 8},
    "high_frequency": {**VGG, "levels": 2},
    "distribution": {**VGG, "temperature": 2.0},
    "contrastive": {"samples": 1},
}


def test_every_term_that_compares_images_is_tried() -> None:
    others = {"pixel", "adversarial", "total_variation", "temporal", "teacher", "uncertainty"}
    assert set(LIVE_TERMS) == set(LossesOptions.model_fields) - others


@pytest.mark.parametrize("key", LIVE_TERMS)
def test_the_term_of_each_key_reaches_the_generator(key: str) -> None:
    """Alone, with its weight, also in bf16."""
    torch.manual_seed(0)
    adversarial = {"adversarial": {"type": "standard", "weight": 0}} if key == "contrastive" else {}
    options = LossesOptions.model_validate(
        {"pixel": {"type": "L1"}, key: {**LIVE_TERMS[key], "weight": 0.7}, **adversarial}
    )
    generator, discriminator = Compact(2, 4, 1), PatchGAN(4, 1, "none").requires_grad_(False)
    autocast = partial(torch.autocast, "cpu", torch.bfloat16)
    parts = LossParts(discriminator, autocast, averaged=Compact(2, 4, 1).eval(), seed=3)
    lr, hr = torch.rand(2, 3, 16, 16), torch.rand(2, 3, 32, 32)
    with autocast():
        sr = generator(lr)
    loss = build_loss(options, parts)
    total, terms = loss(sr.float(), hr, {"l1": 0.0}, inputs=(lr,), step=2)
    assert terms.keys() == {key}
    assert terms[key].dtype == torch.float32
    torch.testing.assert_close(total.detach(), 0.7 * terms[key])
    total.backward()
    gradients = [p.grad for p in generator.parameters() if p.grad is not None]
    norm = torch.cat([gradient.flatten() for gradient in gradients]).norm()
    assert norm > 0
    assert norm.isfinite()


@pytest.mark.parametrize(
    "discriminator",
    [
        {"type": "UNet"},
        {"type": "PatchGAN", "num_layers": 1},
        {"type": "PatchGAN", "num_layers": 2},
        {"type": "SRGAN", "head": "dense"},
        {"type": "SRGAN", "head": "pooled"},
    ],
)
def test_every_layer_that_options_allow_for_contrastive_is_a_map(
    discriminator: dict[str, Any],
) -> None:
    options: DiscriminatorOptions = TypeAdapter(DiscriminatorOptions).validate_python(
        {**discriminator, "num_features": 4}
    )
    network = build_discriminator(options, crop_size=32).eval()
    last = options.last_convolution
    assert embed_by_layer(network, last)(torch.rand(1, 3, 32, 32)).shape[2] > 1
    if discriminator.get("head") == "pooled":  # whose head is of convolutions
        assert embed_by_layer(network, last + 1)(torch.rand(1, 3, 32, 32)).shape[2] == 1
        return
    with pytest.raises(IndexError):
        embed_by_layer(network, last + 1)


def test_learned_weights_are_those_of_the_terms_that_lead_to_the_original() -> None:
    options = LossesOptions.model_validate(
        {
            "pixel": {"type": "Charbonnier", "weight": 2.0},
            "frequency": {"weight": 3.0},
            "color": {},
            "uncertainty": {"learning_rate": 0.1},
        }
    )
    uncertainty = build_uncertainty(options)
    assert uncertainty is not None
    assert uncertainty.factors.keys() == {"charbonnier", "frequency"}
    assert build_uncertainty(options.model_copy(update={"uncertainty": None})) is None
    loss = build_loss(options)
    assert loss.weights(uncertainty.factors) == {"charbonnier": 2.0, "frequency": 3.0, "color": 1.0}
