"""Options -> the generator's loss: one table of its terms."""

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from sr.build import list_fields
from sr.losses import pixel, total_variation
from sr.losses.adversarial import AdversarialTerm
from sr.losses.color import color_loss
from sr.losses.combined import Argument, CombinedLoss, Term, WeightedTerm
from sr.losses.contextual import contextual_distance
from sr.losses.contrastive import Contrastive, embed_by_layer
from sr.losses.dists import DISTS
from sr.losses.frequency import frequency_loss
from sr.losses.gradient_variance import gradient_variance_loss
from sr.losses.haar import detail_distance
from sr.losses.imagenet_features import ImageNetFeatures
from sr.losses.jensen_shannon import jensen_shannon_divergence
from sr.losses.ldl import LDL
from sr.losses.lpips import LPIPS
from sr.losses.ms_ssim import ms_ssim_loss
from sr.losses.ms_ssim_l1 import ms_ssim_l1_loss
from sr.losses.perceptual import PerceptualLoss, measure_distance
from sr.losses.s3im import S3IM
from sr.losses.teacher_term import TeacherTerm
from sr.losses.temporal import temporal_loss
from sr.losses.uncertainty import UncertaintyWeights
from sr.options.base import Section
from sr.options.feature_losses import (
    ContrastiveOptions,
    DISTSOptions,
    LayersOptions,
    LPIPSOptions,
)
from sr.options.image_losses import (
    CharbonnierOptions,
    FrequencyOptions,
    L1Options,
    LDLOptions,
    MSEOptions,
    PixelOptions,
    S3IMOptions,
    TotalVariationOptions,
)
from sr.options.losses import AdversarialOptions, LossesOptions, TeacherOptions

Autocast = Callable[[], AbstractContextManager[None]]


@dataclass(frozen=True)
class LossParts:
    """What terms are made of next to their options, where they need it.

    discriminator, teacher, averaged (the generator with averaged weights): on the device. autocast:
    the context in which networks inside terms run; their comparisons stay fp32. seed: of draws.
    dtype, layout: the context's precision, and that of images in memory.
    """

    discriminator: nn.Module | None = None
    autocast: Autocast = nullcontext
    device: torch.device | None = None
    teacher: nn.Module | None = None
    averaged: nn.Module | None = None
    seed: int = 0
    dtype: torch.dtype = torch.float32
    layout: torch.memory_format = torch.contiguous_format


def build_loss(options: LossesOptions, parts: LossParts | None = None) -> CombinedLoss:
    """Build all terms of the generator's loss. Raises UserError for weights not available."""
    parts = parts or LossParts()
    terms = {}
    for key, term in options.terms.items():
        build, takes = _TERMS[key]
        if term.weight:
            terms[_name_term(key, term)] = WeightedTerm(build(term, parts), term.weight, takes)
    return CombinedLoss(terms)


def build_uncertainty(options: LossesOptions) -> UncertaintyWeights | None:
    """Build the weights that are learned, if any shall be."""
    if options.uncertainty is None:
        return None
    weights = {_name_term(key, term): term.weight for key, term in options.targets.items()}
    return UncertaintyWeights(weights, options.uncertainty.learning_rate)


def _name_term(key: str, options: Section) -> str:
    """Return the name of a term in logs: its key, and of pixel terms the type."""
    return str(getattr(options, "type", key)).lower() if key == "pixel" else key


def _call(function: Callable[..., Tensor]) -> "_Builder":
    """Hand the options to a function by name."""

    def build(options: Section, _parts: LossParts) -> Callable[..., Tensor]:
        fields = list_fields(options)
        return partial(function, **{name: fields[name] for name in fields if name != "weight"})

    return build


def _compare_features(distance: Callable[..., Tensor]) -> "_Builder":
    """Hand the options that are not of all feature terms to a distance of two feature maps."""

    def build(options: LayersOptions, parts: LossParts) -> Callable[..., Tensor]:
        own = {name: value for name, value in options if name not in LayersOptions.model_fields}
        features = ImageNetFeatures(options.type, list(options.layers), options.weights)
        features.hold_as(parts.dtype, parts.layout)
        loss = PerceptualLoss(features, options.layers, partial(distance, **own))
        return _run_in(parts.autocast, loss.to(parts.device))

    return build


def _build_pixel(options: PixelOptions, _parts: LossParts) -> Term:
    match options:
        case CharbonnierOptions():
            return partial(pixel.charbonnier, epsilon=options.epsilon)
        case MSEOptions():
            return pixel.mse
        case L1Options():
            return pixel.l1


