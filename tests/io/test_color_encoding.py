"""Color encodings become profiles that mean the same, as LittleCMS reads them."""

from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import pyvips
from helpers.images import noise

from sr.io.color_encoding import (
    Chromaticities,
    ColorEncoding,
    is_like_srgb,
    make_encoding,
    make_profile,
)

SRGB = (0.3127, 0.3290, 0.64, 0.33, 0.30, 0.60, 0.15, 0.06)
P3 = (0.3127, 0.3290, 0.680, 0.320, 0.265, 0.690, 0.150, 0.060)


def convert_to_srgb(pixels: npt.NDArray[np.uint8], profile: bytes) -> npt.NDArray[Any]:
    image = pyvips.Image.new_from_array(pixels)
    image = image.copy(interpretation="srgb" if pixels.ndim == 3 else "b-w")
    image.set_type(pyvips.GValue.blob_type, "icc-profile-data", profile)
    converted = image.icc_transform("srgb", embedded=True, intent="relative")
    return np.asarray(converted.numpy(), int)


@pytest.mark.parametrize(
    ("encoding", "name"),
    [
        (ColorEncoding((1, 13)), "srgb"),
        (ColorEncoding((12, 13)), "p3"),
        (ColorEncoding(chromaticities=P3), "p3"),
    ],
)
def test_profiles_are_those_of_libvips(encoding: ColorEncoding, name: str) -> None:
    profile = make_profile(encoding, gray=False)
    assert profile is not None
    pixels = noise(16, 16, 3)
    expected = convert_to_srgb(pixels, bytes(pyvips.Image.profile_load(name)))
    assert np.abs(convert_to_srgb(pixels, profile) - expected).max() <= 2


@pytest.mark.parametrize("gray", [True, False])
def test_a_gamma_of_1_is_linear_light(gray: bool) -> None:
    profile = make_profile(ColorEncoding(gamma=1.0), gray=gray)
    assert profile is not None
    ramp = np.arange(256, dtype=np.uint8)[np.newaxis]
    pixels = ramp if gray else np.stack([ramp] * 3, axis=-1)
    light = ramp[0] / 255
    srgb = np.where(light <= 0.0031308, 12.92 * light, 1.055 * light ** (1 / 2.4) - 0.055)
    found = convert_to_srgb(pixels, profile).reshape(256, -1)
    difference = np.abs(found - 255 * srgb[:, np.newaxis])
    assert difference[32 if gray else 0 :].max() < 2  # LittleCMS is coarse in dark gray


@pytest.mark.parametrize("codes", [(9, 16), (9, 18), (200, 13), (1, 200)])
def test_pq_hlg_and_unknown_codes_have_no_profile(codes: tuple[int, int]) -> None:
    assert make_profile(ColorEncoding(codes), gray=False) is None


@pytest.mark.parametrize(
    "points", [(0.3, 0.3, 0.4, 0.4, 0.4, 0.4, 0.4, 0.4), (0.3, 0.3, 0.6, 0, 0.3, 0.6, 0.1, 0.1)]
)
def test_chromaticities_that_span_no_colors_have_no_profile(points: Chromaticities) -> None:
    assert make_profile(ColorEncoding(chromaticities=points), gray=False) is None


def test_what_is_srgb_needs_no_encoding() -> None:
    assert make_encoding() is None
    assert make_encoding((1, 13), 0.5) is None
    assert make_encoding((2, 2)) is None
    assert make_encoding(gamma=0.45455, chromaticities=SRGB) is None
    assert make_encoding(gamma=1.0, chromaticities=SRGB) == ColorEncoding(gamma=1.0)
    assert make_encoding((12, 13)) == ColorEncoding((12, 13))


def test_encodings_of_usual_videos_are_like_srgb() -> None:
    assert all(is_like_srgb(ColorEncoding(codes)) for codes in [(1, 1), (6, 6), (5, 1), (2, 13)])
    assert not any(is_like_srgb(ColorEncoding(codes)) for codes in [(9, 16), (12, 13), (1, 8)])
