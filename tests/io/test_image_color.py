"""What an image says of its colors without a profile is in the result, or is reported as lost."""

import io
import struct

import numpy as np
import pytest
from helpers.images import Pixels, encode_image, encode_png, list_png_chunks, noise, write_to_bytes
from PIL import Image

from sr.io.avif_boxes import read_facts
from sr.io.color_encoding import ColorEncoding
from sr.io.image_formats import ImageError, describe_losses
from sr.io.image_metadata import fit_encoding
from sr.io.image_reader import open_image

ADOBE = struct.pack(">8I", 31270, 32900, 64000, 33000, 21000, 71000, 15000, 6000)
PQ = bytes([9, 16, 0, 1])
P3 = bytes([12, 13, 0, 1])
LIGHT = struct.pack(">II", 10_000_000, 4_000_000)


def convert(content: bytes, suffix: str, pixels: Pixels | None = None, **options: bool) -> bytes:
    with open_image(content) as like:
        return write_to_bytes(like.read() if pixels is None else pixels, suffix, like, **options)


def list_losses(content: bytes, suffix: str) -> str:
    with open_image(content) as like:
        kinds = fit_encoding(like.metadata, suffix, like.header.num_bands).kinds
    return " ".join(describe_losses(suffix, num_bands=3, depth=8, kinds=kinds))


@pytest.mark.parametrize(
    "chunks",
    [
        {"gAMA": (100_000).to_bytes(4)},
        {"gAMA": (45_455).to_bytes(4), "cHRM": ADOBE},
        {"cICP": PQ, "cLLI": LIGHT, "mDCV": bytes(range(24))},
    ],
)
@pytest.mark.parametrize("bands", [1, 3, 4])
def test_chunks_go_from_png_to_png(chunks: dict[str, bytes], bands: int) -> None:
    pixels = noise(9, 7, bands)
    result = convert(encode_png(pixels, **chunks), ".png")
    found = list_png_chunks(result)
    assert {kind: found[kind.encode()] for kind in chunks} == chunks
    assert {each.decode() for each in list(found)[1 : 1 + len(chunks)]} == chunks.keys()
    read = np.asarray(Image.open(io.BytesIO(result)))
    np.testing.assert_array_equal(read.reshape(pixels.shape), pixels)


@pytest.mark.parametrize(
    "chunks", [{}, {"gAMA": (45_455).to_bytes(4)}, {"sRGB": b"\0", "gAMA": (99_999).to_bytes(4)}]
)
def test_a_png_in_srgb_stays_bare(chunks: dict[str, bytes]) -> None:
    content = encode_png(noise(9, 7, 3), **chunks)
    assert not {b"gAMA", b"cICP", b"iCCP"} & list_png_chunks(convert(content, ".png")).keys()
    assert list_losses(content, ".jpg") == ""


@pytest.mark.parametrize("suffix", [".jpg", ".webp", ".tif", ".avif"])
def test_gamma_and_primaries_become_a_profile(suffix: str) -> None:
    content = encode_png(noise(9, 7, 3), gAMA=(45_455).to_bytes(4), cHRM=ADOBE)
    assert list_losses(content, suffix) == ""
    with open_image(convert(content, suffix)) as result:
        assert result.header.notes == ()
        assert result.metadata.kinds[:1] == ("color profile",)


def test_a_gamma_of_gray_becomes_a_profile_or_is_reported() -> None:
    content = encode_png(noise(9, 7, 1), gAMA=(100_000).to_bytes(4))
    with open_image(convert(content, ".jpg")) as result:
        assert result.header.num_bands == 1
        assert result.header.notes == ()
        assert result.metadata.profile is not None
    with open_image(content) as like:
        kinds = fit_encoding(like.metadata, ".webp", 1).kinds
    assert "color encoding is not carried to WebP" in describe_losses(
        ".webp", num_bands=1, depth=8, kinds=kinds
    )


@pytest.mark.parametrize("suffix", [".jpg", ".webp", ".tif"])
def test_pq_is_reported_as_lost(suffix: str) -> None:
    content = encode_png(noise(9, 7, 3), cICP=PQ, cLLI=LIGHT)
    assert "color encoding is not carried" in list_losses(content, suffix)
    assert "HDR light levels are not carried" in list_losses(content, suffix)
    with open_image(convert(content, suffix)) as result:
        assert result.metadata.encoding is None


