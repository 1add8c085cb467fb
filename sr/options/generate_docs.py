"""The reference of option files, docs/options.md: every key with type, default and description.

Generated from the JSON schema, and so from types, bounds, defaults and docstrings of the options:
`python -m sr.options.generate_docs > docs/options.md` after every change of them.
"""

import json
import re
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import yaml

from sr.options.json_schema import schema_json

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


@dataclass(frozen=True)
class _Place:
    """Where a part stands: its key path, and of which kind the section around it is."""

    path: str
    inside: str
    kinds: tuple[str, ...]  # names of definitions, one for each `type`

    @property
    def label(self) -> str:
        return f"`{self.path}`{self.inside}" if self.path else _WHOLE_FILE


@dataclass
class _Part:
    """A section of the file, or a union of them; at all places where the same keys are taken."""

    places: list[_Place] = field(default_factory=list)

    @property
    def title(self) -> str:
        first = self.places[0]
        return f"`{first.path}`" if first.path else _WHOLE_FILE

    @property
    def depth(self) -> int:
        path = self.places[0].path
        return path.count(".") if path else 0


class Reference:
    """The parts of a schema in the order of the file, and their text."""

    def __init__(self, schema: Schema) -> None:
        self._definitions: dict[str, Schema] = {**schema["$defs"], "": schema}
        self._parts: dict[tuple[str, ...], _Part] = {}  # in the order of the file
        self._part_of: dict[tuple[str, ...], _Part] = {}
        self._visit(_Place("", "", ("",)))

    def markdown(self) -> str:
        """The whole page."""
        contents = "\n".join(self._contents(part) for part in self._parts.values())
        chapters = "\n".join(self._chapter(part) for part in self._parts.values())
        return f"{_HEAD}\n{contents}\n\n{chapters}"

    def _visit(self, place: _Place) -> None:
        """Note the part at a place and, where it is new, those below it.

        Sections side by side that differ in their defaults, such as the stages of degradations,
        are one part.
        """
        keys = place.kinds
        if place.inside:
            around = place.path.rpartition(".")[0]
            keys = (around, *(json.dumps(_without_defaults(self._definitions[k])) for k in keys))
        known = keys in self._parts
        part = self._parts.setdefault(keys, _Part())
        part.places.append(place)
        self._part_of[place.kinds] = part
        if known:
            return
        for kind in place.kinds:
            inside = f" of {self._kind_name(kind)}" if len(place.kinds) > 1 else place.inside
            for key, option in self._options(kind):
                if references := _references(option):
                    below = _joined(place.path, key) + (".N" if "items" in option else "")
                    self._visit(_Place(below, inside, references))

    def _options(self, kind: str) -> Iterator[tuple[str, Schema]]:
        """Keys of a section; the `type` that only selects it is in the heading."""
        for key, option in self._definitions[kind]["properties"].items():
            if "const" not in option:
                yield key, option

    def _kind_name(self, kind: str) -> str:
        return str(self._definitions[kind]["properties"]["type"]["const"])

    def _contents(self, part: _Part) -> str:
        """Its line in the table of contents."""
        line = f"{'  ' * part.depth}- {_link(part.title)}"
        kinds = part.places[0].kinds
        if len(kinds) == 1:
            return line
        return line + ": " + ", ".join(self._kind_link(part, kind) for kind in kinds)

    def _kind_link(self, part: _Part, kind: str) -> str:
        name = self._kind_name(kind)
        return f"[{name}](#{_anchor(self._kind_title(part, kind))})"

    def _kind_title(self, part: _Part, kind: str) -> str:
        return f"{part.title}: {self._kind_name(kind)}"

    def _chapter(self, part: _Part) -> str:
        first, *others = part.places
        lines = [f"## {part.title}"]
        if len(first.kinds) > 1:
            if others:
                lines.append("Also " + ", ".join(place.label for place in others) + ".")
            for kind in first.kinds:
                title = self._kind_title(part, kind)
                lines += ["", f"### {title}", self._text(kind), *self._table(first.path, (kind,))]
            return "\n".join(lines) + "\n"
        kinds = tuple(dict.fromkeys(place.kinds[0] for place in part.places))
        if len(kinds) == 1:
            lines.append(self._text(kinds[0]))
            if others:
                lines.append("Also " + ", ".join(place.label for place in others) + ".")
            return "\n".join([*lines, *self._table(first.path, kinds)]) + "\n"
        lines += [f"- {place.label}: {self._text(place.kinds[0])}" for place in part.places]
        columns = [f"{place.path.rpartition('.')[2]}{place.inside}" for place in part.places]
        return "\n".join([*lines, *self._table(first.path, kinds, columns)]) + "\n"

    def _text(self, kind: str) -> str:
        return _one_line(self._definitions[kind]["description"])

    def _table(
        self, path: str, kinds: tuple[str, ...], columns: list[str] | None = None
    ) -> list[str]:
        """A row for each key; a column of defaults for each of several sections with the keys."""
        heads = ["key", "takes"] + (columns or ["default"]) + ["what"]
        rows = []
        for key, option in self._options(kinds[0]):
            cells = [f"`{_joined(path, key)}`", self._takes(option)]
            cells += [self._default(kind, key) for kind in kinds]
            rows.append([*cells, self._description(option)])
        if not rows:
            return []
        body = [_row([cell.replace("|", "\\|") for cell in row]) for row in rows]
        return ["", _row(heads), _row(["---"] * len(heads)), *body]

    def _description(self, option: Schema) -> str:
        """The docstring under the field, or that of its section."""
        if "description" in option:
            return _one_line(option["description"])
        references = _references(option)
        return self._text(references[0]) if len(references) == 1 else ""

    def _default(self, kind: str, key: str) -> str:
        section = self._definitions[kind]
        if key in section.get("required", ()):
            return "-"
        option = section["properties"][key]
        default = option.get("default", {})
        if isinstance(default, dict) and len(_references(option)) == 1:
            return "as there"
        return f"`{_yaml(default)}`"

    def _takes(self, option: Schema) -> str:
        """What a key takes, in words."""
        references = _references(option)
        if references:
            part = self._part_of[references]
            if len(references) > 1:
                words = "one of " + ", ".join(self._kind_link(part, kind) for kind in references)
            else:
                words = f"the section {_link(part.title)}"
            words = f"list of sections {_link(part.title)}" if "items" in option else words
            return words + (" or `null`" if {"type": "null"} in option.get("anyOf", ()) else "")
        if "anyOf" in option:
            return " or ".join(self._takes(choice) for choice in option["anyOf"])
        return _value(option)


