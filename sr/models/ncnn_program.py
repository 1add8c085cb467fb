"""The text of an ncnn program (.param): its layers, read and checked before ncnn sees them.

ncnn's text format: a number that marks it, the counts of layers and blobs, then a line for each
layer: type, name, counts of inputs and outputs, their names, and parameters as KEY=VALUE; a key
-23300 - N has the values of an array for parameter N, their count first.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from sr.errors import ModelFileError

MAGIC = "7767517"
MAX_BYTES = 4 * 2**20  # of text; RRDBNet of 23 blocks has 0.1 MiB
MAX_LAYERS = 5000  # ncnn calls itself once for each layer before one; RRDBNet of 23 blocks: 1200
MAX_ENDS = 64  # inputs or outputs of one layer
MAX_ARRAY = 4096  # numbers of one parameter
_MAX_KEY = 64  # ncnn has room for so many
_NAME = re.compile(r"\S{1,255}")
_INTEGER = re.compile(r"[+-]?\d{1,10}")
_FLOAT = re.compile(r"[+-]?(\d+\.\d*|\.\d+|\d+(?=e))(e[+-]?\d{1,2})?", re.IGNORECASE)
_ARRAY_KEYS = -23300

Value = int | float | tuple[int | float, ...] | str


@dataclass(frozen=True)
class Layer:
    """A line of the text. inputs, outputs: names of blobs."""

    kind: str
    name: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    values: Mapping[int, Value]

    def get_integer(self, key: int, default: int) -> int:
        """Return a parameter. Raises ValueError where it is no integer."""
        value = self.values.get(key, default)
        if not isinstance(value, int):
            raise ValueError(f"expected an integer as parameter {key}, got {value}")
        return value

    def get_number(self, key: int, default: float) -> float:
        """Return a parameter. Raises ValueError where it is no number."""
        value = self.values.get(key, default)
        if not isinstance(value, int | float):
            raise ValueError(f"expected a number as parameter {key}, got {value}")
        return float(value)

    def get_array(self, key: int) -> tuple[float, ...]:
        """Return a parameter, () where it is not given. Raises ValueError for a single number."""
        value = self.values.get(key, ())
        if not isinstance(value, tuple):
            raise ValueError(f"expected an array as parameter {key}, got {value}")
        return value


@dataclass(frozen=True)
class Program:
    """Layers in an order in which each comes after those that it takes its inputs from."""

    text: str
    layers: Sequence[Layer]
    source: str  # blob
    result: str  # blob


def read_program(path: Path, name: str | None = None) -> Program:
    """Read a .param file. Raises ModelFileError for one that is none or has faults.

    name: what messages call it, if not by its path.
    """
    name = name or str(path)
    try:
        with path.open("rb") as file:
            data = file.read(MAX_BYTES + 1)
    except OSError as error:
        raise ModelFileError(f"{name}: cannot be read: {error.strerror}") from None
    if len(data) > MAX_BYTES:
        raise ModelFileError(f"{name}: expected at most {MAX_BYTES} bytes of text")
    try:
        return parse_program(data.decode("ascii"))
    except UnicodeDecodeError:
        raise ModelFileError(
            f"{name}: expected an ncnn program in text form ({MAGIC} in the first line), got bytes"
            " that are no ASCII text"
        ) from None
    except ValueError as error:
        raise ModelFileError(f"{name}: {error}") from None


def parse_program(text: str) -> Program:
    """Parse the text of a program. Raises ValueError, without a file's name, for faults."""
    lines = [line.split() for line in text.splitlines() if line.strip()]
    if not lines or lines[0] != [MAGIC]:
        got = " ".join(lines[0])[:40] if lines else "nothing"
        raise ValueError(f"expected an ncnn program, {MAGIC} in its first line, got {got}")
    counts = lines[1] if len(lines) > 1 else []
    if len(counts) != 2 or not all(re.fullmatch(r"\d{1,6}", count) for count in counts):
        raise ValueError(f"expected the counts of layers and blobs in line 2, got {counts}")
    num_layers, num_blobs = map(int, counts)
    if num_layers != len(lines) - 2 or num_layers > MAX_LAYERS:
        raise ValueError(
            f"expected {num_layers} layers (at most {MAX_LAYERS}), as it says, got {len(lines) - 2}"
        )
    layers = []
    for number, words in enumerate(lines[2:], start=3):
        try:
            layers.append(_parse_layer(words))
        except ValueError as error:
            raise ValueError(f"line {number} ({' '.join(words[:2])[:80]}): {error}") from None
    source, result = _connect(layers, num_blobs)
    return Program(text, layers, source, result)


