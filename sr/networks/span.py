"""SPAN: a short chain of convolutions with attention that has no parameters.

Wan et al. 2024, "Swift Parameter-free Attention Network for Efficient Super-Resolution" (arXiv
2311.12770): attention blocks of three convolutions; the first, the last and two inner feature maps
are joined, then come one convolution and a pixel shuffle. There is no skip around the whole.
The keys of the state dict (`block_N.c1_r.conv.0.weight`) are those of the published code,
hongyuanyu/SPAN, and of its readers, such as spandrel: files load both ways.

Deviations: the initialization (see `_initialize`); the fused kernels compute in training too, and
are kept nowhere (see `Conv3XC`).
"""

from collections.abc import Iterator, Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from sr.networks.pixel_shuffle import PixelShuffle

RGB_MEAN = (0.4488, 0.4371, 0.4040)  # of DIV2K's pixels, as in the published code
RGB_RANGE = 255.0  # of the pixels inside the network, as in the published code
GAIN = 2  # inner channels of a Conv3XC for each outer one, as in the published code
BRANCH_GAIN = 0.1  # initial size of the random part next to the identity
FEATURE_RANGE = 10.0  # initial, for a range of 1 in lr: sigmoid(x) - 1/2 nears its bounds at 5


class Conv3XC(nn.Module):
    """A 3x3 convolution with more weights in training than it needs.

    conv1x1(conv3x3(conv1x1(x))) + conv1x1(x), the inner convolutions GAIN times as wide. x is
    padded with zeros before the first one, so that its bias is there beyond the border too and
    the whole is equal to one 3x3 convolution everywhere.

    The branches never compute: the one kernel does, made from them in each forward pass. Over all
    of SPAN that takes as long as some 1500 LR pixels; what is not kept cannot be stale, whether an
    optimizer, a mean of weights or a file changed the branches; and as function and gradients are
    the same, a training step of SPAN takes a third of the time that the branches would take. For
    inference `fuse_layers` makes the kernel once.

    The published code keeps the kernel in a layer `eval_conv`. Here it is no parameter, but state
    dicts get it as it is at the moment, for the readers that want it; loading ignores it. Files
    that have nothing else (NTIRE 2024) load through `add_branches`.
    """

    def __init__(self, num_inputs: int, num_outputs: int) -> None:
        super().__init__()
        self.sk = nn.Conv2d(num_inputs, num_outputs, 1)
        self.conv = nn.Sequential(
            nn.Conv2d(num_inputs, GAIN * num_inputs, 1),
            nn.Conv2d(GAIN * num_inputs, GAIN * num_outputs, 3),
            nn.Conv2d(GAIN * num_outputs, num_outputs, 1),
        )
        # torch has no types for these two.
        self.register_state_dict_post_hook(_add_fused)  # type: ignore[no-untyped-call]
        self.register_load_state_dict_pre_hook(_drop_fused)  # type: ignore[no-untyped-call]

    def forward(self, x: Tensor) -> Tensor:
        """x: (B, num_inputs, H, W). Returns (B, num_outputs, H, W)."""
        weight, bias = self.fuse()
        return functional.conv2d(x, weight, bias, padding=1)

    def fuse(self) -> tuple[Tensor, Tensor]:
        """Return the one convolution's weight (num_outputs, num_inputs, 3, 3) and its bias."""
        skip_weight, skip_bias = self.sk.parameters()
        w1, b1, w2, b2, w3, b3 = self.conv.parameters()
        # o, i: outer channels, m, n: inner channels, h, w: 3x3
        weight = torch.einsum("om,mnhw,ni->oihw", w3.flatten(1), w2, w1.flatten(1))
        bias = w3.flatten(1) @ (w2.sum((2, 3)) @ b1 + b2) + b3
        return weight + functional.pad(skip_weight, (1, 1, 1, 1)), bias + skip_bias

    def make_fused(self) -> nn.Module:
        """Make the one convolution that computes the same."""
        return FusedConv(*self.fuse())


class FusedConv(nn.Module):
    """A 3x3 convolution of given weights; an nn.Conv2d would draw random ones first."""

    def __init__(self, weight: Tensor, bias: Tensor) -> None:
        super().__init__()
        self.weight = nn.Parameter(weight.detach(), requires_grad=False)
        self.bias = nn.Parameter(bias.detach(), requires_grad=False)

    def forward(self, x: Tensor) -> Tensor:
        """x: (B, num_inputs, H, W). Returns (B, num_outputs, H, W)."""
        return functional.conv2d(x, self.weight, self.bias, padding=1)


