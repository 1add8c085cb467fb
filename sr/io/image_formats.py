"""What each image format can hold, as measured with libvips 8.18.7: facts and checks."""

from collections.abc import Collection
from dataclasses import dataclass

from sr.io.image_source import ImageError

READABLE_SUFFIXES = frozenset(
    {".png", ".jpg", ".jpeg", ".webp", ".tif", ".tiff", ".avif", ".bmp", ".gif"}
)
METADATA_KINDS = ("color profile", "EXIF", "XMP", "IPTC", "resolution", "frame delays")

_MAX_LENGTH = 100_000_000  # pixels a side; libvips refuses more, for all frames in a column


@dataclass(frozen=True)
class _Format:
    """max_side: pixels. depth: bits a channel. kinds: of metadata that are carried."""

    name: str
    max_side: int
    depth: int
    kinds: frozenset[str]
    alpha: bool = True
    gray: bool = True
    frames: bool = False


_ALWAYS = {"color profile", "XMP"}
_PNG = _Format("PNG", _MAX_LENGTH, 16, frozenset(_ALWAYS | {"EXIF", "resolution"}))
_JPEG = _Format("JPEG", 65500, 8, frozenset(_ALWAYS | {"EXIF", "IPTC", "resolution"}), alpha=False)
_WEBP = _Format(
    "WebP",
    16383,
    8,
    frozenset(_ALWAYS | {"EXIF", "resolution", "frame delays"}),  # resolution inside EXIF
    gray=False,
    frames=True,
)
_TIFF = _Format("TIFF", _MAX_LENGTH, 16, frozenset(_ALWAYS | {"IPTC", "resolution"}), frames=True)
_AVIF = _Format(  # resolution inside EXIF
    "AVIF", 16384, 12, frozenset(_ALWAYS | {"EXIF", "resolution"}), gray=False
)
_FORMATS = {
    ".png": _PNG,
    ".jpg": _JPEG,
    ".jpeg": _JPEG,
    ".webp": _WEBP,
    ".tif": _TIFF,
    ".tiff": _TIFF,
    ".avif": _AVIF,
}
WRITABLE_SUFFIXES = frozenset(_FORMATS)


def check_writable(
    suffix: str, *, height: int, width: int, num_bands: int, num_frames: int = 1, name: object = ""
) -> None:
    """Raise `ImageError` if a file of `suffix` cannot hold such an image.

    height, width: pixels of a frame. num_bands: 1 gray, 2 gray and alpha, 3 RGB, 4 RGB and
    alpha. name: the file, for the message; the suffix if it has none yet.
    """
    name = name or suffix
    kind = _format_of(suffix, name)
    if max(height, width) > kind.max_side or height * num_frames > _MAX_LENGTH:
        raise ImageError(
            f"{name}: expected at most {kind.max_side} pixels a side for {kind.name};"
            f" got {width}x{height}. Write a .png or .tif instead"
        )
    if num_bands in (2, 4) and not kind.alpha:
        raise ImageError(
            f"{name}: expected no transparency, which {kind.name} cannot hold, got an image"
            " with an alpha channel. Write a .png, or leave it out with --alpha drop"
        )
    if num_frames > 1 and not kind.frames:
        raise ImageError(
            f"{name}: expected one frame, as {kind.name} can hold, got {num_frames}."
            " Write a .webp or .tif instead"
        )


def limit_depth(suffix: str, depth: int, *, name: object = "") -> int:
    """The bits a channel that are written of `depth` bits: 8, 12 (AVIF) or 16.

    name: the file, for the message of the `ImageError` that an unknown suffix raises.
    """
    return min(depth, _format_of(suffix, name or suffix).depth)


def select_kinds(
    suffix: str, kinds: Collection[str], *, num_bands: int, num_frames: int = 1
) -> frozenset[str]:
    """Those kinds of metadata that a file of `suffix` can hold for such an image."""
    kind = _format_of(suffix, suffix)
    held = set(kinds) & kind.kinds
    if num_bands <= 2 and not kind.gray:
        held.discard("color profile")  # it is for gray, the file holds RGB
    if num_frames > 1:
        held.discard("EXIF")  # libvips would tell it the size of all frames in a column
    else:
        held.discard("frame delays")
    return frozenset(held)


def describe_losses(
    suffix: str,
    *,
    num_bands: int,
    depth: int,
    num_frames: int = 1,
    kinds: Collection[str] = (),
) -> list[str]:
    """What a file of `suffix` cannot keep of such an image, each in words for the user.

    kinds: of metadata that the image has, of `METADATA_KINDS`.
    """
    kind = _format_of(suffix, suffix)
    lost = []
    if kind.depth < depth:
        lost.append(f"{depth} bits a channel become {kind.depth} in {kind.name}")
    if num_bands <= 2 and not kind.gray:
        lost.append(f"gray is stored as RGB in {kind.name}")
    held = select_kinds(suffix, kinds, num_bands=num_bands, num_frames=num_frames)
    missing = [name for name in METADATA_KINDS if name in kinds and name not in held]
    if num_frames == 1 and "frame delays" in missing:
        missing.remove("frame delays")  # they tell nothing of a single frame
    lost += [
        f"{name} {'are' if name.endswith('s') else 'is'} not carried to {kind.name}"
        for name in missing
    ]
    return lost


def _format_of(suffix: str, name: object) -> _Format:
    kind = _FORMATS.get(suffix.lower())
    if kind is None:
        raise ImageError(
            f"{name}: expected the suffix .png, .jpg, .webp, .tif or .avif, got {suffix!r}"
        )
    return kind
