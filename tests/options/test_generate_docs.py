import json
import re
from pathlib import Path

import pytest

from sr.options.generate_docs import generate_docs
from sr.options.json_schema import generate_schema
from sr.options.load import load_options


@pytest.fixture(scope="module")
def page() -> str:
    return generate_docs()


def rows(page: str) -> list[list[str]]:
    """Cells of the rows about a key."""
    lines = [line for line in page.splitlines() if line.startswith("| `")]
    return [re.split(r"(?<!\\) \| ", line.strip("| ")) for line in lines]


def test_the_page_in_the_repository_is_fresh(repository: Path, page: str) -> None:
    kept = (repository / "docs" / "options.md").read_text(encoding="utf-8")
    assert kept == page, "run: python -m sr.options.generate_docs > docs/options.md"


def test_every_key_of_the_schema_is_documented(page: str) -> None:
    schema = json.loads(generate_schema())
    documented = {row[0].strip("`").rpartition(".")[2] for row in rows(page)}
    for part in (schema, *schema["$defs"].values()):
        selectors = {key for key, option in part["properties"].items() if "const" in option}
        assert set(part["properties"]) - selectors <= documented, part["title"]


def test_every_key_has_a_text_or_leads_to_a_section(page: str) -> None:
    for row in rows(page):
        assert row[-1].endswith((".", ")")) or "](#" in row[1], row


def test_every_kind_has_a_heading(page: str) -> None:
    schema = json.loads(generate_schema())
    for part in schema["$defs"].values():
        kind = part["properties"].get("type", {}).get("const")
        assert kind is None or re.search(rf"^### `[a-zN_.]+`: {kind}$", page, re.MULTILINE), kind


def test_bounds_defaults_and_choices_are_documented(page: str) -> None:
    assert "| `scale` | `1`, `2`, `3`, `4`, `8` | - | Upscaling factor; 1 restores" in page
    assert "| `train.steps` | integer above 0 | - | Optimizer updates of the whole run. |" in page
    assert "| `train.ema_decay` | number at least 0 and below 1 | `0.999` | " in page
    assert "| `train.clip_norm` | number above 0 or `null` | `null` | " in page
    assert "| `datasets.train.source.hr` | list, at least 1; each: path | - | " in page


def test_stages_of_degradations_stand_side_by_side(page: str) -> None:
    quality = next(row for row in rows(page) if row[0].endswith("first.quality`"))
    assert quality[2:7] == ["`[30, 95]`", "`[30, 95]`", "`[40, 95]`", "`[35, 95]`", "`[70, 95]`"]


def test_the_keys_are_those_of_the_command_line(repository: Path, page: str) -> None:
    keys = {row[0].strip("`") for row in rows(page)}
    overrides = {"train.steps": "7", "datasets.train.crop_size": "48", "log.num_images": "0"}
    assert set(overrides) < keys
    file = repository / "options" / "train" / "compact_x4.yml"
    options = load_options(file, [f"{key}={value}" for key, value in overrides.items()])
    assert options.train.steps == 7
