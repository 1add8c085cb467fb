"""Image files <-> 8-bit RGB arrays <-> tensors, through libvips.

Read and written are 8-bit RGB images in sRGB: PNG, JPEG, WebP and TIFF. Whatever else
comes (16 bit, gray, alpha, CMYK, several pages, other color profiles) is refused with
an `ImageError`, so that no image is silently damaged.

Letters: H, W height and width of the image in pixels.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyvips
import torch
from torch import Tensor

from sr.io.image_source import ImageError as ImageError
from sr.io.image_source import convert_errors, open_file
from sr.io.image_writer import write_image

_LOADERS = ("pngload", "jpegload", "webpload", "tiffload")
_EXPECTED = "expected an 8-bit RGB image (PNG, JPEG, WebP or TIFF)"
_SRGB_TOLERANCE = 3  # of 255; writers of sRGB profiles round differently, other spaces are far off


def read_rgb8(path: Path, *, gray_to_rgb: bool = False) -> npt.NDArray[np.uint8]:
    """Read an image of 8-bit RGB in sRGB, turned upright as its EXIF orientation tells.

    With `gray_to_rgb` an 8-bit gray image is taken as well, its values repeated in
    the three channels; some benchmarks have one.

    Returns: (H, W, 3), uint8, C-contiguous.
    Raises `ImageError` for every other kind of image and for damaged files.
    """
    with _opened(path) as image:
        _refuse_other_kinds(path, image, gray_to_rgb)
        if image.get_typeof("icc-profile-data") and not _profile_is_srgb(image):
            raise ImageError(
                f"{path}: expected colors in sRGB, got an embedded color profile that is"
                " not sRGB, or is damaged. Convert the image to sRGB first"
            )
        if image.get_typeof("orientation") and image.get("orientation") > 1:
            image = image.copy_memory()  # turning reads rows out of order, a file gives them once
        pixels = image.autorot().numpy()  # (H, W, 3), or (H, W) when gray
    if pixels.ndim == 2:
        pixels = np.stack([pixels] * 3, axis=-1)
    return np.ascontiguousarray(pixels, dtype=np.uint8)


def read_size(path: Path) -> tuple[int, int]:
    """(height, width) in pixels of the upright image, from the file's header alone.

    Raises `ImageError` for an image that `read_rgb8(path, gray_to_rgb=True)` refuses by its kind.
    """
    with _opened(path) as image:
        _refuse_other_kinds(path, image, gray_to_rgb=True)
        height, width = image.height, image.width
        sideways = image.get_typeof("orientation") and image.get("orientation") >= 5
    return (width, height) if sideways else (height, width)


def write_rgb8(path: Path, array: npt.NDArray[np.uint8], *, quality: int = 95) -> None:
    """Write an image in the format of the suffix, as `write_image` does.

    PNG and TIFF keep every pixel; the others are lossy, with `quality` 1 to 100.

    array: (H, W, 3), uint8, sRGB.
    """
    if array.ndim != 3 or array.shape[2] != 3 or array.dtype != np.uint8:
        raise ValueError(
            f"{path}: expected a uint8 array (H, W, 3), got {array.dtype} {array.shape}"
        )
    write_image(path, array, suffix=path.suffix, like=None, quality=quality)


def image_to_tensor(array: npt.NDArray[np.uint8]) -> Tensor:
    """(H, W, 3), uint8, RGB -> (1, 3, H, W), float32, RGB in [0, 1], own memory."""
    pixels = torch.from_numpy(np.ascontiguousarray(array.transpose(2, 0, 1)))  # (3, H, W)
    return pixels.to(torch.float32).div_(255).unsqueeze(0)


def tensor_to_rgb8(tensor: Tensor) -> npt.NDArray[np.uint8]:
    """Clamp to [0, 1] and round to the nearest of 256 levels, halves up.

    tensor: (1, 3, H, W), RGB, on any device.
    Returns: (H, W, 3), uint8. Raises `ImageError` if a value is not finite.
    """
    if tensor.ndim != 4 or tensor.shape[0] != 1 or tensor.shape[1] != 3:
        raise ValueError(f"expected a tensor (1, 3, H, W), got {tuple(tensor.shape)}")
    image = tensor.detach()[0].to(device="cpu", dtype=torch.float32)  # (3, H, W)
    if not bool(torch.isfinite(image).all()):
        raise ImageError(
            "expected finite values, got NaN or infinity in the upscaled image."
            " A higher precision may help"
        )
    levels = image.clamp(0, 1).mul_(255).add_(0.5).to(torch.uint8)  # the cast cuts off
    return np.ascontiguousarray(levels.permute(1, 2, 0).numpy())


@contextmanager
def _opened(path: Path) -> Iterator[pyvips.Image]:
    """Open an image lazily; faults of the file and of its content become `ImageError`.

    A descriptor is opened instead of a name, because libvips remembers images by name
    (a changed file would come back unchanged) and takes "[...]" in a name for options.
    """
    with convert_errors(path, _EXPECTED), open_file(path, _EXPECTED) as file:
        source = pyvips.Source.new_from_descriptor(file.fileno())
        yield pyvips.Image.new_from_source(source, "", access="sequential", fail_on="error")


def _refuse_other_kinds(path: Path, image: pyvips.Image, gray_to_rgb: bool) -> None:
    loader = image.get("vips-loader")
    pages = image.get("n-pages") if image.get_typeof("n-pages") else 1
    gray = image.bands == 1 and image.interpretation == "b-w"
    rgb = image.bands == 3 and image.interpretation == "srgb"
    got = None
    if not loader.startswith(_LOADERS):
        got = f"a file read by libvips' {loader.removesuffix('_source')}"
    elif pages != 1:
        got = f"{pages} pages or frames"
    elif image.format != "uchar":
        got = f"{image.bands} channel(s) of type {image.format} ({image.interpretation})"
    elif image.hasalpha():
        got = "an image with an alpha channel (transparency)"
    elif gray and not gray_to_rgb:
        got = "a gray image"
    elif not gray and not rgb:
        got = f"{image.bands} channel(s) of color space {image.interpretation}"
    if got is not None:
        raise ImageError(f"{path}: {_EXPECTED}, got {got}")


def _profile_is_srgb(image: pyvips.Image) -> bool:
    """Whether the embedded profile maps a grid of colors onto themselves in sRGB."""
    levels = np.linspace(0, 255, 9).round().astype(np.uint8)
    axes = np.meshgrid(*[levels] * image.bands, indexing="ij")
    grid = np.stack(axes, axis=-1).reshape(1, -1, image.bands)
    colors = pyvips.Image.new_from_memory(grid.data, grid.shape[1], 1, image.bands, "uchar")
    colors = colors.copy(interpretation=image.interpretation)
    profile = image.get("icc-profile-data")
    colors.set_type(pyvips.GValue.blob_type, "icc-profile-data", profile)
    try:
        mapped = colors.icc_transform("srgb", embedded=True).numpy()  # (1, N, 3)
    except pyvips.Error:
        return False
    return bool(np.abs(mapped.astype(int) - grid.astype(int)).max() <= _SRGB_TOLERANCE)
