"""Spectral normalization that holds from the first pass on.

Miyato et al. 2018, "Spectral Normalization for Generative Adversarial Networks" (arXiv
1802.05957), algorithm 1: weight / sigma(weight), sigma its largest singular value, followed by
one power iteration per pass in train mode. PyTorch's older function does it, whose keys
(`weight_orig`, `weight_u`, `weight_v`) published discriminators have.

Deviation: the singular vectors start with some power iterations instead of at random. From random
ones sigma is anything, of either sign: an untrained discriminator of eight such layers has logits
of 1e6 in eval mode, and its first steps have layers well above norm 1.
"""

from typing import TypeVar

import torch
from torch import nn
from torch.nn import functional
from torch.nn.utils import spectral_norm

Layer = TypeVar("Layer", bound=nn.Module)

INITIAL_ITERATIONS = 15  # as in torch.nn.utils.parametrizations.spectral_norm


def normalize_spectrally(layer: Layer) -> Layer:
    """Give the layer's weight a largest singular value of 1; returns the same layer.

    layer: Conv2d or Linear. Its weight as a matrix has a row for each output channel.
    """
    spectral_norm(layer)
    matrix = layer.get_parameter("weight_orig").detach().flatten(1)  # (out, in*kh*kw)
    left, right = layer.get_buffer("weight_u"), layer.get_buffer("weight_v")
    with torch.no_grad():
        for _ in range(INITIAL_ITERATIONS):
            right.copy_(functional.normalize(matrix.mT @ left, dim=0))
            left.copy_(functional.normalize(matrix @ right, dim=0))
    return layer
