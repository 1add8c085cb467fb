"""Exponential moving average of a network's weights."""

import copy

import torch
from torch import Tensor, nn

from sr.optim.tensor_lists import copy_tensors


class Ema:
    """mean <- decay * mean + (1 - decay) * weights, after each step; buffers are copied.

    In the first steps the decay is lower, (1 + n) / (10 + n) after n updates, so that the mean
    forgets the initial weights.
    """

    def __init__(self, network: nn.Module, decay: float) -> None:
        """decay: in [0, 1); 0 makes the mean equal to the weights."""
        self.network = copy.deepcopy(network).eval().requires_grad_(False)
        self.decay = decay

    @torch.no_grad()
    def update(self, network: nn.Module, num_updates: int) -> None:
        """num_updates: updates made before this one."""
        decay = min(self.decay, (1 + num_updates) / (10 + num_updates))
        means = list[Tensor](self.network.parameters())
        if means:
            torch._foreach_lerp_(means, list[Tensor](network.parameters()), 1 - decay)
        copy_tensors(self.network.buffers(), network.buffers())
