"""Levels come back exactly, colors agree with FFmpeg's scaler, and nothing is clamped early."""

import av
import numpy as np
import pytest
import torch
from av.video.reformatter import ColorRange

from sr.io.video.frame import Color, Layout, Planes, Siting
from sr.io.video.pixels.yuv import Conversion, planes_to_tensors, tensors_to_planes

CPU = torch.device("cpu")
MATRICES = [1, 4, 5, 6, 7, 8, 9]
SIZES = [(24, 32), (23, 31), (24, 31), (23, 32), (1, 1), (1, 2), (2, 1), (3, 3), (2, 5), (5, 2)]


def detect_layout(pix_fmt: str) -> Layout:
    layout = Layout.parse(pix_fmt)
    assert layout is not None
    return layout


def conversion(
    pix_fmt: str, matrix: int = 1, *, full: bool = False, siting: Siting = "left"
) -> Conversion:
    return Conversion(detect_layout(pix_fmt), Color(matrix, 1, 1, full_range=full), siting)


def random_planes(pix_fmt: str, height: int, width: int) -> Planes:
    layout = detect_layout(pix_fmt)
    rng = np.random.default_rng(height * 100 + width)
    return tuple(
        rng.integers(0, 2**layout.depth, shape).astype(layout.dtype)
        for shape in layout.shapes(height, width)
    )


def flat_rgb(*color: float) -> torch.Tensor:
    return torch.tensor(color, dtype=torch.float32).view(1, 3, 1, 1).expand(1, 3, 4, 4)


def levels_of(converter: Conversion, *color: float) -> list[int]:
    return [int(plane[0, 0]) for plane in converter.from_rgb(flat_rgb(*color))]


@pytest.mark.parametrize("siting", ["left", "center"])
@pytest.mark.parametrize("depth", ["", "10le", "12le", "16le"])
@pytest.mark.parametrize("chroma", ["420", "422", "444", "440", "411", "410"])
def test_an_identity_network_gives_every_level_back(
    chroma: str, depth: str, siting: Siting
) -> None:
    if depth and chroma in ("411", "410"):
        return  # FFmpeg has them with 8 bits only
    pix_fmt = f"yuv{chroma}p{depth}"
    cases = [(m, full, size) for m in MATRICES for full in (False, True) for size in SIZES]
    for matrix, full, (height, width) in cases:
        planes = random_planes(pix_fmt, height, width)
        converter = conversion(pix_fmt, matrix, full=full, siting=siting)
        rgb = converter.to_rgb(planes_to_tensors(planes, CPU))
        assert rgb.shape == (1, 3, height, width)
        assert rgb.dtype == torch.float32
        assert rgb.is_contiguous()
        back = tensors_to_planes(converter.from_rgb(rgb), detect_layout(pix_fmt))
        for plane, same in zip(planes, back, strict=True):
            np.testing.assert_array_equal(same, plane, f"matrix {matrix}, {height} x {width}")


@pytest.mark.parametrize("full", [False, True])
@pytest.mark.parametrize("pix_fmt", ["gbrp", "gbrp10le", "gbrp16le", "gray", "gray16le", "yuv444p"])
def test_planes_without_matrix_come_back(pix_fmt: str, full: bool) -> None:
    planes = random_planes(pix_fmt, 9, 7)
    converter = conversion(pix_fmt, 0, full=full)
    back = tensors_to_planes(
        converter.from_rgb(converter.to_rgb(planes_to_tensors(planes, CPU))), detect_layout(pix_fmt)
    )
    for plane, same in zip(planes, back, strict=True):
        np.testing.assert_array_equal(same, plane)


@pytest.mark.parametrize("matrix", MATRICES)
@pytest.mark.parametrize(
    ("pix_fmt", "full", "black", "white", "neutral"),
    [
        ("yuv444p", False, 16, 235, 128),
        ("yuv444p", True, 0, 255, 128),
        ("yuv420p10le", False, 64, 940, 512),
        ("yuv422p12le", True, 0, 4095, 2048),
    ],
)
def test_black_and_white_have_their_levels(
    matrix: int, pix_fmt: str, full: bool, black: int, white: int, neutral: int
) -> None:
    converter = conversion(pix_fmt, matrix, full=full)
    for level, light in ((black, 0.0), (white, 1.0)):
        assert levels_of(converter, light, light, light) == [level, neutral, neutral]
        shapes = detect_layout(pix_fmt).shapes(6, 6)
        planes = [
            torch.full(shape, number)
            for shape, number in zip(shapes, (level, neutral, neutral), strict=True)
        ]
        torch.testing.assert_close(
            converter.to_rgb(planes), torch.full((1, 3, 6, 6), light), rtol=0, atol=1e-6
        )


