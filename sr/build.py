"""Options -> objects. The only file that knows both sides."""

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Adam, AdamW, Optimizer

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
from sr.motion.methods import DIS, Farneback, FlowMethod
from sr.motion.raft import RAFT
from sr.networks.basicsr_network import BasicSRNetwork
from sr.networks.compact import Compact
from sr.networks.dbpn import DBPN
from sr.networks.edsr import EDSR
from sr.networks.iseebetter_srresnet import ISeeBetterSRResNet
from sr.networks.msrresnet import MSRResNet
from sr.networks.packed_window import PackedWindow
from sr.networks.patchgan import PatchGAN
from sr.networks.rbpn import RBPN
from sr.networks.receptive import MAX_RADIUS, measure_receptive_radius
from sr.networks.rlfn import RLFN
from sr.networks.rrdb import RRDBNet
from sr.networks.span import SPAN
from sr.networks.srgan_discriminator import SRGANDiscriminator
from sr.networks.srresnet import SRResNet
from sr.networks.unet_discriminator import UNetDiscriminator
from sr.optim import schedules
from sr.optim.muon import Muon, split_parameters
from sr.options.base import Section
from sr.options.discriminator import (
    DiscriminatorOptions,
    PatchGANOptions,
    SRGANDiscriminatorOptions,
    UNetDiscriminatorOptions,
)
from sr.options.flow import DISOptions, FarnebackOptions, FlowOptions, RAFTOptions
from sr.options.generator import (
    BasicSROptions,
    CompactOptions,
    DBPNOptions,
    EDSROptions,
    GeneratorOptions,
    ISeeBetterSRResNetOptions,
    MSRResNetOptions,
    RBPNOptions,
    RLFNOptions,
    RRDBNetOptions,
    SPANOptions,
    SRResNetOptions,
)
from sr.options.losses import (
    AdversarialOptions,
    CharbonnierOptions,
    L1Options,
    LossesOptions,
    MSEOptions,
    PerceptualOptions,
    PixelOptions,
    TeacherOptions,
)
from sr.options.optimization import (
    AdamOptions,
    AdamWOptions,
    CosineOptions,
    MultiStepOptions,
    MuonOptions,
    OptimizerOptions,
    ScheduleOptions,
)
from sr.options.schema import ValidateOptions

Autocast = Callable[[], AbstractContextManager[None]]

GENERATORS: dict[type[Section], Callable[..., nn.Module]] = {
    SRResNetOptions: SRResNet,
    MSRResNetOptions: MSRResNet,
    EDSROptions: EDSR,
    RRDBNetOptions: RRDBNet,
    CompactOptions: Compact,
    SPANOptions: SPAN,
    RLFNOptions: RLFN,
    DBPNOptions: DBPN,
    RBPNOptions: RBPN,
    ISeeBetterSRResNetOptions: ISeeBetterSRResNet,
    BasicSROptions: BasicSRNetwork,
}


def build_generator(options: GeneratorOptions, scale: int) -> nn.Module:
    """An untrained generator; its initialisation draws from torch's global generator."""
    return GENERATORS[type(options)](scale, **fields_of(options))


def find_receptive_radius(options: GeneratorOptions, scale: int) -> int:
    """How far the generator sees, in LR pixels, at most MAX_RADIUS.

    Measured on one of the same depth with few channels, which sees as far and takes a fraction.
    Networks of BasicSR are not measured and count as seeing far; RLFN sees the whole image.
    """
    if isinstance(options, BasicSROptions | RLFNOptions):
        return MAX_RADIUS
    widths = {"num_features": 4, "num_shallow_features": 4, "num_growth": 2}
    narrow = {name: width for name, width in widths.items() if name in type(options).model_fields}
    if isinstance(options, RBPNOptions):  # slow to measure; its PReLUs let all gradients through
        narrow = dict.fromkeys(narrow, 1)
    with torch.random.fork_rng(devices=[]):
        network = build_generator(options.model_copy(update=narrow), scale)
    if isinstance(network, RBPN):
        window = PackedWindow(network)
        return measure_receptive_radius(window, num_channels=window.num_channels)
    return measure_receptive_radius(network)


def build_discriminator(options: DiscriminatorOptions, crop_size: int) -> nn.Module:
    """An untrained discriminator of HR crops; draws from torch's global generator."""
    match options:
        case SRGANDiscriminatorOptions():
            return SRGANDiscriminator(crop_size, **fields_of(options))
        case PatchGANOptions():
            return PatchGAN(**fields_of(options))
        case UNetDiscriminatorOptions():
            return UNetDiscriminator(**fields_of(options))


