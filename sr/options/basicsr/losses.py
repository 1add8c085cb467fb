"""BasicSR's loss terms in our terms."""

from math import sqrt
from typing import Any

from sr.errors import UserError
from sr.options.basicsr.reader import BasicSRReader

_PIXEL = {"L1Loss": "L1", "MSELoss": "MSE", "CharbonnierLoss": "Charbonnier"}
_CRITERIA = {"l1": "L1", "l2": "MSE", "mse": "MSE"}
_FEATURES = {"vgg16": "VGG16", "vgg19": "VGG19"}
# BasicSR's gan_type: ours, and our weight for its 1: least_squares has a factor 1/2 here
_ADVERSARIAL = {
    "vanilla": ("standard", 1.0),
    "lsgan": ("least_squares", 2.0),
    "hinge": ("hinge", 1.0),
    "wgan": ("wasserstein", 1.0),
    "wgan_softplus": ("standard", 1.0),  # softplus(-x) is the cross entropy of the logit x
}
_RELATIVISTIC_WEIGHT = 0.5  # ESRGANModel takes the mean of the two halves, ours their sum


def translate_losses(
    reader: BasicSRReader, *, adversarial: bool, relativistic: bool
) -> dict[str, Any]:
    """`pixel_opt`, `perceptual_opt` and, where it is used, `gan_opt` as our `losses`."""
    made: dict[str, Any] = {}
    if reader.list_keys("train.pixel_opt") and (term := _translate_pixel(reader)):
        made["pixel"] = term
    if reader.list_keys("train.perceptual_opt") and (term := _translate_perceptual(reader)):
        made["perceptual"] = term
    if adversarial:
        made["adversarial"] = _translate_adversarial(reader, relativistic)
    if not made.keys() & {"pixel", "perceptual"}:
        raise UserError(
            "train: expected a pixel_opt or perceptual_opt with a weight above 0, which compares "
            f"with hr, got {', '.join(reader.list_keys('train'))}"
        )
    return made


def _translate_pixel(reader: BasicSRReader) -> dict[str, Any] | None:
    section = "train.pixel_opt"
    weight = reader.read_float(f"{section}.loss_weight", 1.0)
    if weight == 0:
        reader.warn_section(section, "the term is left out, its weight is 0")
        return None
    kind = reader.read_choice(f"{section}.type", _PIXEL)
    made: dict[str, Any] = {"type": kind, "weight": weight}
    if kind == "Charbonnier":  # theirs: sqrt(difference^2 + eps)
        made["epsilon"] = sqrt(abs(reader.read_float(f"{section}.eps", 1e-12)))
    reader.expect(f"{section}.reduction", "mean", "always the mean here; choose another weight")
    return made


def _translate_perceptual(reader: BasicSRReader) -> dict[str, Any] | None:
    section = "train.perceptual_opt"
    weight = reader.read_float(f"{section}.perceptual_weight", 1.0)
    if weight == 0:
        reader.warn_section(section, "the term is left out, its weight is 0")
        return None
    reader.read_choice(f"{section}.type", {"PerceptualLoss": None}, "PerceptualLoss")
    layers = {}
    for name in reader.list_keys(f"{section}.layer_weights"):
        layer = f"{section}.layer_weights.{name}"
        if factor := reader.read_float(layer):
            layers[name] = factor
        else:
            reader.warn(layer, "a layer of weight 0 is left out")
    reader.expect(f"{section}.use_input_norm", True, "ImageNet's normalization is always applied")
    reader.expect(f"{section}.style_weight", 0, "there is no style term (Gram matrices)")
    reader.expect(f"{section}.range_norm", False, "images are in [0, 1], nothing is to be shifted")
    return {
        "type": reader.read_choice(f"{section}.vgg_type", _FEATURES, "vgg19"),
        "layers": layers,
        "weight": weight,
        "criterion": reader.read_choice(f"{section}.criterion", _CRITERIA, "l1"),
    }


def _translate_adversarial(reader: BasicSRReader, relativistic: bool) -> dict[str, Any]:
    section = "train.gan_opt"
    reader.read_choice(f"{section}.type", {"GANLoss": None}, "GANLoss")
    kind, factor = reader.read_choice(f"{section}.gan_type", _ADVERSARIAL)
    if relativistic:
        if kind != "standard":
            reader.warn(
                f"{section}.gan_type",
                "ESRGANModel makes it relativistic, which is here with cross entropy (vanilla) "
                "only; that is taken",
            )
        kind, factor = "relativistic_average", _RELATIVISTIC_WEIGHT
    made: dict[str, Any] = {
        "type": kind,
        "weight": factor * reader.read_float(f"{section}.loss_weight", 1.0),
    }
    if factor != 1:
        reader.warn(
            f"{section}.loss_weight",
            f"taken over times {factor:g}, which is the same: the formulas differ by that factor",
        )
    real = reader.read_float(f"{section}.real_label_val", 1.0)
    if real != 1 and kind not in ("hinge", "wasserstein") and 0.5 < real < 1:
        made["label_smoothing"] = round(1 - real, 12)
        reader.warn(
            f"{section}.real_label_val",
            "taken over as label_smoothing, which the generator's loss does not have here",
        )
    elif real != 1:
        reader.warn(f"{section}.real_label_val", f"{kind} has the target 1 or none here")
    reader.expect(f"{section}.fake_label_val", 0.0, "the target of sr is always 0 here")
    return made
