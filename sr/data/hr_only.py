"""HR folders whose LR images are made by MATLAB's bicubic downscaling."""

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

from sr.data.augment import Place, cut_square
from sr.data.imresize import imresize
from sr.data.prepared_images import PreparedImage, PreparedImages, Variant
from sr.data.sources import (
    Image,
    Pair,
    count_pair_bytes,
    list_images,
    raise_faults,
    warn_of_conversions,
)
from sr.io.image_formats import ImageError
from sr.io.rgb8 import read_kind, read_rgb8

BICUBIC_MARGIN = 2  # LR pixels around a crop that bicubic downscaling looks at


@dataclass(frozen=True)
class HRImage:
    """An hr file at `downscale` of its size, cropped to a multiple of `scale`, and bicubic lr."""

    path: Path
    scale: int
    downscale: float
    file_size: tuple[int, int]  # (H, W) of the file
    hr_scale: tuple[float, float] | None = None  # crops are cut at a size between these factors
    prepared_hr: PreparedImage | None = None  # not cut yet
    prepared_lr: PreparedImage | None = None

    @property
    def name(self) -> str:
        return format_name(self.path, self.downscale)

    @property
    def hr_size(self) -> tuple[int, int]:
        return compute_hr_size(self.file_size, self.downscale, self.scale)

    @property
    def num_bytes(self) -> int:
        return 0 if self.prepared_hr is not None else count_pair_bytes(self.hr_size)

    def load(self) -> Pair:
        """Return lr (H, W, 3) and hr (scale*H, scale*W, 3), both uint8 RGB."""
        hr = self.load_hr()
        lr = self.find_lr()
        return imresize(hr, Fraction(1, self.scale)) if lr is None else lr, hr

    def load_hr(self) -> Image:
        """Return hr (scale*H, scale*W, 3), uint8 RGB; `cut_bicubic_lr` makes parts of lr."""
        if self.prepared_hr is not None:
            return self.prepared_hr.map()[: self.hr_size[0], : self.hr_size[1]]
        return downscale_hr(read_rgb8(self.path, convert=True), self.downscale, self.scale)

    def find_lr(self) -> Image | None:
        """Return lr (H, W, 3) where it was prepared."""
        return None if self.prepared_lr is None else self.prepared_lr.map()


def cut_bicubic_lr(hr: Image, place: Place, size: int, scale: int) -> Image:
    """Cut a square out of the bicubic lr of hr, made from its surroundings alone.

    hr: (scale*H, scale*W, 3). place, size: in LR pixels. Returns (size, size, 3), every value that
    of `imresize` of the whole hr: both mirror its borders.
    """
    top, left = place
    region = cut_square(hr, (scale * top, scale * left), scale * size, scale * BICUBIC_MARGIN)
    return cut_square(imresize(region, Fraction(1, scale)), (BICUBIC_MARGIN, BICUBIC_MARGIN), size)


def downscale_hr(image: Image, downscale: float, scale: int) -> Image:
    """Downscale an image, and crop bottom and right to a multiple of `scale`."""
    height, width = compute_hr_size(image.shape[:2], downscale, scale)
    return (image if downscale == 1 else imresize(image, _make_exact(downscale)))[:height, :width]


def compute_hr_size(size: tuple[int, ...], downscale: float, scale: int) -> tuple[int, int]:
    """Return (H, W) of the result of `downscale_hr`. size: (H, W) of the image."""
    factor = _make_exact(downscale)
    height, width = (-(-side * factor.numerator // factor.denominator) for side in size)
    return height - height % scale, width - width % scale


def format_name(name: object, downscale: float) -> str:
    """Format the name of an image or clip at `downscale` of its size, for messages."""
    return f"{name}" if downscale == 1 else f"{name} at {downscale:g} of its size"


def make_variants(downscale: float, scale: int) -> tuple[Variant, Variant]:
    """Return what `prepare_images` makes of a file: hr and lr."""
    exact = str(_make_exact(downscale))
    return Variant(exact, 1), Variant(exact, scale)


def _make_exact(downscale: float) -> Fraction:
    return Fraction(downscale).limit_denominator(1000)


def find_hr_images(
    folders: Sequence[Path],
    scale: int,
    exclude: Sequence[str],
    downscale: Sequence[float],
    hr_scale: tuple[float, float] | None = None,
    prepared: PreparedImages | None = None,
    exclude_list: Path | None = None,
) -> list[HRImage]:
    """Find every image of the folders at every size of `downscale`.

    exclude, exclude_list: see `list_images`. prepared: from which what was prepared is taken.
    Raises DataError naming all files that are unreadable or too small for one lr pixel.
    """
    images, faults = [], []
    conversions: dict[Path, Sequence[str]] = {}
    for path in list_images(folders, exclude, exclude_list):
        found = None if prepared is None else prepared.find(path)
        try:
            size, conversions[path] = read_kind(path) if found is None else found.kind
        except ImageError as error:
            faults.append(str(error))
            continue
        made = {} if found is None else found.images
        for factor in downscale:
            hr, lr = map(made.get, make_variants(factor, scale))
            image = HRImage(path, scale, factor, size, hr_scale, hr, lr)
            images.append(image)
            if min(image.hr_size) == 0:
                faults.append(
                    f"{path}: {size[1]}x{size[0]} (width x height) is too small for scale {scale} "
                    f"at {factor} of its size"
                )
    raise_faults("HR images", faults)
    warn_of_conversions(conversions)
    return images
