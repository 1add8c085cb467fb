"""Images, and files of them, of other origin than sr.io."""

import io
import struct
import zlib
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
import tifffile
from PIL import Image

from sr.io.image_reader import ImageReader, open_image
from sr.io.image_writer import write_image
from sr.io.rgb8 import write_rgb8

Pixels = npt.NDArray[Any]


def noise(*shape: int, dtype: str = "uint8") -> Pixels:
    return np.random.default_rng(0).integers(0, np.iinfo(dtype).max, shape, dtype, endpoint=True)


def draw_texture(height: int, width: int) -> npt.NDArray[np.float32]:
    """Smooth noise, in [0, 1]."""
    noise = np.random.default_rng(0).random((height, width), np.float32)
    blurred = cv2.GaussianBlur(noise, (0, 0), 2)
    return np.asarray(
        cv2.normalize(blurred, np.empty_like(blurred), 0, 1, cv2.NORM_MINMAX), np.float32
    )


def write_block_images(folder: Path, num_images: int) -> Path:
    """Make a folder of 40x48 images of blocks of 8x8, image_0.png and on."""
    folder.mkdir()
    rng = np.random.default_rng(0)
    for number in range(num_images):
        blocks = rng.integers(0, 256, (5, 6, 3))
        pixels = np.kron(blocks, np.ones((8, 8, 1))).astype(np.uint8)
        write_rgb8(folder / f"image_{number}.png", pixels)
    return folder


def encode_image(image: Image.Image, kind: str, **options: Any) -> bytes:
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def encode_tiff(pixels: Pixels, **options: Any) -> bytes:
    file = io.BytesIO()
    tifffile.imwrite(file, pixels, **options)
    return file.getvalue()


def png_chunk(kind: bytes, content: bytes) -> bytes:
    checksum = struct.pack(">I", zlib.crc32(kind + content))
    return struct.pack(">I", len(content)) + kind + content + checksum


def list_png_chunks(content: bytes) -> dict[bytes, bytes]:
    chunks, place = {}, 8
    while place < len(content):
        length, kind = struct.unpack_from(">I4s", content, place)
        assert content[place + 8 + length :][:4] == struct.pack(
            ">I", zlib.crc32(content[place + 4 : place + 8 + length])
        )
        chunks[kind] = content[place + 8 : place + 8 + length]
        place += 12 + length
    return chunks


def encode_png(pixels: Pixels, **chunks: bytes) -> bytes:
    """A PNG with chunks of these names behind its head."""
    content = write_to_bytes(pixels if pixels.ndim == 3 else pixels[..., np.newaxis], ".png")
    more = b"".join(png_chunk(kind.encode(), each) for kind, each in chunks.items())
    return content[:33] + more + content[33:]


def write_to_bytes(
    pixels: Pixels, suffix: str, like: ImageReader | None = None, **options: Any
) -> bytes:
    file = io.BytesIO()
    write_image(file, pixels, suffix=suffix, like=like, **options)
    return file.getvalue()


def read_bytes(content: bytes) -> Pixels:
    with open_image(content) as image:
        return image.read()
