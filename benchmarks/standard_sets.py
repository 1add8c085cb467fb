"""PSNR and SSIM of a model and of bicubic upscaling on the standard sets, as a Markdown table.

    python benchmarks/standard_sets.py FOLDER [-m MODEL]

FOLDER holds Set5, Set14 and BSD100 with `HR/`; where a set has `LR_x4/` (x2, x3 likewise), that
is upscaled, else LR is made by MATLAB's bicubic downscaling. Y channel, a border of `scale`
pixels left out, whole pictures, fp32: the code of validation during training.
"""

import argparse
import contextlib
import sys
from pathlib import Path

import torch

from sr.build import find_sources, load_generator
from sr.cli.infer import BUNDLED_MODEL
from sr.options.datasets import DatasetOptions, HRFolders, PairedFolders
from sr.training.validate import Sets, validate, validate_bicubic

SETS = ("Set5", "Set14", "BSD100")


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("folder", type=Path, help="folder with Set5, Set14, BSD100")
    parser.add_argument("-m", "--model", type=Path, default=BUNDLED_MODEL)
    arguments = parser.parse_args()

    loaded = load_generator(arguments.model)
    sets: Sets = {
        name: find_sources(_source(arguments.folder / name, loaded.scale), loaded.scale)
        for name in SETS
    }
    scores = validate(
        loaded.network,
        sets,
        loaded.scale,
        torch.device("cpu"),
        contextlib.nullcontext,
        on_picture=lambda *_: None,
    )
    bicubic = validate_bicubic(sets, loaded.scale)
    sys.stdout.write(f"| x{loaded.scale}, Y: PSNR dB / SSIM | bicubic | {arguments.model.stem} |\n")
    sys.stdout.write("|---|---|---|\n")
    for name in SETS:
        cells = [
            f"{values[name]['psnr_y']:.2f} / {values[name]['ssim_y']:.4f}"
            for values in (bicubic, scores)
        ]
        sys.stdout.write(f"| {name} | {cells[0]} | {cells[1]} |\n")


def _source(folder: Path, scale: int) -> DatasetOptions:
    lr = folder / f"LR_x{scale}"
    if lr.is_dir():
        return PairedFolders(type="PairedFolders", hr=(folder / "HR",), lr=(lr,))
    return HRFolders(type="HRFolders", hr=(folder / "HR",))


if __name__ == "__main__":
    main()
