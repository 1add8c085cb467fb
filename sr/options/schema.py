"""The options of a whole training run; everything wrong in them is known from the file alone.

Parts with kinds (generator, losses, data sets, optimizer, schedule) are unions told apart by
`type`, each in its own file beside this one.
"""

from pathlib import Path
from typing import Literal, Self

from pydantic import Field, NonNegativeInt, PositiveInt, model_validator

from sr.options.datasets import DatasetsOptions
from sr.options.generator import GeneratorOptions
from sr.options.losses import LossesOptions
from sr.options.section import Section
from sr.options.train import TrainOptions


class ValidateOptions(Section):
    """When the averaged weights are measured."""

    interval: PositiveInt = 1000
    """Steps between two validations."""


class LogOptions(Section):
    """Where and how often a run tells what it does."""

    folder: Path = Path("runs")
    """Folder of all runs; this one is in its subfolder `name`."""
    interval: PositiveInt = 100
    """Steps between two entries of losses and speed."""
    num_images: NonNegativeInt = 3
    """Validation pictures shown in TensorBoard, of each set."""


class Options(Section):
    """A whole training run."""

    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")
    """Names the run's folder; changes nothing else."""
    seed: NonNegativeInt = 0
    """Seeds initialisation, order of pictures, crops and flips."""
    scale: Literal[2, 3, 4, 8]
    """Upscaling factor."""
    generator: GeneratorOptions
    losses: LossesOptions
    datasets: DatasetsOptions
    train: TrainOptions
    validate_: ValidateOptions = Field(default=ValidateOptions(), alias="validate")
    log: LogOptions = LogOptions()

    @model_validator(mode="after")
    def _crop_size_fits_scale(self) -> Self:
        crop_size = self.datasets.train.crop_size
        if crop_size % self.scale:
            raise ValueError(
                f"datasets.train.crop_size must be a multiple of scale {self.scale}, "
                f"got {crop_size}"
            )
        return self
