import json
from pathlib import Path

from sr.options.json_schema import generate_schema


def test_the_schema_in_the_repository_is_fresh(repository: Path) -> None:
    kept = (repository / "options" / "schema.json").read_text(encoding="utf-8")
    assert kept == generate_schema(), (
        "run: python -m sr.options.json_schema > options/schema.json"  # after a change of options
    )


def test_the_schema_has_the_keys_of_the_file_and_forbids_others() -> None:
    schema = json.loads(generate_schema())
    assert "validate" in schema["properties"]
    assert "validate_" not in schema["properties"]
    assert schema["additionalProperties"] is False
    assert all(part["additionalProperties"] is False for part in schema["$defs"].values())


def test_the_schema_describes_fields_by_their_docstrings() -> None:
    schema = json.loads(generate_schema())
    assert schema["properties"]["scale"]["description"].startswith("Upscaling factor; ")
    assert schema["properties"]["scale"]["enum"] == [1, 2, 3, 4, 8]
