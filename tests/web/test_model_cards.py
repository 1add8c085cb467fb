import re
from pathlib import Path

from sr.models.bundled import BUNDLED
from sr.web.model_cards import SECONDS_PER_MEGAPIXEL, read_model_cards


def test_there_is_a_card_with_license_for_each_bundled_model() -> None:
    cards = read_model_cards()
    assert [card.name for card in cards] == [bundled.name for bundled in BUNDLED]
    assert {card.license for card in cards} == {"Apache-2.0"}
    assert "license Apache-2.0" in cards[0].describe()
    assert cards[0].label.endswith("x4 (default)")


def test_each_model_for_images_has_a_small_sample() -> None:
    for card in read_model_cards():
        assert (card.sample is not None) == (not card.takes_clips)
        assert card.sample is None or card.sample.stat().st_size < 50_000


def test_the_speeds_are_those_of_the_readme(repository: Path) -> None:
    text = (repository / "README.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| \[`(\w+)`\].*\| ([\d.]+) \|$", text, re.MULTILINE)
    assert {name: float(seconds) for name, seconds in rows} == SECONDS_PER_MEGAPIXEL
