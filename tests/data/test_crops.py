import pickle
from collections.abc import Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from itertools import islice
from pathlib import Path
from typing import Literal

import cv2
import numpy as np
import numpy.typing as npt
import pytest
import torch
from torch.nn import functional
from torch.utils.data import DataLoader

from sr.data.cache import SourceCache, fill_cache
from sr.data.crops import Crop, CropDataset, CropSettings, use_one_thread
from sr.data.hr_only import HRImage, find_hr_images
from sr.data.imresize import imresize
from sr.data.random_degradation import Degradation, Stage
from sr.data.sampler import EndlessBatchSampler
from sr.data.sharpen import Sharpening, sharpen
from sr.data.sources import DataError, Mixture, Pair, Source, count_pair_bytes, refuse_small_images
from sr.data.synthetic.fonts import Font
from sr.data.synthetic.images import SyntheticImages
from sr.io.rgb8 import write_rgb8
from sr.options.degradations import StageOptions

SETTINGS = CropSettings(crop_size=16, detail_candidates=2, flips=True, transposes=True)
STAGE = Stage(**dict(StageOptions(resize_factor=(0.3, 1.5), webp_probability=0.2)))
BLIND = Degradation((STAGE, STAGE), final_sinc_probability=0.8, clean_probability=0.0)
QUIET = replace(  # nothing but the area average
    BLIND,
    stages=(
        replace(
            STAGE,
            blur_probability=0.0,
            resize_probabilities=(0.0, 0.0, 1.0),
            resize_filters=("area",),
            gaussian_sigma=(0.0, 0.0),
            poisson_scale=(0.0, 0.0),
            compression_probability=0.0,
        ),
    ),
    final_sinc_probability=0.0,
)


