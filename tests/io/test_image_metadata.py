"""Metadata are read where a file has them, and updated for a result."""

import io
import struct

import pytest
import pyvips
from helpers.images import noise, write_to_bytes
from PIL import Image, ImageCms

from sr.io.image_facts import ImageFacts
from sr.io.image_formats import describe_losses
from sr.io.image_metadata import Metadata, attach_metadata, profile_fits, read_metadata
from sr.io.image_reader import open_image

SUFFIXES = [".png", ".jpg", ".webp", ".tif", ".avif"]

XMP = (
    b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="r"><rdf:Description '
    b'tiff:Orientation="6" exif:PixelXDimension="32"><tiff:ImageLength>48</tiff:ImageLength>'
    b"</rdf:Description></rdf:RDF></x:xmpmeta>"
)
IPTC = b"\x1c\x02\x78\x00\x05hello"
THUMBNAIL = b"\xff\xd8\xff\xe0thumbnail\xff\xd9"
RESOURCES = (
    b"Photoshop 3.0\0"
    + b"8BIM\x04\x0c\x03abc\0\0\0\x03xyz\0"  # a name of 3 letters; 3 bytes, padded to 4
    + b"8BIM\x04\x04\0\0"
    + struct.pack(">I", len(IPTC))
    + IPTC
)


NONE = Metadata(is_oriented=False)


def image_with(**blobs: bytes) -> pyvips.Image:
    image = pyvips.Image.black(8, 8).copy()
    for name, content in blobs.items():
        image.set_type(pyvips.GValue.blob_type, f"{name}-data", content)
    return image


def test_a_bare_image_has_none() -> None:
    assert read_metadata(image_with(), ImageFacts()) == NONE
    assert Metadata().kinds == ()


@pytest.mark.parametrize("block", [IPTC, RESOURCES])
def test_iptc_is_found_bare_and_among_photoshop_resources(block: bytes) -> None:
    assert read_metadata(image_with(iptc=block), ImageFacts()).iptc == IPTC


@pytest.mark.parametrize("length", range(14, len(RESOURCES) - len(IPTC)))
def test_resources_cut_short_have_no_iptc(length: int) -> None:
    assert read_metadata(image_with(iptc=RESOURCES[:length]), ImageFacts()).iptc is None


def exif(x: int, y: int, unit: int) -> bytes:
    """An EXIF block with a resolution; unit 2 is per inch, 3 per cm."""
    tags = struct.pack("<HHIIHHIIHHII", 0x11A, 5, 1, 50, 0x11B, 5, 1, 58, 0x128, 3, 1, unit)
    head = b"Exif\0\0II*\0" + struct.pack("<IH", 8, 3)
    return head + tags + struct.pack("<IIIII", 0, x, 1, y, 1)


@pytest.mark.parametrize(("unit", "expected"), [(2, (300 / 25.4, 600 / 25.4)), (3, (30, 60))])
def test_exif_holds_the_resolution(unit: int, expected: tuple[float, float]) -> None:
    metadata = read_metadata(image_with(exif=exif(300, 600, unit)), ImageFacts())
    assert metadata.resolution == pytest.approx(expected)


def test_a_resolution_of_a_image_on_its_side_is_turned() -> None:
    image = pyvips.Image.black(8, 8).copy(xres=10, yres=20)
    image.set_type(pyvips.GValue.gint_type, "orientation", 6)
    assert read_metadata(image, ImageFacts()).resolution == (20, 10)


def test_xmp_gets_the_size_and_is_upright() -> None:
    xmp = (
        b"<a tiff:Orientation='8' tiff:ImageWidth = \"7\" other:Orientation='8'>"
        b"<exif:PixelYDimension>3</exif:PixelYDimension></a>"
    )
    image = attach_metadata(image_with(), Metadata(xmp=xmp), {"XMP"}, (300, 200), ".png")
    assert image.get("xmp-data") == (
        b"<a tiff:Orientation='1' tiff:ImageWidth = \"200\" other:Orientation='8'>"
        b"<exif:PixelYDimension>300</exif:PixelYDimension></a>"
    )


