"""Adversarial losses, of the discriminator and of the generator, on logits.

D(x) is the discriminator's logit before any sigmoid, s the sigmoid, E the mean over batch and, of
a discriminator of patches or pixels, over positions. To be minimized:

kind                  discriminator                         generator
standard              E -log s(D(hr)) + E -log(1-s(D(sr)))  E -log s(D(sr))
least_squares         1/2 E (D(hr) - 1)^2 + 1/2 E D(sr)^2   1/2 E (D(sr) - 1)^2
hinge                 E max(0, 1-D(hr)) + E max(0, 1+D(sr)) -E D(sr)
wasserstein           E D(sr) - E D(hr)                     -E D(sr)
relativistic_average  as standard, of D(hr) - E D(sr)       the same with hr and sr exchanged
                      and of D(sr) - E D(hr)

- standard: Goodfellow et al. 2014 (arXiv 1406.2661), eq. 1 and, for the generator, the
  non-saturating form of section 3. Its gradient stays near 1 where D is sure of itself, unlike
  that of a loss linear in s(D).
- least_squares: Mao et al. 2017 (arXiv 1611.04076), eq. 2 with a = 0, b = c = 1.
- hinge: Lim and Ye 2017 (arXiv 1705.02894); Miyato et al. 2018 (arXiv 1802.05957), eq. 16-17.
- wasserstein: Arjovsky et al. 2017 (arXiv 1701.07875), eq. 3. D must be kept Lipschitz by other
  means, such as spectral normalization; nothing here clips its weights.
- relativistic_average: Jolicoeur-Martineau 2018 (arXiv 1807.00734); Wang et al. 2018, ESRGAN
  (arXiv 1809.00219), eq. 1-2.

One-sided label smoothing, Salimans et al. 2016 (arXiv 1606.03498), section 3.4: the
discriminator's target for hr is 1 - label_smoothing. It has a meaning where there is a target.
"""

from collections.abc import Callable
from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional

AdversarialKind = Literal[
    "standard", "least_squares", "hinge", "wasserstein", "relativistic_average"
]

KINDS_WITH_LABEL_SMOOTHING: tuple[AdversarialKind, ...] = (
    "standard",
    "least_squares",
    "relativistic_average",
)


def discriminator_loss(
    kind: AdversarialKind, real: Tensor, sr: Tensor, label_smoothing: float = 0.0
) -> Tensor:
    """real, sr: logits of hr and of sr, (B, 1) or (B, 1, h, w). Returns a float32 scalar.

    sr's image must have come without a graph, or the generator gets a gradient too.
    """
    if not 0 <= label_smoothing < 1:
        raise ValueError(f"label_smoothing: expected 0 <= s < 1, got {label_smoothing}")
    if label_smoothing and kind not in KINDS_WITH_LABEL_SMOOTHING:
        raise ValueError(
            f"label_smoothing has no meaning with {kind}; it is for "
            f"{', '.join(KINDS_WITH_LABEL_SMOOTHING)}"
        )
    real, sr = real.float(), sr.float()
    target = 1 - label_smoothing
    match kind:
        case "standard":
            return _cross_entropy(real, target) + _cross_entropy(sr, 0)
        case "least_squares":
            return (real - target).square().mean() / 2 + sr.square().mean() / 2
        case "hinge":
            return functional.relu(1 - real).mean() + functional.relu(1 + sr).mean()
        case "wasserstein":
            return sr.mean() - real.mean()
        case "relativistic_average":
            return _cross_entropy(real - sr.mean(), target) + _cross_entropy(sr - real.mean(), 0)


def generator_loss(kind: AdversarialKind, real: Tensor | None, sr: Tensor) -> Tensor:
    """real, sr: logits of hr and of sr, (B, 1) or (B, 1, h, w). Returns a float32 scalar.

    real: only for relativistic_average, and taken as a constant; else it may be None.
    """
    sr = sr.float()
    match kind:
        case "standard":
            return _cross_entropy(sr, 1)
        case "least_squares":
            return (sr - 1).square().mean() / 2
        case "hinge" | "wasserstein":
            return -sr.mean()
        case "relativistic_average":
            if real is None:
                raise ValueError(
                    "relativistic_average: expected the discriminator's logits of hr next to those "
                    "of sr, got None"
                )
            real = real.detach().float()
            return _cross_entropy(real - sr.mean(), 0) + _cross_entropy(sr - real.mean(), 1)


class AdversarialTerm:
    """generator_loss(D(hr), D(sr)), with a gradient with respect to sr.

    The discriminator's parameters are to be frozen by the caller, by `requires_grad_`: under
    `torch.no_grad` or `inference_mode` the term would train nothing.
    """

    def __init__(self, kind: AdversarialKind, discriminator: Callable[[Tensor], Tensor]) -> None:
        self.kind = kind
        self.discriminator = discriminator

    def __call__(self, sr: Tensor, hr: Tensor) -> Tensor:
        """sr, hr: (B, 3, H, W) float32, RGB in [0, 1]. The kind says whether D sees hr."""
        real = self.discriminator(hr) if self.kind == "relativistic_average" else None
        return generator_loss(self.kind, real, self.discriminator(sr))


def _cross_entropy(logits: Tensor, target: float) -> Tensor:
    """Return the mean of -target * log s(logits) - (1 - target) * log(1 - s(logits))."""
    return functional.binary_cross_entropy_with_logits(logits, torch.full_like(logits, target))