def build_loss(
    options: LossesOptions,
    discriminator: nn.Module | None = None,
    autocast: Autocast = nullcontext,
    device: torch.device | None = None,
    teacher: nn.Module | None = None,
) -> CombinedLoss:
    """All terms of the generator's loss.

    discriminator, teacher: needed by the terms of these names; the teacher on the device. autocast:
    the context in which networks inside of terms run; their comparisons stay fp32. Raises
    ValueError for weights that cannot be had.
    """
    terms: dict[str, WeightedTerm] = {}
    if options.pixel is not None:
        name = options.pixel.type.lower()
        terms[name] = WeightedTerm(_pixel_term(options.pixel), options.pixel.weight)
    if options.perceptual is not None:
        perceptual = _perceptual_term(options.perceptual).to(device)
        terms["perceptual"] = WeightedTerm(
            _in_autocast(perceptual, autocast), options.perceptual.weight
        )
    if options.adversarial is not None:
        assert discriminator is not None  # the schema asks for both
        judged = AdversarialTerm(options.adversarial.type, discriminator)
        terms["adversarial"] = WeightedTerm(
            _in_autocast(judged, autocast), options.adversarial.weight
        )
    if options.total_variation is not None:
        variations = {"squared": total_variation.squared, "absolute": total_variation.absolute}
        variation = variations[options.total_variation.type]
        weight = options.total_variation.weight
        terms["total_variation"] = WeightedTerm(lambda sr, _hr: variation(sr), weight)
    if options.ms_ssim is not None:
        terms["ms_ssim"] = WeightedTerm(ms_ssim_loss, options.ms_ssim.weight)
    if options.lpips is not None:
        lpips = LPIPS(options.lpips.network, options.lpips.weights).to(device)
        terms["lpips"] = WeightedTerm(_in_autocast(lpips, autocast), options.lpips.weight)
    if options.temporal is not None:
        terms["temporal"] = WeightedTerm(temporal_loss, options.temporal.weight, "motion")
    if options.teacher is not None:
        assert teacher is not None  # the caller loads the file
        taught = TeacherTerm(_teacher_criterion(options.teacher), teacher)
        terms["teacher"] = WeightedTerm(
            _in_autocast(taught, autocast), options.teacher.weight, "inputs"
        )
    return CombinedLoss(terms)


def build_validation_lpips(options: ValidateOptions, device: torch.device) -> LPIPS | None:
    """What validation measures LPIPS with, if it does. Raises ValueError as build_loss does."""
    if options.lpips is None:
        return None
    return LPIPS(options.lpips.network, options.lpips.weights).to(device)


def build_discriminator_loss(options: AdversarialOptions) -> DiscriminatorLoss:
    """What the discriminator is trained with."""
    return DiscriminatorLoss(
        options.type, options.label_smoothing, options.r1_weight, options.r1_interval
    )


def _in_autocast(term: Term, autocast: Autocast) -> Term:
    def run(sr: Tensor, other: Tensor) -> Tensor:
        with autocast():
            return term(sr, other)

    return run


def _perceptual_term(options: PerceptualOptions) -> PerceptualLoss:
    features = ImageNetFeatures(options.type, list(options.layers), options.weights)
    return PerceptualLoss(features, options.layers, options.criterion)


def _pixel_term(options: PixelOptions) -> Term:
    match options:
        case L1Options():
            return pixel.l1
        case MSEOptions():
            return pixel.mse
        case CharbonnierOptions():
            return partial(pixel.charbonnier, epsilon=options.epsilon)


def _teacher_criterion(options: TeacherOptions) -> Term:
    match options.criterion:
        case "L1":
            return _pixel_term(L1Options(type="L1"))
        case "MSE":
            return _pixel_term(MSEOptions(type="MSE"))
        case "Charbonnier":
            return _pixel_term(CharbonnierOptions(type="Charbonnier"))


def build_flow(options: FlowOptions, device: torch.device) -> FlowMethod:
    """What measures flow; only a network runs on the device.

    Raises ValueError for weights that cannot be had or do not fit.
    """
    match options:
        case DISOptions():
            return DIS()
        case FarnebackOptions():
            return Farneback()
        case RAFTOptions():
            return RAFT(options.size, options.weights, device)


def build_optimizer(options: OptimizerOptions, network: nn.Module) -> Optimizer:
    """The optimizer of all parameters of a network."""
    match options:
        case AdamOptions():
            return Adam(network.parameters(), options.learning_rate, options.betas)
        case AdamWOptions():
            return AdamW(
                network.parameters(),
                options.learning_rate,
                options.betas,
                weight_decay=options.weight_decay,
            )
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


def build_schedule(schedule: ScheduleOptions, steps: int) -> Callable[[int], float]:
    """step, counted from 1 -> factor of the learning rate. steps: of the whole run."""
    match schedule:
        case CosineOptions():
            return partial(
                schedules.cosine,
                steps=steps,
                warmup_steps=schedule.warmup_steps,
                final_factor=schedule.final_factor,
            )
        case MultiStepOptions():
            return partial(
                schedules.multi_step,
                warmup_steps=schedule.warmup_steps,
                milestones=schedule.milestones,
                gamma=schedule.gamma,
            )


def fields_of(options: Section) -> dict[str, Any]:
    """A section's fields as keyword arguments, without the `type` that selected it."""
    return {name: value for name, value in options if name != "type"}
