"""The page of a published model: the hub's YAML header, then what its card or its file says.

Scores are taken from the card NAME.md next to the file, of a table whose first heading names the
metrics (`x4: PSNR dB / SSIM / LPIPS`) and which has a column of the model's name; of a model
without a card, from the log of its training run, at its step.
"""

import json
import re
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from sr.models.loaded_model import LoadedGenerator
from sr.models.remote_file import RemoteFile

TASK = "image-to-image"
METRICS = {"psnr": "PSNR", "ssim": "SSIM", "lpips": "LPIPS"}
_LOGGED = (("psnr", "psnr_y", 2), ("ssim", "ssim_y", 4), ("lpips", "lpips", 4))
"""Keys of the log, and digits to keep."""
_LINK = re.compile(r"!?\[([^]]*)\]\((?!https?://)[^)]*\)")
_IMAGE_LINE = re.compile(r"^!\[.*\]\(.*\)$\n?", re.MULTILINE)
_SIMPLE_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9.+-]*")


@dataclass(frozen=True)
class Metric:
    """One score of a model."""

    dataset: str
    kind: str
    """psnr (dB), ssim or lpips."""
    value: float


def read_metrics(file: Path, name: str, generator: LoadedGenerator) -> list[Metric]:
    """Return the scores of a model's card, else those of its training run's log."""
    card = find_card(file)
    if card is not None:
        return list(_read_card(card.read_text(encoding="utf-8"), name))
    step = generator.metadata.get("step")
    return list(_read_log(file.parent.parent / "log.jsonl", step))


def find_card(file: Path) -> Path | None:
    """Return the card next to a model's file, if there is one."""
    card = file.with_suffix(".md")
    return card if card.is_file() else None


def make_page(
    file: Path,
    name: str,
    generator: LoadedGenerator,
    *,
    repository: str,
    license_name: str,
    formats: Sequence[str],
    source: RemoteFile | None = None,
) -> str:
    """Return the text of README.md.

    formats: endings of the files, such as `.pth`. source: where the model was downloaded from,
    whose author gets the credit.
    """
    from huggingface_hub import EvalResult, ModelCardData

    metrics = read_metrics(file, name, generator)
    task = "video-to-video" if generator.takes_clips else TASK
    results = [
        EvalResult(
            task_type=task,
            dataset_type=each.dataset,
            dataset_name=each.dataset,
            metric_type=each.kind,
            metric_name=METRICS[each.kind],
            metric_value=each.value,
        )
        for each in metrics
    ]
    network = generator.architecture.split()[0].lower()
    tags = ["super-resolution", f"x{generator.scale}", network]
    tags += [] if generator.takes_clips else ["image-super-resolution"]
    known = _SIMPLE_ID.fullmatch(license_name) is not None
    header = ModelCardData(
        license=license_name.lower() if known else "other",
        license_name=None if known else license_name,
        pipeline_tag=task,
        tags=[*tags, *(["onnx"] if ".onnx" in formats else [])],
        model_name=name,
        eval_results=results or None,
    ).to_yaml()
    body = _make_body(file, name, generator, license_name)
    body += _make_credit(source) if source is not None else ""
    return f"---\n{header}\n---\n{body}\n{_make_usage(name, generator, repository, formats)}"


def _make_credit(source: RemoteFile) -> str:
    author = f" by {source.author}" if source.author else ""
    return f"\nWeights{author}, license: {source.license}, from {source.urls[0]}\n"


def _make_body(file: Path, name: str, generator: LoadedGenerator, license_name: str) -> str:
    card = find_card(file)
    if card is not None:  # whose links lead to files that are not there
        text = _IMAGE_LINE.sub("", card.read_text(encoding="utf-8"))
        return _LINK.sub(r"\1", text).rstrip() + "\n"
    metadata = generator.metadata
    step = "" if metadata.get("step") is None else f"{metadata['step']:,}"
    rows = {
        "network": generator.architecture,
        "scale": str(generator.scale),
        "step": step,
        "training data": str(metadata.get("training_data") or "not stated"),
        "license": license_name,
    }
    table = "\n".join(f"| {label} | {text} |" for label, text in rows.items() if text)
    kind = "videos" if generator.takes_clips else "images"
    return f"# {name}\nUpscales {kind} by {generator.scale}.\n\n| | |\n|---|---|\n{table}\n"


def _make_usage(
    name: str, generator: LoadedGenerator, repository: str, formats: Sequence[str]
) -> str:
    meanings = {
        ".safetensors": "weights with metadata, for `infer.py` and `train.py`",
        ".pth": "weights, for programs that read this network: BasicSR, spandrel, chaiNNer",
        ".onnx": "a program with free batch, height and width, for ONNX runtimes",
    }
    files = "\n".join(f"- `{name}{suffix}`: {meanings[suffix]}" for suffix in formats)
    source, target = ("clip.mp4", "mp4") if generator.takes_clips else ("photo.jpg", "png")
    stem = source.partition(".")[0]
    command = f"infer.py -m hf:{repository} -i {source} -o {stem}_x{generator.scale}.{target}"
    return f"## Files\n{files}\n\n```\n{command}\n```\n"


def _read_card(text: str, name: str) -> Iterator[Metric]:
    """Read the tables of a card; numbers may be bold."""
    kinds: list[str] = []
    column = 0
    for line in text.splitlines():
        cells = [cell.strip() for cell in line.replace("*", "").strip().strip("|").split("|")]
        if not line.strip().startswith("|"):
            column = 0
        elif not column:
            kinds = [kind for kind in re.findall(r"[a-z]+", cells[0].lower()) if kind in METRICS]
            column = cells.index(name) if kinds and name in cells else 0
        elif column < len(cells):
            values = [value.strip() for value in cells[column].split("/")]
            if len(values) != len(kinds):
                continue  # a row of something else, such as seconds
            for kind, value in zip(kinds, values, strict=True):
                with suppress(ValueError):  # of a row of dashes, or one without numbers
                    yield Metric(cells[0], kind, float(value))


def _read_log(log: Path, step: object) -> Iterator[Metric]:
    """Read the last validation of this step in a run's log."""
    scores: dict[str, dict[str, float]] = {}
    with suppress(OSError):
        for line in log.read_text(encoding="utf-8").splitlines():
            with suppress(ValueError):
                event = json.loads(line)
                if event.get("item") == "validation" and event.get("step") == step:
                    scores = event["scores"]
    for dataset, values in scores.items():
        for kind, key, digits in _LOGGED:
            if isinstance(values.get(key), float):
                yield Metric(dataset, kind, round(values[key], digits))