@pytest.mark.parametrize("full", [False, True])
@pytest.mark.parametrize("matrix", [1, 4, 5, 7, 9])
def test_colors_agree_with_ffmpeg(matrix: int, full: bool) -> None:
    """Both ways, within one level of 8 bits."""
    converter = conversion("yuv444p", matrix, full=full)
    corners = [(r, g, b) for r in (0, 255) for g in (0, 255) for b in (0, 255)]
    inner = np.random.default_rng(0).integers(0, 256, (8, 3)).tolist()
    yuv_range = ColorRange.JPEG if full else ColorRange.MPEG
    for color in [*corners, *inner]:
        image = np.broadcast_to(np.uint8(color), (16, 16, 3)).copy()
        frame = av.VideoFrame.from_ndarray(image, format="rgb24").reformat(
            format="yuv444p",
            src_colorspace=matrix,
            dst_colorspace=matrix,
            src_color_range=ColorRange.JPEG,
            dst_color_range=yuv_range,
        )
        planes = frame.to_ndarray()
        ours = levels_of(converter, *(np.array(color) / 255).tolist())
        assert np.abs(planes[:, 8, 8].astype(int) - ours).max() <= 1, color
        rgb = converter.to_rgb(planes_to_tensors(tuple(planes), CPU))
        theirs = frame.reformat(
            format="rgb24",
            src_colorspace=matrix,
            dst_colorspace=matrix,
            src_color_range=yuv_range,
            dst_color_range=ColorRange.JPEG,
        ).to_ndarray()
        error = np.abs(rgb[0, :, 8, 8].numpy().clip(0, 1) * 255 - theirs[8, 8])
        assert error.max() <= 2, color


def test_bt709_red_has_the_levels_of_the_formula() -> None:
    """16 + 219 * 0.2126, 128 - 224 * 0.2126 / 1.8556, 128 + 112, and four times them."""
    assert levels_of(conversion("yuv444p", 1), 1, 0, 0) == [63, 102, 240]
    assert levels_of(conversion("yuv444p10le", 1), 1, 0, 0) == [250, 409, 960]


def test_ycgco_is_sums_and_differences() -> None:
    converter = conversion("yuv444p", 8, full=True)
    assert levels_of(converter, 0.2, 0.6, 0.4) == [
        round(255 * 0.45),
        round(255 * 0.15 + 128),
        round(255 * -0.1 + 128),
    ]


def test_a_float64_computation_agrees_everywhere() -> None:
    planes = random_planes("yuv444p10le", 16, 16)
    luma, blue, red = (plane.astype(float) for plane in planes)
    luma, blue, red = (luma / 4 - 16) / 219, (blue / 4 - 128) / 224, (red / 4 - 128) / 224
    r, b = luma + 2 * (1 - 0.2627) * red, luma + 2 * (1 - 0.0593) * blue
    g = (luma - 0.2627 * r - 0.0593 * b) / (1 - 0.2627 - 0.0593)
    rgb = conversion("yuv444p10le", 9).to_rgb(planes_to_tensors(planes, CPU))
    np.testing.assert_allclose(rgb[0].numpy(), np.stack((r, g, b)), rtol=0, atol=2e-6)


def test_planes_are_in_the_order_of_their_kind() -> None:
    assert levels_of(conversion("gbrp", 0, full=True), 0.2, 0.4, 0.6) == [51, 102, 153]
    assert levels_of(conversion("yuv444p", 0, full=True), 0.2, 0.4, 0.6) == [102, 153, 51]
    assert levels_of(conversion("gbrp", 0), 0, 1, 0) == [16, 235, 16]


def test_the_matrix_does_not_matter_to_rgb_planes() -> None:
    assert levels_of(conversion("gbrp", 2, full=True), 0.2, 0.4, 0.6) == [51, 102, 153]


def test_gray_is_luma_and_comes_back_as_three_equal_channels() -> None:
    assert levels_of(conversion("gray", 5, full=True), 1, 0, 0) == [76]
    assert levels_of(conversion("gray", 0, full=True), 1, 0, 0) == [54]
    assert levels_of(conversion("gray", 8, full=True), 0, 1, 0) == [128]
    rgb = conversion("gray", 1).to_rgb([torch.full((2, 2), 235, dtype=torch.uint8)])
    torch.testing.assert_close(rgb, torch.ones(1, 3, 2, 2))


def test_levels_outside_the_nominal_range_are_not_clamped_in_rgb() -> None:
    converter = conversion("yuv444p")
    planes = [torch.full((2, 2), level) for level in (255, 128, 128)]
    assert converter.to_rgb(planes).min() > 1.09
    planes = [torch.full((2, 2), level) for level in (0, 255, 0)]
    assert converter.to_rgb(planes).min() < -0.9


