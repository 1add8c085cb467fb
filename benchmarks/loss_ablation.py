"""Train with L1 alone and with L1 and each other loss term in turn; compare their scores.

    python benchmarks/loss_ablation.py FOLDER --train IMAGES [IMAGES ...] [--only CASE ...]
        [--sets Set5 Set14] [--vgg16 WEIGHTS] [--lpips NETWORK WEIGHTS] [--steps 1000]
        [-opt options/train/compact_x4.yml] -o OUT [KEY.SUB=VALUE ...]

FOLDER has one folder per set with `HR/`; if a set has `LR_x4/`, its images are upscaled, else LR is
made by MATLAB's bicubic downscaling. The runs differ in nothing but the losses: the same seed, so
the same initial weights and crops, and the option file's network (Compact, 621,424 parameters, by
default) at batch size 8. A case's run is OUT/CASE_STEPS; what is interrupted goes on where
it was, and what is done is only read. Terms on VGG16 are left out without its weights
(`torchvision`, downloaded once, or a file), LPIPS without its.

Weights: each term's gradient with respect to the generator is about as long as that of L1, measured
with bundled compact_x4 on crops of photographs (`train.py --check` prints the lengths), but for
focal frequency, whose paper gives 1. ms_ssim_l1 and uncertainty stand in the place of L1, not next
to it. contrastive trains a PatchGAN, which the generator is not trained against. The features of
high_frequency have the size that the weights of VGG16 give them; its weight is for the original
ones, of Oxford, in fp16.

The table is printed and written to OUT/loss_ablation.md after every run: share of the gradient at
the first step, PSNR-Y, SSIM-Y and LPIPS of the averaged weights at the last one.
"""

import argparse
import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from provenance import as_markdown, provenance

from sr.options.load import load_options
from sr.training.run import train

OPTION_FILE = Path(__file__).resolve().parents[1] / "options" / "train" / "compact_x4.yml"
L1 = {"type": "L1", "weight": 1.0}
DISCRIMINATOR = {
    "discriminator": {"type": "PatchGAN", "num_features": 32},
    "train.gan": {"optimizer": {"type": "Adam", "learning_rate": 1e-4}},
}

Tree = Mapping[str, Any]


def on_vgg16(layer: str, weight: float) -> Tree:
    """Return the options of a term on a layer; main fills in the weights."""
    return {"type": "VGG16", "layers": {layer: 1.0}, "weight": weight, "weights": None}


CASES: Mapping[str, Tree] = {
    "l1": {},
    "ms_ssim": {"ms_ssim": {"weight": 0.25}},
    "ms_ssim_l1": {"pixel": None, "ms_ssim_l1": {"weight": 1.0}},
    "focal_frequency": {"frequency": {"type": "focal", "weight": 1.0}},
    "fourier_l1": {"frequency": {"type": "L1", "weight": 1.8}},
    "wavelet": {"wavelet": {"weight": 0.4}},
    "color": {"color": {"weight": 0.6}},
    "gradient_variance": {"gradient_variance": {"weight": 0.06}},
    "s3im": {"s3im": {"weight": 0.45}},
    "ldl": {"ldl": {"weight": 50.0}},
    "uncertainty": {
        "frequency": {"type": "L1", "weight": 1.8},
        "ms_ssim": {"weight": 0.25},
        "uncertainty": {},
    },
    "contrastive": {
        "contrastive": {"weight": 0.15},
        "adversarial": {"type": "standard", "weight": 0.0},
    },
    "dists": {"dists": {"weight": 0.04, "weights": None}},
    "contextual": {"contextual": on_vgg16("relu3_3", 0.01)},
    "high_frequency": {"high_frequency": on_vgg16("conv2_2", 1.5e-7)},
    "distribution": {"distribution": on_vgg16("relu4_3", 0.015)},
}


@dataclass(frozen=True)
class Result:
    """What a finished run's log says."""

    case: str
    terms: Sequence[Mapping[str, Any]]
    """Name, weight and share of the gradient of each, at the first step."""
    scores: Mapping[str, Mapping[str, float]]
    """By set: psnr_y, ssim_y, lpips."""


def main(arguments: Sequence[str] | None = None) -> None:
    """Train what is missing, and write the table. arguments: None for the command line's."""
    given, overrides = parse_arguments(arguments)
    results: list[Result] = []
    command = sys.argv if arguments is None else ["benchmarks/loss_ablation.py", *arguments]
    for case in given.only:
        if given.vgg16 is None and any("weights" in (term or ()) for term in CASES[case].values()):
            sys.stdout.write(f"{case}: left out, needs --vgg16\n")
            continue
        options = load_options(given.opt, [*list_overrides(given, case), *overrides])
        if not train(options):
            sys.stdout.write("interrupted; the same command goes on\n")
            return
        results.append(_read_result(case, options.log.folder / options.name / "log.jsonl"))
        text = f"{as_markdown(provenance(command))}\n{_format_table(results)}"
        (given.output / "loss_ablation.md").write_text(text, encoding="utf-8")
        sys.stdout.write(_format_table(results))


