"""The options that an encoder is opened with: ours, the user's, and what tells of HDR."""

import re
from collections.abc import Mapping
from typing import Literal, cast

import cv2
from av.codec.context import CodecContext, OptionFlags

from sr.io.video.encode.codecs import Codec, EncoderError, Quality, suggest_name
from sr.io.video.frame import Color, Layout, Mastering

_AVX512 = 256  # OpenCV's number for AVX-512 F, CD, BW, DQ and VL, all of which x264 asks for
_PQ = 16  # H.273: transfer of SMPTE ST 2084
_ELSEWHERE = {
    "pixel_format": "choose it as the pixel format",
    "video_size": "the size of the result is that of its frames",
    "time_base": "the times of the result are those of its source",
    "color_range": "it is that of the source",
    "color_primaries": "it is that of the source",
    "color_trc": "it is that of the source",
    "colorspace": "it is that of the source",
    "aspect": "it is that of the source",
    "sar": "it is that of the source",
}


def build_options(
    codec: Codec,
    *,
    crf: float | None,
    preset: str | None,
    further: Mapping[str, str],
    layout: Layout,
) -> dict[str, str]:
    """Name to value, as FFmpeg takes them; further: the user's own, which go over ours.

    EncoderError: a name that the encoder does not have, a value out of its range.
    """
    _check_names(codec, further)
    options = dict(codec.defaults)
    options |= _quality(codec, crf, further)
    options |= _preset(codec, preset, further)
    if codec.encoder == "prores_ks":
        options["profile"] = "4444" if layout.chroma_shift == (0, 0) else "hq"
    return options | dict(further)


def add_codec_params(
    codec: Codec,
    options: Mapping[str, str],
    *,
    mastering: Mastering | None,
    color: Color,
    width: int,
) -> tuple[dict[str, str], tuple[str, ...]]:
    """`options` with the encoder's own parameters, and notes on HDR data that has no place.

    width: as coded.
    Parameters that the user gave in `options` stay as they are.
    """
    notes: tuple[str, ...] = ()
    params = list(codec.own_params)
    params += _around_faults(codec.encoder, width)
    if mastering is not None and codec.params is not None:
        params += _mastering(codec, mastering, color)
    elif mastering is not None:
        notes = (
            f"what tells of the mastering display is lost: {codec.encoder} has no place for it",
        )
    if codec.params is None or not params:
        return dict(options), notes
    given = options.get(codec.params, "")
    names = set(re.findall(r"(?:^|:)([^=:]+)=", given))
    ours = [param for param in params if param.partition("=")[0] not in names]
    return {**options, codec.params: ":".join([*ours, *([given] if given else [])])}, notes


def _check_names(codec: Codec, further: Mapping[str, str]) -> None:
    """FFmpeg passes over options that it does not know; here they are refused."""
    known = _names(codec.encoder)
    for name in further:
        if name in _ELSEWHERE:
            raise EncoderError(f"encoder option {name!r} cannot be given: {_ELSEWHERE[name]}")
        if name not in known:
            raise EncoderError(
                f"expected an option of the encoder {codec.encoder}, "
                f"got {name!r}{suggest_name(name, known) or f'; it has {_some(codec)}'}"
            )


def _names(encoder: str) -> list[str]:
    """Of all options of an encoder of video."""
    options = CodecContext.create(encoder, "w").supported_options
    needed = OptionFlags.ENCODING_PARAM | OptionFlags.VIDEO_PARAM
    generic = [option.name for option in options.generic if option.flags & needed == needed]
    return [option.name for option in options.private] + generic


def _some(codec: Codec) -> str:
    """The encoder's own options, for a message."""
    options = CodecContext.create(codec.encoder, "w").supported_options.private
    return ", ".join(option.name for option in options)


