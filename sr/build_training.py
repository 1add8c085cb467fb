"""Options -> losses, discriminators, optimizers and schedules: what only training needs."""

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from functools import partial

import torch
from torch import Tensor, nn
from torch.optim import Adam, AdamW, Optimizer

from sr.build import list_fields
from sr.losses import pixel, total_variation
from sr.losses.adversarial import AdversarialTerm
from sr.losses.combined import CombinedLoss, Term, WeightedTerm
from sr.losses.discriminator import DiscriminatorLoss
from sr.losses.imagenet_features import ImageNetFeatures
from sr.losses.lpips import LPIPS
from sr.losses.ms_ssim import ms_ssim_loss
from sr.losses.perceptual import PerceptualLoss
from sr.losses.teacher_term import TeacherTerm
from sr.losses.temporal import temporal_loss
from sr.networks.patchgan import PatchGAN
from sr.networks.srgan_discriminator import SRGANDiscriminator
from sr.networks.unet_discriminator import UNetDiscriminator
from sr.optim import schedules
from sr.optim.muon import Muon, split_parameters
from sr.options.discriminator import (
    DiscriminatorOptions,
    PatchGANOptions,
    SRGANDiscriminatorOptions,
    UNetDiscriminatorOptions,
)
from sr.options.losses import (
    AdversarialOptions,
    CharbonnierOptions,
    LossesOptions,
    PixelOptions,
)
from sr.options.schema import ValidateOptions
from sr.options.train import (
    AdamOptions,
    AdamWOptions,
    CosineOptions,
    MultiStepOptions,
    MuonOptions,
    OptimizerOptions,
    ScheduleOptions,
)

Autocast = Callable[[], AbstractContextManager[None]]


def build_discriminator(options: DiscriminatorOptions, crop_size: int) -> nn.Module:
    """Build an untrained discriminator of HR crops; draws from torch's global generator."""
    match options:
        case SRGANDiscriminatorOptions():
            return SRGANDiscriminator(crop_size, **list_fields(options))
        case PatchGANOptions():
            return PatchGAN(**list_fields(options))
        case UNetDiscriminatorOptions():
            return UNetDiscriminator(**list_fields(options))


def build_loss(
    options: LossesOptions,
    discriminator: nn.Module | None = None,
    autocast: Autocast = nullcontext,
    device: torch.device | None = None,
    teacher: nn.Module | None = None,
    dtype: torch.dtype = torch.float32,
    layout: torch.memory_format = torch.contiguous_format,
) -> CombinedLoss:
    """Build all terms of the generator's loss.

    discriminator, teacher: needed by the terms of these names; the teacher on the device. autocast:
    the context in which networks inside terms run; their comparisons stay fp32. dtype, layout: its
    precision, and that of images in memory. Raises UserError for weights that are not available.
    """
    terms: dict[str, WeightedTerm] = {}
    if options.pixel is not None:
        name, weight = options.pixel.type.lower(), options.pixel.weight
        terms[name] = WeightedTerm(_build_pixel_term(options.pixel), weight)
    if options.perceptual is not None:
        layers, weight = options.perceptual.layers, options.perceptual.weight
        features = ImageNetFeatures(
            options.perceptual.type, list(layers), options.perceptual.weights
        )
        features.hold_as(dtype, layout)
        perceptual = PerceptualLoss(features, layers, options.perceptual.criterion).to(device)
        terms["perceptual"] = WeightedTerm(_run_in(autocast, perceptual), weight)
    if options.adversarial is not None:
        assert discriminator is not None  # the schema requires both
        adversarial = AdversarialTerm(options.adversarial.type, discriminator)
        weight = options.adversarial.weight
        terms["adversarial"] = WeightedTerm(_run_in(autocast, adversarial), weight)
    if options.total_variation is not None:
        squared = options.total_variation.type == "squared"
        variation = total_variation.measure_squared if squared else total_variation.measure_absolute
        weight = options.total_variation.weight
        terms["total_variation"] = WeightedTerm(lambda sr, _hr: variation(sr), weight)
    if options.ms_ssim is not None:
        terms["ms_ssim"] = WeightedTerm(ms_ssim_loss, options.ms_ssim.weight)
    if options.lpips is not None:
        lpips = LPIPS(options.lpips.network, options.lpips.weights).to(device)
        lpips.features.hold_as(dtype, layout)
        terms["lpips"] = WeightedTerm(_run_in(autocast, lpips), options.lpips.weight)
    if options.temporal is not None:
        terms["temporal"] = WeightedTerm(temporal_loss, options.temporal.weight, "motion")
    if options.teacher is not None:
        assert teacher is not None  # the caller loads the file
        criterion = _TEACHER_CRITERIA[options.teacher.criterion]
        distance = _run_in(autocast, TeacherTerm(criterion, teacher))
        terms["teacher"] = WeightedTerm(distance, options.teacher.weight, "inputs")
    return CombinedLoss(terms)


def build_discriminator_loss(options: AdversarialOptions) -> DiscriminatorLoss:
    """Build the loss of the discriminator."""
    return DiscriminatorLoss(
        options.type, options.label_smoothing, options.r1_weight, options.r1_interval
    )


def build_validation_lpips(options: ValidateOptions, device: torch.device) -> LPIPS | None:
    """Build LPIPS as a measure, if it is wanted. Raises UserError as build_loss does."""
    if options.lpips is None:
        return None
    return LPIPS(options.lpips.network, options.lpips.weights).to(device)


def build_optimizer(options: OptimizerOptions, network: nn.Module) -> Optimizer:
    """Build the optimizer of all parameters of a network."""
    match options:
        case AdamOptions():
            return Adam(network.parameters(), options.learning_rate, options.betas)
        case AdamWOptions():
            rate, decay = options.learning_rate, options.weight_decay
            return AdamW(network.parameters(), rate, options.betas, weight_decay=decay)
        case MuonOptions():
            inner, rest = split_parameters(network)
            return Muon(
                inner,
                rest,
                options.learning_rate,
                options.momentum,
                options.adamw_learning_rate,
                options.adamw_betas,
            )


def build_schedule(options: ScheduleOptions, steps: int) -> Callable[[int], float]:
    """Build the function step, counted from 1 -> factor of the learning rate.

    steps: of the whole run.
    """
    match options:
        case CosineOptions():
            return partial(schedules.cosine, steps=steps, **list_fields(options))
        case MultiStepOptions():
            return partial(schedules.multi_step, **list_fields(options))


def _build_pixel_term(options: PixelOptions) -> Term:
    if isinstance(options, CharbonnierOptions):
        return partial(pixel.charbonnier, epsilon=options.epsilon)
    return pixel.l1 if options.type == "L1" else pixel.mse


_TEACHER_CRITERIA: dict[str, Term] = {
    "L1": pixel.l1,
    "MSE": pixel.mse,
    "Charbonnier": _build_pixel_term(CharbonnierOptions(type="Charbonnier")),
}


def _run_in(autocast: Autocast, term: Term) -> Term:
    def run(sr: Tensor, other: Tensor) -> Tensor:
        with autocast():
            return term(sr, other)

    return run
