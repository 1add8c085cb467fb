"""Jensen-Shannon divergence of features, taken as distributions.

HF-Diff (Sami et al. 2024, arXiv 2411.13548) matches the distributions of embeddings of sr and hr by
it: JSD = 1/2 KL(p || m) + 1/2 KL(q || m), m = (p + q) / 2, p and q the softmax of an embedding.

Deviations: the paper's embedding is one vector of DINOv2 for an image; here it is a feature map of
VGG, with a distribution over channels at each point, and the mean over the points: one vector for
a whole image constrains little. The softmax has a temperature.
"""

from math import log

import torch
from torch import Tensor

from sr.losses.full_precision import in_full_precision


@in_full_precision
def jensen_shannon_divergence(phi: Tensor, wanted: Tensor, temperature: float) -> Tensor:
    """Return the mean divergence of all points, a scalar in [0, log 2].

    phi, wanted: (B, C, H, W), of sr and hr.
    """
    log_p, log_q = (x.div(temperature).log_softmax(1) for x in (phi, wanted))
    log_m = torch.logaddexp(log_p, log_q) - log(2)
    divergences = log_p.exp() * (log_p - log_m) + log_q.exp() * (log_q - log_m)
    return divergences.sum(1).mean() / 2
