"""JPEG: images behind the first one, a missing end, and what is left of cut ones."""

import struct

import numpy as np
import pytest
from helpers.images import Pixels, encode_image, noise, write_to_bytes
from PIL import Image

from sr.io.image_formats import ImageError
from sr.io.image_reader import open_image, read_header

XMP = (
    b'http://ns.adobe.com/xap/1.0/\0<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF><rdf:Description'
    b' xmlns:hdrgm="http://ns.adobe.com/hdr-gain-map/1.0/" hdrgm:Version="1.0"'
    b' GCamera:MotionPhoto="1" dc:title="Sunset">'
    b"<Container:Directory><rdf:Seq>two items</rdf:Seq></Container:Directory>"
    b"</rdf:Description></rdf:RDF></x:xmpmeta>"
)
ISO = b"urn:iso:std:iso:ts:21496:-1\0\0\0\0\0"


def add_segments(content: bytes, *segments: tuple[int, bytes]) -> bytes:
    more = b"".join(
        struct.pack(">BBH", 0xFF, marker, len(each) + 2) + each for marker, each in segments
    )
    return content[:2] + more + content[2:]


def make_mpf(*types: int) -> bytes:
    """The index of images of these types (CIPA DC-007, 5.2.3)."""
    entries = b"".join(struct.pack(">IIIHH", each, 1, 0, 0, 0) for each in types)
    tags = struct.pack(">HHHII", 1, 0xB002, 7, len(entries), 26) + struct.pack(">I", 0)
    return b"MPF\0MM\0*" + struct.pack(">I", 8) + tags + entries


@pytest.fixture
def photo() -> Image.Image:
    return Image.fromarray(noise(24, 32, 3) // 4 + 90)


@pytest.mark.parametrize(
    ("segments", "expected"),
    [
        ([], []),
        ([(0xE1, XMP)], ["HDR gain map left out", "video of the motion photo left out"]),
        ([(0xE2, ISO)], ["HDR gain map left out"]),
        ([(0xE2, make_mpf(0x20030000, 0x050000))], ["HDR gain map left out"]),
        ([(0xE2, make_mpf(0x20030000, 0, 0))], ["2 more image(s) in this JPEG left out"]),
        ([(0xE2, make_mpf(0x20030000, 0x010001))], []),  # a preview
        ([(0xE2, b"MPF\0MM\0*\0")], []),
    ],
)
def test_more_images_are_reported(
    photo: Image.Image, segments: list[tuple[int, bytes]], expected: list[str]
) -> None:
    content = add_segments(encode_image(photo, "JPEG"), *segments) + encode_image(photo, "JPEG")
    notes = read_header(content).notes
    assert len(notes) == len(expected)
    assert all(note.startswith(start) for note, start in zip(notes, expected, strict=True))


def test_xmp_stays_without_what_it_says_of_the_gain_map(photo: Image.Image) -> None:
    content = add_segments(encode_image(photo, "JPEG"), (0xE1, XMP), (0xE2, ISO))
    with open_image(content) as image:
        result = write_to_bytes(image.read(), ".jpg", image)
    with open_image(result) as image:
        xmp = image.metadata.xmp or b""
        assert image.header.notes == ()
    assert b'dc:title="Sunset"' in xmp
    assert b"hdrgm:Version" not in xmp
    assert b"Directory" not in xmp
    assert b"MotionPhoto" not in xmp


@pytest.mark.parametrize("progressive", [False, True])
@pytest.mark.parametrize("num_missing", [1, 2])
def test_a_jpeg_without_its_end_is_read_and_reported(
    photo: Image.Image, progressive: bool, num_missing: int
) -> None:
    content = encode_image(photo, "JPEG", progressive=progressive)
    with open_image(content) as image:
        expected = image.read()
        assert image.header.notes == ()
    with open_image(content[:-num_missing]) as image:
        np.testing.assert_array_equal(image.read(), expected)
        assert image.header.notes == ("the end of the JPEG is missing, all pixels are there",)


@pytest.mark.parametrize("num_missing", [6, 40, 200])
def test_a_jpeg_that_lacks_pixels_is_refused_by_its_header(
    photo: Image.Image, num_missing: int
) -> None:
    content = encode_image(photo, "JPEG", quality=95)
    with pytest.raises(
        ImageError, match=r"got a JPEG damaged or cut short\. --damaged continue takes"
    ):
        read_header(content[:-num_missing])


def test_what_follows_the_end_is_ignored(photo: Image.Image) -> None:
    content = encode_image(photo, "JPEG") + b"a note of a camera"
    assert read_header(content).notes == ()


@pytest.mark.parametrize("kind", ["JPEG", "PNG"])
def test_what_can_be_decoded_of_a_cut_image_is_read_on_request(kind: str) -> None:
    pixels: Pixels = np.repeat(noise(64, 64, 1), 3, axis=2) // 2 + 64
    content = encode_image(Image.fromarray(pixels), kind)
    with open_image(content) as image:
        whole = image.read()
    cut = content[: len(content) // 2]
    with open_image(cut, damaged="continue") as image:
        assert image.header.notes[0].startswith("damaged or cut short: what cannot be decoded")
        part = image.read()
    np.testing.assert_array_equal(part[:16], whole[:16])
    assert not np.array_equal(part[-16:], whole[-16:])
    with open_image(content, damaged="continue") as image:
        assert image.header.notes == ()
    with pytest.raises(ImageError, match=r"cut short"), open_image(cut) as image:
        image.read()
    with pytest.raises(ImageError):
        read_header(content[:20], damaged="continue")
