"""The reference of option files, docs/options.md: every key with type, default and description.

Generated from the JSON schema, and so from types, bounds, defaults and docstrings of the options:
`python -m sr.options.generate_docs > docs/options.md` after every change of them.
"""

import json
import re
import sys
from collections.abc import Mapping, Sequence
from typing import Any

import yaml

from sr.options.json_schema import generate_schema

Schema = Mapping[str, Any]

_HEAD = """# Options of a training file
Every key that `train.py -opt FILE` reads; [training.md](training.md) explains how to use them. This
page is generated from the code: `python -m sr.options.generate_docs > docs/options.md`.

Keys are written with their path, as on the command line: `train.steps=1000` sets the key `steps` of
the section `train`. N is an index in a list, counted from 0. A dash as default means that the key
is required. A section that exists in several types has a key `type`, and the keys of that type.
Unknown keys are errors. Constraints between keys (the crop size must be a multiple of the scale,
...) are checked when the file is read, before training starts.
"""
_WHOLE_FILE = "The whole file"
_BOUNDS = {
    "minimum": "at least {:g}",
    "exclusiveMinimum": "above {:g}",
    "maximum": "at most {:g}",
    "exclusiveMaximum": "below {:g}",
}


class _Page:
    """The sections of a schema, each described once, at the first of its places in the file."""

    def __init__(self, schema: Schema) -> None:
        self._sections: dict[str, Schema] = {**schema["$defs"], "": schema}
        self._titles: dict[str, str] = {}  # in the order of the file
        self._places: dict[str, list[tuple[str, Schema]]] = {}  # label, and defaults set from above
        self._contents: list[tuple[int, str, Sequence[str]]] = []  # depth, path, sections
        self._visit("", [""], ("", {}), depth=0)

    def __str__(self) -> str:
        contents = "\n".join(self._list_in_contents(*entry) for entry in self._contents)
        chapters = "\n".join(
            text for _, path, names in self._contents for text in self._list_chapters(path, names)
        )
        return f"{_HEAD}\n{contents}\n\n{chapters}"

    def _visit(
        self, path: str, names: Sequence[str], place: tuple[str, Schema], *, depth: int
    ) -> None:
        """Enter the sections that a key may hold and, where they are new, those below them."""
        new = [name for name in names if name not in self._titles]
        if new:
            self._contents.append((depth, path, names))
        for name in names:
            self._places.setdefault(name, []).append(place)
        for name in new:
            kind = self._find_kind(name)
            title = f"`{path}`" if path else _WHOLE_FILE
            self._titles[name] = f"{title}: {kind}" if kind else title
        for name in new:
            inside = f" of {kind}" if (kind := self._find_kind(name)) else ""
            for key, option in self._list_keys(name):
                if below := _list_references(option):
                    inner = _join(path, key) + (".N" if "items" in option else "")
                    place = f"`{inner}`{inside}", option.get("default") or {}
                    self._visit(inner, below, place, depth=depth + bool(path))

    def _list_chapters(self, path: str, names: Sequence[str]) -> list[str]:
        """The sections that are described at this path; those of several types below a heading."""
        title = f"`{path}`" if path else _WHOLE_FILE
        own = [name for name in names if self._titles[name].startswith(title)]
        return [f"## `{path}`\n"] * bool(self._find_kind(names[0])) + [*map(self._describe, own)]

    def _find_kind(self, name: str) -> str:
        return str(self._sections[name]["properties"].get("type", {}).get("const", ""))

    def _list_keys(self, name: str) -> list[tuple[str, Schema]]:
        """Keys of a section, but for the `type` that only selects it."""
        keys = self._sections[name]["properties"].items()
        return [(key, option) for key, option in keys if "const" not in option]

    def _link(self, name: str) -> str:
        title = self._titles[name]
        return f"[{self._find_kind(name) or title}](#{_make_anchor(title)})"

    def _list_in_contents(self, depth: int, path: str, names: Sequence[str]) -> str:
        head = f"[`{path}`](#{_make_anchor(path)}): " if self._find_kind(names[0]) else ""
        return f"{'  ' * depth}- {head}{', '.join(map(self._link, names))}"

    def _describe(self, name: str) -> str:
        places = self._places[name]
        level = "###" if self._find_kind(name) else "##"
        lines = [f"{level} {self._titles[name]}", _one_line(self._sections[name]["description"])]
        if len(places) > 1:
            lines.append("Also " + ", ".join(label for label, _ in places[1:]) + ".")
        keys = self._list_keys(name)
        columns = {
            label: [self._find_default(name, key, defaults) for key, _ in keys]
            for label, defaults in places
        }
        if all(column == columns[places[0][0]] for column in columns.values()):
            columns = {"default": columns[places[0][0]]}
        heads = [re.sub(r"`(.*\.)?(.*)`", r"\2", label) for label in columns]  # without the path
        rows = [["key", "type", *heads, "description"], ["---"] * (3 + len(columns))]
        path = places[0][0].split("`")[1] if name else ""
        for number, (key, option) in enumerate(keys):
            cells = [f"`{_join(path, key)}`", self._describe_type(option)]
            cells += [column[number] for column in columns.values()]
            cells.append(self._describe_key(option))
            rows.append([cell.replace("|", "\\|") for cell in cells])
        table = ["", *(f"| {' | '.join(row)} |" for row in rows)] if keys else []
        return "\n".join([*lines, *table, ""])

    def _describe_key(self, option: Schema) -> str:
        """The docstring under the field, or that of its section."""
        if "description" in option:
            return _one_line(option["description"])
        names = _list_references(option)
        return _one_line(self._sections[names[0]]["description"]) if len(names) == 1 else ""

    def _find_default(self, name: str, key: str, defaults: Schema) -> str:
        section = self._sections[name]
        option = section["properties"][key]
        if key in section.get("required", ()):
            return "-"
        default = defaults.get(key, option.get("default", {}))
        if isinstance(default, dict) and len(_list_references(option)) == 1:
            return "see there"
        text = yaml.safe_dump(default, default_flow_style=True, width=1000).removesuffix("...\n")
        return f"`{text.strip()}`"

    def _describe_type(self, option: Schema) -> str:
        """What a key takes, in words."""
        if names := _list_references(option):
            links = ", ".join(map(self._link, names))
            one = f"one of {links}" if len(names) > 1 else f"section {links}"
            words = f"list of sections {links}" if "items" in option else one
            return words + (" or `null`" if {"type": "null"} in option.get("anyOf", ()) else "")
        if "anyOf" in option:
            return " or ".join(map(self._describe_type, option["anyOf"]))
        return _describe_value(option)