@dataclass
class Repeated:
    """hr is lr with every pixel repeated, so that a shifted or unlike turned crop is seen."""

    hr_size: tuple[int, int]
    name: str = "repeated"
    scale: int = 4

    @property
    def num_bytes(self) -> int:
        return count_pair_bytes(self.hr_size)

    def load(self) -> Pair:
        height, width = (side // self.scale for side in self.hr_size)
        lr = np.random.default_rng(height).integers(0, 256, (height, width, 3), dtype=np.uint8)
        return lr, lr.repeat(self.scale, axis=0).repeat(self.scale, axis=1)


def dataset(
    tmp_path: Path,
    sources: Sequence[Source[Pair]],
    seed: int = 0,
    settings: CropSettings = SETTINGS,
    degradation: Degradation | None = None,
) -> CropDataset:
    pairs = fill_cache(sources, tmp_path / "cache.bin", 10**9)
    return CropDataset(pairs, 4, settings, seed, degradation)


def same(one: Crop, other: Crop) -> bool:
    return torch.equal(one["lr"], other["lr"]) and torch.equal(one["hr"], other["hr"])


@pytest.mark.parametrize("transposes", [True, False])
def test_lr_and_hr_of_a_crop_show_the_same_place_in_the_same_orientation(
    tmp_path: Path, transposes: bool
) -> None:
    settings = CropSettings(16, 1, flips=True, transposes=transposes)
    crops = dataset(tmp_path, [Repeated((40, 64)), Repeated((80, 32))], settings=settings)
    for number in range(30):
        crop = crops[number % 2, number]
        assert crop["lr"].shape == (3, 4, 4)
        assert crop["lr"].dtype == crop["hr"].dtype == torch.float32
        enlarged = functional.interpolate(crop["lr"][None], scale_factor=4.0, mode="nearest")
        torch.testing.assert_close(crop["hr"], enlarged[0], rtol=0, atol=0)
        assert 0 <= crop["hr"].min() < 0.5 < crop["hr"].max() <= 1


@pytest.mark.parametrize("degradation", [None, BLIND])
def test_a_crop_depends_on_the_number_of_its_draw_alone(
    tmp_path: Path, degradation: Degradation | None
) -> None:
    crops = dataset(tmp_path, [Repeated((64, 64))], degradation=degradation)
    first = crops[0, 5]
    for number in (3, 9, 2):
        assert not same(crops[0, number], first)
    assert same(crops[0, 5], first)
    other = dataset(tmp_path, [Repeated((64, 64))], seed=1, degradation=degradation)
    assert not same(other[0, 5], first)


def test_a_crop_carries_the_name_of_its_image(tmp_path: Path) -> None:
    crops = dataset(tmp_path, [Repeated((32, 32), "a"), Repeated((32, 32), "b")])
    assert [crops[index, 0]["name"] for index in (0, 1)] == ["a", "b"]
    assert len(crops) == 2


def test_a_pickled_data_set_gives_the_same_crops(tmp_path: Path) -> None:
    crops = dataset(tmp_path, [Repeated((64, 64))])
    copy = pickle.loads(pickle.dumps(crops))  # noqa: S301, our own
    assert all(same(crops[0, number], copy[0, number]) for number in range(5))


def test_a_image_gives_the_same_crops_cached_or_not(tmp_path: Path) -> None:
    cached = dataset(tmp_path, [Repeated((64, 64))])
    decoded = CropDataset(SourceCache([Repeated((64, 64))], Path(), []), 4, SETTINGS, 0)
    assert all(same(cached[0, number], decoded[0, number]) for number in range(5))


@pytest.mark.parametrize("degradation", [None, replace(BLIND, clean_probability=0.5)])
@pytest.mark.parametrize("hr_scale", [None, (0.5, 1.0)])
def test_crops_are_the_same_with_lr_of_the_cache_and_lr_made_from_their_surroundings(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    degradation: Degradation | None,
    hr_scale: tuple[float, float] | None,
) -> None:
    image = np.random.default_rng(0).integers(0, 256, (37, 46, 3), dtype=np.uint8)
    write_rgb8(tmp_path / "a.png", image)
    sources = find_hr_images([tmp_path], 4, (), (1.0,), hr_scale)
    cached = dataset(tmp_path, sources, degradation=degradation)
    monkeypatch.setattr(HRImage, "load", None)  # which makes lr of the whole image
    decoded = CropDataset(SourceCache(sources, Path(), []), 4, SETTINGS, 0, degradation)
    assert all(same(cached[0, number], decoded[0, number]) for number in range(40))


@pytest.mark.slow
def test_a_worker_process_gives_the_same_batches_as_this_one(tmp_path: Path) -> None:
    folder = tmp_path / "images"
    folder.mkdir()
    for side in (40, 48, 56):
        image = np.random.default_rng(side).integers(0, 256, (side, 64, 3), dtype=np.uint8)
        write_rgb8(folder / f"{side}.png", image)
    photos = find_hr_images([folder], 4, (), (1.0,))
    own_font = (Font(None, ("latin",)),)  # Pillow's
    drawn = SyntheticImages(4, {"text": 1.0, "patterns": 1.0}, (9, 40), own_font, (), 16)
    mixture = Mixture([(1.0, photos), (1.0, [drawn])])
    crops = dataset(tmp_path, mixture, degradation=replace(BLIND, clean_probability=0.5))

    def batches(num_workers: int, start_method: str | None) -> list[Crop]:
        loader: DataLoader[Crop] = DataLoader(
            crops,
            batch_sampler=EndlessBatchSampler(4, 2, 0, first_batch=2, groups=mixture.groups),
            num_workers=num_workers,
            multiprocessing_context=start_method,
            worker_init_fn=use_one_thread,
        )
        return list(islice(loader, 4))

    # A spawned worker shares nothing with this process but what was pickled.
    for ours, theirs in zip(batches(0, None), batches(1, "spawn"), strict=True):
        assert same(ours, theirs)
        assert ours["name"] == theirs["name"]
        assert ours["lr"].shape == (2, 3, 4, 4)


def repeated(degradation: Degradation | None, size: tuple[int, int] = (64, 64)) -> CropDataset:
    """Crops in the images' own orientation."""
    settings = CropSettings(16, 1, flips=False, transposes=False)
    return CropDataset(SourceCache([Repeated(size)], Path(), []), 4, settings, 0, degradation)


def test_degraded_crops_lie_in_the_places_of_those_that_are_not(tmp_path: Path) -> None:
    plain, blind, quiet = (repeated(degradation) for degradation in (None, BLIND, QUIET))
    for number in range(12):
        clean = plain[0, number]
        assert torch.equal(blind[0, number]["hr"], clean["hr"])
        assert blind[0, number]["lr"].shape == clean["lr"].shape
        assert not torch.equal(blind[0, number]["lr"], clean["lr"])
        # The area average of repeated pixels is the pixel, whatever the margin was.
        assert same(quiet[0, number], clean)


def test_degraded_lr_and_hr_show_the_same_place_in_the_same_orientation(tmp_path: Path) -> None:
    crops = dataset(tmp_path, [Repeated((40, 64)), Repeated((16, 16))], degradation=QUIET)
    for number in range(20):
        crop = crops[number % 2, number]
        enlarged = functional.interpolate(crop["lr"][None], scale_factor=4.0, mode="nearest")
        torch.testing.assert_close(crop["hr"], enlarged[0], rtol=0, atol=0)


def test_degraded_crops_have_their_size_at_the_borders_of_small_images_too() -> None:
    for size in ((16, 16), (16, 40), (24, 20)):
        crops = repeated(BLIND, size)
        for number in range(5):
            crop = crops[0, number]
            assert crop["lr"].shape == (3, 4, 4)
            assert crop["hr"].shape == (3, 16, 16)
            assert 0 <= crop["lr"].min() < crop["lr"].max() <= 1


def test_a_clean_crop_has_the_bicubic_lr_of_its_source(tmp_path: Path) -> None:
    image = np.random.default_rng(0).integers(0, 256, (16, 16, 3), dtype=np.uint8)
    write_rgb8(tmp_path / "a.png", image)
    sources = find_hr_images([tmp_path], 4, (), (1.0,))
    bicubic = torch.from_numpy(imresize(image, Fraction(1, 4)).transpose(2, 0, 1) / 255).float()
    settings = CropSettings(16, 1, flips=False, transposes=False)
    mixed = replace(BLIND, clean_probability=0.25)
    crops = dataset(tmp_path, sources, settings=settings, degradation=mixed)
    clean = [torch.equal(crops[0, number]["lr"], bicubic) for number in range(60)]
    assert np.mean(clean) == pytest.approx(0.25, abs=0.17)
    none_clean = replace(BLIND, clean_probability=0.0)
    crops = dataset(tmp_path, sources, settings=settings, degradation=none_clean)
    assert not any(torch.equal(crops[0, number]["lr"], bicubic) for number in range(20))


def test_a_worker_keeps_opencv_to_one_thread() -> None:
    before = cv2.getNumThreads()
    try:
        use_one_thread(3)
        assert cv2.getNumThreads() == 1
    finally:
        cv2.setNumThreads(before)


def test_images_that_a_crop_does_not_fit_into_are_all_named() -> None:
    sizes = {"wide": (12, 90), "large": (90, 90), "fits": (16, 16), "tall": (90, 15)}
    sources = [HRImage(Path(f"{name}.png"), 1, 1.0, size) for name, size in sizes.items()]
    with pytest.raises(DataError) as caught:
        refuse_small_images(sources, 16, "the crop")
    assert str(caught.value).splitlines() == [
        "images smaller than the crop of 16 HR pixels: 2 faults",
        "  wide.png: 90x12 (width x height)",
        "  tall.png: 15x90 (width x height)",
    ]


def test_images_that_a_crop_just_fits_into_are_taken(tmp_path: Path) -> None:
    refuse_small_images([Repeated((16, 16))], 16, "the crop")
    crop = dataset(tmp_path, [Repeated((16, 16))])[0, 0]
    assert crop["hr"].shape == (3, 16, 16)


def smooth(height: int, width: int) -> npt.NDArray[np.uint8]:
    """An image whose value is its place: red across, green down, so that scale is seen."""
    across, down = np.meshgrid(np.arange(width), np.arange(height))
    return np.stack([across, down, across], axis=2).astype(np.uint8)


@pytest.mark.parametrize("degradation", [None, BLIND])
def test_crops_are_cut_from_images_at_sizes_between_the_factors(
    tmp_path: Path, degradation: Degradation | None
) -> None:
    write_rgb8(tmp_path / "a.png", smooth(160, 240))
    sources = find_hr_images([tmp_path], 4, (), (1.0,), hr_scale=(0.25, 1.0))
    settings = CropSettings(16, 1, flips=False, transposes=False)
    crops = dataset(tmp_path, sources, settings=settings, degradation=degradation)
    factors = []
    for number in range(60):
        crop = crops[0, number]
        assert crop["hr"].shape == (3, 16, 16)
        assert crop["lr"].shape == (3, 4, 4)
        red, green = (crop["hr"][:2] * 255).numpy()
        steps = np.diff(red.mean(axis=0)).mean(), np.diff(green.mean(axis=1)).mean()
        assert steps[0] == pytest.approx(steps[1], abs=0.15)
        factors.append(1 / steps[0])
    assert min(factors) == pytest.approx(0.25, abs=0.06)
    assert max(factors) == pytest.approx(1.0, abs=0.1)
    assert np.mean(factors) == pytest.approx(0.625, abs=0.1)
    assert same(crops[0, 5], crops[0, 5])


def test_lr_of_a_crop_of_a_shrunk_image_is_matlabs_bicubic(tmp_path: Path) -> None:
    image = np.random.default_rng(0).integers(0, 256, (160, 160, 3), dtype=np.uint8)
    write_rgb8(tmp_path / "a.png", image)
    sources = find_hr_images([tmp_path], 4, (), (1.0,), hr_scale=(0.3, 0.9))
    crops = dataset(tmp_path, sources, settings=replace(SETTINGS, crop_size=32))
    for number in range(10):
        crop = crops[0, number]
        hr = np.rint(crop["hr"].numpy() * 255).astype(np.uint8).transpose(1, 2, 0)
        lr = np.rint(crop["lr"].numpy() * 255).astype(np.uint8).transpose(1, 2, 0)
        expected = imresize(hr, Fraction(1, 4))
        np.testing.assert_array_equal(lr[2:-2, 2:-2], expected[2:-2, 2:-2])


def test_an_image_is_not_shrunk_below_the_size_of_a_crop(tmp_path: Path) -> None:
    for size in ((16, 16), (20, 400), (32, 32)):
        image = np.random.default_rng(0).integers(0, 256, (*size, 3), dtype=np.uint8)
        write_rgb8(tmp_path / "a.png", image)
        sources = find_hr_images([tmp_path], 4, (), (1.0,), hr_scale=(0.1, 0.2))
        crops = dataset(tmp_path, sources)
        for number in range(10):
            assert crops[0, number]["hr"].shape == (3, 16, 16)
            assert crops[0, number]["lr"].shape == (3, 4, 4)


@pytest.mark.parametrize("hr_scale", [None, (0.5, 0.8)])
@pytest.mark.parametrize("measure", ["gradient", "residual"])
def test_flat_crops_are_left_out_and_a_quantile_leaves_out_noise(
    tmp_path: Path, measure: Literal["gradient", "residual"], hr_scale: tuple[float, float] | None
) -> None:
    image = np.full((192, 192, 3), 128, np.uint8)
    noise = np.random.default_rng(0).integers(0, 256, (192, 64, 3), dtype=np.uint8)
    image[:, :64] = 118 + noise // 12  # a third is textured, a third flat, a third noise
    image[:, 128:] = noise
    write_rgb8(tmp_path / "a.png", image)
    sources = find_hr_images([tmp_path], 4, (), (1.0,), hr_scale=hr_scale)

    def spread(candidates: int, quantile: float) -> float:
        settings = replace(
            SETTINGS,
            detail_candidates=candidates,
            detail_quantile=quantile,
            detail_measure=measure,
        )
        crops = dataset(tmp_path, sources, settings=settings)
        return float(np.median([crops[0, number]["hr"].std() * 255 for number in range(30)]))

    most, middle, least = spread(8, 1.0), spread(9, 0.5), spread(8, 0.0)
    assert most > 25
    assert 1 < middle < 25
    assert least < 1


@pytest.mark.parametrize("hr_scale", [None, (0.5, 0.9)])
@pytest.mark.parametrize("clean", [0.0, 1.0])
def test_lr_is_made_of_sharpened_hr_and_both_are_cut_from_the_sharpened_image(
    tmp_path: Path, hr_scale: tuple[float, float] | None, clean: float
) -> None:
    write_rgb8(tmp_path / "a.png", np.random.default_rng(0).integers(0, 256, (160, 160, 3), "u1"))
    images = find_hr_images([tmp_path], 4, (), [1.0], hr_scale)
    sharpening = Sharpening(9, 0.5, 10.0, only_targets=True)
    degradation = replace(QUIET, clean_probability=clean)
    settings = CropSettings(16, 1, flips=True, transposes=True)
    plain = dataset(tmp_path, images, settings=settings, degradation=degradation)
    settings = replace(settings, sharpening=sharpening)
    crops = dataset(tmp_path, images, settings=settings, degradation=degradation)
    settings = replace(settings, sharpening=replace(sharpening, only_targets=False))
    everywhere = dataset(tmp_path, images, settings=settings, degradation=degradation)
    whole = sharpen(images[0].load_hr(), sharpening)
    for number in range(3):
        crop = crops[0, number]
        assert not torch.equal(crop["target"], crop["hr"])
        assert not torch.equal(crop["lr"], plain[0, number]["lr"])
        if hr_scale is None:
            assert torch.equal(crop["hr"], plain[0, number]["hr"])
            assert is_part(crop["target"], whole)
            assert not clean or is_part(crop["lr"], imresize(whole, Fraction(1, 4)))
        if not clean:
            mean = functional.avg_pool2d(crop["target"], 4)
            torch.testing.assert_close(crop["lr"], mean, rtol=0, atol=1 / 255)
        for_all = everywhere[0, number]
        assert "target" not in for_all
        assert torch.equal(for_all["hr"], crop["target"])
        assert torch.equal(for_all["lr"], crop["lr"])


def is_part(crop: torch.Tensor, image: npt.NDArray[np.uint8]) -> bool:
    """Whether a crop, in one of the eight orientations, is in an image, but for rounding."""
    size, whole = crop.shape[-1], torch.from_numpy(image).permute(2, 0, 1) / 255
    turns = [torch.rot90(each, k, (1, 2)) for each in (crop, crop.flip(1)) for k in range(4)]
    windows = whole.unfold(1, size, 1).unfold(2, size, 1)  # (3, rows, columns, size, size)
    faults = [(windows - turn[:, None, None]).abs().amax((0, 3, 4)).min() for turn in turns]
    return min(map(float, faults)) < 1.5 / 255
