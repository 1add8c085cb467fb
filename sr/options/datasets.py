"""Options of training and validation data."""

from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import (
    Field,
    NonNegativeFloat,
    NonNegativeInt,
    PositiveInt,
    model_validator,
)

from sr.options.augmentation import AugmentationOptions, SharpeningOptions
from sr.options.base import Probability, Section
from sr.options.clips import (
    ClipSource,
    FrameFolders,
    MovingPhotos,
    VideoFiles,
    Vimeo90K,
    WindowOptions,
)
from sr.options.degradations import DegradationOptions
from sr.options.image_sources import HRFolders, LRFolders, Mixed, PairedFolders, Synthetic

ValidationSourceOptions = Annotated[
    HRFolders | PairedFolders | LRFolders | FrameFolders | Vimeo90K | VideoFiles | MovingPhotos,
    Field(discriminator="type"),
]
TrainingSourceOptions = Annotated[
    HRFolders
    | PairedFolders
    | Synthetic
    | Mixed
    | FrameFolders
    | Vimeo90K
    | VideoFiles
    | MovingPhotos,
    Field(discriminator="type"),
]


class PoolOptions(Section):
    """A pool of the latest pairs, from which the crops of each batch are drawn."""

    size: PositiveInt = 180
    """Pairs in the pool, rounded up to whole batches; per process."""
    uses: PositiveInt = 1
    """How often a pair is used on average. With N, workers make a batch only for every N-th, which
    trains faster where they are too slow, at the price of less variety."""


class TrainingData(Section):
    """Training data and batches."""

    source: TrainingSourceOptions
    """Where the images are."""
    degradation: DegradationOptions | None = None
    """Random degradations, drawn for every crop; null: lr as in the source."""
    crop_size: PositiveInt = 96
    """Side of the square HR crops, in pixels; a multiple of the scale."""
    batch_size: PositiveInt = 16
    """Crops per backward pass and process."""
    detail_candidates: PositiveInt = 1
    """Random candidates per crop, of which one is used by its detail; 1: uniform sampling."""
    detail_measure: Literal["gradient", "residual"] = "gradient"
    """Measure of detail. gradient: differences of neighboring LR pixels; residual: error of bicubic
    upscaling of the downscaled HR crop, an estimate of the loss that needs no generator."""
    detail_quantile: Probability = 1.0
    """Quantile of the candidates' detail that is used: 1.0 the most detailed one, 0.5 the median;
    below 1.0 avoids extremes such as noise."""
    flips: bool = True
    """Flip crops horizontally and vertically at random."""
    transposes: bool = True
    """Swap rows and columns at random (with flips: all eight orientations)."""
    augmentation: AugmentationOptions | None = None
    """Further augmentations: colors, mixtures of crops; null: none."""
    sharpening: SharpeningOptions | None = None
    """Sharpen hr before it is degraded; null: hr as it is."""
    pool: PoolOptions | None = None
    """Draw batches from a pool of pairs, as Real-ESRGAN does. There, all crops of a batch are
    degraded alike, and a pool mixes them; here they never are, so only `pool.uses` above 1 helps.
    """
    num_workers: NonNegativeInt = 1
    """Processes that prepare batches; 0 prepares them in the training process."""
    cache_gib: NonNegativeFloat = 16.0
    """Size limit, in GiB, of the memory-mapped file that caches decoded images during a run; the
    others are decoded at each use. Images of `sr-data prepare` do not count."""
    description: str = ""
    """Description of the data, for the checkpoints' metadata."""
    licence: str = ""
    """License of the trained weights, for the checkpoints' metadata."""

    @model_validator(mode="after")
    def _blurred_lr_is_not_flipped(self) -> Self:
        if isinstance(self.source, ClipSource) and self.source.blur_sigma and self.flips:
            raise ValueError(
                "flips: expected false with source.blur_sigma, got true: each lr pixel is at the "
                "first of scale hr pixels, and a flip would move it to the last"
            )
        return self

    @model_validator(mode="after")
    def _augmentation_has_what_it_needs(self) -> Self:
        if self.augmentation is None:
            return self
        if isinstance(self.source, ClipSource):
            raise ValueError(
                f"augmentation: expected a source of images, got {self.source.type}; clips have "
                "flips, transposes and reversed time"
            )
        if self.augmentation.needs_several_crops and self.batch_size == 1:
            raise ValueError(
                "augmentation: expected a batch_size above 1 for mixup, cutmix and cutmixup, got 1"
            )
        bicubic = self.degradation is None and not all(
            isinstance(source, PairedFolders) for source in self.sources
        )
        if self.augmentation.cutblur and bicubic:
            raise ValueError(
                "augmentation.cutblur: expected a degradation, or PairedFolders: downscaled hr is "
                "what lr is without"
            )
        return self

    @model_validator(mode="after")
    def _sharpened_hr_is_degraded(self) -> Self:
        if self.sharpening is not None and self.degradation is None:
            raise ValueError("sharpening: expected a degradation, got none")
        return self

    @property
    def sources(self) -> tuple[TrainingSourceOptions, ...]:
        """The source, or those of a mixture."""
        if isinstance(self.source, Mixed):
            return tuple(part.source for part in self.source.sources)
        return (self.source,)

    @model_validator(mode="after")
    def _only_hr_folders_are_degraded(self) -> Self:
        for source in self.sources:
            if self.degradation is not None and not isinstance(source, HRFolders | Synthetic):
                raise ValueError(
                    "degradation makes lr from hr: expected source.type HRFolders, Synthetic or "
                    f"Mixed of these, got {source.type!r}"
                )
        return self

    @model_validator(mode="after")
    def _pool_holds_a_batch_of_images(self) -> Self:
        if self.pool is None:
            return self
        if isinstance(self.source, ClipSource):
            raise ValueError(
                f"pool: expected a source of images, got {self.source.type}, whose samples belong "
                "together"
            )
        if self.pool.size < self.batch_size:
            raise ValueError(
                f"pool.size: expected at least batch_size, {self.batch_size}, got {self.pool.size}"
            )
        return self

    @model_validator(mode="after")
    def _residuals_are_of_images(self) -> Self:
        if isinstance(self.source, ClipSource) and self.detail_measure == "residual":
            raise ValueError("detail_measure: expected gradient for clips, got residual")
        return self


