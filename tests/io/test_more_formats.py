"""Formats that libvips does not read: every sample, bit depth and channel as they were."""

import io
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
import pytest
from helpers.image_formats import encode_exr
from PIL import Image

from sr.io import decoded_image
from sr.io.decoded_formats import decode_image
from sr.io.decoded_image import CodedFile
from sr.io.image_formats import ImageError
from sr.io.image_reader import open_image, read_header

Pixels = npt.NDArray[Any]
RANDOM = np.random.default_rng(0)
RGB8 = RANDOM.integers(0, 256, (40, 36, 3), np.uint8)
RGBA8 = RANDOM.integers(0, 256, (40, 36, 4), np.uint8)
RGB16 = RANDOM.integers(0, 65536, (40, 36, 3), np.uint16)
GRAY8, GRAY16 = RGB8[..., :1], RGB16[..., :1]


def encode_with_opencv(suffix: str, pixels: Pixels) -> bytes:
    order = [2, 1, 0, 3][: pixels.shape[2]] if pixels.shape[2] >= 3 else [0]
    options = [cv2.IMWRITE_JPEG2000_COMPRESSION_X1000, 1000] if suffix == ".jp2" else []
    done, content = cv2.imencode(suffix, pixels[..., order], options)
    assert done
    return content.tobytes()


def encode_with_pillow(kind: str, pixels: Pixels, **options: Any) -> bytes:
    file = io.BytesIO()
    Image.fromarray(pixels.squeeze()).save(file, kind, **options)
    return file.getvalue()


def encode_jpegxl(pixels: Pixels) -> bytes:
    imagecodecs: Any = pytest.importorskip("imagecodecs")
    content: bytes = imagecodecs.jpegxl_encode(pixels.squeeze(), lossless=True)
    return content


def encode_heic(pixels: Pixels) -> bytes:
    heif: Any = pytest.importorskip("pillow_heif")
    mode = {1: "L", 3: "RGB", 4: "RGBA"}[pixels.shape[2]] + (";16" if pixels.itemsize == 2 else "")
    file = io.BytesIO()
    image = heif.from_bytes(mode, pixels.shape[1::-1], pixels.tobytes())
    image.save(file, quality=-1, chroma=444, matrix_coefficients=0)
    return file.getvalue()


EXACT: dict[str, tuple[Callable[[], bytes], Pixels]] = {
    "ppm": (lambda: encode_with_opencv(".ppm", RGB8), RGB8),
    "ppm16": (lambda: encode_with_opencv(".ppm", RGB16), RGB16),
    "pgm": (lambda: encode_with_opencv(".pgm", GRAY8), GRAY8),
    "pgm16": (lambda: encode_with_opencv(".pgm", GRAY16), GRAY16),
    "jp2": (lambda: encode_with_opencv(".jp2", RGB8), RGB8),
    "jp2-16": (lambda: encode_with_opencv(".jp2", RGB16), RGB16),
    "jp2-gray16": (lambda: encode_with_opencv(".jp2", GRAY16), GRAY16),
    "tga": (lambda: encode_with_pillow("TGA", RGB8), RGB8),
    "tga-rle-alpha": (lambda: encode_with_pillow("TGA", RGBA8, compression="tga_rle"), RGBA8),
    "tga-gray": (lambda: encode_with_pillow("TGA", GRAY8), GRAY8),
    "dds": (lambda: encode_with_pillow("DDS", RGB8), RGB8),
    "dds-alpha": (lambda: encode_with_pillow("DDS", RGBA8), RGBA8),
    "jxl": (lambda: encode_jpegxl(RGB8), RGB8),
    "jxl16": (lambda: encode_jpegxl(RGB16), RGB16),
    "jxl-alpha": (lambda: encode_jpegxl(RGBA8), RGBA8),
    "jxl-gray16": (lambda: encode_jpegxl(GRAY16), GRAY16),
    "heic": (lambda: encode_heic(RGB8), RGB8),
    "heic-alpha": (lambda: encode_heic(RGBA8), RGBA8),
}
SUFFIXES = {"tga": ".tga"}


