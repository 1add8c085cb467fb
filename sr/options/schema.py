"""The options of a whole training run; everything wrong in them is known from the file alone.

Parts with kinds (generator, losses, data sets, optimizer, schedule) are unions discriminated by
`type`, each in its own file next to this one.
"""

from pathlib import Path
from typing import Literal, Self

from pydantic import Field, NonNegativeInt, PositiveInt, model_validator

from sr.options.base import Section
from sr.options.clips import FrameFolders, MovingPhotos, VideoFiles
from sr.options.datasets import DatasetsOptions
from sr.options.discriminator import (
    DiscriminatorOptions,
    PatchGANOptions,
    UNetDiscriminatorOptions,
)
from sr.options.feature_losses import FeatureWeights
from sr.options.generator import SCALES, WITH_BLOCKS, GeneratorOptions, RBPNOptions
from sr.options.image_sources import LRFolders, PairedFolders
from sr.options.losses import LossesOptions
from sr.options.train import TrainOptions


class MeasuredLPIPSOptions(Section):
    """LPIPS, Zhang et al. 2018, as a measure; published numbers are AlexNet's."""

    network: Literal["AlexNet", "VGG16"] = "AlexNet"
    """Network whose features are compared; preferably not the one of the loss."""
    weights: FeatureWeights = "torchvision"
    """Of `network`, as in losses.lpips."""


class ValidateOptions(Section):
    """Validation of the averaged weights."""

    interval: PositiveInt = 1000
    """Steps between two validations."""
    lpips: MeasuredLPIPSOptions | None = None
    """Measure LPIPS too. The best checkpoint of an adversarial run is then the lowest LPIPS."""
    niqe: bool = False
    """Measure NIQE, which needs no hr, of sets with hr, too; of LRFolders it is the only score. Its
    parameters are this project's own: the numbers compare the steps of a run, not publications."""
    best_by: Literal["auto", "niqe"] = "auto"
    """Score by which the best checkpoint is chosen, as mean over the sets that have it. auto: the
    highest PSNR of Y, in an adversarial run the lowest LPIPS; without sets with hr there is no best
    one. niqe: the lowest NIQE, which noise that looks like detail may lower."""
    tile_size: NonNegativeInt = 0
    """Side of the tiles, in LR pixels, in which larger images are upscaled, for little memory; 0:
    every image as a whole. Scores stay the same, but for networks of spandrel and BasicSR and RLFN.
    """
    save_images: NonNegativeInt = 0
    """Results of each set that are written to validation/ in the run's folder, the first ones; kept
    of the last `train.keep_last` validations."""


class LogOptions(Section):
    """Logging."""

    folder: Path = Path("runs")
    """Folder of all runs; this one is in its subfolder `name`."""
    interval: PositiveInt = 100
    """Steps between two entries of losses, as means over these steps, and speed."""
    num_images: NonNegativeInt = 3
    """Validation images shown in TensorBoard, of each set."""
    trackers: tuple[Literal["tensorboard", "wandb", "trackio"], ...] = ("tensorboard",)
    """What shows the numbers, next to log.jsonl, which is always written. wandb and trackio are
    packages to install; they get no images."""
    project: str = Field(default="super-resolution", min_length=1)
    """Project of wandb and trackio."""


