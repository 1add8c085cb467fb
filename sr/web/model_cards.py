"""What the page says of the bundled models: purpose, size, speed and license."""

import re
from dataclasses import dataclass
from pathlib import Path

from sr.errors import ModelFileError
from sr.models.bundled import BUNDLED, DEFAULT, BundledModel

# Seconds per output megapixel on two CPU cores, fp32: the table in README.md.
SECONDS_PER_MEGAPIXEL = {
    "span_x4": 0.34,
    "span_small_x4": 0.16,
    "compact_x4": 0.43,
    "compact_tiny_x4": 0.05,
    "compact_nano_x4": 0.02,
    "compact_real_x4": 0.43,
    "graphics_x4": 0.34,
    "span_x2": 1.29,
    "compact_x2": 1.62,
    "compact_real_x2": 1.59,
}
SAMPLES = Path(__file__).parent / "samples"  # made by benchmarks/model_samples.py
_LICENSE = re.compile(r"^\| license \| (.*?)[,;|]", re.MULTILINE)


@dataclass(frozen=True)
class ModelCard:
    """What there is to know before a model is chosen."""

    name: str
    purpose: str
    scale: int
    network: str
    num_bytes: int
    license: str
    takes_clips: bool
    """For videos only."""
    seconds_per_megapixel: float | None
    """Of the result, on two CPU cores; None where it was not measured."""

    @property
    def sample(self) -> Path | None:
        """An image of a part before and after; None where there is none."""
        file = SAMPLES / f"{self.name}.webp"
        return file if file.is_file() else None

    @property
    def label(self) -> str:
        """One line for a list, the purpose first."""
        mark = " (default)" if self.name == DEFAULT else ""
        return f"{self.purpose}: {self.name}, x{self.scale}{mark}"

    def describe(self) -> str:
        """Return speed, size and license in one line."""
        words = [f"{self.network}, x{self.scale}", f"{self.num_bytes / 1e6:.1f} MB"]
        if self.seconds_per_megapixel is not None:
            words.append(
                f"{self.seconds_per_megapixel:g} s per megapixel of the result on two CPU cores"
            )
        return ", ".join([*words, f"license {self.license}"])


def read_model_cards() -> list[ModelCard]:
    """Read the cards of all bundled models whose files are there."""
    cards = []
    for bundled in BUNDLED:
        try:
            cards.append(_read_card(bundled))
        except ModelFileError:
            continue  # --list-models says so
    return cards


def _read_card(bundled: BundledModel) -> ModelCard:
    facts = bundled.read_facts()
    found = None
    if bundled.card.is_file():
        found = _LICENSE.search(bundled.card.read_text(encoding="utf-8"))
    return ModelCard(
        bundled.name,
        bundled.purpose,
        facts.scale,
        facts.network,
        facts.num_bytes,
        "not stated" if found is None else found[1].strip(),
        facts.takes_clips,
        SECONDS_PER_MEGAPIXEL.get(bundled.name),
    )