def _value(option: Schema) -> str:
    """What a key without sections below takes, in words."""
    if "enum" in option:
        return ", ".join(f"`{choice}`" for choice in option["enum"])
    match option["type"]:
        case "integer" | "number" as name:
            return " ".join([name, *_bounds(option)])
        case "string" if option.get("format") == "path":
            return "path"
        case "string" if "const" in option:
            return f"`{option['const']}`"
        case "string":
            return f"text matching `{option['pattern']}`" if "pattern" in option else "text"
        case "array":
            return _list(option)
        case "boolean":
            return "`true`, `false`"
        case "null":
            return "`null`"
        case "object":
            values = option["additionalProperties"]
            return "any keys" if values is True else f"names, each with a {_value(values)}"
        case name:
            raise ValueError(f"no words for a schema of type {name!r}")


def _bounds(option: Schema) -> list[str]:
    if "minimum" in option and "maximum" in option:
        return [f"from {option['minimum']:g} to {option['maximum']:g}"]
    words = [text.format(option[key]) for key, text in _BOUNDS.items() if key in option]
    return [" and ".join(words)] if words else []


def _list(option: Schema) -> str:
    if "prefixItems" not in option:
        least = f", at least {option['minItems']}" if "minItems" in option else ""
        return f"list{least}; each: {_value(option['items'])}"
    each = [_value(item) for item in option["prefixItems"]]
    if len(set(each)) == 1:
        return f"list of {len(each)}; each: {each[0]}"
    return f"list of {len(each)}: " + ", ".join(each)


def _references(option: Schema) -> tuple[str, ...]:
    """Names of the definitions that a key's value may be of."""
    if "$ref" in option:
        return (option["$ref"].removeprefix("#/$defs/"),)
    below = [*option.get("anyOf", ()), *option.get("oneOf", ())]
    below += [option["items"]] if "items" in option else []
    return tuple(name for choice in below for name in _references(choice))


def _without_defaults(definition: Schema) -> Schema:
    """What two sections share that take the same keys, whatever their defaults and names."""
    properties = definition["properties"].items()
    return {
        key: {name: part for name, part in option.items() if name != "default"}
        for key, option in properties
    }


def _joined(path: str, key: str) -> str:
    return f"{path}.{key}" if path else key


def _link(title: str) -> str:
    return f"[{title}](#{_anchor(title)})"


def _anchor(title: str) -> str:
    """The anchor that GitHub gives a heading."""
    return re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-")


def _row(cells: list[str]) -> str:
    return "| " + " | ".join(cells) + " |"


def _one_line(text: str) -> str:
    return " ".join(text.split())


def _yaml(default: object) -> str:
    text = yaml.safe_dump(default, default_flow_style=True, width=1000)
    return text.removesuffix("...\n").strip()


def reference_markdown() -> str:
    """The page docs/options.md."""
    return Reference(json.loads(schema_json())).markdown()


if __name__ == "__main__":
    sys.stdout.write(reference_markdown())