def _parse_layer(words: Sequence[str]) -> Layer:
    if len(words) < 4 or not all(re.fullmatch(r"\d{1,3}", count) for count in words[2:4]):
        raise ValueError("expected type, name, and the counts of inputs and outputs")
    num_inputs, num_outputs = map(int, words[2:4])
    if max(num_inputs, num_outputs) > MAX_ENDS:
        raise ValueError(f"expected at most {MAX_ENDS} inputs and outputs")
    ends = words[4 : 4 + num_inputs + num_outputs]
    if len(ends) < num_inputs + num_outputs or "=" in "".join(ends):
        raise ValueError(f"expected {num_inputs} inputs and {num_outputs} outputs, got {ends}")
    if not all(_NAME.fullmatch(word) for word in (*words[:2], *ends)):
        raise ValueError("expected names of at most 255 characters")
    values = dict(map(_parse_value, words[4 + len(ends) :]))
    return Layer(words[0], words[1], tuple(ends[:num_inputs]), tuple(ends[num_inputs:]), values)


def _parse_value(word: str) -> tuple[int, Value]:
    key_text, separator, text = word.partition("=")
    if not separator or not _INTEGER.fullmatch(key_text):
        raise ValueError(f"expected KEY=VALUE, got {word[:80]}")
    key = int(key_text)
    if key > _ARRAY_KEYS:
        return _check_key(key), text[1:-1] if text[:1] == '"' else _parse_number(text)
    count, *values = text.split(",")
    if not _INTEGER.fullmatch(count) or int(count) != len(values) or len(values) > MAX_ARRAY:
        raise ValueError(
            f"expected a count and as many values, at most {MAX_ARRAY}, got {text:.80}"
        )
    return _check_key(_ARRAY_KEYS - key), tuple(map(_parse_number, values))


def _check_key(key: int) -> int:
    if not 0 <= key < _MAX_KEY:
        raise ValueError(f"expected parameters 0 to {_MAX_KEY - 1}, got {key}")
    return key


def _parse_number(text: str) -> int | float:
    if _INTEGER.fullmatch(text) and -(2**31) <= int(text) < 2**31:
        return int(text)
    if _FLOAT.fullmatch(text) and len(text) < 40:
        return float(text)
    raise ValueError(f"expected a number, got {text[:40]}")


def _connect(layers: Sequence[Layer], num_blobs: int) -> tuple[str, str]:
    """Return the blobs of the image and of the result. Each is made once, and taken once after."""
    waiting: set[str] = set()
    made: set[str] = set()
    for layer in layers:
        missing = [name for name in layer.inputs if name not in waiting]
        waiting.difference_update(layer.inputs)
        if missing or len(set(layer.inputs)) < len(layer.inputs):
            raise ValueError(
                f"{layer.name}: expected inputs that a layer before it makes, for it alone, got "
                f"{', '.join(missing or layer.inputs)}"
            )
        if made & {*layer.outputs} or len(set(layer.outputs)) < len(layer.outputs):
            raise ValueError(f"{layer.name}: expected new outputs, got {layer.outputs}")
        made.update(layer.outputs)
        waiting.update(layer.outputs)
    if len(made) != num_blobs:
        raise ValueError(f"expected {num_blobs} blobs, as it says, got {len(made)}")
    sources = [name for layer in layers if layer.kind == "Input" for name in layer.outputs]
    if len(sources) != 1 or len(waiting) != 1:
        raise ValueError(
            f"expected one input and one output, got inputs {sources[:9]} and outputs "
            f"{sorted(waiting)[:9]}"
        )
    return sources[0], waiting.pop()
