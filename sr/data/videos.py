"""Video files, decoded once into folders of PNG images."""

import hashlib
import shutil
from collections.abc import Sequence
from pathlib import Path

import torch
from filelock import FileLock

from sr.data.frame_folders import FrameFiles, cut_into_clips
from sr.data.sources import DataError, raise_faults
from sr.io.find_files import find_images
from sr.io.image_formats import ImageError
from sr.io.rgb8 import tensor_to_rgb8, write_rgb8
from sr.io.video.formats import VIDEO_SUFFIXES
from sr.io.video.frame import VideoError
from sr.io.video.pixels.yuv import Conversion, planes_to_tensors
from sr.io.video.read.reader import open_video


def find_videos(
    videos: Sequence[Path], cache_folder: Path, *, clip_frames: int, min_frames: int
) -> list[FrameFiles]:
    """Find the clips of video files, and of folders of them.

    What is not in the cache yet is decoded. Raises DataError naming all files that are
    missing, cannot be decoded or are too short.
    """
    missing = [str(path) for path in videos if not path.exists()]
    if missing:
        raise DataError(f"no such video or folder: {', '.join(missing)}")
    files = find_images(videos, recursive=True, suffixes=VIDEO_SUFFIXES)
    if not files:
        raise DataError(f"{', '.join(map(str, videos))}: no video files found")
    clips, faults = [], []
    for path in files:
        try:
            frames = find_images([decode_video(path, cache_folder)], recursive=False)
            clips += cut_into_clips(frames, clip_frames, min_frames)
        except DataError as error:  # of the folder of frames
            faults.append(f"{path}: {error}")
        except (ImageError, VideoError) as error:
            faults.append(str(error))
    raise_faults("videos", faults)
    return clips


def decode_video(path: Path, cache_folder: Path) -> Path:
    """Decode a video into a folder of frames, 8 bits each, not rotated. Returns the folder.

    Raises VideoError for a video that cannot be read, and when the disk is full.
    """
    status = path.stat()
    made_of = f"{path.resolve()} {status.st_size} {status.st_mtime_ns}"
    digest = hashlib.sha256(made_of.encode()).hexdigest()
    folder = cache_folder / "frames" / f"{path.stem}-{digest[:16]}"
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        # One process of a run decodes, the others wait.
        with FileLock(folder.with_name(f".{folder.name}.lock")):
            if not folder.is_dir() or not any(folder.iterdir()):  # or it was emptied
                _decode(path, folder)
    except (OSError, ImageError) as error:
        raise VideoError(f"{path}: cannot be decoded into {folder}: {error}") from error
    return folder


def _decode(path: Path, folder: Path) -> None:
    """Write a video's frames into a new folder, which appears complete or not at all."""
    unfinished = folder.with_name(f".{folder.name}-unfinished")
    shutil.rmtree(unfinished, ignore_errors=True)  # of a run that was killed
    unfinished.mkdir()
    try:
        _write_frames(path, unfinished)
        unfinished.rename(folder)
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)


def _write_frames(path: Path, folder: Path) -> None:
    with open_video(path) as video, torch.inference_mode():
        info = video.info
        conversion = Conversion(info.layout, info.color, info.siting)
        for frame in video.frames():
            rgb = conversion.to_rgb(planes_to_tensors(frame.planes, torch.device("cpu")))
            write_rgb8(folder / f"{frame.number:08d}.png", tensor_to_rgb8(rgb))