class SPAB(nn.Module):
    """(F(x) + x) * (sigmoid(F(x)) - 1/2), where F is three convolutions with SiLUs between."""

    def __init__(self, num_features: int) -> None:
        super().__init__()
        self.c1_r = Conv3XC(num_features, num_features)
        self.c2_r = Conv3XC(num_features, num_features)
        self.c3_r = Conv3XC(num_features, num_features)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """x: (B, num_features, H, W). Returns the result and the first activation, shaped alike.

        The published code returns the first convolution's result, but its SiLU works in place, so
        that it is the activation there too.
        """
        first = functional.silu(self.c1_r(x))
        last = self.c3_r(functional.silu(self.c2_r(first)))
        return (last + x) * (torch.sigmoid(last) - 0.5), first


class SPAN(nn.Module):
    """SPAN with `num_blocks` attention blocks, `block_1` and so on.

    With 48 features and 6 blocks 1,840,488 parameters at x4, which fuse to 426,288; with 28
    features, as in the NTIRE 2024 challenge, 634,048 and 150,688. Receptive radius
    3 * `num_blocks` + 3 LR pixels.
    """

    mean: Tensor  # (1, 3, 1, 1)

    def __init__(
        self, scale: int, num_features: int = 48, num_blocks: int = 6, normalise: bool = True
    ) -> None:
        """normalise: work on (lr - mean) * 255, as the published weights expect.

        Other projects leave that out; a tensor `no_norm` in the state dict says so.
        """
        super().__init__()
        self.scale = scale
        self.normalise = normalise
        mean = torch.tensor(RGB_MEAN).view(1, 3, 1, 1)
        self.register_buffer("mean", mean, persistent=False)
        if not normalise:
            self.register_buffer("no_norm", torch.zeros(1))
        self.conv_1 = Conv3XC(3, num_features)
        self._num_blocks = num_blocks
        for name in self._block_names():
            self.add_module(name, SPAB(num_features))
        self.conv_cat = nn.Conv2d(4 * num_features, num_features, 1)
        self.conv_2 = Conv3XC(num_features, num_features)
        self.upsampler = nn.Sequential(
            nn.Conv2d(num_features, 3 * scale**2, 3, padding=1), PixelShuffle(scale)
        )
        self._initialize()

    def forward(self, lr: Tensor) -> Tensor:
        """lr: (B, 3, H, W), RGB in [0, 1]. Returns (B, 3, scale*H, scale*W), not clamped."""
        shallow = self.conv_1((lr - self.mean) * RGB_RANGE if self.normalise else lr)
        first, *others = self._blocks()
        deep, activation = first(shallow)
        after_first = deep
        for block in others:
            deep, activation = block(deep)
        maps = torch.cat([shallow, self.conv_2(deep), after_first, activation], dim=1)
        sr: Tensor = self.upsampler(self.conv_cat(maps))
        return sr

    def _block_names(self) -> Iterator[str]:
        return (f"block_{number}" for number in range(1, self._num_blocks + 1))

    def _blocks(self) -> Iterator[nn.Module]:
        return (self.get_submodule(name) for name in self._block_names())

    @torch.no_grad()
    def _initialize(self) -> None:
        """Start near the nearest-neighbor enlargement, inner convolutions near the identity.

        A block of identities is about a ReLU where its input is large. Where it is small, a block
        is of second order in it, so that with PyTorch's default all signal and nearly all
        gradient is lost after a few blocks, while `normalise` makes the untrained result a
        hundred times too large.
        """
        for layer in self.modules():
            if isinstance(layer, Conv3XC):
                _initialize_near_identity(layer)
        input_range = RGB_RANGE if self.normalise else 1.0
        for weight in (self.conv_1.sk.weight, _last_weight(self.conv_1.conv)):
            nn.init.kaiming_normal_(weight, nonlinearity="linear").mul_(FEATURE_RANGE / input_range)
        nn.init.dirac_(self.conv_1.sk.weight[:3]).mul_(FEATURE_RANGE / input_range)
        nn.init.zeros_(_last_weight(self.conv_1.conv)[:3])

        _initialize_as_noise(self.conv_cat)
        self.conv_cat.weight.mul_(BRANCH_GAIN)
        nn.init.dirac_(self.conv_cat.weight[:3])
        last = self.upsampler[0]
        assert isinstance(last, nn.Conv2d)
        _initialize_as_noise(last)
        num_subpixels = self.scale**2
        nearest = torch.eye(3, last.in_channels).repeat_interleave(num_subpixels, dim=0)
        last.weight.mul_(BRANCH_GAIN)[:, :, 1, 1] += nearest
        last.weight.div_(FEATURE_RANGE)
        if self.normalise:
            assert last.bias is not None
            last.bias.copy_(self.mean.flatten().repeat_interleave(num_subpixels))


