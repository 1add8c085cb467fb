"""Options -> discriminators, optimizers and schedules: what only training needs."""

from collections.abc import Callable
from functools import partial

import torch
from torch import nn
from torch.optim import Adam, AdamW, Optimizer

from sr.build import list_fields
from sr.losses.discriminator import DiscriminatorLoss
from sr.losses.lpips import LPIPS
from sr.networks.patchgan import PatchGAN
from sr.networks.srgan_discriminator import SRGANDiscriminator
from sr.networks.unet_discriminator import UNetDiscriminator
from sr.optim import schedules
from sr.optim.library_optimizers import make_library_optimizer
from sr.optim.muon import Muon, split_parameters
from sr.options.discriminator import (
    DiscriminatorOptions,
    PatchGANOptions,
    SRGANDiscriminatorOptions,
    UNetDiscriminatorOptions,
)
from sr.options.losses import AdversarialOptions
from sr.options.optimizers import (
    AdamOptions,
    AdamWOptions,
    AdanOptions,
    ConstantOptions,
    CosineOptions,
    CosineRestartsOptions,
    MultiStepOptions,
    MuonOptions,
    OptimizerOptions,
    ProdigyOptions,
    ScheduleFreeOptions,
    ScheduleOptions,
    SOAPOptions,
)
from sr.options.schema import ValidateOptions


def build_discriminator(options: DiscriminatorOptions, crop_size: int) -> nn.Module:
    """Build an untrained discriminator of HR crops; draws from torch's global generator."""
    match options:
        case SRGANDiscriminatorOptions():
            return SRGANDiscriminator(crop_size, **list_fields(options))
        case PatchGANOptions():
            return PatchGAN(**list_fields(options))
        case UNetDiscriminatorOptions():
            return UNetDiscriminator(**list_fields(options))


def build_discriminator_loss(options: AdversarialOptions) -> DiscriminatorLoss:
    """Build the loss of the discriminator."""
    return DiscriminatorLoss(
        options.type, options.label_smoothing, options.r1_weight, options.r1_interval
    )


def build_validation_lpips(options: ValidateOptions, device: torch.device) -> LPIPS | None:
    """Build LPIPS as a measure, if wanted. Raises UserError for weights that are not available."""
    if options.lpips is None:
        return None
    return LPIPS(options.lpips.network, options.lpips.weights).to(device)


def build_optimizer(options: OptimizerOptions, network: nn.Module) -> Optimizer:
    """Build the optimizer of all parameters of a network.

    Raises UserError for one of a package that is not installed.
    """
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
        case AdanOptions() | ScheduleFreeOptions() | SOAPOptions() | ProdigyOptions():
            settings = {_LIBRARY_NAMES.get(name, name): value for name, value in options}
            if isinstance(options, ProdigyOptions):
                settings["safeguard_warmup"] = True  # of a schedule's warm-up
            return make_library_optimizer(settings.pop("type"), network, **settings)


_LIBRARY_NAMES = {
    "learning_rate": "lr",
    "precondition_interval": "precondition_frequency",
    "max_precondition_size": "max_precondition_dim",
    "initial_distance": "d0",
    "distance_factor": "d_coef",
}


def build_schedule(options: ScheduleOptions, steps: int) -> Callable[[int], float]:
    """Build the function step, counted from 1 -> factor of the learning rate.

    steps: of the whole run.
    """
    match options:
        case CosineOptions():
            return partial(schedules.cosine, steps=steps, **list_fields(options))
        case CosineRestartsOptions():
            return partial(schedules.cosine_restarts, **list_fields(options))
        case ConstantOptions():
            return partial(schedules.warmup, **list_fields(options))
        case MultiStepOptions():
            return partial(schedules.multi_step, **list_fields(options))
