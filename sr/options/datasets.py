"""Options of training and validation data."""

from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import Field, NonNegativeFloat, NonNegativeInt, PositiveInt, model_validator

from sr.options.base import Factor, Section
from sr.options.clips import (
    ClipSource,
    FrameFolders,
    MovingPhotos,
    VideoFiles,
    Vimeo90K,
    WindowOptions,
)
from sr.options.degradations import DegradationOptions


class HRFolders(Section):
    """Folders of HR images; LR is made by MATLAB's bicubic downscaling."""

    type: Literal["HRFolders"]
    hr: tuple[Path, ...] = Field(min_length=1)
    """Folders, searched recursively."""
    exclude: tuple[str, ...] = ()
    """File name patterns (`*` and `?`) to leave out."""
    downscale: tuple[Factor, ...] = Field(default=(1.0,), min_length=1)
    """Each image is used at each of these sizes; 0.5 adds a half-size copy with finer detail."""


class PairedFolders(Section):
    """Folders of LR and HR images, matched by name (`a.png`, `ax4.png` and `a_x4.png`)."""

    type: Literal["PairedFolders"]
    hr: tuple[Path, ...] = Field(min_length=1)
    """Folders with the HR images, searched recursively."""
    lr: tuple[Path, ...] = Field(min_length=1)
    """Folders with the LR images, searched recursively."""
    exclude: tuple[str, ...] = ()
    """File name patterns (`*` and `?`) to leave out."""


DatasetOptions = Annotated[
    HRFolders | PairedFolders | FrameFolders | Vimeo90K | VideoFiles | MovingPhotos,
    Field(discriminator="type"),
]


class TrainingData(Section):
    """Training data and batches."""

    source: DatasetOptions
    """Where the images are."""
    degradation: DegradationOptions | None = None
    """Random degradations, drawn for every crop; null: lr as in the source."""
    crop_size: PositiveInt = 96
    """Side of the square HR crops, in pixels; a multiple of the scale."""
    batch_size: PositiveInt = 16
    """Crops per backward pass and process."""
    detail_candidates: PositiveInt = 1
    """Random candidates per crop, of which the most detailed is used; 1: uniform sampling."""
    flips: bool = True
    """Flip crops horizontally and vertically at random."""
    transposes: bool = True
    """Swap rows and columns at random (with flips: all eight orientations)."""
    num_workers: NonNegativeInt = 1
    """Processes that prepare batches; 0 prepares them in the training process."""
    cache_gib: NonNegativeFloat = 16.0
    """Size limit, in GiB, of the memory-mapped file that caches decoded images; the others are
    decoded at each use."""
    description: str = ""
    """Description of the data, for the checkpoints' metadata."""
    licence: str = ""
    """License of the trained weights, for the checkpoints' metadata."""

    @model_validator(mode="after")
    def _blurred_lr_is_not_flipped(self) -> Self:
        if isinstance(self.source, ClipSource) and self.source.blur_sigma and self.flips:
            raise ValueError(
                "flips must be false with source.blur_sigma: its lr pixels lie on the first of "
                "every scale hr pixels, and a flip would move them to the last"
            )
        return self

    @model_validator(mode="after")
    def _only_hr_folders_are_degraded(self) -> Self:
        if self.degradation is not None and not isinstance(self.source, HRFolders):
            raise ValueError(
                "degradation makes lr from hr: source.type must be HRFolders, "
                f"got {self.source.type!r}"
            )
        return self


class ValidationData(Section):
    """One validation set."""

    name: str = Field(min_length=1)
    """Name in logs."""
    source: DatasetOptions
    """Where the images are."""


class DatasetsOptions(Section):
    """Training and validation data."""

    train: TrainingData
    validation: tuple[ValidationData, ...] = ()
    """Validation sets."""
    window: WindowOptions | None = None
    """Window of frames; for multi-frame generators and for losses.temporal."""
    cache_folder: Path = Path("datasets/cache")
    """Cache of decoded video frames and optical flow, shared by all runs."""

    @property
    def all_clips(self) -> bool:
        """Whether every source is one of clips."""
        sources = (self.train.source, *(data.source for data in self.validation))
        return all(isinstance(source, ClipSource) for source in sources)

    @model_validator(mode="after")
    def _names_are_unique(self) -> Self:
        names = [data.name for data in self.validation]
        if len(set(names)) != len(names):
            raise ValueError(f"validation sets need different names, got {names}")
        return self
