"""PCL: sr shall be nearer to hr than to blurred images, in features of the discriminator.

Wu, Jiang, Liu 2023, "A Practical Contrastive Learning Framework for Single-Image Super-Resolution"
(PCL-SR, arXiv 2111.13924). Positives p are hr and sharpened hr, negatives n are enlarged lr and
blurred hr, f is a convolution's output in the discriminator, before its activation, and s the
cosine of two features at a pixel, the mean over the pixels:

    L = mean over p of -log(e(p) / (e(p) + sum over n of e(n))),  e(x) = exp(s(sr, x) / t),

with t = 1. The paper's weight next to L1 is 5 for RCAN and 3 for NLSN.

In the paper's code sr's features are computed under `torch.no_grad`: the term trains nothing there,
and published gains are not its own. Here the gradient passes through f into sr; f itself is frozen.

Deviations:
- The paper has a small discriminator of its own on the nine detail bands of a Haar transform. Here
  it is that of the run, on RGB. So that images differ in high frequencies alone, the low ones
  of all are hr's: x - G x + G hr, G a Gaussian of sigma 2 px.
- Sharpening and blurring are the same in frequency space: hr + a (hr - G hr), a in U(0, 2) and in
  U(-1, -0.1). The paper's sharpness factors in U(0.5, 3) blur, too, where they are below 1.
- lr is enlarged bicubically by torch, with pixel centers aligned.
- The discriminator is in train mode: if it has batch normalization, its running statistics count
  positives and negatives, too.
"""

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional

from sr.losses.draws import make_draw
from sr.losses.full_precision import in_full_precision, widen
from sr.losses.gaussian_blur import blur

_SIGMA = 2.0  # pixels
_SHARPER = (0.0, 2.0)
_BLURRIER = (-1.0, -0.1)

Embedding = Callable[[Tensor], Tensor]


class Contrastive:
    """embedding: (B, 3, H, W) -> (B, C, h, w), frozen by the caller. samples: of each kind."""

    def __init__(self, embedding: Embedding, samples: int, temperature: float, seed: int) -> None:
        self.embedding = embedding
        self.samples = samples
        self.temperature = temperature
        self.seed = seed

    def __call__(self, sr: Tensor, hr: Tensor, lr: Tensor, step: int) -> Tensor:
        """sr, hr: (B, 3, H, W), lr: (B, 3, h, w), RGB in [0, 1]. step: selects the draw."""
        draw = make_draw(self.seed, step)
        low = blur_in_full_precision(hr)
        details = hr - low
        with torch.no_grad():
            enlarged = functional.interpolate(widen(lr), hr.shape[-2:], mode="bicubic")
            positives = [hr, *self._change(hr, details, _SHARPER, draw)]
            negatives = [
                enlarged - blur_in_full_precision(enlarged) + low,
                *self._change(hr, details, _BLURRIER, draw),
            ]
            others = self.embedding(torch.cat([*positives, *negatives]))
        ours = self.embedding(sr - blur_in_full_precision(sr) + low)
        return contrast(ours, others, len(positives), self.temperature)

    def _change(
        self, hr: Tensor, details: Tensor, bounds: tuple[float, float], draw: torch.Generator
    ) -> list[Tensor]:
        """Return hr with more or fewer details, as often as there are samples."""
        low, high = bounds
        amounts = low + (high - low) * torch.rand(self.samples, len(hr), 1, 1, 1, generator=draw)
        return [hr + amount.to(hr) * details for amount in amounts]


def blur_in_full_precision(image: Tensor) -> Tensor:
    """Return G image."""
    with torch.autocast(image.device.type, enabled=False):
        blurred: Tensor = blur(widen(image), _SIGMA)
    return blurred


@in_full_precision
def contrast(ours: Tensor, others: Tensor, num_positives: int, temperature: float) -> Tensor:
    """Return L, the mean over the batch, a scalar.

    ours: (B, C, h, w), of sr. others: (n*B, C, h, w), of all positives, then of all negatives.
    """
    x = functional.normalize(ours, dim=1)
    y = functional.normalize(others, dim=1).unflatten(0, (-1, len(ours)))  # (n, B, C, h, w)
    logits = (x * y).sum(2).mean((-2, -1)) / temperature  # (n, B)
    positives, negatives = logits[:num_positives], logits[num_positives:].logsumexp(0)
    loss: Tensor = (torch.logaddexp(positives, negatives) - positives).mean()
    return loss


def embed_by_layer(network: nn.Module, layer: int) -> Embedding:
    """Return image -> output of the network's convolution of this number, from 0 on."""
    convolution = [part for part in network.modules() if isinstance(part, nn.Conv2d)][layer]

    def embed(image: Tensor) -> Tensor:
        outputs: list[Tensor] = []

        def keep(_module: nn.Module, _inputs: object, output: Tensor) -> None:
            outputs.append(output.clone())  # the activation works in its memory

        handle = convolution.register_forward_hook(keep)
        try:
            network(image)
        finally:
            handle.remove()
        return outputs[0]

    return embed
