"""What each image format can hold, as measured with libvips 8.18.7: facts and checks."""

from collections.abc import Collection
from dataclasses import dataclass

import pyvips

from sr.errors import UserError

READABLE_SUFFIXES = frozenset(
    {
        *(".png", ".jpg", ".jpeg", ".webp", ".tif", ".tiff", ".avif", ".bmp", ".gif", ".jxl"),
        *(".heic", ".heif", ".jp2", ".j2k", ".exr", ".pbm", ".pgm", ".ppm", ".pnm", ".tga", ".dds"),
    }
)
EXPECTED = (
    "expected an image (PNG, JPEG, WebP, TIFF, AVIF, BMP, GIF, JPEG XL, HEIC, JPEG 2000, OpenEXR,"
    " PNM, TGA or DDS)"
)
"""How messages on unreadable files begin."""
METADATA_KINDS = (
    *("color profile", "color encoding", "HDR light levels"),
    *("EXIF", "XMP", "IPTC", "resolution", "frame delays"),
)

_MAX_LENGTH = 100_000_000  # pixels per side; libvips refuses more, for all frames in a column


class ImageError(UserError):
    """An image that cannot be read or written; the message names the file."""


def get_first_line(error: pyvips.Error) -> str:
    """Return the most informative line of libvips' message."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[1] if len(lines) > 1 else lines[0] if lines else "unknown fault"


@dataclass(frozen=True)
class _Format:
    """max_side: pixels. depth: bits per channel, 32 of float. kinds: of metadata that are kept."""

    name: str
    max_side: int
    depth: int
    kinds: frozenset[str]
    alpha: bool = True
    gray: bool = True
    frames: bool = False


_COMMON = frozenset({"color profile", "XMP", "resolution"})  # of WebP and AVIF it is inside EXIF
_PNG = _Format("PNG", _MAX_LENGTH, 16, _COMMON | {"EXIF", "color encoding", "HDR light levels"})
_JPEG = _Format("JPEG", 65500, 8, _COMMON | {"EXIF", "IPTC"}, alpha=False)
_TIFF = _Format("TIFF", _MAX_LENGTH, 32, _COMMON | {"IPTC"}, frames=True)
_FORMATS = {
    ".png": _PNG,
    ".jpg": _JPEG,
    ".jpeg": _JPEG,
    ".webp": _Format("WebP", 16383, 8, _COMMON | {"EXIF", "frame delays"}, gray=False, frames=True),
    ".tif": _TIFF,
    ".tiff": _TIFF,
    ".avif": _Format("AVIF", 16384, 12, _COMMON | {"EXIF", "color encoding"}, gray=False),
}
WRITABLE_SUFFIXES = frozenset(_FORMATS)


def has_alpha(num_bands: int) -> bool:
    """Return whether there is alpha: 1 gray, 2 gray and alpha, 3 RGB, 4 RGB and alpha."""
    return num_bands in (2, 4)


def check_writable(
    suffix: str, *, height: int, width: int, num_bands: int, num_frames: int = 1, name: object = ""
) -> None:
    """Raise `ImageError` if a file of `suffix` cannot hold such an image.

    height, width: pixels of a frame. num_bands: 1 gray, 2 gray and alpha, 3 RGB, 4 RGB and
    alpha. name: the file, for the message; the suffix if it has none yet.
    """
    name = name or suffix
    kind = _find_format(suffix, name)
    if max(height, width) > kind.max_side or height * num_frames > _MAX_LENGTH:
        raise ImageError(
            f"{name}: expected at most {kind.max_side} pixels per side for {kind.name},"
            f" got {width}x{height}. Write a .png or .tif instead"
        )
    if has_alpha(num_bands) and not kind.alpha:
        raise ImageError(
            f"{name}: expected no transparency, which {kind.name} cannot hold, got an image"
            " with an alpha channel. Write a .png, or leave it out with --alpha drop"
        )
    if num_frames > 1 and not kind.frames:
        raise ImageError(
            f"{name}: expected one frame, as {kind.name} can hold, got {num_frames}."
            " Write a .webp or .tif instead"
        )


def stores_gray(suffix: str) -> bool:
    """Return whether a file of `suffix` holds gray as such, not as RGB."""
    return _find_format(suffix, suffix).gray


def limit_depth(suffix: str, depth: int, *, name: object = "") -> int:
    """Return the bits per channel that are written of `depth`: 8, 12 (AVIF), 16 or 32 (float).

    name: the file, for the message of the `ImageError` that an unknown suffix raises.
    """
    return min(depth, _find_format(suffix, name or suffix).depth)


def holds_alpha(suffix: str) -> bool:
    """Return whether files of `suffix` can be transparent."""
    return _find_format(suffix, suffix).alpha


def select_kinds(
    suffix: str, kinds: Collection[str], *, num_bands: int, num_frames: int = 1
) -> frozenset[str]:
    """Return those kinds of metadata that a file of `suffix` can hold for such an image."""
    kind = _find_format(suffix, suffix)
    held = set(kinds) & kind.kinds
    if num_bands <= 2 and not kind.gray:
        held.discard("color profile")  # it is for gray, the file holds RGB
    # libvips would write the size of all frames in a column into EXIF
    held.discard("EXIF" if num_frames > 1 else "frame delays")
    return frozenset(held)


def describe_losses(
    suffix: str,
    *,
    num_bands: int,
    depth: int,
    num_frames: int = 1,
    kinds: Collection[str] = (),
) -> list[str]:
    """Describe for the user what a file of `suffix` cannot keep of such an image.

    kinds: of metadata that the image has, of `METADATA_KINDS`.
    """
    kind = _find_format(suffix, suffix)
    lost = []
    if kind.depth < depth:
        lost.append(f"{depth} bits per channel become {kind.depth} in {kind.name}")
    if num_bands <= 2 and not kind.gray:
        lost.append(f"gray is stored as RGB in {kind.name}")
    held = select_kinds(suffix, kinds, num_bands=num_bands, num_frames=num_frames)
    missing = [name for name in METADATA_KINDS if name in kinds and name not in held]
    if num_frames == 1 and "frame delays" in missing:
        missing.remove("frame delays")  # they mean nothing for a single frame
    lost += [
        f"{name} {'are' if name.endswith('s') else 'is'} not carried to {kind.name}"
        for name in missing
    ]
    return lost


def _find_format(suffix: str, name: object) -> _Format:
    kind = _FORMATS.get(suffix.lower())
    if kind is None:
        raise ImageError(
            f"{name}: expected the suffix .png, .jpg, .webp, .tif or .avif, got {suffix!r}"
        )
    return kind
