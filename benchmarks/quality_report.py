"""Rows of scores as Markdown, CSV and a plot of quality against time."""

import csv
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import fmean
from typing import TypeVar

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import EngFormatter, LogLocator, NullLocator, StrMethodFormatter
from provenance import as_markdown
from quality_methods import BICUBIC, Method, Seconds

ORIGINAL = "original"
"""Name of the rows of the hr images themselves, which have no-reference metrics only."""

FIDELITY = {
    "psnr_y": ("PSNR Y, dB", 2),
    "ssim_y": ("SSIM Y", 4),
    "lpips": ("LPIPS", 4),
    "lpips_vgg16": ("LPIPS of VGG16", 4),
    "dists": ("DISTS", 4),
}
NO_REFERENCE = {
    "niqe_bundled": ("NIQE, own parameters", 2),
    "niqe": ("NIQE", 2),
    "piqe": ("PIQE", 1),
}
"""Score -> its title and the digits that are shown."""

PLOTTED = ("psnr_y", "lpips", "lpips_vgg16", "dists", "niqe", "niqe_bundled")
MARGIN = 1.7  # around the first and last points; wide enough for a tick
MARKERS = "osD^vP*Xp<>hd"
COUNTED = "Weights: at inference; SPAN's branches are fused to one convolution each."

T = TypeVar("T")
ImageScores = tuple[str, dict[str, float]]  # file name, score -> value


@dataclass(frozen=True)
class Row:
    """The scores of one method on one set."""

    method: Method
    set_name: str
    lr: str
    """Where the lr images come from, in words."""
    seconds: Seconds | None
    """None if not measured."""
    images: list[ImageScores] = field(default_factory=list)

    def means(self) -> dict[str, float]:
        """Over the images."""
        return {name: fmean(each[name] for _, each in self.images) for name in self.images[0][1]}


def as_text(head: Mapping[str, str], rows: Sequence[Row]) -> str:
    """Format the head, and one table per scale, or two if there are no-reference metrics."""
    parts = ["# Quality", as_markdown(head)]
    for scale in _distinct(row.method.scale for row in rows):
        of_scale = [row for row in rows if row.method.scale == scale]
        parts += [f"## x{scale}", _table(of_scale, FIDELITY, details=True)]
        if any(name in row.means() for row in of_scale for name in NO_REFERENCE):
            parts += [
                "No-reference metrics; lower is better:\n",
                _table(of_scale, NO_REFERENCE, details=False),
            ]
    return "\n".join([*parts, COUNTED]) + "\n"


def write_csv(path: Path, rows: Sequence[Row]) -> None:
    """Write one line per row, with all digits."""
    lines = []
    for row in rows:
        about = {**_identity(row), "lr": row.lr, "images": str(len(row.images))}
        if row.seconds is not None:
            about["seconds_per_megapixel"] = repr(row.seconds.median)
            about["least_seconds_per_megapixel"] = repr(row.seconds.least)
        lines.append({**about, **_in_full(row.means())})
    _write_lines(path, lines)


def write_images_csv(path: Path, rows: Sequence[Row]) -> None:
    """Write one line per row and image."""
    lines = [
        {**_identity(row), "image": name, **_in_full(scores)}
        for row in rows
        for name, scores in row.images
    ]
    _write_lines(path, lines)


def write_plot(path: Path, rows: Sequence[Row]) -> None:
    """Draw one column per set, one row per scale and score; over time, or number of weights.

    Bicubic and the originals are horizontal lines.
    """
    sets = _distinct(row.set_name for row in rows)
    panels = [
        (scale, score)
        for scale in _distinct(row.method.scale for row in rows)
        for score in PLOTTED
        if any(score in row.means() for row in rows if row.method.scale == scale)
    ]
    names = _distinct(row.method.name for row in rows if row.method.name not in (BICUBIC, ORIGINAL))
    width = max(3.3 * len(sets), 5.5)
    num_columns = max(1, int(width / 2.2))
    legend_height = 0.35 + 0.22 * math.ceil((len(names) + 2) / num_columns)
    figure = Figure((width, 2.7 * len(panels) + legend_height), layout="constrained")
    axes = figure.subplots(len(panels), len(sets), squeeze=False)
    for (scale, score), line in zip(panels, axes, strict=True):
        for name, axis in zip(sets, line, strict=True):
            of_panel = [row for row in rows if (row.method.scale, row.set_name) == (scale, name)]
            _draw(axis, of_panel, score, names)
            _set_across(axis, rows)
            axis.set_title(f"{name}, x{scale}", fontsize=10)
        line[0].set_ylabel(_title(score), fontsize=9)
    handles = {
        label: handle
        for axis in axes.flat
        for handle, label in zip(*axis.get_legend_handles_labels(), strict=True)
    }
    figure.legend(
        handles.values(), handles.keys(), loc="outside lower center", ncols=num_columns, fontsize=8
    )
    figure.savefig(path, dpi=120)


