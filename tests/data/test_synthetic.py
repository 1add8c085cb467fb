import pickle
from collections.abc import Mapping
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import ImageFont

from sr.data.cache import SourceCache, fill_cache, open_cache, write_index
from sr.data.crops import CropDataset, CropSettings
from sr.data.imresize import imresize
from sr.data.random_degradation import Degradation, Stage
from sr.data.sources import DataError
from sr.data.synthetic.fonts import Font, find_fonts, load_font
from sr.data.synthetic.images import SyntheticImages, find_synthetic
from sr.data.synthetic.patterns import draw_bars, draw_waves, make_phase
from sr.data.synthetic.text import make_words
from sr.options.degradations import StageOptions

KINDS = ("text", "graphics", "patterns", "facades")
OWN_FONT = (Font(None, ("latin",)),)  # the one that Pillow brings: tests need no other
SETTINGS = CropSettings(32, 1, flips=True, transposes=True)
SVG = """<svg xmlns="http://www.w3.org/2000/svg" width="40" height="20">
<rect width="40" height="20" fill="#ff0000"/></svg>"""


def synthetic(kinds: Mapping[str, float] | None = None) -> SyntheticImages:
    return SyntheticImages(4, kinds or dict.fromkeys(KINDS, 1.0), (9, 40), OWN_FONT, (), 32)


def dataset(
    source: SyntheticImages, seed: int = 0, degradation: Degradation | None = None
) -> CropDataset:
    return CropDataset(SourceCache([source], Path(), []), 4, SETTINGS, seed, degradation)


@pytest.mark.parametrize("kind", KINDS)
def test_an_image_depends_on_its_seed_alone(kind: str) -> None:
    source = synthetic({kind: 1.0})
    images = [source.draw(64, np.random.default_rng(seed)) for seed in range(12)]
    assert {name for name, _ in images} == {kind}
    for seed in (7, 2):
        _, again = source.draw(64, np.random.default_rng(seed))
        np.testing.assert_array_equal(again, images[seed][1])
    assert all(image.shape == (64, 64, 3) for _, image in images)
    assert all(image.dtype == np.uint8 for _, image in images)
    assert len({image.tobytes() for _, image in images}) == 12
    assert np.mean([np.ptp(image) > 50 for _, image in images]) > 0.8  # there is something to see


def test_kinds_are_drawn_by_their_shares() -> None:
    source = synthetic({"text": 3.0, "patterns": 1.0})
    kinds = [source.draw(8, np.random.default_rng(seed))[0] for seed in range(200)]
    assert kinds.count("text") == pytest.approx(150, abs=20)
    assert kinds.count("patterns") == 200 - kinds.count("text")


@pytest.mark.parametrize("frequency", [0.05, 0.2, 0.3, 0.5, 0.9, 1.02, 2.0])
def test_what_pixels_cannot_show_fades_to_its_mean_instead_of_aliasing(frequency: float) -> None:
    places = np.broadcast_to(np.arange(200, dtype=np.float32) * np.float32(frequency), (200, 200))
    phase = make_phase(places)
    for coverage, mean in ((draw_waves(phase), 0.5), (draw_bars(phase, 0.3), 0.3)):
        assert coverage.mean() == pytest.approx(mean, abs=0.02)
        assert 0 <= coverage.min() <= coverage.max() <= 1
        assert (np.ptp(coverage) < 1e-3) == (frequency >= 0.5)


def test_lr_is_matlabs_bicubic_of_hr() -> None:
    crops = dataset(synthetic())
    for number in range(8):
        crop = crops[0, number]
        hr = np.rint(crop["hr"].numpy() * 255).astype(np.uint8).transpose(1, 2, 0)
        lr = np.rint(crop["lr"].numpy() * 255).astype(np.uint8).transpose(1, 2, 0)
        assert hr.shape == (32, 32, 3)
        inside = slice(2, -2)  # beyond, lr depends on what lies around the crop
        np.testing.assert_array_equal(
            lr[inside, inside], imresize(hr, Fraction(1, 4))[inside, inside]
        )
        assert 0 <= crop["hr"].min() <= crop["hr"].max() <= 1


def test_a_crop_depends_on_the_seed_and_the_number_of_its_draw() -> None:
    crops = dataset(synthetic())
    first = crops[0, 3]
    assert torch.equal(crops[0, 3]["hr"], first["hr"])
    assert not torch.equal(crops[0, 4]["hr"], first["hr"])
    assert not torch.equal(dataset(synthetic(), seed=1)[0, 3]["hr"], first["hr"])
    assert first["name"].startswith("synthetic ")


