"""Load Options from a YAML file and command-line overrides, or report all faults in one error."""

import difflib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, get_args

import yaml
from pydantic import ValidationError
from pydantic_core import ErrorDetails

from sr.options.base import Section
from sr.options.read_yaml import OptionsError, parse_yaml, read_option_text
from sr.options.schema import Options

_MESSAGES = {  # instead of pydantic's, which speak of Python's types
    "model_type": "expected a section of keys",
    "model_attributes_type": "expected a section of keys",
    "tuple_type": "expected a list, such as [a, b]",
}


def load_options(path: Path, overrides: Sequence[str] = ()) -> Options:
    """Load the YAML file `path` with `key.sub=value` overrides.

    Raises OptionsError with all faults at once.
    """
    tree = _read_yaml(path)
    for override in overrides:
        tree = _merge(tree, override)
    try:
        return Options.model_validate(tree)
    except ValidationError as error:
        faults = list_faults(error)
    count = "1 fault" if len(faults) == 1 else f"{len(faults)} faults"
    raise OptionsError(f"{path}: {count}\n" + "\n".join(f"  {fault}" for fault in faults))


def list_faults(error: ValidationError) -> list[str]:
    """Return a line for each fault that `Options` found, with key, what is allowed and given."""
    return [_describe(fault) for fault in error.errors(include_url=False)]


def dump_options(options: Options) -> str:
    """Return all options, with defaults, as YAML that `load_options` reads."""
    return yaml.safe_dump(options.model_dump(mode="json", by_alias=True), sort_keys=False)


def _read_yaml(path: Path) -> dict[str, Any]:
    text = read_option_text(path)
    try:
        tree = parse_yaml(text)
    except OptionsError as error:
        raise OptionsError(f"{path}: {error}") from None
    if not isinstance(tree, dict):
        raise OptionsError(f"{path}: expected sections of options, got {type(tree).__name__}")
    return tree


def _merge(tree: dict[str, Any], override: str) -> dict[str, Any]:
    """Return the tree with one `key.sub=value` in it; a number in the key is an index of a list."""
    key, equals, text = override.partition("=")
    if not equals or not key:
        raise OptionsError(f"override {override!r}: expected key.sub=value, e.g. train.steps=1000")
    try:
        value = parse_yaml(text)
    except OptionsError as error:
        raise OptionsError(f"override {override!r}: value is {error}") from None
    merged: dict[str, Any] = _replace(tree, key.split("."), value, override)
    return merged


def _replace(node: Any, keys: Sequence[str], value: Any, override: str) -> Any:
    """Copy the node with a new value below it; an alias elsewhere keeps the old one."""
    if not keys:
        return value
    key, *below = keys
    if isinstance(node, list):
        index = _parse_index(node, key, override)
        return [*node[:index], _replace(node[index], below, value, override), *node[index + 1 :]]
    if not isinstance(node, dict | None):
        raise OptionsError(f"override {override!r}: {key!r} lies below a value, not a section")
    section = node or {}
    return {**section, key: _replace(section.get(key), below, value, override)}


def _parse_index(node: list[Any], part: str, override: str) -> int:
    if not part.isdecimal() or int(part) >= len(node):
        raise OptionsError(f"override {override!r}: {part!r} is no index of a list of {len(node)}")
    return int(part)


def _describe(fault: ErrorDetails) -> str:
    """Return one line: key path, what is wrong, the value, what is allowed."""
    path, sections = _walk(fault["loc"])
    key = ".".join(path) or "the whole file"
    got = fault["input"]
    if fault["type"] == "extra_forbidden":
        allowed = sorted(_list_keys(sections))
        hint = _suggest(path[-1], allowed)
        return f"{key}: unknown key{hint}; allowed: {', '.join(allowed)}"
    if fault["type"] == "missing":
        return f"{key}: missing"
    if fault["type"] == "union_tag_not_found":
        _, members = _walk((*fault["loc"], "type"))
        return f"{key}.type: missing; allowed: {', '.join(str(_get_tag(part)) for part in members)}"
    if fault["type"] == "union_tag_invalid":
        context = fault["ctx"]
        allowed = [tag.strip().strip("'") for tag in context["expected_tags"].split(",")]
        tag = str(context["tag"])
        return f"{key}.type: unknown type {tag!r}{_suggest(tag, allowed)}; allowed: " + (
            ", ".join(allowed)
        )
    message = _MESSAGES.get(fault["type"], fault["msg"].removeprefix("Value error, "))
    message = message.replace("Tuple should", "List should")
    if isinstance(got, Mapping | Sequence) and not isinstance(got, str):
        return f"{key}: {message}"
    return f"{key}: {message}, got {got!r}"


def _suggest(word: str, allowed: Sequence[str]) -> str:
    close = difflib.get_close_matches(word, allowed, n=1, cutoff=0.5)
    return f", did you mean {close[0]!r}?" if close else ""


def _walk(location: tuple[int | str, ...]) -> tuple[list[str], list[type[Section]]]:
    """Return the key path as written in the file, and the sections that hold its last key.

    Pydantic's location of a fault inside a union also holds the member's `type`, which is not a
    key of the file; it selects the member here.
    """
    path: list[str] = []
    holders: list[type[Section]] = []
    members: list[type[Section]] = [Options]
    for part in location:
        tagged = [member for member in members if _get_tag(member) == part]
        if tagged and len(members) > 1:
            members = tagged
            continue
        path.append(str(part))
        if isinstance(part, int):
            continue
        holders = members
        members = [
            section
            for member in members
            for name, field in member.model_fields.items()
            if (field.alias or name) == part
            for section in _list_sections(field.annotation)
        ]
    return path, holders


def _list_sections(annotation: Any) -> list[type[Section]]:
    """List all Section classes in an annotation."""
    if isinstance(annotation, type) and issubclass(annotation, Section):
        return [annotation]
    return [section for part in get_args(annotation) for section in _list_sections(part)]


def _get_tag(section: type[Section]) -> str | None:
    field = section.model_fields.get("type")
    return None if field is None else str(get_args(field.annotation)[0])


def _list_keys(sections: Sequence[type[Section]]) -> set[str]:
    return {
        field.alias or name for section in sections for name, field in section.model_fields.items()
    }
