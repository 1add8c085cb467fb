"""The JSON schema of option files, for completion and checks in editors.

`python -m sr.options.json_schema > options/schema.json` after every change of the options.
"""

import json
import sys
from collections.abc import Iterator
from typing import Any

from sr.options.base import Section
from sr.options.read_docstrings import read_docstrings
from sr.options.schema import Options

DIALECT = "https://json-schema.org/draft/2020-12/schema"


def generate_schema() -> str:
    """Return the schema of an option file, with keys as written in it, as indented JSON."""
    schema = {"$schema": DIALECT, **Options.model_json_schema(by_alias=True)}
    for section in _list_sections(Section):
        part = schema if section is Options else schema["$defs"].get(section.__name__)
        if part is not None:
            _describe_keys(part["properties"], section)
    return json.dumps(schema, indent=2) + "\n"


def _list_sections(section: type[Section]) -> Iterator[type[Section]]:
    """All classes below one."""
    for below in section.__subclasses__():
        yield below
        yield from _list_sections(below)


def _describe_keys(properties: dict[str, Any], section: type[Section]) -> None:
    """Enter what the docstrings say; pydantic would read them at each start of the program."""
    for kind in section.__mro__:  # what a class says of an inherited key comes first
        if issubclass(kind, Section):
            for name, text in read_docstrings(kind).items():
                key = section.model_fields[name].alias or name
                properties[key] = {"description": text} | properties[key]


if __name__ == "__main__":
    sys.stdout.write(generate_schema())