def test_synthetic_images_can_be_degraded() -> None:
    stage = Stage(**dict(StageOptions()))
    blind = Degradation((stage, stage), final_sinc_probability=0.8, clean_probability=0.0)
    for number in range(5):
        crop = dataset(synthetic(), degradation=blind)[0, number]
        assert crop["lr"].shape == (3, 8, 8)
        assert crop["hr"].shape == (3, 32, 32)


def test_synthetic_images_are_never_kept(tmp_path: Path) -> None:
    cached = fill_cache([synthetic(), synthetic()], tmp_path / "cache.bin", 10**9)
    write_index(cached)
    assert (tmp_path / "cache.bin").stat().st_size == 0
    for each in (cached, open_cache(cached.sources, cached.file)):
        assert each.blocks == [[], []]
        lr, hr = each[1]
        assert hr.shape == (*synthetic().hr_size, 3)
        np.testing.assert_array_equal(lr, imresize(hr, Fraction(1, 4)))


def test_svg_files_are_drawn(tmp_path: Path) -> None:
    (tmp_path / "a.svg").write_text(SVG)
    source = find_synthetic(4, {"svg": 1.0, "text": 0.0}, (9, 40), (), [tmp_path], 32)
    assert source.fonts == []
    red = 0
    for seed in range(10):
        kind, image = source.draw(32, np.random.default_rng(seed))
        assert kind == "svg"
        red += bool((image == [255, 0, 0]).all(axis=2).any())
    assert red >= 8


def test_damaged_svg_files_are_named(tmp_path: Path) -> None:
    (tmp_path / "a.svg").write_text(SVG)
    (tmp_path / "b.svg").write_text("<svg")
    with pytest.raises(DataError, match=r"SVG files: 1 fault\n.*b\.svg: expected an SVG file"):
        find_synthetic(4, {"svg": 1.0}, (9, 40), (), [tmp_path], 32)


def test_fonts_of_a_folder_are_found_and_others_left_out(tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "own.ttf").write_bytes(own_font())
    (tmp_path / "damaged.otf").write_text("no font")
    (font,) = find_fonts([tmp_path])
    assert font.path == tmp_path / "sub" / "own.ttf"
    assert "latin" in font.scripts
    drawn = load_font(font.path, 20).getmask("Ag")
    assert bytes(drawn) == bytes(load_font(None, 20).getmask("Ag"))


def own_font() -> bytes:
    """The file of the font that Pillow brings."""
    font = ImageFont.load_default(20)
    assert isinstance(font, ImageFont.FreeTypeFont)
    return bytes(font.font_bytes)


def test_folders_without_fonts_or_drawings_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"expected fonts \(\.ttf, \.otf, \.ttc\).*got none"):
        find_fonts([tmp_path])
    with pytest.raises(DataError, match=r"no such folder of fonts: .*nowhere"):
        find_fonts([tmp_path / "nowhere"])
    with pytest.raises(DataError, match="expected SVG files, got none"):
        find_synthetic(4, {"svg": 1.0}, (9, 40), (), [tmp_path], 32)


def test_a_system_without_fonts_has_pillows(tmp_path: Path) -> None:
    assert find_fonts([], [tmp_path]) == [*OWN_FONT]


def test_a_pickled_source_draws_the_same() -> None:
    source = replace(synthetic(), text_size=(12, 20))
    copy = pickle.loads(pickle.dumps(source))  # noqa: S301, our own
    _, one = source.draw(48, np.random.default_rng(5))
    np.testing.assert_array_equal(copy.draw(48, np.random.default_rng(5))[1], one)


@pytest.mark.parametrize("script", ["latin", "accents", "cyrillic", "greek"])
def test_words_are_of_their_script(script: str) -> None:
    words = [make_words(20, script, np.random.default_rng(seed)) for seed in range(5)]
    assert len(set(words)) == 5
    assert all(words)


@pytest.mark.parametrize("size", [8, 33, 64, 300])
def test_text_is_drawn_at_every_size_of_image(size: int) -> None:
    source = replace(synthetic({"text": 1.0}), text_size=(3, 100))
    for seed in range(60):
        assert source.draw(size, np.random.default_rng(seed))[1].shape == (size, size, 3)