def write(folder: Path, name: str, content: bytes) -> Path:
    path = folder / f"image{SUFFIXES.get(name.partition('-')[0], '.bin')}"
    path.write_bytes(content)
    return path


@pytest.mark.parametrize("name", EXACT)
def test_every_sample_is_read(tmp_path: Path, name: str) -> None:
    encode, expected = EXACT[name]
    with open_image(write(tmp_path, name, encode())) as image:
        assert image.header.depth == 8 * expected.itemsize
        tolerance = 3 if name.startswith("heic") else 0  # x265 here is nearly lossless only
        difference = np.abs(image.read().astype(int) - expected)
        assert difference.max() <= tolerance


@pytest.mark.parametrize("max_value", [15, 1023, 4095])
def test_fewer_bits_of_pnm_become_whole_ones(max_value: int) -> None:
    kind = np.uint8 if max_value < 256 else np.dtype(">u2")
    levels = np.linspace(0, max_value, 36 * 40 * 3).round().astype(kind).reshape(40, 36, 3)
    content = b"P6\n# a comment\n36 40\n%d\n" % max_value + levels.tobytes()
    with open_image(content) as image:
        white = 255 if max_value < 256 else 65535
        expected = np.rint(levels.astype(float) * white / max_value)
        np.testing.assert_array_equal(image.read(), expected)


def test_jpeg_2000_of_12_bits_becomes_16() -> None:
    imagecodecs = pytest.importorskip("imagecodecs")
    levels = RGB16 >> 4
    with open_image(imagecodecs.jpeg2k_encode(levels, bitspersample=12, level=0)) as image:
        assert image.header.depth == 16
        expected = np.rint(levels.astype(float) * 65535 / 4095)
        np.testing.assert_array_equal(image.read(), expected)


@pytest.mark.parametrize("module", ["pi_heif", "pillow_heif"])
def test_pixels_of_heic_outlive_what_decoded_them(
    module: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    content, heif = encode_heic(RGB8), pytest.importorskip(module)
    monkeypatch.setattr(decoded_image, "import_module", lambda _: heif)
    for _ in range(20):
        with open_image(content) as image:
            others = [np.full_like(RGB8, 255) for _ in range(20)]  # where freed memory was
            assert np.abs(image.read().astype(int) - RGB8).max() <= 3
        del others
    file = CodedFile(content, "a.heic", lambda *_: [0], "refuse")
    pixels = decode_image("heic", file).pixels
    while isinstance(pixels.base, np.ndarray):
        pixels = pixels.base
    assert pixels.flags.owndata


def test_heic_of_10_bits_has_16_and_its_white_is_white() -> None:
    white = np.full((64, 64, 3), 65535, np.uint16)
    with open_image(encode_heic(white)) as image:
        assert image.header.depth == 16
        assert image.read().min() >= 65535 - 128


def test_dds_that_is_opaque_has_no_alpha() -> None:
    for kind, num_bands in (("DXT1", 3), ("DXT5", 4)):
        pixels = RGBA8 if num_bands == 4 else RGB8
        assert (
            read_header(encode_with_pillow("DDS", pixels, pixel_format=kind)).num_bands == num_bands
        )


def encode_srgb(linear: Pixels) -> Pixels:
    return np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055)


@pytest.mark.parametrize("num_bands", [1, 3, 4])
def test_linear_light_of_open_exr_is_encoded_as_srgb(num_bands: int) -> None:
    linear = RANDOM.random((20, 24, num_bands), np.float32)
    stored = linear.copy()
    if num_bands == 4:
        stored[..., :3] *= stored[..., 3:]  # as OpenEXR has it
    with open_image(encode_exr(stored)) as image:
        assert image.header.depth == 32
        pixels = image.read()
        assert "linear light is encoded as sRGB's" in image.header.notes
    colors = slice(0, 3 if num_bands == 4 else num_bands)
    np.testing.assert_allclose(pixels[..., colors], encode_srgb(linear[..., colors]), atol=1e-4)
    if num_bands == 4:
        np.testing.assert_allclose(pixels[..., 3], linear[..., 3], atol=1e-6)


