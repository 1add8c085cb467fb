"""Any network of spandrel's registry that makes one RGB image from one, to be trained.

spandrel (https://github.com/chaiNNer-org/spandrel, MIT) has the networks with which other
projects' weights are run: SwinIR, HAT, DAT, RealPLKSR, RCAN and some forty more.
"""

import warnings
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

from sr.errors import UserError
from sr.networks.foreign_network import FAULTS_OF_NETWORKS, NO_OPTIONS, ForeignNetwork
from sr.networks.spandrel_arguments import (
    complete_arguments,
    describe_window_faults,
    find_network,
)

if TYPE_CHECKING:
    from spandrel import ImageModelDescriptor

TILING: dict[str, Literal["exact", "discouraged", "internal"]] = {
    "SUPPORTED": "exact",
    "DISCOURAGED": "discouraged",
    "INTERNAL": "internal",
}
"""spandrel's ModelTiling in our words."""
PROBED_SHAPE = (1, 3, 9, 13)  # of lr: sides that are no multiple of anything
TOLERANCE = 1e-3  # of the largest value, between ours and what spandrel makes of the weights


class SpandrelGenerator(ForeignNetwork):
    """A network of spandrel behind the shapes of ours.

    The state dict is that of their network, by which spandrel and the programs that use it
    recognize the file. lr of sizes that the network cannot take is padded, and the result cut.
    """

    def __init__(self, scale: int, arch: str, options: Mapping[str, Any] = NO_OPTIONS) -> None:
        """arch: name of its class. options: keyword arguments; scale and channels need none.

        Raises UserError for an unknown name, options that do not fit, networks that do not make
        one RGB image, `scale` times as large, of one, and for what spandrel would not recognize.
        """
        super().__init__()
        self.scale = scale
        self.arch = arch
        arguments = complete_arguments(scale, arch, options)
        self.network = _build(arch, arguments)
        model = _recognize(self.network, arch, scale)
        self.tags = tuple(model.tags)
        allowed = {torch.bfloat16: model.supports_bfloat16, torch.float16: model.supports_half}
        self.reduced_precisions = frozenset(dtype for dtype, good in allowed.items() if good)
        self.tiling = TILING[model.tiling.name]
        self.size_multiple = model.size_requirements.multiple_of
        self._requirements = model.size_requirements
        self._call = model._call_fn  # some take more than the image, or give more
        _compare(self, model, arguments)

    def forward(self, lr: Tensor) -> Tensor:
        """lr: (B, 3, H, W), RGB in [0, 1]. Returns (B, 3, scale*H, scale*W), not clamped."""
        height, width = lr.shape[-2:]
        sr: Tensor = self._call(self.network, self.pad_to_fit(lr))
        return sr[..., : self.scale * height, : self.scale * width]

    def pad_to_fit(self, lr: Tensor) -> Tensor:
        """Return lr, (B, 3, H, W), padded below and at the right as spandrel does."""
        return pad_to_requirements(lr, self._requirements.get_padding)


def pad_to_requirements(lr: Tensor, get_padding: Callable[[int, int], tuple[int, int]]) -> Tensor:
    """Mirror lr, (B, C, H, W), below and at the right; what is left repeats the edge.

    get_padding: (width, height) -> pixels at the right and below, of spandrel's SizeRequirements.
    """
    height, width = lr.shape[-2:]
    right, below = get_padding(width, height)
    mirrored = (0, min(right, width - 1), 0, min(below, height - 1))
    lr = functional.pad(lr, mirrored, "reflect") if any(mirrored) else lr
    return functional.pad(lr, (0, right - mirrored[1], 0, below - mirrored[3]), "replicate")


def _build(arch: str, arguments: Mapping[str, Any]) -> nn.Module:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of the builders, for their authors
            return find_network(arch)(**arguments)
    except FAULTS_OF_NETWORKS as error:
        if isinstance(error, UserError):
            raise
        raise UserError(
            f"generator.options: {arch} of spandrel cannot be built with them: "
            f"{describe_window_faults(arguments) or str(error) or type(error).__name__}"
        ) from None