def _quality(codec: Codec, crf: float | None, further: Mapping[str, str]) -> dict[str, str]:
    """Options for a constant quality; none if the user sets it in another way."""
    quality = codec.quality
    if quality is None:
        if crf is not None:
            why = "is without loss" if codec.encoder == "ffv1" else "has profiles"
            raise EncoderError(f"{codec.encoder} {why} and takes no crf, got {crf:g}")
        return {}
    other = sorted(codec.rate_options & set(further))
    if crf is None:
        return {} if other else {quality.option: f"{quality.default:g}", **quality.also}
    if other:
        raise EncoderError(
            f"crf {crf:g} and the encoder option {other[0]}={further[other[0]]} both set the "
            "quality: give one of them"
        )
    _check_crf(codec.encoder, crf, quality)
    return {quality.option: f"{crf:g}", **quality.also}


def _check_crf(encoder: str, crf: float, quality: Quality) -> None:
    """In range, and whole where it must be."""
    if not quality.lowest <= crf <= quality.highest or (quality.whole and crf != int(crf)):
        kind = "a whole number" if quality.whole else "a number"
        raise EncoderError(
            f"expected a crf of {encoder}, {kind} from {quality.lowest:g} (best) to "
            f"{quality.highest:g}, got {crf:g}"
        )


def _preset(codec: Codec, preset: str | None, further: Mapping[str, str]) -> dict[str, str]:
    """The option for speed."""
    known = codec.preset
    if known is None:
        if preset is not None:
            raise EncoderError(f"{codec.encoder} has no presets, got {preset!r}")
        return {}
    if preset is None:
        return {known.option: known.default}
    if known.option in further:
        raise EncoderError(
            f"preset {preset} and the encoder option {known.option}={further[known.option]} are "
            "the same: give one of them"
        )
    if preset not in known.names:
        raise EncoderError(
            f"expected a preset of {codec.encoder}, one of {', '.join(known.names)}, "
            f"got {preset!r}{suggest_name(preset, list(known.names))}"
        )
    return {known.option: preset}


def _around_faults(encoder: str, width: int) -> list[str]:
    """Parameters without which the encoders in PyAV 18.1 err."""
    if encoder == "libx264" and cv2.checkHardwareSupport(_AVX512):
        # x264 165's mbtree in AVX-512 reads memory that it never wrote: a resumed job would not
        # give the very frames of an unbroken one.
        return ["asm=avx2"]
    if encoder == "libx265" and 33 <= width <= 48:
        # x265 4.2's cutree in AVX2 writes past its memory where rows have 3 blocks.
        return ["cutree=0"]
    return []


def _mastering(codec: Codec, mastering: Mastering, color: Color) -> list[str]:
    """The encoder's parameters for SMPTE ST 2086's display and CTA-861.3's light levels."""
    style = cast("Literal['libx264', 'libx265', 'libsvtav1']", codec.encoder)
    # Chromaticities in 0.00002 and luminances in 0.0001 cd/m2, but for SVT-AV1: as they are.
    xy, light = (1.0, 1.0) if style == "libsvtav1" else (50000.0, 10000.0)
    digits = 5 if style == "libsvtav1" else 0
    r, g, b, white = (f"({x * xy:.{digits}f},{y * xy:.{digits}f})" for x, y in mastering.primaries)
    luminances = (mastering.max_luminance * light, mastering.min_luminance * light)
    most, least = (f"{luminance:.{digits}f}" for luminance in luminances)
    display = f"G{g}B{b}R{r}WP{white}L({most},{least})"
    levels = f"{mastering.max_content},{mastering.max_average}"
    names = {
        "libx264": ("mastering-display", "cll"),
        "libx265": ("master-display", "max-cll"),
        "libsvtav1": ("mastering-display", "content-light"),
    }[style]
    params = [f"{names[0]}={display}"]
    if mastering.max_content or mastering.max_average:
        params.append(f"{names[1]}={levels}")
    if style == "libx265" and color.transfer == _PQ:
        params.append("hdr10=1")
    return params