def test_values_above_1_are_refused_cut_off_or_compressed() -> None:
    ramp = np.linspace(0, 8, 64, dtype=np.float32).reshape(1, 64, 1).repeat(3, 2).repeat(8, 0)
    content = encode_exr(ramp)
    with pytest.raises(ImageError, match="expected linear light up to 1, got up to 8"):
        read_header(content)
    with open_image(content, above_white="clip") as image:
        clipped = image.read()
    np.testing.assert_allclose(clipped, encode_srgb(np.minimum(ramp, 1)), atol=1e-5)
    with open_image(content, above_white="curve") as image:
        curved = image.read()
    dark = ramp <= 0.8
    np.testing.assert_allclose(curved[dark], encode_srgb(ramp[dark]), atol=1e-5)
    assert (np.diff(curved[0, :, 0]) > 0).all()
    assert curved.max() < 1


def test_frames_of_an_animated_png_are_read(tmp_path: Path) -> None:
    frames = [Image.fromarray(RGB8), Image.fromarray(RGB8[::-1]), Image.fromarray(255 - RGB8)]
    path = tmp_path / "a.png"
    frames[0].save(path, save_all=True, append_images=frames[1:], duration=[40, 50, 60], loop=2)
    with pytest.raises(ImageError, match=r"got 3 pages or frames\. --frames each"):
        read_header(path)
    with open_image(path, frames="each") as image:
        assert image.header.num_frames == 3
        assert image.metadata.delays == (40, 50, 60)
        for number, frame in enumerate(frames):
            np.testing.assert_array_equal(image.read(frame=number), np.asarray(frame))
    with open_image(path, page=2) as image:
        np.testing.assert_array_equal(image.read(), RGB8[::-1])


