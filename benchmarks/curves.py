"""Plot losses, GAN monitor and scores of a run.

    python benchmarks/curves.py runs/NAME OUT.png

Read from the run's log.jsonl; losses are running means over 10 entries.
"""

import argparse
import json
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes

SMOOTHED = 10  # entries of the log
TITLES = {
    "loss_": "loss terms, relative to their first values",
    "health_d_": "mean logits of the discriminator",
    "health_drift_": "mean of sr minus that of lr, in [0, 1]",
    "psnr_y": "Y-PSNR, dB",
    "lpips": "LPIPS",
    "niqe": "NIQE",
}

Curve = tuple[list[int], list[float]]  # steps, values


def main() -> None:
    """Write the image."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("run", type=Path)
    parser.add_argument("output", type=Path)
    arguments = parser.parse_args()

    lines = (arguments.run / "log.jsonl").read_text(encoding="utf-8").splitlines()
    events = [json.loads(line) for line in lines]
    panels = {prefix: _progress(events, prefix) for prefix in list(TITLES)[:3]}
    panels |= {metric: _scores(events, metric) for metric in list(TITLES)[3:]}
    panels = {key: curves for key, curves in panels.items() if curves}
    mpl.use("Agg")
    figure, axes = plt.subplots(1, len(panels), figsize=(4 * len(panels), 3.2), squeeze=False)
    for axis, (key, curves) in zip(axes[0], panels.items(), strict=True):
        _draw(axis, TITLES[key], curves, relative=key == "loss_")
    figure.tight_layout()
    figure.savefig(arguments.output, dpi=90)


def _progress(events: Sequence[Mapping[str, Any]], prefix: str) -> dict[str, Curve]:
    curves: dict[str, Curve] = defaultdict(lambda: ([], []))
    for event in events:
        if event["event"] == "progress":
            for name, value in event.items():
                if name.startswith(prefix):
                    steps, values = curves[name.removeprefix(prefix)]
                    steps.append(event["step"])
                    values.append(value)
    return curves


def _scores(events: Sequence[Mapping[str, Any]], metric: str) -> dict[str, Curve]:
    curves: dict[str, Curve] = defaultdict(lambda: ([], []))
    for event in events:
        if event.get("item") == "validation":
            for name, values in event["scores"].items():
                if metric in values:
                    curves[name][0].append(event["step"])
                    curves[name][1].append(values[metric])
    return curves


def _draw(axis: Axes, title: str, curves: Mapping[str, Curve], *, relative: bool) -> None:
    for name, (steps, values) in curves.items():
        y = np.array(values)
        if relative:
            width = min(SMOOTHED, len(y))
            y = np.convolve(y, np.ones(width) / width, mode="valid")
            y, steps = y / y[0], steps[width - 1 :]
        axis.plot(steps, y, label=name)
    axis.set_title(title, fontsize=9)
    axis.set_xlabel("step", fontsize=8)
    axis.tick_params(labelsize=8)
    axis.legend(fontsize=7)


if __name__ == "__main__":
    main()