def test_only_the_kinds_asked_for_are_attached() -> None:
    metadata = Metadata(profile=b"p", exif=exif(1, 1, 2), xmp=b"x", iptc=b"i", resolution=(9, 9))
    image = attach_metadata(image_with(), metadata, set(), (8, 8), ".png")
    assert read_metadata(image, ImageFacts()) == Metadata()


def test_profiles_fit_pixels_of_their_own_color_space() -> None:
    gray, rgb = (bytes(16) + space + bytes(16) + b"acsp" for space in (b"GRAY", b"RGB "))
    assert [profile_fits(gray, bands) for bands in (1, 2, 3, 4)] == [True, True, False, False]
    assert [profile_fits(rgb, bands) for bands in (1, 2, 3, 4)] == [False, False, True, True]
    assert not profile_fits(bytes(16) + b"RGB ", 3)


def test_a_result_in_other_colors_has_no_profile() -> None:
    file = io.BytesIO()
    Image.fromarray(noise(8, 8)).save(file, "PNG", icc_profile=gray_profile())
    with (
        open_image(file.getvalue()) as like,
        open_image(write_to_bytes(noise(8, 8, 3), ".png", like)) as result,
    ):
        assert result.metadata.profile is None


def exif_block() -> bytes:
    """An EXIF block with orientation 6, sizes, a place, and a thumbnail in its second directory."""
    exif = Image.Exif()
    exif[0x010F], exif[0x0112] = "Maker", 6
    exif.get_ifd(0x8769).update({0xA002: 32, 0xA003: 48, 0x9003: "2020:01:01 00:00:00"})
    exif.get_ifd(0x8825).update({1: "N", 2: (1.0, 2.0, 3.5)})
    block = bytearray(exif.tobytes())
    start = 6  # behind b"Exif\0\0"
    order = ">" if block[start : start + 2] == b"MM" else "<"
    (first,) = struct.unpack_from(order + "I", block, start + 4)
    (count,) = struct.unpack_from(order + "H", block, start + first)
    link = start + first + 2 + 12 * count
    struct.pack_into(order + "I", block, link, len(block) - start)
    place = len(block) - start + 2 + 2 * 12 + 4
    block += struct.pack(
        order + "HHHIIHHIII", 2, 0x0201, 4, 1, place, 0x0202, 4, 1, len(THUMBNAIL), 0
    )
    return bytes(block) + THUMBNAIL


@pytest.fixture(scope="module")
def photograph() -> bytes:
    """A JPEG of 32 rows and 48 columns, to be turned, with all kinds of metadata."""
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    file = io.BytesIO()
    image = Image.fromarray(noise(32, 48, 3))
    image.save(file, "JPEG", exif=exif_block(), icc_profile=profile, xmp=XMP, dpi=(300, 200))
    content = file.getvalue()
    block = b"Photoshop 3.0\x008BIM\x04\x0c\0\0\0\0\0\x04abcd8BIM\x04\x04\0\0"
    block += struct.pack(">I", len(IPTC)) + IPTC
    return content[:2] + b"\xff\xed" + struct.pack(">H", len(block) + 2) + block + content[2:]


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_metadata_survive_except_what_is_reported(photograph: bytes, suffix: str) -> None:
    with open_image(photograph) as like:
        assert like.metadata.kinds == ("color profile", "EXIF", "XMP", "IPTC", "resolution")
        kinds = like.metadata.kinds
        content = write_to_bytes(noise(96, 64, 3), suffix, like)
    lost = describe_losses(suffix, num_bands=3, depth=8, kinds=kinds)
    with open_image(content) as result:
        assert (result.header.height, result.header.width) == (96, 64)
        survived = [kind for kind in kinds if f"{kind} is not carried" not in " ".join(lost)]
        assert set(result.metadata.kinds) == set(survived)
        assert result.metadata.profile == like.metadata.profile
        assert result.metadata.resolution == pytest.approx((200 / 25.4, 300 / 25.4), rel=1e-4)
        assert result.metadata.iptc in (None, IPTC)
    xmp = result.metadata.xmp or b""
    assert b'tiff:Orientation="1" exif:PixelXDimension="64"' in xmp
    assert b"<tiff:ImageLength>96<" in xmp


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".webp", ".avif"])
def test_exif_describes_the_result_and_has_no_thumbnail(photograph: bytes, suffix: str) -> None:
    assert THUMBNAIL in photograph
    with open_image(photograph) as like:
        content = write_to_bytes(noise(96, 64, 3), suffix, like)
    exif = Image.open(io.BytesIO(content)).getexif()
    assert (exif[0x010F], exif[0x0112]) == ("Maker", 1)
    details = exif.get_ifd(0x8769)
    assert (details[0xA002], details[0xA003]) == (64, 96)
    assert details[0x9003] == "2020:01:01 00:00:00"
    assert exif.get_ifd(0x8825)[2] == (1.0, 2.0, 3.5)
    assert THUMBNAIL not in content
    assert not exif.get_ifd(1)


