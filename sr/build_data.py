"""Options of data sets -> where images and clips come from."""

from collections.abc import Sequence
from itertools import product
from typing import Any

import torch

from sr.build import build_flow, fields_of
from sr.data.clip_crops import WindowSettings
from sr.data.clips import Clip, Downscaling, FlowStore, Frames
from sr.data.frame_folders import find_frame_folders, find_septuplets
from sr.data.hr_only import find_hr_images
from sr.data.paired import find_paired_images
from sr.data.random_degradation import Degradation, Stage
from sr.data.sources import Mixture, Source, list_images
from sr.data.synthetic.images import SyntheticImages, find_synthetic
from sr.data.synthetic_clips import MovingPhoto
from sr.data.videos import find_videos
from sr.motion.frame_window import Window, list_offsets
from sr.options.clips import ClipSource, FrameFolders, MovingPhotos, VideoFiles, Vimeo90K
from sr.options.datasets import DatasetOptions, HRFolders, Mixed, PairedFolders, Synthetic
from sr.options.degradations import DegradationOptions, LightOptions
from sr.options.generator import RBPNOptions
from sr.options.schema import Options


def find_training_sources(options: Options, device: torch.device) -> Sequence[Source[Any]]:
    """The images or clips to learn from, headers read. Raises DataError naming all faults.

    Of several sources of images, a `Mixture`.
    """
    source = options.datasets.train.source
    match source:
        case Mixed():
            return Mixture(
                [(part.share, _find_images(options, part.source)) for part in source.sources]
            )
        case Synthetic():
            return _find_images(options, source)
        case _:
            return _find(options, source, device, _least_frames(options))


def find_validation_sources(options: Options, device: torch.device) -> dict[str, list[Source[Any]]]:
    """Those to measure on, by the names of the sets."""
    return {
        part.name: _find(options, part.source, device, 1) for part in options.datasets.validation
    }


def find_pairs(options: HRFolders | PairedFolders, scale: int) -> list[Source[Any]]:
    """The images of a data set, headers read. Raises DataError naming all faults."""
    if isinstance(options, HRFolders):
        return list(
            find_hr_images(options.hr, scale, options.exclude, options.downscale, options.hr_scale)
        )
    return list(find_paired_images(options.lr, options.hr, scale, options.exclude))


def build_window(options: Options) -> Window | None:
    """What the generator is given next to a frame; None for one that sees single images."""
    window, generator = options.datasets.window, options.generator
    if window is None or not isinstance(generator, RBPNOptions):
        return None
    return Window(list_offsets(generator.num_frames, window.order), window.edge, window.alignment)


def build_window_settings(options: Options) -> WindowSettings:
    """What is taken of a clip in training."""
    window = options.datasets.window
    return WindowSettings(
        build_window(options),
        whole_windows=window is not None and window.whole_windows,
        num_references=1 if options.losses.temporal is None else 2,
        reversal=window is not None and window.reversal,
    )


def build_clips_metadata(options: Options) -> dict[str, Any]:
    """What a model file tells of the window, for infer.py; empty for single images."""
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
    """What makes lr from hr, crop by crop."""
    stages = (
        (options.only,) if isinstance(options, LightOptions) else (options.first, options.second)
    )
    return Degradation(
        tuple(Stage(**fields_of(stage)) for stage in stages),
        options.final_sinc_probability,
        options.clean_probability,
    )


def _find_images(
    options: Options, source: HRFolders | PairedFolders | Synthetic
) -> Sequence[Source[Any]]:
    if isinstance(source, Synthetic):
        return [_build_synthetic(source, options.scale, options.datasets.train.crop_size)]
    return find_pairs(source, options.scale)


def _build_synthetic(source: Synthetic, scale: int, crop_size: int) -> SyntheticImages:
    shares = {
        "text": source.text,
        "graphics": source.graphics,
        "svg": source.svg,
        "patterns": source.patterns,
        "facades": source.facades,
    }
    return find_synthetic(
        scale, shares, source.text_size, source.fonts, source.svg_folders, crop_size
    )


def _find(
    options: Options, source: DatasetOptions, device: torch.device, min_frames: int
) -> list[Source[Any]]:
    if not isinstance(source, ClipSource):
        return find_pairs(source, options.scale)
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
            return _moving_photos(source)


def _moving_photos(source: MovingPhotos) -> list[MovingPhoto]:
    photos = tuple(list_images(source.photos, source.exclude))
    width, height = source.frame_size
    return [
        MovingPhoto(path, number, source.num_frames, (height, width), source.speed, photos)
        for path, number in product(photos, range(source.clips_per_photo))
    ]


def _least_frames(options: Options) -> int:
    """Frames without which a clip gives no sample."""
    settings = build_window_settings(options)
    if settings.whole_windows and settings.window is not None:
        return 2 * settings.window.radius + settings.num_references
    return settings.num_references
