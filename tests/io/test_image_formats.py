"""What a format cannot hold is refused or reported before any work."""

from typing import Any

import pytest
import pyvips

from sr.io.image_formats import (
    WRITABLE_SUFFIXES,
    ImageError,
    check_writable,
    describe_losses,
    limit_depth,
)

GRAY = {"height": 8, "width": 8, "num_bands": 1}


@pytest.mark.parametrize("suffix", sorted(WRITABLE_SUFFIXES | {".PNG"}))
def test_a_small_gray_image_is_held_by_all(suffix: str) -> None:
    check_writable(suffix, **GRAY)


@pytest.mark.parametrize(
    ("suffix", "changed", "message"),
    [
        (".jpg", {"width": 65501}, r"at most 65500 .* for JPEG, got 65501x8"),
        (".webp", {"height": 16384}, "at most 16383 .* for WebP"),
        (".avif", {"width": 16385}, "at most 16384 .* for AVIF"),
        (".tif", {"num_frames": 10**8, "height": 2}, "at most"),
        (".jpeg", {"num_bands": 4}, "--alpha drop"),
        (".jpg", {"num_bands": 2}, "--alpha drop"),
        (".png", {"num_frames": 2}, "expected one frame, as PNG can hold, got 2"),
        (".avif", {"num_frames": 2}, "expected one frame"),
        (".gif", {}, r"expected the suffix .*, got '\.gif'"),
        ("", {}, "got ''"),
    ],
)
def test_what_does_not_fit_is_refused(suffix: str, changed: dict[str, Any], message: str) -> None:
    with pytest.raises(ImageError, match="^the name: expected " if suffix else message) as caught:
        check_writable(suffix, **(GRAY | changed), name="the name")
    caught.match(message)


@pytest.mark.parametrize(("suffix", "side"), [(".jpg", 65500), (".webp", 16383), (".avif", 16384)])
def test_what_libvips_would_refuse_is_refused(suffix: str, side: int) -> None:
    check_writable(suffix, height=1, width=side, num_bands=3)
    with pytest.raises(ImageError, match=f"at most {side}"):
        check_writable(suffix, height=1, width=side + 1, num_bands=3)
    with pytest.raises(pyvips.Error):
        pyvips.Image.black(side + 1, 1, bands=3).write_to_buffer(suffix)


def test_depths_are_cut_to_those_of_the_format() -> None:
    assert [limit_depth(suffix, 16) for suffix in (".png", ".tif", ".avif", ".jpg", ".webp")] == [
        *(16, 16, 12, 8, 8)
    ]
    assert {limit_depth(suffix, 8) for suffix in WRITABLE_SUFFIXES} == {8}


def test_losses_are_described_in_words() -> None:
    kinds = ("EXIF", "IPTC", "frame delays")
    assert describe_losses(".png", num_bands=2, depth=16) == []
    assert describe_losses(".webp", num_bands=1, depth=16) == [
        "16 bits per channel become 8 in WebP",
        "gray is stored as RGB in WebP",
    ]
    assert describe_losses(".tif", num_bands=3, depth=8, kinds=kinds) == [
        "EXIF is not carried to TIFF"
    ]
    assert describe_losses(".tif", num_bands=3, depth=8, kinds=kinds, num_frames=2) == [
        "EXIF is not carried to TIFF",
        "frame delays are not carried to TIFF",
    ]
