"""Data sets and degradations of a BasicSR file."""

from pathlib import Path
from typing import Any

import pytest
import yaml
from helpers.basicsr_files import (
    EDSR,
    MSRRESNET,
    REAL_ESRGAN,
    KeyPath,
    change,
    find_line,
    get_value,
    load,
)

from sr.options.image_sources import LRFolders, PairedFolders
from sr.options.import_basicsr import Translation, import_basicsr


def settings(imported: Translation) -> Any:
    return yaml.safe_load(imported.text)


def test_data_sets_arrive(tmp_path: Path) -> None:
    data = load(MSRRESNET, tmp_path).datasets
    assert data.train.source.model_dump(mode="json") == {
        "type": "PairedFolders",
        "hr": ["data/hr"],
        "lr": ["data/lr"],
        "exclude": [],
        "exclude_list": None,
    }
    assert (data.train.crop_size, data.train.batch_size, data.train.num_workers) == (128, 16, 6)
    assert data.train.flips
    assert data.train.transposes
    assert [found.name for found in data.validation] == ["five", "fourteen"]
    source = data.validation[1].source
    assert isinstance(source, PairedFolders)
    assert source.hr == (Path("fourteen/hr"),)


def test_without_lr_folder_it_is_made_from_hr(tmp_path: Path) -> None:
    loaded = load(change(EDSR, ("datasets", "train", "dataroot_lq"), None), tmp_path)
    assert loaded.datasets.train.source.type == "HRFolders"


def test_a_validation_set_without_hr_is_measured_without(tmp_path: Path) -> None:
    only_lr = {"type": "SingleImageDataset", "name": "seen", "dataroot_lq": "x"}
    first, _ = load(change(EDSR, ("datasets", "val"), only_lr), tmp_path).datasets.validation
    assert first.name == "seen"
    assert isinstance(first.source, LRFolders)
    assert first.source.lr == (Path("x"),)


def test_a_validation_set_without_any_folder_is_listed(tmp_path: Path) -> None:
    text = change(EDSR, ("datasets", "val"), {"type": "SingleImageDataset", "name": "seen"})
    assert [found.name for found in load(text, tmp_path).datasets.validation] == ["fourteen"]
    assert "dataroot_lq" in find_line(text, "datasets.val.name")


def test_validation_sets_of_one_name_get_different_names(tmp_path: Path) -> None:
    loaded = load(change(EDSR, ("datasets", "val_2", "name"), "five"), tmp_path)
    assert [found.name for found in loaded.datasets.validation] == ["five", "five_2"]


def test_pairs_in_one_folder_are_told_apart_by_their_list(tmp_path: Path) -> None:
    text = change(MSRRESNET, ("datasets", "train", "type"), "RealESRGANPairedDataset")
    text = change(text, ("datasets", "train", "dataroot_gt"), "data")
    text = change(text, ("datasets", "train", "dataroot_lq"), "data")
    listed = tmp_path / "pairs.txt"
    with_list = change(text, ("datasets", "train", "meta_info"), str(listed))
    for unreadable in (text, with_list):
        source = load(unreadable, tmp_path).datasets.train.source
        assert isinstance(source, PairedFolders)
        assert (source.hr, source.lr) == ((Path("data/HR"),), (Path("data/LR"),))
        assert "put them into data/HR" in find_line(unreadable, "datasets.train.dataroot_lq")
    listed.write_text("sub/a.png, small/a.png\nsub/b.png, small/b.png\n")
    source = load(with_list, tmp_path).datasets.train.source
    assert isinstance(source, PairedFolders)
    assert (source.hr, source.lr) == ((Path("data/sub"),), (Path("data/small"),))
    listed.write_text("sub/a.png\n")
    with pytest.raises(ValueError, match=r"meta_info: expected lines with `hr, lr` in .*pairs"):
        import_basicsr(with_list)


@pytest.mark.parametrize(
    ("hflip", "rot", "ours", "note"),
    [
        (True, True, (True, True), ""),
        (False, False, (False, False), ""),
        (True, False, (True, False), "left-right only"),
        (False, True, (True, True), "upside down only"),
    ],
)
def test_flips(tmp_path: Path, hflip: bool, rot: bool, ours: tuple[bool, bool], note: str) -> None:
    text = change(EDSR, ("datasets", "train", "use_hflip"), hflip)
    text = change(text, ("datasets", "train", "use_rot"), rot)
    train = load(text, tmp_path).datasets.train
    assert (train.flips, train.transposes) == ours
    lines = [find_line(text, f"datasets.train.{key}") for key in ("use_hflip", "use_rot")]
    assert note in "".join(lines)
    assert bool(note) == any(lines)


def test_the_published_degradation_has_our_defaults(tmp_path: Path) -> None:
    train = load(REAL_ESRGAN, tmp_path).datasets.train
    assert train.source.type == "HRFolders"
    assert train.crop_size == 256
    assert train.degradation is not None
    assert train.degradation.clean_probability == 0
    defaults = change(REAL_ESRGAN, ("second_blur_prob",), ...)
    for key in list(yaml.safe_load(REAL_ESRGAN)):
        if key.startswith(("resize_", "gaussian_", "noise_", "poisson_", "gray_", "jpeg_")):
            defaults = change(defaults, (key,), ...)
    assert train.degradation == load(defaults, tmp_path).datasets.train.degradation


@pytest.mark.parametrize(
    ("key", "value", "place"),
    [
        ("noise_range2", [2, 9], ("second", "gaussian_sigma")),
        ("jpeg_range", [50, 60], ("first", "quality")),
        ("second_blur_prob", 0.3, ("second", "blur_probability")),
        ("resize_prob", [2, 7, 1], ("first", "resize_probabilities")),
    ],
)
def test_degradation_values_arrive(key: str, value: Any, place: KeyPath) -> None:
    made = settings(import_basicsr(change(REAL_ESRGAN, (key,), value)))
    wanted = [0.2, 0.7, 0.1] if key == "resize_prob" else value
    assert get_value(made["datasets"]["train"]["degradation"], place) == pytest.approx(wanted)


@pytest.mark.parametrize(("gan_gt_usm", "targets"), [(False, "all_but_adversarial"), (True, "all")])
def test_real_esrgans_sharpening_is_taken_over(
    tmp_path: Path, gan_gt_usm: bool, targets: str
) -> None:
    text = change(REAL_ESRGAN, ("gan_gt_usm",), gan_gt_usm)
    sharpening = load(text, tmp_path).datasets.train.sharpening
    assert sharpening is not None
    assert sharpening.targets == targets
    assert not any(find_line(text, key) for key in ("l1_gt_usm", "percep_gt_usm", "gan_gt_usm"))


def test_sharpening_of_some_terms_alone_is_listed(tmp_path: Path) -> None:
    text = change(REAL_ESRGAN, ("percep_gt_usm",), False)
    assert load(text, tmp_path).datasets.train.sharpening is None
    assert "for all terms or all but the adversarial" in find_line(text, "percep_gt_usm")
    assert "sharpens hr before it is degraded" in find_line(text, "model_type")
