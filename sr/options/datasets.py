"""Options of training and validation data."""

from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import (
    Field,
    NonNegativeFloat,
    NonNegativeInt,
    PositiveFloat,
    PositiveInt,
    model_validator,
)

from sr.options.base import Factor, FactorRange, PositiveRange, Probability, Section
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
    exclude_list: Path | None = None
    """Text file with paths of images to leave out, one per line; `sr-data check --out` writes it.
    """
    downscale: tuple[Factor, ...] = Field(default=(1.0,), min_length=1)
    """Each image is used at each of these sizes; 0.5 adds a half-size copy with finer detail."""
    hr_scale: FactorRange | None = None
    """For each training crop, resize the image by a factor drawn uniformly from this range, for
    instance [0.25, 1.0]; never below the crop size. null: no resizing."""


class PairedFolders(Section):
    """Folders of LR and HR images, matched by name (`a.png`, `ax4.png` and `a_x4.png`)."""

    type: Literal["PairedFolders"]
    hr: tuple[Path, ...] = Field(min_length=1)
    """Folders with the HR images, searched recursively."""
    lr: tuple[Path, ...] = Field(min_length=1)
    """Folders with the LR images, searched recursively."""
    exclude: tuple[str, ...] = ()
    """File name patterns (`*` and `?`) to leave out."""
    exclude_list: Path | None = None
    """Text file with paths of images to leave out, one per line; `sr-data check --out` writes it.
    """


class Synthetic(Section):
    """Synthetic images, drawn for each crop: text, graphics, patterns and facades, without
    aliasing. They are not flipped. LR is made by MATLAB's bicubic downscaling."""

    type: Literal["Synthetic"]
    text: NonNegativeFloat = 4.0
    """Share of text on pages, screens and signs, relative to the other kinds; 0: none."""
    graphics: NonNegativeFloat = 2.0
    """Share of shapes, line art and charts."""
    patterns: NonNegativeFloat = 2.0
    """Share of stripes, grids, checkerboards, dots, zone plates and star charts."""
    facades: NonNegativeFloat = 2.0
    """Share of window fronts, bricks, fences, meshes and slats, mostly in perspective."""
    svg: NonNegativeFloat = 0.0
    """Share of drawings from svg_folders."""
    svg_folders: tuple[Path, ...] = ()
    """Folders of SVG files, searched recursively."""
    fonts: tuple[Path, ...] = ()
    """Folders of TrueType and OpenType fonts, searched recursively; empty: the system's fonts, or
    Pillow's own if there are none."""
    text_size: PositiveRange = (9.0, 64.0)
    """Smallest and largest font size (em square) in HR pixels, drawn uniformly on a log scale."""

    @model_validator(mode="after")
    def _kinds_are_consistent(self) -> Self:
        if not self.text + self.graphics + self.patterns + self.facades + self.svg:
            raise ValueError(
                "expected a share above 0 for text, graphics, patterns, facades or svg"
            )
        if bool(self.svg) != bool(self.svg_folders):
            raise ValueError(
                "svg and svg_folders: expected a share above 0 with folders, or neither, got "
                f"{self.svg:g} and {len(self.svg_folders)} folders"
            )
        return self


class MixedPart(Section):
    """One source of a mixture."""

    share: PositiveFloat
    """Share of the crops, relative to the other sources."""
    source: Annotated[HRFolders | PairedFolders | Synthetic, Field(discriminator="type")]
    """Where the images are."""


class Mixed(Section):
    """A mixture of image sources, each with a fixed share of the crops, whatever its number of
    images. Shares hold within every 1000 crops, to a thousandth."""

    type: Literal["Mixed"]
    sources: tuple[MixedPart, ...] = Field(min_length=1)
    """Sources and their shares."""

    @model_validator(mode="after")
    def _no_share_vanishes(self) -> Self:
        total = sum(part.share for part in self.sources)
        for part in self.sources:
            if part.share < 0.001 * total:
                raise ValueError(
                    f"sources: expected shares of at least a thousandth of their sum {total:g}, "
                    f"got {part.share:g}"
                )
        return self


DatasetOptions = Annotated[
    HRFolders | PairedFolders | FrameFolders | Vimeo90K | VideoFiles | MovingPhotos,
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
    def _only_hr_folders_are_degraded(self) -> Self:
        sources: tuple[TrainingSourceOptions, ...] = (self.source,)
        if isinstance(self.source, Mixed):
            sources = tuple(part.source for part in self.source.sources)
        for source in sources:
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
    source: DatasetOptions
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
