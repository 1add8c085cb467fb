"""Any network of BasicSR's registry that makes one larger image from one.

BasicSR: Wang et al., "BasicSR: Open Source Image and Video Restoration Toolbox", 2018 on. It is
optional; docs/training.md says how to install it next to this project.
"""

import inspect
import sys
import warnings
from collections.abc import Callable, Mapping
from difflib import get_close_matches
from types import ModuleType
from typing import Any

import torch
from torch import Tensor, nn

from sr.errors import UserError
from sr.networks.foreign_network import FAULTS_OF_NETWORKS, NO_OPTIONS, ForeignNetwork
from sr.networks.padding import pad_to_multiple

SCALE_NAMES = ("upscale", "scale")  # what the scale is called by their networks
CHANNEL_NAMES = ("num_in_ch", "num_out_ch", "in_chans")
SUFFIX = "_basicsr"  # of names that other programs register, too
MULTIPLES = (1, 2, 4, 7, 8, 16, 32, 64)  # of sides, tried in this order
_FAULTS = (ImportError, *FAULTS_OF_NETWORKS)


class MissingBasicSRError(UserError):
    """BasicSR is not installed, or cannot be imported."""


class BasicSRNetwork(ForeignNetwork):
    """A network of BasicSR behind the shapes of ours.

    The state dict is that of their network, so files go both ways. lr whose sides it cannot take
    is padded, and the result cut; `size_multiple` is found by trying.
    """

    def __init__(self, scale: int, arch: str, options: Mapping[str, Any] = NO_OPTIONS) -> None:
        """arch: its name in the registry. options: keyword arguments; scale and channels need none.

        Raises MissingBasicSRError without BasicSR, and UserError for a name that is not
        registered, options that do not fit and networks that do not make one image, `scale`
        times as large, of one image.
        """
        super().__init__()
        self.scale = scale
        self.arch = arch
        self.network = _build(arch, options, scale)
        self.size_multiple = _find_multiple(self.network, arch, scale)

    def forward(self, lr: Tensor) -> Tensor:
        """lr: (B, 3, H, W), RGB in [0, 1]. Returns (B, 3, scale*H, scale*W), not clamped."""
        height, width = lr.shape[-2:]
        sr: Tensor = self.network(pad_to_multiple(lr, self.size_multiple))
        return sr[..., : self.scale * height, : self.scale * width]


def _build(arch: str, options: Mapping[str, Any], scale: int) -> nn.Module:
    make = _find_registered(arch)
    known = inspect.signature(make).parameters
    given = dict(options)
    for name in SCALE_NAMES:
        if name in known and given.setdefault(name, scale) != scale:
            raise UserError(
                f"generator.options.{name}: expected the scale of this file, {scale}, or nothing; "
                f"got {given[name]}"
            )
    for name in CHANNEL_NAMES:
        if name in known:
            given.setdefault(name, 3)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return make(**given)
    except _FAULTS as error:
        raise UserError(
            f"generator.options: {arch} of BasicSR cannot be built with them: {error}; it takes "
            f"{inspect.signature(make)}"
        ) from None


def _find_registered(arch: str) -> Callable[..., nn.Module]:
    networks = networks_of_basicsr()
    if (make := networks.get(arch.removesuffix(SUFFIX))) is not None:
        return make
    names = sorted(networks)
    meant = get_close_matches(arch, names, 1)
    hint = f"did you mean {meant[0]}? " if meant else ""
    raise UserError(
        f"generator.arch: {hint}expected a network of BasicSR, one of {', '.join(names)}; "
        f"got {arch}"
    )


def networks_of_basicsr() -> dict[str, Callable[..., nn.Module]]:
    """Name -> class of all networks in BasicSR's registry; importing them takes seconds.

    Raises MissingBasicSRError where there is no BasicSR.
    """
    _provide_functional_tensor()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of old names in libraries, for their authors
            from basicsr.archs import ARCH_REGISTRY
    except ImportError as error:
        raise MissingBasicSRError(
            f"generator.type: BasicSR cannot be imported ({error}); docs/training.md, "
            '"Networks of BasicSR", says how to install it'
        ) from None
    return {name.removesuffix(SUFFIX): make for name, make in ARCH_REGISTRY}


def _provide_functional_tensor() -> None:
    """Provide a function that BasicSR 1.4.2 imports, of a module that torchvision dropped."""
    name = "torchvision.transforms.functional_tensor"
    if name not in sys.modules:
        # Imported here: it takes two seconds, which every program would wait for.
        from torchvision.transforms.functional import rgb_to_grayscale

        module = ModuleType(name)
        module.rgb_to_grayscale = rgb_to_grayscale  # type: ignore[attr-defined]
        sys.modules[name] = module


def _find_multiple(network: nn.Module, arch: str, scale: int) -> int:
    """Find the least number of pixels that the sides of lr must be multiples of."""
    was_training = network.training
    network.eval()
    for multiple in MULTIPLES:
        lr = torch.rand(1, 3, multiple, 3 * multiple, generator=torch.Generator().manual_seed(0))
        try:
            with torch.no_grad(), warnings.catch_warnings():
                warnings.simplefilter("ignore")
                sr = network(lr)
        except _FAULTS as error:
            fault = str(error)
            continue
        if not isinstance(sr, Tensor):
            fault = f"it returns {type(sr).__name__}"
        elif sr.shape == (1, 3, scale * multiple, scale * 3 * multiple):
            network.train(was_training)
            return multiple
        else:
            fault = f"it makes {tuple(sr.shape)} of {tuple(lr.shape)}"
    raise UserError(
        f"generator.arch: expected a network that enlarges RGB images {scale} times; {arch} of "
        f"BasicSR, with these options, does not: {fault}"
    )
