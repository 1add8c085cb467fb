"""Options of data sets -> where images and clips come from."""

from collections.abc import Sequence
from dataclasses import replace
from itertools import product
from pathlib import Path
from typing import Any

import torch

from sr.build import build_flow, list_fields
from sr.data.batch_augment import BatchAugmentation
from sr.data.clip_crops import WindowSettings
from sr.data.clips import Clip, Downscaling, FlowStore, Frames
from sr.data.degraded_image import DegradedImage
from sr.data.frame_folders import find_frame_folders, find_septuplets
from sr.data.hr_only import HRImage, find_hr_images, make_variants
from sr.data.lr_only import find_lr_images
from sr.data.paired import find_paired_images
from sr.data.prepare_images import Recipe
from sr.data.prepared_images import WHOLE, PreparedImages
from sr.data.random_degradation import Degradation, Stage
from sr.data.sharpen import Sharpening
from sr.data.sources import DataError, Mixture, Source, list_images
from sr.data.synthetic.images import find_synthetic
from sr.data.synthetic_clips import MovingPhoto
from sr.data.videos import find_videos
from sr.motion.frame_window import Window, list_offsets
from sr.options.augmentation import AugmentationOptions, SharpeningOptions
from sr.options.clips import ClipSource, FrameFolders, MovingPhotos, VideoFiles, Vimeo90K
from sr.options.degradations import DegradationOptions, LightOptions
from sr.options.generator import RBPNOptions
from sr.options.image_sources import HRFolders, LRFolders, Mixed, PairedFolders, Synthetic
from sr.options.schema import Options

ImageSource = HRFolders | PairedFolders | LRFolders | Synthetic


def find_training_sources(options: Options, device: torch.device) -> Sequence[Source[Any]]:
    """Find the images or clips of the training set and read their headers.

    device: for optical flow. Of several sources of images, a `Mixture`. Raises DataError naming all
    faults.
    """
    data = options.datasets.train
    if isinstance(data.source, ClipSource):
        return _find_clips(options, data.source, device, _count_min_frames(options))

    prepared = PreparedImages(locate_prepared(options.datasets.cache_folder))

    def find(source: ImageSource) -> list[Source[Any]]:
        return find_image_sources(source, options.scale, data.crop_size, prepared)

    if isinstance(data.source, Mixed):
        return Mixture([(part.share, find(part.source)) for part in data.source.sources])
    return find(data.source)


def find_validation_sources(options: Options, device: torch.device) -> dict[str, list[Source[Any]]]:
    """Find the images or clips of the validation sets, by the names of the sets."""
    found: dict[str, list[Source[Any]]] = {}
    for part in options.datasets.validation:
        if isinstance(part.source, ClipSource):
            found[part.name] = _find_clips(options, part.source, device, min_frames=1)
        else:
            images = find_image_sources(part.source, options.scale)
            if part.degradation is not None:
                degradation = replace(build_degradation(part.degradation), clean_probability=0)
                images = [
                    DegradedImage(image, degradation)
                    for image in images
                    if isinstance(image, HRImage)  # as the schema demands of all
                ]
            found[part.name] = images
    return found


def find_image_sources(
    source: ImageSource,
    scale: int,
    crop_size: int = 0,
    prepared: PreparedImages | None = None,
) -> list[Source[Any]]:
    """Find the images of a source and read their headers. Raises DataError naming all faults.

    crop_size: of the crops that synthetic images are drawn for. prepared: decoded images that are
    used where there are some.
    """
    match source:
        case HRFolders():
            return list(
                find_hr_images(
                    source.hr,
                    scale,
                    source.exclude,
                    source.downscale,
                    source.hr_scale,
                    prepared=prepared,
                    exclude_list=source.exclude_list,
                )
            )
        case PairedFolders():
            return list(
                find_paired_images(
                    source.lr,
                    source.hr,
                    scale,
                    source.exclude,
                    prepared=prepared,
                    exclude_list=source.exclude_list,
                )
            )
        case LRFolders():
            return list(find_lr_images(source.lr, scale, source.exclude, source.exclude_list))
        case Synthetic():
            kinds = ("text", "graphics", "svg", "patterns", "facades")
            shares = {kind: getattr(source, kind) for kind in kinds}
            text = source.text_size, source.fonts
            return [find_synthetic(scale, shares, *text, source.svg_folders, crop_size)]