def add_branches(state_dict: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return a state dict of SPAN in which every fused kernel has branches that fuse to exactly it.

    Layers that have branches, and state dicts of other networks, stay as they are. The kernel is
    one block of conv.1, between identities that copy the inputs GAIN times and add up the outputs;
    the other blocks and the skip are zero, but not their gradients, so that all of them train.
    """
    complete = dict(state_dict)
    joining = state_dict.get("conv_cat.weight")
    if joining is None or joining.ndim != 4:
        return complete
    width = joining.shape[0]
    for name, kernel in state_dict.items():
        layer, found, _ = name.partition(".eval_conv.weight")
        bias = state_dict.get(f"{layer}.eval_conv.bias")
        if not found or f"{layer}.sk.weight" in state_dict or bias is None:
            continue
        num_inputs = 3 if layer == "conv_1" else width  # others would make far larger branches
        if kernel.shape == (width, num_inputs, 3, 3) and bias.shape == (width,):
            branches = _make_branches(kernel, bias)
            complete |= {f"{layer}.{part}": weight for part, weight in branches.items()}
    return complete


def _make_branches(kernel: Tensor, bias: Tensor) -> dict[str, Tensor]:
    """kernel: (O, I, 3, 3), bias: (O). Returns the parameters of a Conv3XC."""
    num_outputs, num_inputs = kernel.shape[:2]
    copies = torch.eye(num_inputs).repeat(GAIN, 1).to(kernel)
    sums = torch.eye(num_outputs).repeat(1, GAIN).to(kernel)
    inner = kernel.new_zeros(GAIN * num_outputs, GAIN * num_inputs, 3, 3)
    inner[:num_outputs, :num_inputs] = kernel
    return {
        "sk.weight": kernel.new_zeros(num_outputs, num_inputs, 1, 1),
        "sk.bias": torch.zeros_like(bias),
        "conv.0.weight": copies[:, :, None, None],  # (GAIN * I, I, 1, 1)
        "conv.0.bias": kernel.new_zeros(GAIN * num_inputs),
        "conv.1.weight": inner,
        "conv.1.bias": kernel.new_zeros(GAIN * num_outputs),
        "conv.2.weight": sums[:, :, None, None],  # (O, GAIN * O, 1, 1)
        "conv.2.bias": bias,
    }


def _initialize_near_identity(layer: Conv3XC) -> None:
    """x (where there are as many outputs as inputs) + BRANCH_GAIN * noise of x's size."""
    for conv in (layer.sk, *layer.conv):
        _initialize_as_noise(conv)
    nn.init.dirac_(layer.sk.weight)
    _last_weight(layer.conv).mul_(BRANCH_GAIN)


def _initialize_as_noise(conv: nn.Module) -> None:
    """Results are of the input's size; no bias."""
    weight, bias = conv.parameters()
    nn.init.kaiming_normal_(weight, nonlinearity="linear")
    nn.init.zeros_(bias)


def _last_weight(convs: nn.Sequential) -> nn.Parameter:
    weight, _bias = convs[-1].parameters()
    return weight


@torch.no_grad()
def _add_fused(layer: Conv3XC, state_dict: dict[str, Tensor], prefix: str, _metadata: Any) -> None:
    weight, bias = layer.fuse()
    state_dict[f"{prefix}eval_conv.weight"] = weight
    state_dict[f"{prefix}eval_conv.bias"] = bias


def _drop_fused(_: Conv3XC, state_dict: dict[str, Tensor], prefix: str, *_others: Any) -> None:
    state_dict.pop(f"{prefix}eval_conv.weight", None)
    state_dict.pop(f"{prefix}eval_conv.bias", None)