def _recognize(network: nn.Module, arch: str, scale: int) -> "ImageModelDescriptor[nn.Module]":
    """Return what spandrel makes of the weights of a network; it is to be the same network."""
    from spandrel import MAIN_REGISTRY, ImageModelDescriptor, UnsupportedModelError

    try:
        with warnings.catch_warnings(), torch.random.fork_rng(devices=[]):
            warnings.simplefilter("ignore")
            model = MAIN_REGISTRY.load(dict(network.state_dict()))
    except (UnsupportedModelError, *FAULTS_OF_NETWORKS) as error:
        raise UserError(
            f"generator.options: expected a network that spandrel recognizes by its weights, so "
            f"that other programs can use them; {arch} with these options is not ({error!r})"
        ) from None
    if not isinstance(model, ImageModelDescriptor) or type(model.model) is not type(network):
        raise UserError(
            f"generator.options: expected a network that spandrel recognizes; it takes the weights "
            f"of {arch} with these options for those of {type(model.model).__name__}"
        )
    channels = (model.input_channels, model.output_channels)
    if model.scale != scale or channels != (3, 3):
        upsampler = list_hyperparameters(network).get("upsampler")
        hint = "" if upsampler is None else f"; set options.upsampler, which is {upsampler!r}"
        raise UserError(
            f"generator.arch: expected a network that enlarges RGB images {scale} times; {arch} of "
            f"spandrel, with these options, enlarges {model.scale} times and has {channels[0]} "
            f"channels in and {channels[1]} out{hint}"
        )
    return model


def _compare(
    generator: SpandrelGenerator,
    model: "ImageModelDescriptor[nn.Module]",
    arguments: Mapping[str, Any],
) -> None:
    """Refuse networks that do not run, and those of which spandrel would make another one."""
    was_training = generator.training
    generator.eval()
    lr = torch.rand(PROBED_SHAPE, generator=torch.Generator().manual_seed(0))
    scale, arch = generator.scale, generator.arch
    expected = (1, 3, scale * lr.shape[2], scale * lr.shape[3])
    try:
        with warnings.catch_warnings(), torch.random.fork_rng(devices=[]):
            warnings.simplefilter("ignore")
            with torch.enable_grad():
                sr = generator(lr)
            with torch.no_grad():
                theirs = generator._call(model.model.eval(), generator.pad_to_fit(lr))
    except FAULTS_OF_NETWORKS as error:
        raise UserError(
            f"generator.options: {arch} of spandrel does not run with them: "
            f"{describe_window_faults(arguments) or repr(error)}"
        ) from None
    generator.train(was_training)
    if not sr.requires_grad:
        raise UserError(
            f"generator.options: expected a network that learns; the result of {arch} of spandrel "
            "with them depends on no weight"
        )
    sr = sr.detach()
    if sr.shape != expected:
        raise UserError(
            f"generator.arch: expected a network that makes {expected} of {tuple(lr.shape)}; "
            f"{arch} of spandrel makes {tuple(sr.shape)}"
        )
    theirs = theirs[..., : expected[2], : expected[3]]
    if (sr - theirs).abs().max() > TOLERANCE * max(1.0, float(sr.abs().max())):
        ours, read = (list_hyperparameters(net) for net in (generator.network, model.model))
        names = [name for name in ours if ours[name] != read.get(name)]
        raise UserError(
            "generator.options: expected values that spandrel reads off the weights, or its "
            f"own; it would run the trained {arch} with "
            f"{', '.join(f'{name} {read.get(name)} instead of {ours[name]}' for name in names)}"
        )


def list_hyperparameters(network: nn.Module) -> dict[str, Any]:
    """Return the arguments that a network was built with; lists and tuples are the same."""
    stored: dict[str, Any] = getattr(network, "hyperparameters", {})
    return {
        name: list(value) if isinstance(value, tuple) else value for name, value in stored.items()
    }
