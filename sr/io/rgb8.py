"""Image files <-> 8-bit RGB arrays <-> tensors, for training and benchmarks.

Read and written are 8-bit RGB images in sRGB: PNG, JPEG, WebP and TIFF. Everything else is
converted on request (gray, alpha, 16 bit, float, CMYK, Lab), or refused with an `ImageError`
(several pages, other color spaces), so that no image is silently damaged.

Letters: H, W height and width of the image in pixels.
"""

from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from sr.io.color_encoding import is_like_srgb
from sr.io.image_formats import ImageError, has_alpha
from sr.io.image_metadata import is_srgb
from sr.io.image_reader import Header, ImageReader, open_image
from sr.io.image_writer import write_image
from sr.memory import copy_to_cpu

_LOADERS = ("pngload", "jpegload", "webpload", "tiffload")
_EXPECTED = "expected an 8-bit RGB image (PNG, JPEG, WebP or TIFF)"
_NO_LIMIT = 2**62  # pixels: a training set is the user's own


class ImageKind(NamedTuple):
    """What the header of an image says. conversions: to 8-bit RGB, in words; none of gray."""

    size: tuple[int, int]  # (H, W)
    conversions: tuple[str, ...]


def read_rgb8(path: Path, *, convert: bool = False) -> npt.NDArray[np.uint8]:
    """Read an image of 8-bit RGB in sRGB, turned upright by its EXIF orientation.

    With `convert` other pixels are read, too: gray is repeated in the three channels, transparent
    pixels are put over black, more bits are rounded to 8, CMYK and Lab become sRGB.

    Returns: (H, W, 3), uint8, C-contiguous.
    Raises `ImageError` for every other kind of image and for damaged files.
    """
    with open_image(path, max_pixels=_NO_LIMIT) as image:
        _check_kind(image, convert)
        _check_color(image)
        pixels = image.read()
    return _convert_pixels(pixels) if convert else pixels


def read_size(path: Path) -> tuple[int, int]:
    """Read (height, width) in pixels of the upright image; see `read_kind`."""
    return read_kind(path).size


def read_kind(path: Path) -> ImageKind:
    """Read size and conversions of an image from the file's header alone.

    Raises `ImageError` for an image that `read_rgb8(path, convert=True)` refuses by its kind.
    """
    with open_image(path, max_pixels=_NO_LIMIT) as image:
        _check_kind(image, convert=True)
        header = image.header
        return ImageKind((header.height, header.width), tuple(_list_conversions(header)))


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
    """Clamp to [0, 1] and round to the nearest of 256 levels, halves up, on the tensor's device.

    tensor: (1, 3, H, W), RGB, on any device.
    Returns: (H, W, 3), uint8. Raises `ImageError` if a value is not finite.
    """
    if tensor.ndim != 4 or tensor.shape[0] != 1 or tensor.shape[1] != 3:
        raise ValueError(f"expected a tensor (1, 3, H, W), got {tuple(tensor.shape)}")
    image = tensor.detach()[0].to(torch.float32)  # (3, H, W)
    if not bool(torch.isfinite(image).all()):
        raise ImageError(
            "expected finite values, got NaN or infinity in the upscaled image."
            " A higher precision may help"
        )
    levels = image.clamp(0, 1).mul_(255).add_(0.5).to(torch.uint8)  # the cast cuts off
    return copy_to_cpu(levels.permute(1, 2, 0).contiguous()).numpy()


def _check_kind(image: ImageReader, convert: bool) -> None:
    header = image.header
    got = None
    if image.loader not in _LOADERS:
        got = f"a file read by libvips' {image.loader}"
    elif not convert and (conversions := _list_conversions(header)):
        got = "; ".join(conversions)
    elif not convert and header.num_bands == 1:
        got = "a gray image"
    if got is not None:
        raise ImageError(f"{image.name}: {_EXPECTED}, got {got}")


def _list_conversions(header: Header) -> list[str]:
    conversions = list(header.notes)
    if header.depth != 8:
        conversions.append(f"{header.depth} bits per channel become 8")
    if has_alpha(header.num_bands):
        conversions.append("alpha channel (transparency) put over black")
    return conversions


def _check_color(image: ImageReader) -> None:
    profile, encoding = image.metadata.profile, image.metadata.encoding
    got = None
    if profile and not is_srgb(profile, image.header.num_bands):
        got = "an embedded color profile that is not sRGB"
    elif encoding is not None and not is_like_srgb(encoding):
        got = "others (chunks cICP, gAMA, cHRM)"
    if got is not None:
        raise ImageError(
            f"{image.name}: expected colors in sRGB, got {got}. Convert the image to sRGB first"
        )


def _convert_pixels(pixels: npt.NDArray[Any]) -> npt.NDArray[np.uint8]:
    """(H, W, 1 to 4) as `ImageReader.read` has them -> (H, W, 3), uint8."""
    if pixels.dtype == np.uint16:
        pixels = ((pixels.astype(np.uint32) + 128) // 257).astype(np.uint8)
    elif pixels.dtype == np.float32:
        pixels = (pixels * 255 + 0.5).astype(np.uint8)
    if has_alpha(pixels.shape[2]):
        colors, alpha = pixels[..., :-1].astype(np.uint16), pixels[..., -1:]
        pixels = ((colors * alpha + 127) // 255).astype(np.uint8)
    return pixels if pixels.shape[2] == 3 else np.repeat(pixels, 3, axis=2)
