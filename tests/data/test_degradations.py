import numpy as np
import pytest
from numpy.typing import NDArray

from sr.data.degradations import (
    Codec,
    Filter,
    FloatImage,
    add_gaussian_noise,
    add_poisson_noise,
    blur,
    compress,
    resize,
    to_float,
    to_uint8,
)
from sr.data.kernels import make_gaussian_kernel, make_sinc_kernel

FILTERS: list[Filter] = ["area", "bilinear", "bicubic"]
CODECS: list[Codec] = ["jpeg", "webp"]


def random_image(height: int = 40, width: int = 30) -> FloatImage:
    return np.random.default_rng(0).random((height, width, 3), dtype=np.float32)


def smooth_image(side: int = 64) -> FloatImage:
    return blur(random_image(side, side), make_gaussian_kernel(21, (3.0, 3.0)))


def flat(*levels: float, side: int = 150) -> FloatImage:
    """Of one color, given in 8-bit levels."""
    return np.full((side, side, 3), levels, np.float32) / np.float32(255)


def noise_levels(noisy: FloatImage, image: FloatImage) -> NDArray[np.float64]:
    return (noisy.astype(np.float64) - image) * 255


@pytest.mark.parametrize("step", range(7))
def test_every_step_keeps_type_and_range_and_its_input(step: int) -> None:
    image = random_image()
    rng = np.random.default_rng(1)
    before = image.copy()
    results = [
        blur(image, make_sinc_kernel(21, 1.0)),
        resize(image, (40, 30), "bicubic"),
        add_gaussian_noise(image, 80.0, False, rng),
        add_poisson_noise(image, 8.0, False, rng),
        add_poisson_noise(image, 8.0, True, rng),
        compress(image, "jpeg", 10),
        compress(image, "webp", 10),
    ]
    result = results[step]
    assert result.dtype == np.float32
    assert result.shape == image.shape
    assert result.min() >= 0
    assert result.max() <= 1
    np.testing.assert_array_equal(image, before)


def test_every_8_bit_value_survives_the_way_to_float_and_back() -> None:
    levels = np.arange(256, dtype=np.uint8).reshape(16, 16, 1).repeat(3, axis=2)
    image = to_float(levels)
    assert image.dtype == np.float32
    assert (image.min(), image.max()) == (0, 1)
    np.testing.assert_array_equal(to_uint8(image), levels)
    beyond = np.array([[[-1.0, 2.0, 0.5]]], np.float32)
    np.testing.assert_array_equal(to_uint8(beyond), [[[0, 255, 128]]])


def test_blurring_a_point_gives_the_kernel_and_a_flat_image_stays() -> None:
    point = np.zeros((21, 21, 3), np.float32)
    point[10, 10] = 1
    kernel = make_gaussian_kernel(9, (2.0, 1.0), angle=0.5)
    np.testing.assert_allclose(blur(point, kernel)[6:15, 6:15, 1], kernel, atol=1e-6)
    np.testing.assert_allclose(blur(flat(10, 100, 200), kernel), flat(10, 100, 200), atol=1e-6)


@pytest.mark.parametrize("kind", FILTERS)
@pytest.mark.parametrize("size", [(7, 11), (40, 60), (53, 31), (1, 1)])
def test_resizing_gives_the_size_asked_for_and_keeps_flat_colors(
    kind: Filter, size: tuple[int, int]
) -> None:
    resized = resize(random_image(), size, kind)
    assert resized.shape == (*size, 3)
    assert resized.min() >= 0
    assert resized.max() <= 1
    color = flat(10, 100, 200, side=30)
    np.testing.assert_allclose(
        resize(color, size, kind), np.broadcast_to(color[0, 0], (*size, 3)), atol=1e-5
    )


@pytest.mark.parametrize("kind", FILTERS)
@pytest.mark.parametrize("size", [20, 29, 61, 90])
def test_resizing_does_not_shift(kind: Filter, size: int) -> None:
    ramp = np.linspace(0.1, 0.9, 45, dtype=np.float32).reshape(1, 45, 1)
    ramp = np.broadcast_to(ramp, (45, 45, 3)).copy()
    resized = resize(ramp, (size, size), kind)
    # A ramp about the middle stays one: turned about and inverted it is itself.
    np.testing.assert_allclose(resized, 1 - resized[:, ::-1], atol=1e-5)
    np.testing.assert_allclose(
        resize(ramp.transpose(1, 0, 2), (size, size), kind), resized.transpose(1, 0, 2), atol=1e-6
    )


