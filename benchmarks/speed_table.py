"""Write rows of numbers as aligned Markdown and as CSV."""

import csv
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from provenance import as_markdown

Row = dict[str, Any]
"""Head of the column -> text or number; columns that a row lacks stay empty."""

NOTE = "note"
"""Head of the last column: why a row has no numbers."""

_FORMATS = {
    "weights": ",",
    "trained weights": ",",
    "MFLOP/LR pixel": ".3g",
    "ms": ".4g",
    "least ms": ".4g",
    "ratio": ".2f",
    "GFLOP/s": ".4g",
    "of peak": ".2f",
    "output MP/s": ".3g",
    "PSNR, dB": ".1f",
    "start s": ".1f",
    "peak GiB": ".2f",
    "fps": ".3g",
    "of real time": ".2f",
}


@dataclass(frozen=True)
class Table:
    """One part's result."""

    part: str
    title: str
    rows: Sequence[Row]

    @property
    def heads(self) -> list[str]:
        """All columns, in the order in which rows have them, the note last."""
        heads = dict.fromkeys(head for row in self.rows for head in row)
        with_note = NOTE in heads
        heads.pop(NOTE, None)
        return [*heads, NOTE] if with_note else list(heads)

    def as_markdown(self) -> str:
        """The title and an aligned table."""
        heads = self.heads
        lines = [heads, *([_text(head, row.get(head)) for head in heads] for row in self.rows)]
        widths = [max(len(line[column]) for line in lines) for column in range(len(heads))]
        numeric = [
            any(isinstance(row.get(head), int | float) for row in self.rows) for head in heads
        ]
        ruler = [
            f"{'-' * (width - 1)}:" if right else "-" * width
            for width, right in zip(widths, numeric, strict=True)
        ]
        texts = [
            "| "
            + " | ".join(
                cell.rjust(width) if right else cell.ljust(width)
                for cell, width, right in zip(line, widths, numeric, strict=True)
            )
            + " |"
            for line in (lines[0], ruler, *lines[1:])
        ]
        return f"## {self.part}\n{self.title}\n\n" + "\n".join(texts) + "\n"


def save(tables: Sequence[Table], facts: Mapping[str, str], output: str) -> None:
    """Write output.md and output.csv, whose rows contain their part and the facts."""
    markdown, rows = Path(f"{output}.md"), Path(f"{output}.csv")
    markdown.parent.mkdir(parents=True, exist_ok=True)
    texts = ["# Speed\n" + as_markdown(facts), *(table.as_markdown() for table in tables)]
    markdown.write_text("\n".join(texts), encoding="utf-8")
    heads = dict.fromkeys(head for table in tables for head in table.heads)
    with rows.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, ["part", *heads, *facts])
        writer.writeheader()
        writer.writerows(
            {"part": table.part, **row, **facts} for table in tables for row in table.rows
        )


def _text(head: str, value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, int | float):
        return format(value, _FORMATS.get(head, ""))
    return str(value)