def parse_arguments(
    arguments: Sequence[str] | None = None,
) -> tuple[argparse.Namespace, list[str]]:
    """Return the arguments, and overrides of the option file."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("folder", type=Path, help="with one folder per set, with HR/ in it")
    parser.add_argument("--train", nargs="+", required=True, help="folders of HR images")
    parser.add_argument("-o", "--output", type=Path, required=True)
    parser.add_argument("--steps", type=int, default=1000)
    parser.add_argument("--sets", nargs="+", default=["Set5"])
    parser.add_argument("--vgg16", metavar="WEIGHTS", help="torchvision, or a file")
    parser.add_argument(
        "--lpips", nargs=2, metavar=("NETWORK", "WEIGHTS"), help="as validate.lpips"
    )
    parser.add_argument("--only", nargs="+", choices=CASES, default=list(CASES), metavar="CASE")
    parser.add_argument("-opt", type=Path, default=OPTION_FILE, help="of the runs' options")
    return parser.parse_known_args(arguments)


def list_overrides(given: argparse.Namespace, case: str) -> list[str]:
    """Return the overrides of the option file for a case, as on the command line of train.py."""
    losses: dict[str, Any] = {"pixel": L1}
    for name, term in CASES[case].items():
        losses[name] = {**term, "weights": given.vgg16} if "weights" in (term or ()) else term
    tree = {
        "name": f"{case}_{given.steps}",
        "losses": losses,
        "datasets.train.source.hr": given.train,
        "datasets.train.batch_size": 8,
        "datasets.validation": [_describe_set(given.folder / name) for name in given.sets],
        "train.steps": given.steps,
        "train.schedule.warmup_steps": min(100, given.steps // 2),
        "train.ema_decay": 0.99,
        "train.checkpoint_interval": 250,
        "train.keep_last": 1,
        "validate.interval": given.steps,
        "log.folder": str(given.output),
    }
    if given.lpips is not None:
        tree["validate.lpips"] = dict(zip(("network", "weights"), given.lpips, strict=True))
    if "contrastive" in losses:
        tree |= DISCRIMINATOR
    return [f"{key}={json.dumps(value)}" for key, value in tree.items()]


def _describe_set(folder: Path) -> Tree:
    hr, lr = folder / "HR", folder / "LR_x4"
    if lr.is_dir():
        source = {"type": "PairedFolders", "hr": [str(hr)], "lr": [str(lr)]}
    else:
        source = {"type": "HRFolders", "hr": [str(hr)]}
    return {"name": folder.name, "source": source}


def _read_result(case: str, log: Path) -> Result:
    events = [json.loads(line) for line in log.read_text(encoding="utf-8").splitlines()]
    by_item: dict[str, list[dict[str, Any]]] = {"liveness": [], "validation": []}
    for event in events:
        by_item.get(event.get("item", ""), []).append(event)
    return Result(case, by_item["liveness"][0]["terms"], by_item["validation"][-1]["scores"])


def _format_table(results: Sequence[Result]) -> str:
    """Return Markdown; scores with their difference from L1's, where that was run."""
    sets = list(results[0].scores)
    measures = [name for name in NAMES if name in results[0].scores[sets[0]]]
    first = results[0] if results[0].case == "l1" else None
    heads = ["loss", "weights", "share of the gradient, %"]
    heads += [f"{name} {NAMES[measure]}" for name in sets for measure in measures]
    rows = [heads, ["---"] * 3 + ["---:"] * (len(heads) - 3)]
    for result in results:
        names = " + ".join(f"{term['name']} {term['weight']:g}" for term in result.terms)
        shares = " / ".join(f"{100 * term['share']:.1f}" for term in result.terms)
        row = [result.case, names, shares]
        for name in sets:
            for measure in measures:
                value, digits = result.scores[name][measure], 2 if measure == "psnr_y" else 4
                text = f"{value:.{digits}f}"
                if first is not None and result is not first:
                    text += f" ({value - first.scores[name][measure]:+.{digits}f})"
                row.append(text)
        rows.append(row)
    return "".join(f"| {' | '.join(row)} |\n" for row in rows)


NAMES = {"psnr_y": "PSNR-Y, dB", "ssim_y": "SSIM-Y", "lpips": "LPIPS"}


if __name__ == "__main__":
    main()