@pytest.mark.parametrize("bands", [1, 3, 4])
@pytest.mark.parametrize("lossless", [False, True])
def test_codes_go_from_png_to_avif_and_back(bands: int, lossless: bool) -> None:
    pixels = np.full((16, 24, bands), 90, np.uint8)
    pixels[:, :9, 0] = 200
    avif = convert(encode_png(pixels, cICP=PQ), ".avif", lossless=lossless)
    assert read_facts(io.BytesIO(avif)).codes == (9, 16)
    plain = write_to_bytes(pixels, ".avif", lossless=lossless)
    expected, found = (np.asarray(Image.open(io.BytesIO(each))) for each in (plain, avif))
    np.testing.assert_array_equal(found, expected)  # by libavif, which reads nclx
    with open_image(avif) as like:
        assert like.metadata.encoding == ColorEncoding((9, 16))
    assert list_png_chunks(convert(avif, ".png"))[b"cICP"] == PQ


def test_codes_in_a_png_count_more_than_its_profile() -> None:
    with open_image(convert(encode_png(noise(9, 7, 3), cICP=P3), ".jpg")) as result:
        profile = result.metadata.profile
    assert profile is not None
    content = encode_image(Image.fromarray(noise(9, 7, 3)), "PNG", icc_profile=profile)
    chunk = list_png_chunks(encode_png(noise(9, 7, 3), cICP=PQ))[b"cICP"]
    both = content[:33] + encode_png(noise(9, 7, 3), cICP=chunk)[33:49] + content[33:]
    found = list_png_chunks(convert(both, ".png"))
    assert b"iCCP" in found
    assert found[b"cICP"] == PQ
    with open_image(convert(both, ".avif")) as result:
        assert result.metadata.profile is None
        assert result.metadata.encoding == ColorEncoding((9, 16))


def test_a_profile_in_avif_counts_more_than_codes() -> None:
    with open_image(convert(encode_png(noise(9, 7, 3), cICP=P3), ".jpg")) as like:
        assert like.metadata.profile
        content = write_to_bytes(noise(9, 7, 3), ".avif", like, lossless=True)
    with open_image(content) as result:
        assert result.metadata.encoding is None


@pytest.mark.parametrize("mode", ["L", "LA"])
def test_a_gray_avif_is_gray(mode: str) -> None:
    gray = Image.fromarray(noise(16, 24) if mode == "L" else noise(16, 24, 2))
    content = encode_image(gray, "AVIF", subsampling="4:0:0", quality=100)
    with open_image(content) as image:
        assert image.header.num_bands == len(mode)
        read = image.read()
    expected = np.asarray(Image.open(io.BytesIO(content)).getchannel(0), int)
    assert np.abs(read[..., 0] - expected).max() <= 1


def test_frames_of_an_animated_avif_are_read() -> None:
    frames = [Image.fromarray(noise(16, 24, 3)) for _ in range(3)]
    content = encode_image(
        *(frames[0], "AVIF"),
        save_all=True,
        append_images=frames[1:],
        duration=40,
        quality=100,
        subsampling="4:4:4",
    )
    with pytest.raises(ImageError, match=r"got 3 pages or frames\. --frames each"):
        open_image(content).__enter__()
    with open_image(content, frames="each") as image:
        assert (image.header.num_frames, image.header.num_bands) == (3, 3)
        assert image.metadata.delays == (40, 40, 40)
        for number, frame in enumerate(frames):
            assert np.abs(image.read(frame=number) - np.asarray(frame, int)).max() <= 6
    with open_image(content, page=2, max_pixels=16 * 24) as image:
        assert np.abs(image.read() - np.asarray(frames[1], int)).max() <= 6
    with pytest.raises(ImageError, match="an animated AVIF that is damaged"):
        open_image(content[:-200], page=3).__enter__()


def test_frames_of_an_animated_png_are_turned_upright() -> None:
    frames = [Image.fromarray(noise(16, 24, 3)) for _ in range(2)]
    exif = Image.Exif()
    exif[274] = 6  # to be turned clockwise
    content = encode_image(
        *(frames[0], "PNG"), save_all=True, append_images=frames[1:], exif=exif.tobytes()
    )
    with open_image(content, frames="each") as image:
        for number, frame in enumerate(frames):
            expected = np.asarray(frame.rotate(-90, expand=True))
            np.testing.assert_array_equal(image.read(frame=number), expected)
