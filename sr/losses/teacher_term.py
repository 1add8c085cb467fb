"""Knowledge distillation: the distance of sr and what a teacher makes of the same inputs.

Hinton, Vinyals, Dean 2015, "Distilling the Knowledge in a Neural Network" (arXiv 1503.02531), here
of results, pixel by pixel. Inputs without an original, for which only a teacher gives targets, are
parts of hr of lr's size: "zoom in" of Zhang et al. 2023, "Data Upcycling Knowledge Distillation for
Image Super-Resolution" (arXiv 2309.14162).

Deviations from Zhang et al.: no zooming out (lr shrunk further), no invertible augmentations; lr
and zoomed crops are one term with one weight, the mean over both.
"""

from collections.abc import Callable

import torch
from torch import Tensor

from sr.losses.combined import Term


class TeacherTerm:
    """criterion(sr, teacher(inputs)); the gradient goes to sr alone.

    The teacher's result is clamped to [0, 1], as an image file of it would be: overshoots are no
    knowledge. sr is not, since a clamp would stop its gradient.
    """

    def __init__(self, criterion: Term, teacher: Callable[[Tensor], Tensor]) -> None:
        self.criterion = criterion
        self.teacher = teacher

    def __call__(self, sr: Tensor, inputs: Tensor) -> Tensor:
        """sr: (N, 3, scale*h, scale*w), inputs: (N, 3, h, w); float32, RGB in [0, 1].

        The teacher runs in autocast's precision where the caller has one; distances in float32.
        """
        with torch.no_grad():
            target = self.teacher(inputs).float().clamp(0, 1)
        return self.criterion(sr, target)
