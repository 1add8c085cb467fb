"""The adversarial term of the generator's loss: the discriminator's verdict on sr."""

from collections.abc import Callable

from torch import Tensor

from sr.losses.adversarial import AdversarialKind, generator_loss


class AdversarialTerm:
    """generator_loss(D(hr), D(sr)), with a gradient with respect to sr.

    The discriminator's parameters are to be frozen by the caller, by `requires_grad_`: under
    `torch.no_grad` or `inference_mode` the term would train nothing.
    """

    def __init__(self, kind: AdversarialKind, discriminator: Callable[[Tensor], Tensor]) -> None:
        self.kind = kind
        self.discriminator = discriminator

    def __call__(self, sr: Tensor, hr: Tensor) -> Tensor:
        """sr, hr: (B, 3, H, W) float32, RGB in [0, 1]. hr is used by relativistic_average only."""
        real = self.discriminator(hr) if self.kind == "relativistic_average" else None
        return generator_loss(self.kind, real, self.discriminator(sr))
