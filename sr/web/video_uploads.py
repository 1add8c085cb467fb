"""Videos and images that a browser sends for a run over files: kept, so that the run can go on.

They go to the folder `uploads` of the first allowed folder, bounded in all.
"""

import shutil
from pathlib import Path

from sr.errors import UserError
from sr.io.atomic_write import atomic_write
from sr.io.image_formats import READABLE_SUFFIXES
from sr.io.video.formats import VIDEO_SUFFIXES
from sr.io.video.frame import VideoError
from sr.io.video.read.container import check_num_pixels, choose_stream, open_container
from sr.web.settings import Settings
from sr.web.uploads import NotAnImageError, TooLargeError, check_size, check_upload, choose_name

SUFFIXES = READABLE_SUFFIXES | VIDEO_SUFFIXES
NUM_KEPT = 20  # largest uploads that the folder may hold


def get_uploads_folder(settings: Settings) -> Path:
    """Return where uploads for runs over files are kept."""
    return settings.folders.folders[0] / "uploads"


def keep_upload(file: Path, name: str, settings: Settings) -> Path:
    """Check an uploaded video or image, and copy it to where it is kept; return that.

    Raises UserError, with the names that the user knows.
    """
    check_size(file, name, settings)
    suffix = Path(name).suffix.lower()
    if suffix not in SUFFIXES:
        raise NotAnImageError(f"{name}: expected a video or an image, got {suffix or 'no suffix'}")
    if suffix in VIDEO_SUFFIXES:
        _check_video(file, name, settings)
    else:
        check_upload(file, name, settings)
    folder = settings.folders.resolve(str(get_uploads_folder(settings)))  # which may be a link
    try:
        folder.mkdir(exist_ok=True)
        kept = [each for each in folder.iterdir() if each.is_file()]
        _check_sum(file, kept, folder, settings)
        target = folder / choose_name(name, [each.name for each in kept])
        with atomic_write(target) as temporary:
            shutil.copyfile(file, temporary)
    except OSError as error:
        raise UserError(f"{folder}: cannot be written: {error.strerror}") from None
    return target


def _check_video(file: Path, name: str, settings: Settings) -> None:
    try:
        with open_container(file, max_pixels=settings.max_upload_pixels) as container:
            stream = choose_stream(container, file, None)
            check_num_pixels(stream, file, settings.max_upload_pixels)
    except VideoError as error:
        raise VideoError(str(error).replace(str(file), name)) from None


def _check_sum(file: Path, kept: list[Path], folder: Path, settings: Settings) -> None:
    limit = NUM_KEPT * settings.max_upload
    size = sum(each.stat().st_size for each in (*kept, file))
    if size > limit:
        raise TooLargeError(f"{folder}: expected at most {limit:,} bytes of uploads, got {size:,}")
