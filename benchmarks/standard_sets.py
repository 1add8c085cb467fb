"""PSNR, SSIM and LPIPS of models and of bicubic upscaling on the standard sets, as Markdown.

    python benchmarks/standard_sets.py FOLDER [-m MODEL ...] [--lpips WEIGHTS]

FOLDER holds Set5, Set14 and BSD100 with `HR/`; where a set has `LR_x4/` (x2, x3 likewise), that
is upscaled, else LR is made by MATLAB's bicubic downscaling. PSNR and SSIM on Y, a border of
`scale` pixels left out, whole pictures, fp32: the code of validation during training. LPIPS on
AlexNet, RGB, only where its weights are given.
"""

import argparse
import contextlib
import sys
from pathlib import Path

import torch

from sr.build_data import find_pairs
from sr.inference.loading import BUNDLED_MODEL
from sr.losses.lpips import LPIPS
from sr.models.load import load_generator
from sr.options.datasets import HRFolders, PairedFolders
from sr.training.validate import Scores, Sets, validate, validate_bicubic

SETS = ("Set5", "Set14", "BSD100")


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("folder", type=Path, help="folder with Set5, Set14, BSD100")
    parser.add_argument("-m", "--model", type=Path, nargs="+", default=[BUNDLED_MODEL])
    parser.add_argument(
        "--lpips",
        metavar="WEIGHTS",
        help="AlexNet's: torchvision (downloaded once), or a file with torchvision's keys",
    )
    arguments = parser.parse_args()

    names = [path.stem for path in arguments.model]
    if len(set(names)) < len(names):  # runs/a/best.safetensors and runs/b/best.safetensors
        names = [str(path) for path in arguments.model]
    models = dict(zip(names, map(load_generator, arguments.model), strict=True))
    if any(model.window is not None for model in models.values()):
        parser.error("expected models of single pictures; those of clips: benchmarks/vid4.py")
    scales = {model.scale for model in models.values()}
    if len(scales) > 1:
        parser.error(f"expected models of one scale; came {', '.join(map(str, sorted(scales)))}")
    (scale,) = scales
    lpips = None
    if arguments.lpips is not None:
        weights = arguments.lpips
        lpips = LPIPS("AlexNet", "torchvision" if weights == "torchvision" else Path(weights))
    sets: Sets = {name: find_pairs(_source(arguments.folder / name, scale), scale) for name in SETS}
    columns = {"bicubic": validate_bicubic(sets, scale, lpips)}
    for name, model in models.items():
        columns[name] = validate(
            model.network,
            sets,
            scale,
            torch.device("cpu"),
            contextlib.nullcontext,
            on_picture=lambda *_: None,
            lpips=lpips,
        )
    sys.stdout.write(_table(columns, scale))


def _table(columns: dict[str, Scores], scale: int) -> str:
    """Markdown: a row for each set, a column for each way of upscaling."""
    measured = "PSNR dB / SSIM"
    if any("lpips" in values for values in columns["bicubic"].values()):
        measured += " / LPIPS"
    lines = [f"| x{scale}: {measured} | {' | '.join(columns)} |", "|---" * (1 + len(columns)) + "|"]
    for name in SETS:
        cells = [_cell(scores[name]) for scores in columns.values()]
        lines.append(f"| {name} | {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def _cell(values: dict[str, float]) -> str:
    cell = f"{values['psnr_y']:.2f} / {values['ssim_y']:.4f}"
    return f"{cell} / {values['lpips']:.4f}" if "lpips" in values else cell


def _source(folder: Path, scale: int) -> HRFolders | PairedFolders:
    lr = folder / f"LR_x{scale}"
    if lr.is_dir():
        return PairedFolders(type="PairedFolders", hr=(folder / "HR",), lr=(lr,))
    return HRFolders(type="HRFolders", hr=(folder / "HR",))


if __name__ == "__main__":
    main()
