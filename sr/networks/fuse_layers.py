"""Layers that compute in fewer operations once nothing trains them any more."""

from copy import deepcopy
from typing import Protocol, runtime_checkable

import torch
from torch import nn


@runtime_checkable
class FusibleLayer(Protocol):
    """A layer that is equal to a simpler one."""

    def make_fused(self) -> nn.Module:
        """Make the layer that computes the same with the weights as they are now."""
        ...


@torch.no_grad()
def fuse_layers(network: nn.Module) -> nn.Module:
    """Return a copy with all of its `FusibleLayer`s fused; where it has none, the network itself.

    For inference: the copy has other weights, and does not follow the network's.
    """
    names = [name for name, layer in network.named_modules() if isinstance(layer, FusibleLayer)]
    if not names:
        return network
    fused = deepcopy(network)
    for name in names:
        layer = fused.get_submodule(name)
        assert isinstance(layer, FusibleLayer)
        fused.set_submodule(name, layer.make_fused().train(network.training))
    return fused
