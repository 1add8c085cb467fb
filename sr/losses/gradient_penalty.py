"""R1: keeps the discriminator flat at real images.

Mescheder, Geiger, Nowozin 2018, "Which Training Methods for GANs do actually Converge?"
(arXiv 1801.04406), eq. 9.
"""

from collections.abc import Callable

import torch
from torch import Tensor


def r1_penalty(discriminator: Callable[[Tensor], Tensor], hr: Tensor) -> Tensor:
    """1/2 * E ||grad_x D(x)||^2 over the batch x = hr, without the paper's factor gamma.

    discriminator: (B, 3, H, W) -> logits, (B, 1) or (B, 1, h, w).
    hr: (B, 3, H, W), RGB in [0, 1]; its own graph is left alone.
    Returns a float32 scalar, whose gradient reaches the discriminator's parameters.

    The paper has one logit an image. Of a map of P logits the gradient of their sum is taken and
    its squared norm divided by P. Where no pixel is seen by two logits that is the mean of the
    norms of eq. 9, one of each logit; and the value does not grow with the crop.
    """
    x = hr.detach().float().requires_grad_()
    # Autocast off: the squares of small gradients underflow in half precision.
    with torch.autocast(hr.device.type, enabled=False):
        logits = discriminator(x)
        (gradient,) = torch.autograd.grad(logits.sum(), x, create_graph=True)
    num_logits = logits[0].numel()  # of an image
    return gradient.square().sum(dim=(1, 2, 3)).mean() / (2 * num_logits)
