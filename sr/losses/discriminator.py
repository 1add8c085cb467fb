"""The discriminator's loss: the adversarial one, and the R1 penalty where it is asked for.

R1 keeps the discriminator flat at real images: Mescheder, Geiger, Nowozin 2018, "Which Training
Methods for GANs do actually Converge?" (arXiv 1801.04406), eq. 9.
"""

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass

import torch
from torch import Tensor

from sr.losses.adversarial import AdversarialKind, discriminator_loss


@dataclass(frozen=True)
class DiscriminatorLoss:
    """total = adversarial + r1_weight * R1."""

    kind: AdversarialKind
    label_smoothing: float = 0.0
    r1_weight: float = 0.0
    r1_interval: int = 1

    def __call__(
        self,
        discriminator: Callable[[Tensor], Tensor],
        plain: Callable[[Tensor], Tensor],
        hr: Tensor,
        sr: Tensor,
        update_index: int,
        autocast: Callable[[], AbstractContextManager[None]],
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """hr, sr: (B, 3, H, W) float32, RGB in [0, 1]; sr without a graph.

        plain: the discriminator without wrappers; compiled, it has no second derivative.
        update_index: of the discriminator's updates, counted from 1; R1 is computed in every
        `r1_interval`-th, with as many times the weight (Karras et al. 2020, arXiv 1912.04958,
        "lazy regularization"), in fp32, because its second derivative overflows in lower precision.
        Returns the total, and detached: `d_real` and `d_sr`, mean logits; `discriminator` and,
        where it was computed, `r1`, both unweighted.
        """
        with autocast():
            real, generated = discriminator(hr), discriminator(sr)
        real, generated = real.float(), generated.float()
        total = discriminator_loss(self.kind, real, generated, self.label_smoothing)
        terms = {"discriminator": total, "d_real": real.mean(), "d_sr": generated.mean()}
        if self.has_r1(update_index):
            terms["r1"] = r1_penalty(plain, hr)
            total = total + self.r1_weight * self.r1_interval * terms["r1"]
        return total, {name: value.detach() for name, value in terms.items()}

    def has_r1(self, update_index: int) -> bool:
        """Return whether R1 is part of the discriminator's update of this index."""
        return self.r1_weight > 0 and update_index % self.r1_interval == 0


def r1_penalty(discriminator: Callable[[Tensor], Tensor], hr: Tensor) -> Tensor:
    """Return 1/2 * E ||grad_x D(x)||^2 over the batch x = hr, without the paper's factor gamma.

    discriminator: (B, 3, H, W) -> logits, (B, 1) or (B, 1, h, w).
    hr: (B, 3, H, W), RGB in [0, 1]; its own graph is left alone.
    Returns a float32 scalar, whose gradient reaches the discriminator's parameters.

    The paper has one logit per image. Of a map of P logits the gradient of their sum is taken and
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