def test_area_averages_when_shrinking_by_a_whole_number() -> None:
    image = random_image(12, 20)
    averages = image.reshape(3, 4, 5, 4, 3).mean(axis=(1, 3))
    np.testing.assert_allclose(resize(image, (3, 5), "area"), averages, atol=1e-6)


@pytest.mark.parametrize("sigma", [2.0, 25.0])
def test_gaussian_noise_has_the_asked_standard_deviation_in_each_channel(sigma: float) -> None:
    image = flat(120, 128, 140)
    noise = noise_levels(add_gaussian_noise(image, sigma, False, np.random.default_rng(0)), image)
    np.testing.assert_allclose(noise.std(axis=(0, 1)), sigma, rtol=0.03)
    np.testing.assert_allclose(noise.mean(axis=(0, 1)), 0, atol=0.03 * sigma)
    correlations = np.corrcoef(noise.reshape(-1, 3).T)
    np.testing.assert_allclose(correlations, np.eye(3), atol=0.03)


@pytest.mark.parametrize("scale", [0.1, 1.0, 2.0])
def test_poisson_noise_grows_with_the_root_of_the_level(scale: float) -> None:
    image = flat(25, 64, 144)
    noise = noise_levels(add_poisson_noise(image, scale, False, np.random.default_rng(0)), image)
    np.testing.assert_allclose(noise.std(axis=(0, 1)), scale * np.array([5, 8, 12]), rtol=0.03)
    np.testing.assert_allclose(noise.mean(axis=(0, 1)), 0, atol=0.3 * scale)
    assert abs(np.corrcoef(noise[..., 0].ravel(), noise[..., 1].ravel())[0, 1]) < 0.03


def test_gray_noise_is_the_same_in_all_channels() -> None:
    image = flat(100, 120, 140)
    rng = np.random.default_rng(0)
    luma = 0.299 * 100 + 0.587 * 120 + 0.114 * 140
    for noisy, sigma in (
        (add_gaussian_noise(image, 9.0, True, rng), 9.0),
        (add_poisson_noise(image, 1.0, True, rng), luma**0.5),
    ):
        noise = noise_levels(noisy, image)
        assert noise.std() == pytest.approx(sigma, rel=0.03)
        np.testing.assert_allclose(noise[..., 0], noise[..., 1], atol=1e-4)
        np.testing.assert_allclose(noise[..., 0], noise[..., 2], atol=1e-4)


def test_noise_depends_on_the_state_of_the_random_generator_alone() -> None:
    image = random_image()
    for add_noise in (add_gaussian_noise, add_poisson_noise):
        one, same, other = (
            add_noise(image, 2.0, False, np.random.default_rng(seed)) for seed in (1, 1, 2)
        )
        np.testing.assert_array_equal(one, same)
        assert (one != other).any()


@pytest.mark.parametrize("codec", CODECS)
def test_compression_errs_more_at_lower_quality(codec: Codec) -> None:
    image = smooth_image()
    image = add_gaussian_noise(image, 3.0, False, np.random.default_rng(0))
    errors = [
        np.square(compress(image, codec, quality) - image).mean() for quality in (95, 70, 40, 10)
    ]
    assert errors == sorted(errors)
    assert 0 < errors[0] < errors[-1] / 3


@pytest.mark.parametrize("codec", CODECS)
@pytest.mark.parametrize("color", [(230, 20, 20), (20, 230, 20), (20, 20, 230)])
def test_compression_keeps_the_colors_in_their_channels(
    codec: Codec, color: tuple[int, int, int]
) -> None:
    image = flat(*color, side=16)
    errors = np.abs(noise_levels(compress(image, codec, 95), image))
    assert errors.max() < 6


@pytest.mark.parametrize(("channel", "weight"), [(0, 0.299), (1, 0.587), (2, 0.114)])
def test_of_fine_stripes_jpeg_leaves_their_luma_in_all_channels(
    channel: int, weight: float
) -> None:
    # Chroma is halved in size. Were red and blue swapped on the way, so would be their weights.
    stripes = (np.arange(64) % 2 * 2 - 1).astype(np.float32)
    image = flat(128, 128, 128, side=64)
    image[:, :, channel] += np.float32(0.3) * stripes
    remaining = (compress(image, "jpeg", 95) * stripes[:, None]).mean(axis=(0, 1))
    np.testing.assert_allclose(remaining, 0.3 * weight, atol=0.01)


def test_compression_of_odd_sizes_keeps_them() -> None:
    for codec in CODECS:
        assert compress(random_image(7, 13), codec, 50).shape == (7, 13, 3)
        assert compress(random_image(1, 1), codec, 50).shape == (1, 1, 3)
