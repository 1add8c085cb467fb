"""Every pixel format gives its samples exactly, in planes."""

from typing import Any

import av
import numpy as np
import numpy.typing as npt
import pytest
from av.video.format import VideoFormat

from sr.io.video.frame import Layout
from sr.io.video.pixels.planes import detect_layout, extract_planes, has_alpha

Samples = npt.NDArray[Any]

WIDTH, HEIGHT = 31, 23  # odd, and less than a line's padding


def random(depth: int, height: int = HEIGHT, width: int = WIDTH) -> Samples:
    dtype = np.uint8 if depth == 8 else np.uint16
    return np.random.default_rng(height + width).integers(0, 2**depth, (height, width), dtype)


def make_frame(pix_fmt: str, planes: list[Samples], width: int = WIDTH) -> av.VideoFrame:
    frame = av.VideoFrame(width, HEIGHT, pix_fmt)
    for plane, samples in zip(frame.planes, planes, strict=True):
        itemsize = samples.dtype.itemsize
        padded = np.zeros((plane.buffer_size // plane.line_size, plane.line_size // itemsize))
        padded = padded.astype(samples.dtype)
        padded[: samples.shape[0], : samples.shape[1]] = samples
        plane.update(padded.tobytes())
    return frame


def by_turns(*samples: Samples) -> Samples:
    """Samples of several kinds in one line, one after another."""
    return np.stack(samples, axis=-1).reshape(len(samples[0]), -1)


def check(pix_fmt: str, stored: list[Samples], expected: list[Samples], width: int = WIDTH) -> None:
    frame = make_frame(pix_fmt, stored, width)
    layout = detect_layout(frame.format)
    planes = extract_planes(frame, layout)
    assert [plane.shape for plane in planes] == list(layout.shapes(HEIGHT, width))
    for plane, samples in zip(planes, expected, strict=True):
        np.testing.assert_array_equal(plane, samples)
        assert plane.dtype == layout.dtype
        assert plane.flags.c_contiguous
        assert plane.flags.owndata


@pytest.mark.parametrize("depth", [8, 9, 10, 12, 14, 16])
@pytest.mark.parametrize("chroma", ["420", "422", "444"])
@pytest.mark.parametrize("order", ["le", "be"])
def test_planes_come_without_their_padding(depth: int, chroma: str, order: str) -> None:
    pix_fmt = f"yuv{chroma}p" + (f"{depth}{order}" if depth > 8 else "")
    height, width = -(-HEIGHT // (1 + (chroma == "420"))), -(-WIDTH // (1 + (chroma != "444")))
    planes = [random(depth), random(depth, height, width), random(depth, height, width) // 2]
    stored = [plane.astype(plane.dtype.newbyteorder(">")) for plane in planes]
    check(pix_fmt, stored if order == "be" else planes, planes)


@pytest.mark.parametrize(
    ("pix_fmt", "order"),
    [
        ("rgb24", "rgb"),
        ("bgr24", "bgr"),
        ("rgba", "rgba"),
        ("bgra", "bgra"),
        ("argb", "argb"),
        ("abgr", "abgr"),
        ("0rgb", "argb"),
        ("bgr0", "bgra"),
        ("rgb48le", "rgb"),
        ("rgba64le", "rgba"),
        ("bgr48le", "bgr"),
        ("x2rgb10le", ""),
    ],
)
def test_packed_rgb_is_unpacked_without_loss(pix_fmt: str, order: str) -> None:
    depth = 16 if "48" in pix_fmt or "64" in pix_fmt else 10 if "10" in pix_fmt else 8
    bands = {band: random(depth) // (1 + index) for index, band in enumerate("rgba")}
    stored = by_turns(*(bands[band] for band in order)) if order else None
    if stored is None:
        red, green, blue = (bands[band].astype(np.uint32) for band in "rgb")
        stored = red << 20 | green << 10 | blue
    check(pix_fmt, [stored], [bands[band] for band in "rgb"])


@pytest.mark.parametrize("depth", [8, 10, 12, 14, 16])
def test_planar_rgb_comes_as_red_green_blue_without_alpha(depth: int) -> None:
    bits = f"{depth}le" if depth > 8 else ""
    red, green, blue, alpha = (random(depth) // (1 + index) for index in range(4))
    check(f"gbrp{bits}", [green, blue, red], [red, green, blue])
    check(f"gbrap{bits}", [green, blue, red, alpha], [red, green, blue])


@pytest.mark.parametrize(
    ("pix_fmt", "chroma"),
    [
        ("nv12", (1, 1)),
        ("nv21", (1, 1)),
        ("nv16", (1, 0)),
        ("nv24", (0, 0)),
        ("nv42", (0, 0)),
        ("p010le", (1, 1)),
        ("p010be", (1, 1)),
        ("p012le", (1, 1)),
        ("p016le", (1, 1)),
        ("p210le", (1, 0)),
        ("p410le", (0, 0)),
        ("p416be", (0, 0)),
    ],
)
def test_pairs_of_chroma_are_parted(pix_fmt: str, chroma: tuple[int, int]) -> None:
    depth = int(pix_fmt[2:4]) if pix_fmt.startswith("p") else 8
    height, width = -(-HEIGHT // 2 ** chroma[1]), -(-WIDTH // 2 ** chroma[0])
    luma, blue, red = random(depth), random(depth, height, width), random(depth, height, width) // 2
    pair = (red, blue) if pix_fmt in ("nv21", "nv42") else (blue, red)
    stored = [luma, by_turns(*pair)]
    if depth > 8:
        stored = [samples << (16 - depth) for samples in stored]
    if pix_fmt.endswith("be"):
        stored = [samples.astype(">u2") for samples in stored]
    check(pix_fmt, stored, [luma, blue, red])


@pytest.mark.parametrize(
    ("pix_fmt", "order"), [("yuyv422", "yuyv"), ("uyvy422", "uyvy"), ("yvyu422", "yvyu")]
)
def test_packed_yuv_is_unpacked_without_loss(pix_fmt: str, order: str) -> None:
    luma = random(8, HEIGHT, 32)
    blue, red = random(8, HEIGHT, 16), random(8, HEIGHT, 16) // 2
    lumas = iter((luma[:, 0::2], luma[:, 1::2]))
    samples = [next(lumas) if one == "y" else blue if one == "u" else red for one in order]
    check(pix_fmt, [by_turns(*samples)], [luma, blue, red], width=32)


def test_alpha_next_to_gray_and_yuv_is_left_out() -> None:
    gray, alpha = random(8), random(8) // 2
    check("ya8", [by_turns(gray, alpha)], [gray])
    chroma = random(8, 12, 16)
    check("yuva420p", [gray, chroma, chroma // 2, alpha], [gray, chroma, chroma // 2])
    assert has_alpha(VideoFormat("yuva420p"))
    assert has_alpha(VideoFormat("ya8"))
    assert not has_alpha(VideoFormat("bgr0"))


@pytest.mark.parametrize(
    ("pix_fmt", "expected"),
    [
        ("yuva420p", "yuva420p"),
        ("yuva444p12le", "yuva444p12le"),
        ("gbrap", "gbrap"),
        ("gbrap16be", "gbrap16le"),
        ("argb", "gbrap"),
        ("bgra", "gbrap"),
        ("rgba64be", "gbrap16le"),
        ("ya8", "ya8"),
        ("ya16be", "ya16le"),
        ("yuv420p", "yuv420p"),
    ],
)
def test_alpha_is_the_last_plane_on_request(pix_fmt: str, expected: str) -> None:
    frame = av.VideoFrame(WIDTH, HEIGHT, pix_fmt)
    depth = max(part.bits for part in frame.format.components)
    for plane in frame.planes:
        count = plane.line_size * plane.height // (1 if depth == 8 else 2)
        stored = random(depth, 1, count).astype(">u2" if pix_fmt.endswith("be") else "<u2")
        plane.update((stored.astype(np.uint8) if depth == 8 else stored).tobytes())
    layout = detect_layout(frame.format, alpha=True)
    assert layout.pix_fmt == expected
    planes = extract_planes(frame, layout)
    assert [plane.shape for plane in planes] == list(layout.shapes(HEIGHT, WIDTH))
    colors = extract_planes(frame, detect_layout(frame.format))
    for samples, same in zip(planes, colors, strict=False):
        np.testing.assert_array_equal(samples, same)
    if has_alpha(frame.format):
        assert len(planes) == len(colors) + 1
        wide = frame.reformat(format="rgba64le").to_ndarray()[..., 3]  # alpha of any format
        np.testing.assert_allclose(planes[-1] / (2**layout.depth - 1), wide / 65535, atol=0.004)


def test_palettes_become_rgb() -> None:
    frame = av.VideoFrame(WIDTH, HEIGHT, "pal8")
    indices, palette = random(8), random(8, 256, 4) | [[0, 0, 0, 255]]
    padded = np.zeros((HEIGHT, frame.planes[0].line_size), np.uint8)
    padded[:, :WIDTH] = indices
    frame.planes[0].update(padded.tobytes())
    frame.planes[1].update(palette.astype(np.uint8).tobytes())
    planes = extract_planes(frame, detect_layout(frame.format))
    expected = palette[indices][..., 2::-1]  # stored as BGRA
    np.testing.assert_array_equal(np.stack(planes, axis=-1), expected)


@pytest.mark.parametrize("pix_fmt", ["gray", "gray10le", "monow", "yuvj420p", "yuvj422p"])
def test_gray_and_full_range_formats_have_their_layout(pix_fmt: str) -> None:
    layout = detect_layout(VideoFormat(pix_fmt, WIDTH, HEIGHT))
    assert layout.kind == ("yuv" if "yuv" in pix_fmt else "gray")
    assert layout.depth == (10 if "10" in pix_fmt else 8)


@pytest.mark.parametrize(
    "pix_fmt", ["grayf32le", "gbrpf32le", "xyz12le", "bayer_bggr8", "rgbf16le"]
)
def test_other_kinds_of_samples_are_refused_by_name(pix_fmt: str) -> None:
    with pytest.raises(ValueError, match=rf"8 to 16 bits, got pixel format {pix_fmt}"):
        detect_layout(VideoFormat(pix_fmt, WIDTH, HEIGHT))


def test_a_format_that_ffmpeg_cannot_convert_is_refused_by_name() -> None:
    frame = av.VideoFrame(WIDTH, HEIGHT, "rgb4")
    with pytest.raises(ValueError, match=r"expected a pixel format .* got rgb4"):
        extract_planes(frame, Layout("rgb", 8))