def _draw(axis: Axes, rows: Sequence[Row], score: str, names: Sequence[str]) -> None:
    for row in rows:
        value, name = row.means().get(score), row.method.name
        if value is None:
            continue
        if name in (BICUBIC, ORIGINAL):
            style = "--" if name == BICUBIC else ":"
            axis.axhline(value, color="gray", linestyle=style, linewidth=1, label=name)
            continue
        place = _place(row)
        if place is not None:
            number = names.index(name)
            marker = MARKERS[number % len(MARKERS)]
            axis.plot(place, value, marker, color=f"C{number % 10}", markersize=7, label=name)
    axis.margins(y=0.12)
    axis.tick_params(labelsize=8)
    axis.grid(alpha=0.3)


def _set_across(axis: Axes, rows: Sequence[Row]) -> None:
    """Set the same axis, of time or weights, for all panels. rows: of all panels."""
    networks = [row for row in rows if row.method.name not in (BICUBIC, ORIGINAL)]
    timed = any(row.seconds is not None for row in networks)
    places = [place for row in networks if (place := _place(row)) is not None]
    axis.set_xscale("log")
    wide = bool(places) and max(places) > 1000 * min(places)
    if places:
        axis.set_xlim(min(places) / MARGIN, max(places) * MARGIN)
    axis.xaxis.set_major_locator(LogLocator(subs=(1,) if wide else (1, 2, 5)))
    axis.xaxis.set_major_formatter(StrMethodFormatter("{x:g}") if timed else EngFormatter(sep=""))
    axis.xaxis.set_minor_locator(NullLocator())
    axis.set_xlabel("s per megapixel" if timed else "weights", fontsize=9)


def _place(row: Row) -> float | None:
    """Return seconds if measured, else the number of weights."""
    return row.method.num_weights if row.seconds is None else row.seconds.median


def _table(rows: Sequence[Row], kinds: Mapping[str, tuple[str, int]], *, details: bool) -> str:
    """Format one line per method, one column per set. details: with columns of the networks."""
    shown = [row for row in rows if any(name in row.means() for name in kinds)]
    sets = _distinct(row.set_name for row in shown)
    scores = [name for name in kinds if name in shown[0].means()]
    what = " / ".join(kinds[name][0] for name in scores)
    titles = [""]
    if details:
        titles += ["network", "weights"]
        titles += ["s per megapixel"] * (shown[0].seconds is not None)
    lines = [[*titles, *(f"{name}: {what}" for name in sets)]]
    for name in _distinct(row.method.name for row in shown):
        of_method = [row for row in shown if row.method.name == name]
        cells = [name, *(_details(of_method[0]) if details else [])]
        for row in of_method:
            means = row.means()
            cells.append(" / ".join(f"{means[score]:.{kinds[score][1]}f}" for score in scores))
        lines.append(cells)
    lines.insert(1, ["---"] * len(lines[0]))
    return "".join(f"| {' | '.join(cells)} |\n" for cells in lines)


def _details(row: Row) -> list[str]:
    count = row.method.num_weights
    cells = [row.method.network, "" if count is None else f"{count:,}"]
    return cells if row.seconds is None else [*cells, f"{row.seconds.median:.3g}"]


def _identity(row: Row) -> dict[str, str]:
    method = row.method
    return {
        "scale": str(method.scale),
        "model": method.name,
        "network": method.network,
        "weights": "" if method.num_weights is None else str(method.num_weights),
        "sha256": method.file_hash,
        "set": row.set_name,
    }


def _in_full(scores: Mapping[str, float]) -> dict[str, str]:
    return {name: repr(value) for name, value in scores.items()}


def _write_lines(path: Path, lines: Sequence[Mapping[str, str]]) -> None:
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, _distinct(name for line in lines for name in line))
        writer.writeheader()
        writer.writerows(lines)


def _title(score: str) -> str:
    title, _ = {**FIDELITY, **NO_REFERENCE}[score]
    return title if score == "psnr_y" else f"{title}, lower is better"


def _distinct(values: Iterable[T]) -> list[T]:
    return list(dict.fromkeys(values))
