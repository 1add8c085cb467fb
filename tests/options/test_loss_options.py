"""Loss options that contradict each other, or the rest of the file."""

from typing import Any

import pytest
from pydantic import ValidationError

from sr.options.losses import LossesOptions
from sr.options.schema import Options

L1 = {"type": "L1"}
VGG = {"type": "VGG16", "layers": {"relu3_3": 1.0}}
GAN: dict[str, Any] = {
    "discriminator": {"type": "UNet", "num_features": 4},
    "train.gan": {"optimizer": {"type": "Adam", "learning_rate": 1e-3}},
}


def validate(losses: dict[str, Any], crop_size: Any = 32, **rest: Any) -> Options:
    train = {
        "steps": 9,
        "optimizer": {"type": "AdamW", "learning_rate": 1e-3},
        "schedule": {"type": "cosine"},
        "ema_decay": rest.pop("ema_decay", 0.9),
    }
    if "train.gan" in rest:
        train["gan"] = rest.pop("train.gan")
    source = {"type": "HRFolders", "hr": ["x"]}
    return Options.model_validate(
        {
            "name": "a",
            "scale": 2,
            "generator": {"type": "Compact"},
            "losses": losses,
            "datasets": {
                "train": {"source": source, "crop_size": crop_size, "batch_size": 1},
            },
            "train": train,
            **rest,
        }
    )


@pytest.mark.parametrize(
    ("key", "term", "least"),
    [
        ("ms_ssim", {"weight": 1.0}, 11),
        ("ms_ssim_l1", {}, 25),
        ("lpips", {"weight": 1.0, "network": "AlexNet"}, 31),
        ("dists", {"weight": 1.0}, 16),
        ("wavelet", {"levels": 3}, 8),
        ("color", {"pool_size": 24}, 24),
        ("gradient_variance", {"patch_size": 16}, 18),
        ("s3im", {"window_size": 6}, 6),
        ("perceptual", VGG, 4),
        ("contextual", VGG, 8),
        ("high_frequency", {**VGG, "levels": 3}, 32),
        ("distribution", {**VGG, "layers": {"conv5_1": 1.0}}, 16),
    ],
)
def test_a_crop_smaller_than_a_term_takes_is_refused(
    key: str, term: dict[str, Any], least: int
) -> None:
    even = least + least % 2
    assert validate({"pixel": L1, key: term}, even)
    with pytest.raises(ValidationError, match=f"expected at least {least} for losses.{key}, got "):
        validate({"pixel": L1, key: term}, even - 2)


@pytest.mark.parametrize("key", ["color", "gradient_variance", "s3im", "wavelet", "ldl"])
def test_a_term_that_leaves_the_image_open_needs_one_that_does_not(key: str) -> None:
    with pytest.raises(ValidationError, match="expected a term that compares sr with hr"):
        LossesOptions.model_validate({key: {}})


@pytest.mark.parametrize("key", ["frequency", "ms_ssim_l1"])
def test_a_term_that_leads_to_the_original_can_be_alone(key: str) -> None:
    assert LossesOptions.model_validate({key: {}}).targets.keys() == {key}


@pytest.mark.parametrize(
    ("key", "term"),
    [
        ("frequency", {"weight": 0}),
        ("frequency", {"alpha": -1}),
        ("ms_ssim_l1", {"alpha": 1.1}),
        ("wavelet", {"levels": 0}),
        ("gradient_variance", {"patch_size": 1}),
        ("contextual", {**VGG, "layers": {"conv6_1": 1.0}}),
        ("distribution", {**VGG, "temperature": 0}),
        ("contrastive", {"layer": -1}),
        ("uncertainty", {"learning_rate": 0}),
    ],
)
def test_numbers_without_a_meaning_are_refused(key: str, term: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        LossesOptions.model_validate({"pixel": L1, key: term})


def test_the_contrastive_term_needs_a_discriminator_that_is_trained() -> None:
    with pytest.raises(ValidationError, match=r"contrastive: expected losses\.adversarial too"):
        validate({"pixel": L1, "contrastive": {}})
    adversarial = {"type": "standard", "weight": 0}
    assert validate({"pixel": L1, "contrastive": {}, "adversarial": adversarial}, **GAN)
    with pytest.raises(ValidationError, match="expected above 0 without contrastive, got 0"):
        validate({"pixel": L1, "adversarial": adversarial}, **GAN)


@pytest.mark.parametrize(
    ("discriminator", "last"),
    [
        ({"type": "UNet"}, 9),
        ({"type": "PatchGAN", "num_layers": 2}, 3),
        ({"type": "SRGAN"}, 7),
    ],
)
def test_a_layer_that_the_discriminator_lacks_is_refused(
    discriminator: dict[str, Any], last: int
) -> None:
    def with_layer(layer: int) -> Options:
        losses = {
            "pixel": L1,
            "contrastive": {"layer": layer},
            "adversarial": {"type": "standard", "weight": 0},
        }
        return validate(losses, **{**GAN, "discriminator": discriminator})

    assert with_layer(last)
    with pytest.raises(ValidationError, match=f"layer: expected at most {last}, .* got {last + 1}"):
        with_layer(last + 1)


def test_ldl_needs_averaged_weights() -> None:
    assert validate({"pixel": L1, "ldl": {}})
    with pytest.raises(ValidationError, match=r"losses\.ldl: expected train\.ema_decay above 0"):
        validate({"pixel": L1, "ldl": {}}, ema_decay=0)


def test_learned_weights_need_two_terms_to_choose_from() -> None:
    assert LossesOptions.model_validate({"pixel": L1, "frequency": {}, "uncertainty": {}})
    with pytest.raises(ValidationError, match=r"uncertainty: expected two or more .* got pixel"):
        LossesOptions.model_validate({"pixel": L1, "color": {}, "uncertainty": {}})
