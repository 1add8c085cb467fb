"""Pixels of the kinds that are in files -> gray or RGB, with or without alpha, of 8, 16 or 32 bits.

CMYK and Lab become sRGB. Other color profiles are not applied: the pixels stay.
"""

from dataclasses import dataclass, replace

import pyvips

from sr.io.image_facts import ImageFacts
from sr.io.image_formats import ImageError
from sr.io.image_metadata import Metadata, profile_fits
from sr.io.light_curve import KNEE, bend_bright
from sr.io.read_policy import AboveWhite

_BANDS = {  # of the pixel kinds that are read, by libvips' format and interpretation
    ("uchar", "b-w"): (1, 2),
    ("uchar", "srgb"): (3, 4),
    ("uchar", "cmyk"): (4,),
    ("ushort", "grey16"): (1, 2),
    ("ushort", "rgb16"): (3, 4),
    ("ushort", "cmyk"): (4,),
    ("float", "b-w"): (1, 2),
    ("float", "grey16"): (1, 2),  # of 16 bits
    ("float", "scrgb"): (3, 4),
    ("float", "lab"): (3,),
    ("short", "labs"): (3,),
}
_NUM_COLORS = {
    **dict.fromkeys(("b-w", "grey16"), 1),
    **dict.fromkeys(("srgb", "rgb16", "scrgb", "lab", "labs"), 3),
    "cmyk": 4,
}
_DEPTHS = {"uchar": 8, "ushort": 16, "float": 32}
_ALPHA = (1, 2)  # kinds of extra samples of TIFF: premultiplied or not; libvips divides by it


@dataclass(frozen=True)
class ConvertedImage:
    """depth: bits per channel of `image`, 32 of float in [0, 1]. bits: of those in the file."""

    image: pyvips.Image
    depth: int
    bits: int
    metadata: Metadata
    notes: list[str]


def convert_pixels(
    image: pyvips.Image,
    name: str,
    facts: ImageFacts,
    metadata: Metadata,
    above_white: AboveWhite,
) -> ConvertedImage:
    """Convert an image as libvips loaded it; raises ImageError for kinds that are not read.

    above_white: what to do about float values above 1.

    A float image is decoded here, to find values that are out of range.
    """
    notes: list[str] = []
    image = _drop_samples(image, facts, notes)
    lab_depth = 8 if facts.is_lab8 or image.format == "uchar" else 16
    if facts.is_icc_lab and image.bands == 3:
        image = _decode_icc_lab(image)
    if image.bands not in _BANDS.get((image.format, image.interpretation), ()):
        raise ImageError(
            f"{name}: expected 8 or 16 bits per channel or float, gray, RGB, CMYK or Lab, got"
            f" {image.bands} channel(s) of type {image.format} (color space"
            f" {image.interpretation})"
        )
    bits = _DEPTHS.get(image.format, 16)
    if facts.kind == "avif" and bits == 16:
        bits = image.get("bits-per-sample")
        image = image | (image >> bits)  # libvips shifts them left: so that white is 65535
    if facts.is_gray and image.bands >= 3:  # libvips repeats it in three channels
        image = (image[0] if image.bands == 3 else image[0].bandjoin(image[3])).copy(
            interpretation="b-w" if image.format == "uchar" else "grey16"
        )
    if image.interpretation == "cmyk":
        image, metadata = _convert_cmyk(image, metadata, notes), replace(metadata, profile=None)
    elif image.interpretation in ("lab", "labs"):
        notes.append("Lab converted to sRGB")
        bits, image = lab_depth, image.colourspace("lab")
        image = image.icc_export(output_profile="srgb", pcs="lab", depth=lab_depth)
        metadata = replace(metadata, profile=None)
    elif image.format == "float":
        image = _limit_floats(image, notes, name, above_white)
    if metadata.profile and not profile_fits(metadata.profile, image.bands):
        notes.append("color profile left out: damaged, or for another kind of pixels")
        metadata = replace(metadata, profile=None)
    return ConvertedImage(image, _DEPTHS[image.format], bits, metadata, notes)


def _drop_samples(image: pyvips.Image, facts: ImageFacts, notes: list[str]) -> pyvips.Image:
    """Leave out the samples of a TIFF that are neither colors nor alpha."""
    num_colors = _NUM_COLORS.get(image.interpretation, image.bands)
    extra = facts.extra_samples
    if not extra or image.bands != num_colors + len(extra):
        return image
    alpha = [num_colors + i for i, kind in enumerate(extra) if kind in _ALPHA][:1]
    num_dropped = len(extra) - len(alpha)
    if not num_dropped:
        return image
    notes.append(
        f"{num_dropped} channel(s) that the file does not explain left out: no transparency"
    )
    colors = image[:num_colors]
    return colors.bandjoin(image[alpha[0]]) if alpha else colors


def _convert_cmyk(image: pyvips.Image, metadata: Metadata, notes: list[str]) -> pyvips.Image:
    origin = "through its profile" if metadata.profile else "as it has no profile, of a usual kind"
    notes.append(f"CMYK converted to sRGB, {origin}")
    return image.icc_transform(
        "srgb",
        embedded=True,
        input_profile="cmyk",  # where none is embedded
        intent="relative",
        black_point_compensation=True,
        depth=_DEPTHS[image.format],
    )


def _decode_icc_lab(image: pyvips.Image) -> pyvips.Image:
    """Decode TIFF's ICCLab, which libvips takes for numbers without a meaning."""
    white, middle = (255, 128) if image.format == "uchar" else (65280, 32768)
    scale = 1 if image.format == "uchar" else 256
    lab = image.linear([100 / white, 1 / scale, 1 / scale], [0, -middle / scale, -middle / scale])
    return lab.cast("float").copy(interpretation="lab")


def _limit_floats(
    image: pyvips.Image, notes: list[str], name: str, above_white: AboveWhite
) -> pyvips.Image:
    """Limit float values to [0, 1], NaN to 0, and report what there was."""
    is_nan = image != image  # as IEEE 754 has it
    if is_nan.max() > 0:
        notes.append("values that are no numbers (NaN) become 0")
        image = is_nan.ifthenelse(0, image).copy(interpretation=image.interpretation)
    least, most = image.min(), image.max()
    if most > 1 and above_white == "refuse":
        raise ImageError(
            f"{name}: expected values up to 1, got up to {most:.4g}. --above-white curve compresses"
            " what is bright, --above-white clip cuts it off"
        )
    if most > 1 and above_white == "curve":
        notes.append(f"values above 1, up to {most:.4g}, are compressed by a curve")
        image, most = _compress_bright(image), 1
    if least < 0 or most > 1:
        notes.append(f"values from {least:.4g} to {most:.4g} are limited to 0 to 1")
    return image.clamp()


def _compress_bright(image: pyvips.Image) -> pyvips.Image:
    """Bend the brightest channel toward 1, as `sr.io.light_curve` does; the hue stays."""
    num_colors = 1 if image.bands <= 2 else 3
    limit = 1e30  # infinite values would become none
    colors = (image[:num_colors] > limit).ifthenelse(limit, image[:num_colors])
    peak = colors[0]
    for number in range(1, num_colors):
        peak = (colors[number] > peak).ifthenelse(colors[number], peak)
    is_bright = peak > KNEE
    bright = is_bright.ifthenelse(peak, 1)
    share = is_bright.ifthenelse(bend_bright(bright) / bright, 1)
    colors = colors * share
    if image.bands > num_colors:
        colors = colors.bandjoin(image[num_colors])
    return colors.cast("float").copy(interpretation=image.interpretation)
