"""The bundled models: each listed file is there with its card, and is found by its name."""

from pathlib import Path

import pytest

from sr.errors import ModelFileError
from sr.models.bundled import (
    BUNDLED,
    DEFAULT,
    SMALL_DEFAULT,
    WEIGHTS,
    BundledModel,
    choose_default_model,
)
from sr.models.describe import count_computing_weights
from sr.models.load import load_generator

NAMES = [bundled.name for bundled in BUNDLED]


def test_every_listed_model_has_a_file_and_a_card_and_the_reverse() -> None:
    assert len(set(NAMES)) == len(NAMES)
    files = {path.stem for path in WEIGHTS.glob("*.safetensors")}
    cards = {path.stem for path in WEIGHTS.glob("*_x?.md")}
    assert files == cards == set(NAMES)
    for bundled in BUNDLED:
        assert bundled.card.read_text(encoding="utf-8").startswith(f"# {bundled.name}\n")


@pytest.mark.parametrize("bundled", BUNDLED, ids=NAMES)
def test_what_a_header_says_is_what_is_loaded(bundled: BundledModel) -> None:
    facts = bundled.read_facts()
    loaded = load_generator(bundled.file)
    assert facts.network == loaded.architecture
    assert facts.scale == loaded.scale
    assert bundled.name.endswith(f"_x{facts.scale}")
    assert facts.takes_clips == loaded.takes_clips
    assert facts.num_weights == count_computing_weights(loaded.network)
    assert facts.num_bytes == bundled.file.stat().st_size


def test_the_defaults_are_for_images_and_by_the_enlargement() -> None:
    (default,) = (bundled for bundled in BUNDLED if bundled.name == DEFAULT)
    assert not default.read_facts().takes_clips
    assert (choose_default_model().stem, choose_default_model(2.5).stem) == (DEFAULT, DEFAULT)
    assert choose_default_model(float("nan")).stem == DEFAULT  # which is refused elsewhere
    assert (
        choose_default_model(2.0).stem
        == choose_default_model(0.5).stem
        == SMALL_DEFAULT
        == "span_x2"
    )


def test_a_bundled_file_that_is_missing_or_cut_off_is_reported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sr.models.bundled.WEIGHTS", tmp_path)
    with pytest.raises(ModelFileError, match=r"span_x4\.safetensors: .* missing or broken .*again"):
        BUNDLED[0].read_facts()
    BUNDLED[0].file.write_bytes(b"cut")
    with pytest.raises(ModelFileError, match="missing or broken"):
        BUNDLED[0].read_facts()
