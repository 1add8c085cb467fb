"""A model file of any origin as a teacher: checked, and described for the pupil's metadata."""

import hashlib
from contextlib import nullcontext
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional

from sr.errors import ModelFileError
from sr.models.load import load_generator
from sr.models.loaded_model import LoadedGenerator

_FAULTS_OF_NETWORKS = (AssertionError, LookupError, RuntimeError, TypeError, ValueError)
"""What networks raise for crops that they cannot take."""


class Teacher(nn.Module):
    """A trained generator of single images, in eval mode and without gradients.

    Results of a larger scale than the pupil's are shrunk to it, by antialiased bicubic
    interpolation: a model of scale 4 teaches one of scale 2 what its enlargement shows at half its
    size.
    """

    def __init__(self, generator: LoadedGenerator, description: dict[str, str], scale: int) -> None:
        """description: of the model, for metadata. scale: of the results, at most the model's."""
        super().__init__()
        self.network = generator.network
        self.scale = scale
        self._shrinks = generator.scale != scale
        self.description = description
        self._reduced_precisions = generator.reduced_precisions

    def forward(self, lr: Tensor) -> Tensor:
        """lr: (N, 3, h, w), RGB in [0, 1]. Returns (N, 3, scale*h, scale*w), not clamped.

        In autocast's precision, if the model can take it, else in float32.
        """
        device = lr.device.type
        reduced = torch.is_autocast_enabled(device)
        unfit = reduced and torch.get_autocast_dtype(device) not in self._reduced_precisions
        with torch.no_grad(), torch.autocast(device, enabled=False) if unfit else nullcontext():
            sr: Tensor = self.network(lr)
        return self._shrink(sr, lr) if self._shrinks else sr

    def _shrink(self, sr: Tensor, lr: Tensor) -> Tensor:
        size = [self.scale * side for side in lr.shape[2:]]
        return functional.interpolate(sr.float(), size, mode="bicubic", antialias=True)


def load_teacher(path: Path, scale: int, lr_size: int) -> Teacher:
    """Return the teacher in a model file, on the CPU.

    lr_size: side of the crops that it is to upscale, LR pixels; tried once. Raises ModelFileError
    for a file that is no model, one of a smaller scale or of several frames, and one that cannot
    take such crops.
    """
    generator = load_generator(path)
    if generator.takes_clips:
        raise ModelFileError(
            f"{path}: expected a model of single images, got {generator.architecture}, which sees "
            "several frames"
        )
    if generator.scale < scale:
        raise ModelFileError(
            f"{path}: expected a model of scale {scale} or more, got {generator.scale}"
        )
    teacher = Teacher(generator, _describe(path, generator), scale)
    _try_crops(path, teacher, scale, lr_size)
    return teacher


def _describe(path: Path, generator: LoadedGenerator) -> dict[str, str]:
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    return {
        "file": path.name,
        "sha256": digest,
        "architecture": generator.architecture,
        "licence": str(generator.metadata.get("licence") or ""),
    }


def _try_crops(path: Path, teacher: Teacher, scale: int, lr_size: int) -> None:
    """Try two at once: some programs take but one."""
    expected = (2, 3, scale * lr_size, scale * lr_size)
    try:
        got = tuple(teacher(torch.zeros(2, 3, lr_size, lr_size)).shape)
    except _FAULTS_OF_NETWORKS as error:
        raise ModelFileError(
            f"{path}: cannot upscale crops of {lr_size}x{lr_size} LR pixels ({error}); another "
            "datasets.train.crop_size may do"
        ) from None
    if got != expected:
        raise ModelFileError(f"{path}: expected results of {expected}, got {got}")
