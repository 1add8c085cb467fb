"""Real-ESRGAN's degradation arrives as our type of that name."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from sr.options.import_basicsr import Translation, import_basicsr
from sr.options.load import load_options
from sr.options.schema import Options

Path_ = tuple[str, ...]


def changed(text: str, path: Path_, value: object) -> str:
    """The file with one value changed, added or, with `...`, left out."""
    tree = yaml.safe_load(text)
    section = tree
    for key in path[:-1]:
        section = section[key]
    section[path[-1]] = value
    if value is ...:
        del section[path[-1]]
    return yaml.safe_dump(tree)


def settings(imported: Translation) -> Any:
    return yaml.safe_load(imported.text)


def at(tree: Any, path: Path_) -> Any:
    for key in path:
        tree = tree[key]
    return tree


def options(text: str, tmp_path: Path) -> Options:
    path = tmp_path / "options.yml"
    path.write_text(import_basicsr(text).text, encoding="utf-8")
    return load_options(path)


def test_the_published_degradation_has_our_defaults(real_esrgan: str, tmp_path: Path) -> None:
    train = options(real_esrgan, tmp_path).datasets.train
    assert train.source.type == "HRFolders"
    assert train.crop_size == 256
    assert train.degradation is not None
    assert train.degradation.clean_probability == 0
    defaults = changed(real_esrgan, ("second_blur_prob",), ...)
    for key in list(yaml.safe_load(real_esrgan)):
        if key.startswith(("resize_", "gaussian_", "noise_", "poisson_", "gray_", "jpeg_")):
            defaults = changed(defaults, (key,), ...)
    assert train.degradation == options(defaults, tmp_path).datasets.train.degradation


@pytest.mark.parametrize(
    ("key", "value", "place"),
    [
        ("noise_range2", [2, 9], ("second", "gaussian_sigma")),
        ("jpeg_range", [50, 60], ("first", "quality")),
        ("second_blur_prob", 0.3, ("second", "blur_probability")),
        ("resize_prob", [2, 7, 1], ("first", "resize_probabilities")),
    ],
)
def test_degradation_values_arrive(real_esrgan: str, key: str, value: Any, place: Path_) -> None:
    made = settings(import_basicsr(changed(real_esrgan, (key,), value)))
    wanted = [0.2, 0.7, 0.1] if key == "resize_prob" else value
    assert at(made["datasets"]["train"]["degradation"], place) == pytest.approx(wanted)