@pytest.mark.parametrize(("pix_fmt", "highest"), [("yuv420p", 255), ("yuv420p10le", 1023)])
def test_levels_are_clamped_to_those_that_exist(pix_fmt: str, highest: int) -> None:
    converter = conversion(pix_fmt)
    assert levels_of(converter, 3, 3, 3)[0] == highest
    assert levels_of(converter, -3, -3, -3)[0] == 0
    assert levels_of(converter, 3, -3, 3)[1:] == [highest, highest]
    assert levels_of(converter, -3, 3, -3)[1:] == [0, 0]


def test_levels_are_rounded_to_the_nearest() -> None:
    converter = conversion("gray", full=True)
    assert levels_of(converter, *[100.4 / 255] * 3) == [100]
    assert levels_of(converter, *[100.6 / 255] * 3) == [101]


@pytest.mark.parametrize("pix_fmt", ["yuv420p", "yuv420p10le"])
def test_memory_order_changes_nothing(pix_fmt: str) -> None:
    converter = conversion(pix_fmt)
    planes = random_planes(pix_fmt, 22, 34)
    rgb = converter.to_rgb(planes_to_tensors(planes, CPU))
    strided = tuple(np.repeat(plane, 2, axis=1)[:, ::2] for plane in planes)
    turned = tuple(plane[::-1].copy()[::-1] for plane in planes)
    assert torch.equal(converter.to_rgb(planes_to_tensors(strided, CPU)), rgb)
    assert torch.equal(converter.to_rgb(planes_to_tensors(turned, CPU)), rgb)
    levels = converter.from_rgb(rgb)
    for other in (
        rgb.contiguous(memory_format=torch.channels_last),
        torch.nn.functional.pad(rgb, (3, 2, 1, 4))[:, :, 1:-4, 3:-2],
    ):
        assert not other.is_contiguous()
        for plane, same in zip(levels, converter.from_rgb(other), strict=True):
            assert torch.equal(same, plane)


def test_what_goes_in_is_not_changed() -> None:
    converter = conversion("yuv420p")
    planes = planes_to_tensors(random_planes("yuv420p", 6, 8), CPU)
    before = [plane.clone() for plane in planes]
    rgb = converter.to_rgb(planes)
    rgb_before = rgb.clone()
    converter.from_rgb(rgb)
    assert all(torch.equal(plane, same) for plane, same in zip(planes, before, strict=True))
    assert torch.equal(rgb, rgb_before)


@pytest.mark.parametrize("pix_fmt", ["gray", "gray10le"])
def test_tensors_share_the_memory_of_planes_on_the_cpu(pix_fmt: str) -> None:
    planes = random_planes(pix_fmt, 4, 6)
    (tensor,) = planes_to_tensors(planes, CPU)
    (back,) = tensors_to_planes([tensor], detect_layout(pix_fmt))
    assert np.shares_memory(planes[0], back)
    assert back.dtype == detect_layout(pix_fmt).dtype


def test_read_only_planes_become_tensors_of_their_own() -> None:
    (plane,) = random_planes("gray", 4, 6)
    plane.flags.writeable = False
    (tensor,) = planes_to_tensors((plane,), CPU)
    tensor.fill_(7)
    np.testing.assert_array_equal(plane, random_planes("gray", 4, 6)[0])


@pytest.mark.parametrize(
    ("pix_fmt", "matrix"),
    [("yuv420p", 0), ("yuv422p", 0), ("yuv444p", 2), ("yuv444p", 10), ("gray", 14)],
)
def test_a_matrix_that_cannot_be_met_is_named(pix_fmt: str, matrix: int) -> None:
    with pytest.raises(ValueError, match=rf"matrix 1 or 4 to 9 .*, got {matrix} for {pix_fmt}"):
        conversion(pix_fmt, matrix)


@pytest.mark.parametrize("depth", [7, 17, 32])
def test_a_depth_that_cannot_be_met_is_named(depth: int) -> None:
    with pytest.raises(ValueError, match=f"8 to 16 bits per sample, got {depth}"):
        Conversion(Layout("gray", depth), Color(1, 1, 1, full_range=True), "left")


def test_planes_of_another_layout_are_refused() -> None:
    planes = planes_to_tensors(random_planes("yuv420p", 6, 8), CPU)
    with pytest.raises(ValueError, match=r"expected planes of .* for yuv422p, got"):
        conversion("yuv422p").to_rgb(planes)
    with pytest.raises(ValueError, match=r"expected planes of .* for gray, got"):
        conversion("gray").to_rgb(planes)


@pytest.mark.parametrize("shape", [(3, 4, 4), (2, 3, 4, 4), (1, 1, 4, 4)])
def test_anything_but_one_rgb_image_is_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match=r"expected float32 RGB of \(1, 3, H, W\), got"):
        conversion("yuv420p").from_rgb(torch.zeros(shape))


def test_rgb_of_too_few_bits_is_refused() -> None:
    with pytest.raises(ValueError, match=r"expected float32 RGB .* of torch.float16"):
        conversion("yuv420p10le").from_rgb(torch.zeros(1, 3, 4, 4, dtype=torch.float16))
