"""How a field of the options is shown and read on the command line."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

INPUT, SIZE, NETWORK, TEXTURE, RESULT, FILES, MACHINES, VIDEO = PANELS = (
    "Input and output",
    "Output size",
    "Network",
    "Texture",
    "Image output",
    "Files",
    "Several machines",
    "Videos",
)


@dataclass(frozen=True)
class Flag:
    """How the command line shows and reads a field; a field of a `Literal` shows its choices."""

    panel: str
    metavar: str | None = None
    names: tuple[str, ...] = ()
    """Those of the field if empty."""
    default: str | None = None
    """Shown in place of the field's default."""
    min: int | None = None
    max: int | None = None
    is_repeated: bool = False
    """Of a value or several: one is a value, more are a list."""
    parse: Callable[[Any], Any] | None = None
    """Text -> value (of a mapping: all texts -> mapping); raises ValueError without the name."""