class Options(Section):
    """A whole training run."""

    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")
    """Name of the run's folder; has no other effect."""
    seed: NonNegativeInt = 0
    """Seed of initialization, order of images, crops and flips."""
    scale: Literal[1, 2, 3, 4, 8]
    """Upscaling factor; 1 restores (noise, JPEG, blur) at the same size."""
    generator: GeneratorOptions
    """The network that is trained to upscale."""
    discriminator: DiscriminatorOptions | None = None
    """Discriminates sr from hr, for the adversarial term."""
    losses: LossesOptions
    datasets: DatasetsOptions
    train: TrainOptions
    validate_: ValidateOptions = Field(default=ValidateOptions(), alias="validate")
    log: LogOptions = LogOptions()

    @model_validator(mode="after")
    def _scale_fits_generator(self) -> Self:
        allowed = SCALES.get(self.generator.type, (2, 3, 4, 8))
        if self.scale not in allowed:
            raise ValueError(
                f"scale: expected one of {', '.join(map(str, allowed))} for {self.generator.type}, "
                f"got {self.scale}"
            )
        return self

    @model_validator(mode="after")
    def _checkpointed_generator_has_blocks(self) -> Self:
        if self.train.gradient_checkpointing and self.generator.type not in WITH_BLOCKS:
            raise ValueError(
                "train.gradient_checkpointing: expected a generator with known blocks, one of "
                f"{', '.join(WITH_BLOCKS)}; got {self.generator.type}"
            )
        return self

    @model_validator(mode="after")
    def _restoration_has_something_to_restore(self) -> Self:
        if self.scale > 1:
            return self
        expected = "expected a degradation, or PairedFolders, at scale 1"
        train = self.datasets.train
        if train.degradation is None and not isinstance(train.source, PairedFolders):
            raise ValueError(f"datasets.train: {expected}: lr would be hr itself")
        if train.detail_measure == "residual":
            raise ValueError(
                "datasets.train.detail_measure: expected gradient at scale 1, where bicubic "
                "upscaling has no residual"
            )
        for data in self.datasets.validation:
            if data.degradation is None and not isinstance(data.source, PairedFolders | LRFolders):
                raise ValueError(
                    f"datasets.validation {data.name!r}: {expected}: lr would be hr itself"
                )
        return self

    @model_validator(mode="after")
    def _several_frames_come_from_clips(self) -> Self:
        needs = {
            f"generator {self.generator.type}": isinstance(self.generator, RBPNOptions),
            "losses.temporal": self.losses.temporal is not None,
        }
        needing = " and ".join(name for name, needed in needs.items() if needed)
        if not needing and self.datasets.window is not None:
            raise ValueError(
                f"datasets.window: expected a multi-frame generator or losses.temporal, got "
                f"{self.generator.type}"
            )
        if needing and self.datasets.window is None:
            raise ValueError(
                f"{needing}: expected datasets.window, got none; `window: {{}}` takes its defaults"
            )
        if needing and not self.datasets.all_clips:
            raise ValueError(
                f"{needing}: expected clips from every source in datasets (FrameFolders, Vimeo90K, "
                "VideoFiles, MovingPhotos)"
            )
        return self

    @model_validator(mode="after")
    def _the_best_has_a_score(self) -> Self:
        sets = self.datasets.validation
        measured = self.validate_.niqe or any(isinstance(s.source, LRFolders) for s in sets)
        if self.validate_.best_by == "niqe" and not (sets and measured):
            raise ValueError(
                "validate.best_by: expected niqe to be measured, by validate.niqe and a set in "
                "datasets.validation, or by a set of LRFolders"
            )
        return self

    @model_validator(mode="after")
    def _tiled_networks_take_single_images(self) -> Self:
        if self.validate_.tile_size and isinstance(self.generator, RBPNOptions):
            raise ValueError(
                f"validate.tile_size: expected 0 for {self.generator.type}, a multi-frame "
                f"generator, got {self.validate_.tile_size}"
            )
        return self

    @model_validator(mode="after")
    def _clips_are_as_long_as_windows(self) -> Self:
        source, window = self.datasets.train.source, self.datasets.window
        match source:
            case FrameFolders() | VideoFiles():
                name, length = "clip_frames", source.clip_frames
            case MovingPhotos():
                name, length = "num_frames", source.num_frames
            case _:
                return self
        least = 1 if self.losses.temporal is None else 2
        if window is not None and window.whole_windows and isinstance(self.generator, RBPNOptions):
            least += self.generator.num_frames - 1
        if length < least:
            raise ValueError(
                f"datasets.train.source.{name}: expected at least {least}, the frames of a sample "
                f"(whole_windows, losses.temporal), got {length}"
            )
        return self

    @model_validator(mode="after")
    def _zoomed_crops_have_no_neighbors(self) -> Self:
        teacher = self.losses.teacher
        if isinstance(self.generator, RBPNOptions) and teacher and "zoomed" in teacher.inputs:
            raise ValueError(
                f"losses.teacher.inputs: expected [lr] for {self.generator.type}, a multi-frame "
                "generator: zoomed crops have no neighbors"
            )
        return self

    @model_validator(mode="after")
    def _crop_size_fits_scale(self) -> Self:
        crop_size = self.datasets.train.crop_size
        if crop_size % self.scale:
            raise ValueError(
                f"datasets.train.crop_size: expected a multiple of scale {self.scale}, "
                f"got {crop_size}"
            )
        return self

    @model_validator(mode="after")
    def _crop_size_fits_discriminator(self) -> Self:
        least = 1
        if isinstance(self.discriminator, PatchGANOptions):
            least = 3 * 2**self.discriminator.num_layers
        elif isinstance(self.discriminator, UNetDiscriminatorOptions):
            least = 8
        crop_size = self.datasets.train.crop_size
        if crop_size < least:
            raise ValueError(
                f"datasets.train.crop_size: expected at least {least} for this discriminator, "
                f"got {crop_size}"
            )
        return self

    @model_validator(mode="after")
    def _crop_size_fits_losses(self) -> Self:
        crop_size = self.datasets.train.crop_size
        for name, term in self.losses.terms.items():
            if crop_size < term.least_crop_size:
                raise ValueError(
                    f"datasets.train.crop_size: expected at least {term.least_crop_size} for "
                    f"losses.{name}, got {crop_size}"
                )
        return self

    @model_validator(mode="after")
    def _compared_networks_exist(self) -> Self:
        if self.losses.ldl is not None and not self.train.ema_decay:
            raise ValueError(
                "losses.ldl: expected train.ema_decay above 0, because it compares with the "
                "averaged weights, got 0"
            )
        contrastive, discriminator = self.losses.contrastive, self.discriminator
        if contrastive is not None and discriminator is not None:
            last = discriminator.last_convolution
            if contrastive.layer > last:
                raise ValueError(
                    f"losses.contrastive.layer: expected at most {last}, the last convolution of "
                    f"this discriminator, got {contrastive.layer}"
                )
        return self

    @model_validator(mode="after")
    def _adversarial_term_comes_in(self) -> Self:
        gan = self.train.gan
        if gan is not None and gan.start_step + gan.lead_steps > self.train.steps:
            raise ValueError(
                "train.gan: expected start_step + lead_steps of at most train.steps, "
                f"{self.train.steps}, got {gan.start_step + gan.lead_steps}: no step would use the "
                "adversarial term"
            )
        return self

    @model_validator(mode="after")
    def _adversarial_parts_come_together(self) -> Self:
        parts = {
            "discriminator": self.discriminator,
            "losses.adversarial": self.losses.adversarial,
            "train.gan": self.train.gan,
        }
        missing = [name for name, part in parts.items() if part is None]
        if missing and len(missing) < len(parts):
            given = [name for name in parts if name not in missing]
            raise ValueError(
                f"{' and '.join(given)}: expected {' and '.join(missing)} too, got none"
            )
        return self
