"""The receptive radius of a network, measured."""

import copy

import torch
from torch import nn

MAX_RADIUS = 32  # LR pixels; what lies farther is hardly seen, and not measured
GRADIENT_SCALE = 1e12  # keeps products of many small weights above float32's underflow


def measure_receptive_radius(
    network: nn.Module, limit: int = MAX_RADIUS, num_channels: int = 3
) -> int:
    """Measure the largest distance, in LR pixels, at which an input pixel changes an output pixel.

    The gradient of the output pixels of one central LR pixel is taken with respect to a random
    input; the farthest non-zero entry is the radius. Measured in float32 on the CPU, on a growing
    patch. network: `(1, num_channels, H, W) -> (1, 3, scale*H, scale*W)`.
    Returns at most `limit`.
    """
    probe = copy.deepcopy(network).to(device="cpu", dtype=torch.float64).eval()
    for parameter in probe.parameters():
        parameter.requires_grad_(False)
    reach = 8
    while True:
        reach = min(2 * reach, limit)
        radius = _radius_within(probe, reach, num_channels)
        if radius < reach or reach == limit:
            return radius


def _radius_within(probe: nn.Module, reach: int, num_channels: int) -> int:
    """Return the radius as seen on a patch of 2 * reach + 1 pixels (at most `reach`)."""
    side = 2 * reach + 1
    generator = torch.Generator().manual_seed(0)
    lr = torch.rand(1, num_channels, side, side, generator=generator, dtype=torch.float64)
    lr.requires_grad_(True)
    with torch.enable_grad():
        sr = probe(lr)
        scale = sr.shape[-1] // side
        center = slice(reach * scale, (reach + 1) * scale)
        (gradient,) = torch.autograd.grad(sr[:, :, center, center].sum() * GRADIENT_SCALE, lr)
    touched = gradient.abs().sum(dim=(0, 1)).nonzero() - reach
    return int(touched.abs().max()) if len(touched) else 0
