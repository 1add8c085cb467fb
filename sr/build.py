"""Options -> generators and optical flow: what inference needs, and nothing of training.

`sr.build_training` and `sr.build_data` build the rest; no other file turns options into objects.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from sr.networks.basicsr_network import BasicSRNetwork
from sr.networks.compact import Compact
from sr.networks.dbpn import DBPN
from sr.networks.edsr import EDSR
from sr.networks.iseebetter_srresnet import ISeeBetterSRResNet
from sr.networks.msrresnet import MSRResNet
from sr.networks.packed_window import PackedWindow
from sr.networks.rbpn import RBPN
from sr.networks.receptive_radius import MAX_RADIUS, measure_receptive_radius
from sr.networks.rlfn import RLFN
from sr.networks.rrdb import RRDBNet
from sr.networks.span import SPAN
from sr.networks.spandrel_network import SpandrelGenerator
from sr.networks.srresnet import SRResNet
from sr.options.base import Section
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
    SpandrelOptions,
    SPANOptions,
    SRResNetOptions,
)

if TYPE_CHECKING:
    from sr.motion.methods import FlowMethod

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
    SpandrelOptions: SpandrelGenerator,
}


def build_generator(options: GeneratorOptions, scale: int) -> nn.Module:
    """Build an untrained generator; its initialization draws from torch's global generator."""
    return GENERATORS[type(options)](scale, **list_fields(options))


def find_receptive_radius(options: GeneratorOptions, scale: int) -> int:
    """Return how far the generator sees, in LR pixels, at most MAX_RADIUS.

    Measured on one of the same depth with few channels, which sees as far and takes a fraction.
    Networks of BasicSR and spandrel are not measured and count as seeing far; RLFN sees the whole
    image.
    """
    if isinstance(options, BasicSROptions | SpandrelOptions | RLFNOptions):
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


def build_flow(options: FlowOptions, device: torch.device) -> "FlowMethod":
    """Build the method that measures flow; only a network runs on the device.

    Raises UserError for weights that cannot be had or do not fit.
    """
    from sr.motion.methods import DIS, Farneback  # OpenCV, which images do not need
    from sr.motion.raft import RAFT

    match options:
        case DISOptions():
            return DIS()
        case FarnebackOptions():
            return Farneback()
        case RAFTOptions():
            return RAFT(options.size, options.weights, device)


def list_fields(options: Section) -> dict[str, Any]:
    """Return a section's fields as keyword arguments, without the `type` that selected it."""
    return {name: value for name, value in options if name != "type"}