@pytest.mark.parametrize("first", [".webp", ".avif", ".png", ".tif"])
@pytest.mark.parametrize("second", SUFFIXES)
def test_metadata_survive_from_format_to_format(photograph: bytes, first: str, second: str) -> None:
    pixels = noise(48, 32, 3)
    with open_image(photograph) as like:
        once = write_to_bytes(pixels, first, like)
    with open_image(once) as like:
        twice = write_to_bytes(pixels, second, like)
        kinds = like.metadata.kinds
    lost = " ".join(describe_losses(second, num_bands=3, depth=8, kinds=kinds))
    with open_image(twice) as result:
        expected = {kind for kind in kinds if f"{kind} is not carried" not in lost}
        assert set(result.metadata.kinds) - {"EXIF"} == expected - {"EXIF"}
        assert expected <= set(result.metadata.kinds)
        assert result.metadata.resolution == pytest.approx((200 / 25.4, 300 / 25.4), rel=1e-4)


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_an_image_without_metadata_gives_one_without(suffix: str) -> None:
    with open_image(write_to_bytes(noise(8, 8, 3), suffix)) as result:
        kinds = result.metadata.kinds
    assert kinds == (("EXIF",) if suffix == ".jpg" else ())  # libvips' own, the file's only header


def test_a_gray_profile_is_carried_to_gray_only() -> None:
    profile = gray_profile()
    image = Image.fromarray(noise(8, 8))
    file = io.BytesIO()
    image.save(file, "PNG", icc_profile=profile)
    with open_image(file.getvalue()) as like:
        for suffix in SUFFIXES:
            with open_image(write_to_bytes(noise(8, 8, 1), suffix, like)) as result:
                kept = result.header.num_bands == 1
                assert result.metadata.profile == (profile if kept else None)


def gray_profile() -> bytes:
    """The smallest ICC profile of a gray space with a gamma of 2.2."""
    curve = b"curv\0\0\0\0\0\0\0\x01\x02\x33\0\0"
    white = b"XYZ \0\0\0\0" + struct.pack(">iii", 63190, 65536, 54061)
    size = 128 + 4 + 2 * 12 + len(curve) + len(white)
    header = struct.pack(">I4sI4s4s4s", size, b"lcms", 0x02400000, b"mntr", b"GRAY", b"XYZ ")
    header += bytes(12) + b"acsp" + bytes(28) + struct.pack(">iii", 63190, 65536, 54061)
    tags = struct.pack(">I4sII4sII", 2, b"kTRC", 156, len(curve), b"wtpt", 156 + len(curve), 20)
    return header.ljust(128, b"\0") + tags + curve + white
