"""What is no usual image, or too much of one, is refused by name."""

import io
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
import pyvips
import tifffile
from helpers.images import Pixels, encode_image, encode_tiff, noise, png_chunk
from PIL import Image

from sr.io.image_formats import ImageError
from sr.io.image_reader import open_image, read_header

ALL = slice(None)


@pytest.fixture
def rgb() -> Pixels:
    return noise(24, 17, 3)


def test_pages_of_different_sizes_are_refused(rgb: Pixels) -> None:
    file = io.BytesIO()
    with tifffile.TiffWriter(file) as writer:
        writer.write(rgb, photometric="rgb")
        writer.write(rgb[:9], photometric="rgb")
    with pytest.raises(ImageError, match="frames or pages of one size, got 2"):
        read_header(file.getvalue(), frames="each")


def bomb_png(width: int, height: int) -> bytes:
    size = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + png_chunk(b"IHDR", size)
        + png_chunk(b"IDAT", zlib.compress(b""))
        + png_chunk(b"IEND", b"")
    )


def test_more_pixels_than_allowed_are_refused_by_the_header(rgb: Pixels) -> None:
    with pytest.raises(ImageError, match=r"at most 1000000000 .* got 50000x50000\. --max-pixels"):
        read_header(bomb_png(50_000, 50_000))
    image = Image.fromarray(rgb)
    with pytest.raises(ImageError, match="--max-pixels"):
        read_header(encode_image(image, "BMP"), max_pixels=24 * 17 - 1)
    twice = encode_image(image, "TIFF", save_all=True, append_images=[image])
    assert read_header(twice, max_pixels=2 * 24 * 17, frames="each").num_frames == 2
    with pytest.raises(ImageError, match="17x24 in 2 frames"):
        read_header(twice, max_pixels=2 * 24 * 17 - 1, frames="each")


def test_damaged_images_are_not_decoded_beyond_the_allowed_pixels(rgb: Pixels) -> None:
    cut = encode_image(Image.fromarray(rgb), "JPEG")[:-40]
    with pytest.raises(ImageError, match="at most 10 pixels, got 17x24"):
        read_header(cut, max_pixels=10)
    headless = bomb_png(2**31 - 1, 2**31 - 1)[:33]  # no memory holds that many
    with pytest.raises(ImageError, match="damaged or cut short"):
        read_header(headless, damaged="continue")


@pytest.mark.parametrize(
    ("content", "got"),
    [
        (encode_tiff(noise(8, 8).astype(np.int32)), "type int"),
        (encode_tiff(noise(8, 8, 3).astype(np.int16), photometric="rgb"), "type short"),
        (encode_tiff(noise(8, 8).astype(np.complex64)), "samples out of range"),
        (encode_tiff(noise(8, 8, 5), photometric="separated", extrasamples=[2]), r"5 channel\(s\)"),
        (b"only words\n", "another kind"),
        (b"2 2\n1 2\n3 4\n", "another kind"),
        (b'<svg xmlns="http://www.w3.org/2000/svg" width="9" height="9"/>', "another kind"),
        (b"\0\0\0\x18ftypheic\0\0\0\0mif1heic", "a HEIC that is damaged|the extra `formats`"),
        (b"", "an empty file"),
        (b"BM", "a BMP cut short"),
    ],
    ids=[
        *("32 bit", "signed", "complex", "5 bands"),
        *("text", "numbers", "svg", "heic", "empty", "bmp"),
    ],
)
def test_other_kinds_are_refused(tmp_path: Path, content: bytes, got: str) -> None:
    path = tmp_path / "a.png"
    path.write_bytes(content)
    with pytest.raises(ImageError, match=rf"a\.png: expected .*, (got .*|)({got})"):
        read_header(path)


def read_twice(content: bytes) -> None:
    with open_image(content) as image:
        with pytest.raises(ImageError, match="cut short"):
            image.read()
        image.read(slice(60, 64), ALL)


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP", "TIFF", "AVIF", "BMP"])
@pytest.mark.parametrize("kept", [0.02, 0.5, 0.97])
def test_files_cut_short_are_refused_at_every_reading(kind: str, kept: float) -> None:
    content = encode_image(Image.fromarray(noise(64, 64, 3)), kind)
    content = content[: int(len(content) * kept)]
    with pytest.raises(ImageError, match=r"standard input: expected .*, got .*cut short"):
        read_twice(content)


def test_folders_and_missing_and_locked_files_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "x.png").mkdir()
    with pytest.raises(ImageError, match=r"x\.png: expected .* got a folder"):
        read_header(tmp_path / "x.png")
    with pytest.raises(ImageError, match=r"a\.png: could not be read: No such file"):
        read_header(tmp_path / "a.png")

    def locked(*_: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "open", locked)  # a mode would not stop root
    with pytest.raises(ImageError, match=r"a\.png: could not be read: Permission denied"):
        read_header(tmp_path / "a.png")


def test_a_full_folder_for_temporary_files_is_named(
    rgb: Pixels, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fill(*_: object) -> None:
        raise pyvips.Error(
            "unable to call", "wbuffer_write: write failed\nunix error: No space left"
        )

    with open_image(encode_image(Image.fromarray(rgb), "PNG")) as image:
        monkeypatch.setattr(pyvips.Region, "new", fill)
        with pytest.raises(ImageError, match=r"standard input: .* temporary file.* TMPDIR"):
            image.read()


def test_errors_of_the_caller_keep_their_kind(rgb: Pixels) -> None:
    with (
        pytest.raises(OSError, match="elsewhere") as caught,
        open_image(encode_image(Image.fromarray(rgb), "PNG")),
    ):
        raise OSError(28, "elsewhere")
    assert not isinstance(caught.value, ImageError)