class ValidationData(Section):
    """One validation set."""

    name: str = Field(min_length=1)
    """Name in logs."""
    source: ValidationSourceOptions
    """Where the images are."""
    degradation: DegradationOptions | None = None
    """Random degradation of each image, drawn from its name and so the same every time; none stays
    clean. null: lr as in the source."""

    @model_validator(mode="after")
    def _only_hr_folders_are_degraded(self) -> Self:
        if self.degradation is not None and self.degradation.on_device:
            raise ValueError(
                "degradation.on_device: expected false in validation, whose images are degraded "
                "once, got true"
            )
        if self.degradation is not None and not isinstance(self.source, HRFolders):
            raise ValueError(
                "degradation makes lr from hr: expected source.type HRFolders, got "
                f"{self.source.type!r}"
            )
        return self

    @model_validator(mode="after")
    def _images_keep_their_size(self) -> Self:
        if isinstance(self.source, HRFolders) and self.source.hr_scale is not None:
            raise ValueError(
                "source.hr_scale: expected none in validation, which takes downscale, got "
                f"{list(self.source.hr_scale)}"
            )
        return self


class DatasetsOptions(Section):
    """Training and validation data."""

    train: TrainingData
    validation: tuple[ValidationData, ...] = ()
    """Validation sets."""
    window: WindowOptions | None = None
    """Window of frames; for multi-frame generators and for losses.temporal."""
    cache_folder: Path = Path("datasets/cache")
    """Cache of decoded video frames, optical flow and images of `sr-data prepare`, shared by all
    runs."""

    @property
    def all_clips(self) -> bool:
        """Whether every source has clips."""
        sources = (self.train.source, *(data.source for data in self.validation))
        return all(isinstance(source, ClipSource) for source in sources)

    @model_validator(mode="after")
    def _names_are_unique(self) -> Self:
        names = [data.name for data in self.validation]
        if len(set(names)) != len(names):
            raise ValueError(f"validation: expected different names, got {names}")
        return self