@pytest.mark.parametrize("name", EXACT)
def test_too_many_pixels_are_refused_before_decoding(
    tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write(tmp_path, name, EXACT[name][0]())
    monkeypatch.setattr(cv2, "imdecode", None)
    with pytest.raises(ImageError, match="expected at most 100 pixels, got 36x40"):
        read_header(path, max_pixels=100)


@pytest.mark.parametrize("name", EXACT)
@pytest.mark.parametrize("share", [0.02, 0.3, 0.7])
def test_files_cut_short_are_refused(tmp_path: Path, name: str, share: float) -> None:
    content = EXACT[name][0]()
    path = write(tmp_path, name, content[: int(share * len(content))])
    with pytest.raises(ImageError, match=r"image\.(bin|tga): expected"), open_image(path) as image:
        image.read()


def test_a_size_of_jpeg_xl_is_read_in_all_its_forms() -> None:
    from sr.io.coded_sizes import read_jpegxl_size

    imagecodecs = pytest.importorskip("imagecodecs")
    for height, width in [(8, 8), (40, 36), (64, 64), (48, 64), (1000, 1500), (700, 9000)]:
        content = imagecodecs.jpegxl_encode(np.zeros((height, width), np.uint8), lossless=True)
        assert read_jpegxl_size(content) == (height, width)
        if not content.startswith(b"\xff\x0a"):
            start = content.index(b"\xff\x0a")
            assert read_jpegxl_size(content[start:]) == (height, width)


@pytest.mark.parametrize(
    ("name", "format_name", "module"),
    [("jxl", "JPEG XL", "imagecodecs"), ("heic", "HEIC", "pi_heif")],
)
def test_a_missing_extra_is_named(
    tmp_path: Path, name: str, format_name: str, module: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write(tmp_path, name, EXACT[name][0]())

    def refuse(name: str) -> None:
        raise ImportError(name)

    monkeypatch.setattr(decoded_image, "import_module", refuse)
    with pytest.raises(ImageError, match=rf"the extra `formats`.*for {format_name}"):
        read_header(path)


@pytest.mark.parametrize("start", [b"Rar!\x1a\7\0", b"7z\xbc\xaf\x27\x1c", b"PK\3\4"])
def test_archives_are_no_images_and_named(start: bytes) -> None:
    with pytest.raises(ImageError, match="got an archive; repack it as CBZ or ZIP"):
        read_header(start + bytes(40))


@pytest.mark.parametrize("compression", ["none", "zip16"])
@pytest.mark.parametrize("share", [0.05, 0.6, 0.999])
def test_open_exr_that_is_cut_short_is_refused(compression: str, share: float) -> None:
    content = encode_exr(RANDOM.random((40, 36, 3), np.float32), compression)
    with pytest.raises(ImageError, match="got an OpenEXR that is damaged"):
        read_header(content[: int(share * len(content))])


def test_open_exr_with_a_damaged_block_is_refused() -> None:
    pixels = RANDOM.integers(0, 5, (40, 36, 3)).astype(np.float32) / 4  # noise is not compressed
    content = bytearray(encode_exr(pixels, "zip16"))
    content[-400:-300] = bytes(100)
    with pytest.raises(ImageError, match="got an OpenEXR that is damaged"):
        read_header(bytes(content))


def encode_tiles(pixels: Pixels, size: int) -> bytes:
    """Encode an OpenEXR of square tiles without compression. pixels: (H, W, 3), float32."""
    height, width, _ = pixels.shape
    window = struct.pack("<4i", 0, 0, width - 1, height - 1)
    attributes = [
        (
            "channels",
            "chlist",
            b"".join(b"%c\0" % name + struct.pack("<i4x2i", 2, 1, 1) for name in b"BGR") + b"\0",
        ),
        ("chromaticities", "chromaticities", bytes(32)),
        ("compression", "compression", b"\0"),
        ("dataWindow", "box2i", window),
        ("displayWindow", "box2i", window),
        ("lineOrder", "lineOrder", b"\0"),
        ("pixelAspectRatio", "float", struct.pack("<f", 1)),
        ("screenWindowCenter", "v2f", bytes(8)),
        ("screenWindowWidth", "float", struct.pack("<f", 1)),
        ("tiles", "tiledesc", struct.pack("<2IB", size, size, 0)),
    ]
    header = struct.pack("<2I", 20000630, 0x202) + b"".join(
        b"%s\0%s\0" % (name.encode(), kind.encode()) + struct.pack("<i", len(value)) + value
        for name, kind, value in attributes
    )
    chunks = []
    for down in range(-(-height // size)):
        for across in range(-(-width // size)):
            rows, columns = (slice(size * i, size * (i + 1)) for i in (down, across))
            tile = pixels[rows, columns, ::-1].transpose(0, 2, 1).tobytes()
            chunks.append(struct.pack("<5i", across, down, 0, 0, len(tile)) + tile)
    places = np.cumsum([len(header) + 1 + 8 * len(chunks), *map(len, chunks[:-1])])
    return header + b"\0" + places.astype("<u8").tobytes() + b"".join(chunks)


def test_tiles_of_open_exr_are_read_and_primaries_of_its_own_said() -> None:
    linear = RANDOM.random((40, 36, 3), np.float32)
    content = encode_tiles(linear, 16)
    with open_image(content) as image:
        np.testing.assert_allclose(image.read(), encode_srgb(linear), atol=1e-5)
        assert any("are taken for those of BT.709" in note for note in image.header.notes)
    with pytest.raises(ImageError, match="its end is missing"):
        read_header(content[:-1])


def test_open_exr_with_a_broken_header_is_refused() -> None:
    content = encode_exr(np.zeros((8, 8, 3), np.float32))
    place = content.index(b"dataWindow") + len(b"dataWindow\0box2i\0")
    broken = content[:place] + struct.pack("<i", -5) + content[place + 4 :]
    with pytest.raises(ImageError, match="got an OpenEXR that is damaged"):
        read_header(broken)