def list_recipes(options: Options) -> list[Recipe]:
    """List what `prepare_images` is to make for the training set of these options.

    Raises DataError for folders without images, and for clips, which have caches of their own.
    """
    data = options.datasets.train
    sources = [data.source]
    if isinstance(data.source, Mixed):
        sources = [part.source for part in data.source.sources]
    recipes = []
    for source in sources:
        if isinstance(source, HRFolders):
            variants = []
            for downscale in source.downscale:
                hr, lr = make_variants(downscale, options.scale)
                with_lr = source.hr_scale is None and data.degradation is None
                variants += [hr, lr] if with_lr else [hr]
            images = list_images(source.hr, source.exclude, source.exclude_list)
            recipes += [Recipe(path, tuple(variants)) for path in images]
        elif isinstance(source, PairedFolders):
            for folders in (source.hr, source.lr):
                images = list_images(folders, source.exclude, source.exclude_list)
                recipes += [Recipe(path, (WHOLE,)) for path in images]
        elif isinstance(source, ClipSource):
            raise DataError(f"expected images to prepare, got a source of clips, {source.type}")
    return recipes


def locate_prepared(cache_folder: Path) -> Path:
    """Return the folder of prepared images in a cache folder."""
    return cache_folder / "images"


def build_window(options: Options) -> Window | None:
    """Build the window of a multi-frame generator; None for one of single images."""
    window, generator = options.datasets.window, options.generator
    if window is None or not isinstance(generator, RBPNOptions):
        return None
    return Window(list_offsets(generator.num_frames, window.order), window.edge, window.alignment)


def build_window_settings(options: Options) -> WindowSettings:
    """Build the settings by which samples are taken from clips."""
    window = options.datasets.window
    return WindowSettings(
        build_window(options),
        whole_windows=window is not None and window.whole_windows,
        num_references=1 if options.losses.temporal is None else 2,
        reversal=window is not None and window.reversal,
    )


def build_clips_metadata(options: Options) -> dict[str, Any]:
    """Return the window options for the model file; empty for single images."""
    window, seen = options.datasets.window, build_window(options)
    if window is None or seen is None:
        return {}
    return {
        "clips": {
            "offsets": list(seen.offsets),
            "edge": seen.edge,
            "alignment": seen.alignment,
            "flow": window.flow.model_dump(mode="json"),
        }
    }


def build_degradation(options: DegradationOptions) -> Degradation:
    """Build the random degradation that makes lr from hr, crop by crop."""
    stages = (
        (options.only,) if isinstance(options, LightOptions) else (options.first, options.second)
    )
    return Degradation(
        tuple(Stage(**list_fields(stage)) for stage in stages),
        options.final_sinc_probability,
        options.clean_probability,
    )


def build_augmentation(options: AugmentationOptions) -> BatchAugmentation:
    """Build the augmentation of batches; shares are of the kinds that are drawn at all."""
    shares = list_fields(options)
    probability = shares.pop("probability")
    return BatchAugmentation(probability, {kind: share for kind, share in shares.items() if share})


def build_sharpening(options: SharpeningOptions) -> Sharpening:
    """Build the sharpening of hr."""
    only_targets = options.targets == "all_but_adversarial"
    return Sharpening(options.kernel_size, options.amount, options.threshold, only_targets)


def _find_clips(
    options: Options, source: ClipSource, device: torch.device, min_frames: int
) -> list[Source[Any]]:
    window, flow = options.datasets.window, None
    if window is not None:
        flow = FlowStore(build_flow(window.flow, device), options.datasets.cache_folder)
    downscaling = Downscaling(options.scale, source.blur_sigma)
    found = _find_frames(options, source, min_frames)
    return [
        Clip(frames, downscaling, size, flow) for frames, size in product(found, source.downscale)
    ]


def _find_frames(options: Options, source: ClipSource, min_frames: int) -> Sequence[Frames]:
    match source:
        case FrameFolders():
            return find_frame_folders(
                source.hr,
                only=source.only,
                exclude=source.exclude,
                subfolder=source.subfolder,
                clip_frames=source.clip_frames,
                min_frames=min_frames,
            )
        case Vimeo90K():
            return find_septuplets(source.root, source.list_file, min_frames)
        case VideoFiles():
            return find_videos(
                source.videos,
                options.datasets.cache_folder,
                clip_frames=source.clip_frames,
                min_frames=min_frames,
            )
        case MovingPhotos():
            photos = tuple(list_images(source.photos, source.exclude))
            width, height = source.frame_size
            return [
                MovingPhoto(
                    path,
                    number,
                    source.num_frames,
                    (height, width),
                    source.speed,
                    photos,
                    source.object_share,
                    source.most_objects,
                    source.bend,
                )
                for path, number in product(photos, range(source.clips_per_photo))
            ]


def _count_min_frames(options: Options) -> int:
    """Return how many frames a clip must have to give a sample."""
    settings = build_window_settings(options)
    radius = settings.window.radius if settings.whole_windows and settings.window else 0
    return 2 * radius + settings.num_references
