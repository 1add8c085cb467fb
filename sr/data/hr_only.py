"""HR folders whose LR pictures are made by MATLAB's bicubic downscaling."""

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

from sr.data.augment import Pair, Picture
from sr.data.imresize import imresize
from sr.data.sources import list_pictures, pair_bytes, raise_faults
from sr.io.rgb8 import ImageError, read_rgb8, read_size


@dataclass(frozen=True)
class DegradedPicture:
    """An hr file at `downscale` of its size, cut to a multiple of `scale`, and its bicubic lr."""

    path: Path
    scale: int
    downscale: float
    file_size: tuple[int, int]  # (H, W) of the file

    @property
    def name(self) -> str:
        return name_at(self.path, self.downscale)

    @property
    def hr_size(self) -> tuple[int, int]:
        return shrunk_size(self.file_size, self.downscale, self.scale)

    @property
    def num_bytes(self) -> int:
        return pair_bytes(self.hr_size)

    def load(self) -> Pair:
        """lr: (H, W, 3), hr: (scale*H, scale*W, 3), both uint8 RGB."""
        hr = shrunk(read_rgb8(self.path, grey_to_rgb=True), self.downscale, self.scale)
        return imresize(hr, Fraction(1, self.scale)), hr


def shrunk(picture: Picture, downscale: float, scale: int) -> Picture:
    """A picture at `downscale` of its size, cut at bottom and right to a multiple of `scale`."""
    height, width = shrunk_size(picture.shape[:2], downscale, scale)
    return (picture if downscale == 1 else imresize(picture, _exact(downscale)))[:height, :width]


def shrunk_size(size: tuple[int, ...], downscale: float, scale: int) -> tuple[int, int]:
    """(H, W) of what `shrunk` gives. size: (H, W) of the picture."""
    factor = _exact(downscale)
    height, width = (-(-side * factor.numerator // factor.denominator) for side in size)
    return height - height % scale, width - width % scale


def name_at(name: object, downscale: float) -> str:
    """What a picture or clip at `downscale` of its size is called in messages."""
    return f"{name}" if downscale == 1 else f"{name} at {downscale:g} of its size"


def _exact(downscale: float) -> Fraction:
    return Fraction(downscale).limit_denominator(1000)


def find_degraded(
    folders: Sequence[Path], scale: int, exclude: Sequence[str], downscale: Sequence[float]
) -> list[DegradedPicture]:
    """Every picture of the folders at every size of `downscale`.

    Raises DataError naming all files that are unreadable or too small for one lr pixel.
    """
    pictures, faults = [], []
    for path in list_pictures(folders, exclude):
        try:
            size = read_size(path)
        except ImageError as error:
            faults.append(str(error))
            continue
        for factor in downscale:
            picture = DegradedPicture(path, scale, factor, size)
            pictures.append(picture)
            if min(picture.hr_size) == 0:
                faults.append(
                    f"{path}: {size[1]}x{size[0]} (width x height) is too small for scale {scale} "
                    f"at {factor} of its size"
                )
    raise_faults("HR pictures", faults)
    return pictures
