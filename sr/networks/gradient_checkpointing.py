"""Gradient checkpointing: blocks keep their inputs alone, and compute again in the backward pass.

Chen et al. 2016, "Training Deep Nets with Sublinear Memory Cost" (arXiv 1604.06174). A step takes
about a third longer; of the activations only one block's and one tensor per block are in memory.
Gradients are the same to the bit where convolutions are.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from functools import partial
from typing import Any

from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.utils.checkpoint import checkpoint

from sr.networks import edsr, iseebetter_srresnet, msrresnet, rbpn, srresnet
from sr.networks.back_projection import DownProjection, UpProjection
from sr.networks.rlfn import RLFB
from sr.networks.rrdb import RRDB
from sr.networks.span import SPAB

_BLOCKS = (
    srresnet.ResidualBlock,
    msrresnet.ResidualBlock,
    edsr.ResidualBlock,
    rbpn.ResidualBlock,
    iseebetter_srresnet.ResidualBlock,
    RRDB,
    SPAB,
    RLFB,
    UpProjection,
    DownProjection,
)


def checkpoint_blocks(network: nn.Module) -> int:
    """Have the blocks of a network compute again in backward passes. Returns how many it has."""
    blocks = [module for module in network.modules() if isinstance(module, _BLOCKS)]
    for block in blocks:
        # Not a wrapper: names in the state dict stay. A copy of the network copies this, too.
        block.forward = _checkpoint(block)  # type: ignore[method-assign]  # of this block alone
    return len(blocks)


def _checkpoint(block: nn.Module) -> Callable[..., Any]:
    norms = [module for module in block.modules() if isinstance(module, _BatchNorm)]
    if not norms:
        return partial(checkpoint, block.forward, use_reentrant=False)
    return partial(
        checkpoint, block.forward, use_reentrant=False, context_fn=partial(_make_contexts, norms)
    )


def _make_contexts(
    norms: Sequence[_BatchNorm],
) -> tuple[AbstractContextManager[None], AbstractContextManager[None]]:
    """Return the contexts of the first pass and of the one that computes again."""
    return nullcontext(), _keep_statistics(norms)


@contextmanager
def _keep_statistics(norms: Sequence[_BatchNorm]) -> Iterator[None]:
    """Leave the running statistics of batch normalization as the first pass left them.

    They are tracked all the same, with a factor of 0: both passes must save the same tensors.
    """
    before = [(norm.momentum, norm.num_batches_tracked) for norm in norms]
    for norm in norms:
        norm.momentum = 0.0
        if norm.num_batches_tracked is not None:
            norm.num_batches_tracked = norm.num_batches_tracked.clone()
    try:
        yield
    finally:
        for norm, (momentum, num_batches) in zip(norms, before, strict=True):
            norm.momentum, norm.num_batches_tracked = momentum, num_batches