def _describe_value(option: Schema) -> str:
    """What a key without sections below takes, in words."""
    if "enum" in option:
        return ", ".join(f"`{choice}`" for choice in option["enum"])
    if "const" in option:
        return f"`{option['const']}`"
    match option["type"]:
        case "integer" | "number" as name:
            if "minimum" in option and "maximum" in option:
                return f"{name} from {option['minimum']:g} to {option['maximum']:g}"
            bounds = [text.format(option[key]) for key, text in _BOUNDS.items() if key in option]
            return f"{name} {' and '.join(bounds)}".strip()
        case "string" if "pattern" in option:
            return f"text matching `{option['pattern']}`"
        case "string":
            return "path" if option.get("format") == "path" else "text"
        case "array":
            return _describe_list(option)
        case "object" if option["additionalProperties"] is not True:
            return f"names, each with a {_describe_value(option['additionalProperties'])}"
        case name:
            return {"boolean": "`true`, `false`", "null": "`null`", "object": "any keys"}[name]


def _describe_list(option: Schema) -> str:
    if "prefixItems" not in option:
        least = f", at least {option['minItems']}" if "minItems" in option else ""
        return f"list{least}; each: {_describe_value(option['items'])}"
    each = [*map(_describe_value, option["prefixItems"])]
    words = f"; each: {each[0]}" if len(set(each)) == 1 else f": {', '.join(each)}"
    return f"list of {len(each)}{words}"


def _list_references(option: Schema) -> tuple[str, ...]:
    """Names of the sections that a key may hold."""
    if "$ref" in option:
        return (option["$ref"].removeprefix("#/$defs/"),)
    below = [*option.get("anyOf", ()), *option.get("oneOf", ())]
    below += [option["items"]] if "items" in option else []
    return tuple(name for choice in below for name in _list_references(choice))


def _join(path: str, key: str) -> str:
    return f"{path}.{key}" if path else key


def _make_anchor(title: str) -> str:
    """The anchor that GitHub gives a heading."""
    return re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-")


def _one_line(text: str) -> str:
    return " ".join(text.split())


def generate_docs() -> str:
    """Generate the page docs/options.md."""
    return str(_Page(json.loads(generate_schema())))


if __name__ == "__main__":
    sys.stdout.write(generate_docs())