def _build_adversarial(options: AdversarialOptions, parts: LossParts) -> Callable[..., Tensor]:
    assert parts.discriminator is not None  # the schema requires both
    return _run_in(parts.autocast, AdversarialTerm(options.type, parts.discriminator))


def _build_total_variation(options: TotalVariationOptions, _parts: LossParts) -> Any:
    squared = options.type == "squared"
    return total_variation.measure_squared if squared else total_variation.measure_absolute


def _build_frequency(options: FrequencyOptions, _parts: LossParts) -> Term:
    return partial(frequency_loss, kind=options.type, alpha=options.alpha)


def _build_lpips(options: LPIPSOptions, parts: LossParts) -> Callable[..., Tensor]:
    lpips = LPIPS(options.network, options.weights)
    lpips.features.hold_as(parts.dtype, parts.layout)
    return _run_in(parts.autocast, lpips.to(parts.device))


def _build_dists(options: DISTSOptions, parts: LossParts) -> Callable[..., Tensor]:
    dists = DISTS(options.weights)
    dists.features.hold_as(parts.dtype, parts.layout)
    return _run_in(parts.autocast, dists.to(parts.device))


def _build_s3im(options: S3IMOptions, parts: LossParts) -> Callable[..., Tensor]:
    return S3IM(options.repeats, options.window_size, parts.seed)


def _build_ldl(_options: LDLOptions, parts: LossParts) -> Callable[..., Tensor]:
    assert parts.averaged is not None
    return LDL(_run_in(parts.autocast, parts.averaged))


def _build_contrastive(options: ContrastiveOptions, parts: LossParts) -> Callable[..., Tensor]:
    assert parts.discriminator is not None  # the schema requires both
    embedding = _run_in(parts.autocast, embed_by_layer(parts.discriminator, options.layer))
    return Contrastive(embedding, options.samples, options.temperature, parts.seed)


def _build_teacher(options: TeacherOptions, parts: LossParts) -> Callable[..., Tensor]:
    assert parts.teacher is not None  # the caller loads the file
    criterion = _build_pixel(_PIXEL_OPTIONS[options.criterion], parts)
    return _run_in(parts.autocast, TeacherTerm(criterion, parts.teacher))


def _run_in(autocast: Autocast, function: Callable[..., Tensor]) -> Callable[..., Tensor]:
    def run(*tensors: Tensor) -> Tensor:
        with autocast():
            return function(*tensors)

    return run


_PIXEL_OPTIONS: Mapping[str, PixelOptions] = {
    "L1": L1Options(type="L1"),
    "MSE": MSEOptions(type="MSE"),
    "Charbonnier": CharbonnierOptions(type="Charbonnier"),
}

_Builder = Callable[[Any, LossParts], Callable[..., Tensor]]
_SR_HR: tuple[Argument, ...] = ("sr", "hr")

_TERMS: Mapping[str, tuple[_Builder, tuple[Argument, ...]]] = {
    "pixel": (_build_pixel, _SR_HR),
    "perceptual": (_compare_features(measure_distance), _SR_HR),
    "adversarial": (_build_adversarial, ("sr", "real")),
    "total_variation": (_build_total_variation, ("sr",)),
    "ms_ssim": (_call(ms_ssim_loss), _SR_HR),
    "ms_ssim_l1": (_call(ms_ssim_l1_loss), _SR_HR),
    "lpips": (_build_lpips, _SR_HR),
    "dists": (_build_dists, _SR_HR),
    "frequency": (_build_frequency, _SR_HR),
    "wavelet": (_call(detail_distance), _SR_HR),
    "color": (_call(color_loss), _SR_HR),
    "gradient_variance": (_call(gradient_variance_loss), _SR_HR),
    "s3im": (_build_s3im, ("sr", "hr", "step")),
    "ldl": (_build_ldl, ("sr", "hr", "inputs")),
    "contextual": (_compare_features(contextual_distance), _SR_HR),
    "high_frequency": (_compare_features(detail_distance), _SR_HR),
    "distribution": (_compare_features(jensen_shannon_divergence), _SR_HR),
    "contrastive": (_build_contrastive, ("sr", "real", "lr", "step")),
    "temporal": (_call(temporal_loss), ("sr", "hr", "motion")),
    "teacher": (_build_teacher, ("all_sr", "all_lr")),
}
