"""YAML as option files need it: plain values, and none that takes memory or time out of proportion.

Beyond what safe YAML refuses: dates (they stay texts), binaries, sets, and whatever is too large,
too deep, too long or repeated too often by aliases. Messages name line, column and key.
"""

from pathlib import Path
from typing import Any

import yaml

from sr.errors import UserError

MAX_BYTES = 128 * 1024  # of a file; those of this project have up to 4 kB
MAX_DEPTH = 50  # sections and lists in each other
MAX_VALUES = 5_000  # counted wherever aliases repeat them
MAX_LENGTH = 10_000  # characters of a text
MAX_INTEGER = 2**63 - 1
_SHOWN = 40  # characters of a value or key, in a message
_KINDS = ("null", "bool", "int", "float", "str", "seq", "map")
_FAULTS_OF_VALUES = (AttributeError, LookupError, OverflowError, TypeError, ValueError)
"""What PyYAML raises at a text that is not of its tag's kind."""


class OptionsError(UserError):
    """Options that cannot be used; the message names file, key, value and what is allowed."""


def read_option_text(path: Path) -> str:
    """Return the text of an option file. Raises OptionsError where there is none, or too much."""
    try:
        with path.open("rb") as file:
            content = file.read(MAX_BYTES + 1)
        if len(content) > MAX_BYTES:
            raise OptionsError(f"{path}: expected an option file of at most {MAX_BYTES:,} bytes")
        return content.decode("utf-8")
    except FileNotFoundError:
        raise OptionsError(f"{path}: no such option file") from None
    except (OSError, UnicodeDecodeError) as error:
        raise OptionsError(f"{path}: cannot be read as a text file ({error})") from None


def parse_yaml(text: str, *, unique_keys: bool = True) -> Any:
    """Return what a YAML text says, in dicts, lists, texts, numbers, booleans and None.

    unique_keys: refuse keys that are given twice, of which YAML takes the last. Raises OptionsError
    with line, column and, where it is known, the key.
    """
    loader = None
    try:
        loader = _Loader(text)
        loader.unique_keys = unique_keys
        return loader.get_single_data()
    except yaml.MarkedYAMLError as error:
        assert loader is not None
        mark = error.problem_mark or error.context_mark
        place = [] if mark is None else [f"line {mark.line + 1}, column {mark.column + 1}"]
        if loader.key_path:
            place.append(f"key {shorten('.'.join(loader.key_path))}")
        what = ", ".join(part for part in (error.context, error.problem) if part)
        raise OptionsError(f"not valid YAML: {', '.join(place)}: {what}") from None
    except yaml.YAMLError as error:  # of characters that YAML does not allow
        raise OptionsError(f"not valid YAML: {' '.join(str(error).split())}") from None


def shorten(text: str) -> str:
    """Return a text for a message."""
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}..."


class _Loader(yaml.SafeLoader):
    """A safe loader with limits, which knows at what key it is."""

    yaml_constructors = {  # noqa: RUF012, as PyYAML has it
        tag: construct
        for tag, construct in yaml.SafeLoader.yaml_constructors.items()
        if tag is None or tag.rpartition(":")[2] in _KINDS
    }
    yaml_implicit_resolvers = {  # noqa: RUF012
        first: [kind for kind in kinds if not kind[0].endswith(":timestamp")]
        for first, kinds in yaml.SafeLoader.yaml_implicit_resolvers.items()
    }

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self.unique_keys = True
        self.key_path: tuple[str, ...] = ()
        self._depth = 0
        self._num_values = 0
        self._sizes: dict[yaml.Node, tuple[int, int]] = {}  # values inside, and levels
        self._key_paths: dict[yaml.Node, tuple[str, ...]] = {}

    def compose_node(self, parent: yaml.Node | None, index: Any) -> yaml.Node | None:
        event = self._peek()
        outer = self.key_path
        if index is not None:  # the key's node, or a place in a list
            self.key_path = (*outer, str(getattr(index, "value", index)))
        if self._depth >= MAX_DEPTH:  # before the levels below are read
            raise _make_error(f"expected at most {MAX_DEPTH} levels, got more", event)
        self._depth += 1
        node = super().compose_node(parent, index)
        self._depth -= 1
        assert node is not None
        if not isinstance(event, yaml.AliasEvent):
            self._key_paths[node] = self.key_path
            self._sizes[node] = self._measure(node)
        self._count(node, event)
        self.key_path = outer
        return node

    def compose_scalar_node(self, anchor: dict[Any, yaml.Node]) -> yaml.ScalarNode:
        event = self._peek()
        node = super().compose_scalar_node(anchor)
        if len(node.value) > MAX_LENGTH:
            raise _make_error(f"expected at most {MAX_LENGTH} characters, got more", event)
        return node

    def compose_mapping_node(self, anchor: dict[Any, yaml.Node]) -> yaml.MappingNode:
        section = super().compose_mapping_node(anchor)
        seen = set()
        for key, _ in section.value:
            if self.unique_keys and (key.tag, str(key.value)) in seen:
                raise _make_error(f"key {shorten(str(key.value))!r} is given twice", key)
            seen.add((key.tag, str(key.value)))
        return section

    def construct_object(self, node: yaml.Node, deep: bool = False) -> Any:
        self.key_path = self._key_paths.get(node, self.key_path)
        kind = node.tag.rpartition(":")[2]
        if node.tag not in self.yaml_constructors:
            known = ", ".join(_KINDS)
            raise _make_error(f"expected a value of type {known}, got {shorten(kind)}", node)
        try:
            value = super().construct_object(node, deep)
            if isinstance(value, int) and abs(value) > MAX_INTEGER:
                raise OverflowError
        except _FAULTS_OF_VALUES:
            text = shorten(str(node.value))
            raise _make_error(f"expected a value of type {kind}, got {text!r}", node) from None
        return value

    def _peek(self) -> yaml.Event:
        event: yaml.Event = self.peek_event()  # type: ignore[no-untyped-call]  # of PyYAML
        return event

    def _measure(self, node: yaml.Node) -> tuple[int, int]:
        """Return the number of values in a node, aliases' too, and of levels."""
        inner = node.value if isinstance(node, yaml.SequenceNode | yaml.MappingNode) else []
        nodes = [each for pair in inner for each in (pair if isinstance(pair, tuple) else (pair,))]
        counts = [self._sizes[each][0] for each in nodes]
        levels = [self._sizes[each][1] for each in nodes]
        return 1 + sum(counts), 1 + max(levels, default=0)

    def _count(self, node: yaml.Node, event: yaml.Event) -> None:
        """Refuse one value too many, an alias with too much behind it, or one without an end."""
        alias = isinstance(event, yaml.AliasEvent)
        if node not in self._sizes:
            raise _make_error("expected an alias of something else than what it is in", event)
        count, levels = self._sizes[node]
        self._num_values += count if alias else 1
        if self._num_values > MAX_VALUES:
            more = ", with those that aliases repeat" if alias else ""
            raise _make_error(f"expected at most {MAX_VALUES} values{more}, got more", event)
        if self._depth + levels > MAX_DEPTH:
            raise _make_error(f"expected at most {MAX_DEPTH} levels, got more", event)


def _make_error(problem: str, place: Any) -> yaml.MarkedYAMLError:
    """place: an event or a node."""
    return yaml.MarkedYAMLError(problem=problem, problem_mark=place.start_mark)
