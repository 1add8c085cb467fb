"""The discriminator's loss: the adversarial one, and the R1 penalty where it is asked for."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass

from torch import Tensor

from sr.losses.adversarial import AdversarialKind, discriminator_loss
from sr.losses.gradient_penalty import r1_penalty


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
        number: int,
        autocast: Callable[[], AbstractContextManager[None]],
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """hr, sr: (B, 3, H, W) float32, RGB in [0, 1]; sr without a graph.

        plain: the discriminator without wrappers; compiled, it has no second derivative. number: of
        the step among those in which the discriminator learns, counted from 1; R1 is computed in
        every `r1_interval`-th, with as many times the weight (Karras et al. 2020, arXiv 1912.04958,
        "lazy regularisation"), in fp32, because its second derivative overflows in lower precision.
        Returns the total, and detached: `d_real` and `d_sr`, mean logits; `discriminator` and,
        where it was computed, `r1`, both unweighted.
        """
        with autocast():
            d_hr, d_sr = discriminator(hr), discriminator(sr)
        d_hr, d_sr = d_hr.float(), d_sr.float()
        total = discriminator_loss(self.kind, d_hr, d_sr, self.label_smoothing)
        terms = {"discriminator": total, "d_real": d_hr.mean(), "d_sr": d_sr.mean()}
        if self.has_r1(number):
            terms["r1"] = r1_penalty(plain, hr)
            total = total + self.r1_weight * self.r1_interval * terms["r1"]
        return total, {name: value.detach() for name, value in terms.items()}

    def has_r1(self, number: int) -> bool:
        """Whether R1 is part of the discriminator's step of this number."""
        return self.r1_weight > 0 and number % self.r1_interval == 0
