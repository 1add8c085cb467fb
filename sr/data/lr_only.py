"""Folders of LR images without originals, to validate on."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from sr.data.sources import Image, list_images, raise_faults, warn_of_conversions
from sr.io.image_formats import ImageError
from sr.io.rgb8 import read_kind, read_rgb8


@dataclass(frozen=True)
class LRImage:
    """An lr file of which no hr is known."""

    path: Path
    scale: int
    lr_size: tuple[int, int]  # (H, W)

    @property
    def name(self) -> str:
        return str(self.path)

    @property
    def hr_size(self) -> tuple[int, int]:
        """(H, W) of the result."""
        return self.scale * self.lr_size[0], self.scale * self.lr_size[1]

    @property
    def num_bytes(self) -> int:
        return 3 * self.lr_size[0] * self.lr_size[1]

    def load(self) -> tuple[Image]:
        """Return lr alone, (H, W, 3), uint8 RGB."""
        return (read_rgb8(self.path, convert=True),)


def find_lr_images(
    folders: Sequence[Path], scale: int, exclude: Sequence[str], exclude_list: Path | None = None
) -> list[LRImage]:
    """Find every image of the folders. exclude, exclude_list: see `list_images`.

    Raises DataError naming all files that are unreadable.
    """
    images, faults = [], []
    conversions: dict[Path, Sequence[str]] = {}
    for path in list_images(folders, exclude, exclude_list):
        try:
            size, conversions[path] = read_kind(path)
        except ImageError as error:
            faults.append(str(error))
            continue
        images.append(LRImage(path, scale, size))
    raise_faults("LR images", faults)
    warn_of_conversions(conversions)
    return images
