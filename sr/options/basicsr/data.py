"""BasicSR's data sets in our terms."""

from typing import Any

from sr.options.basicsr.degradation import degradation
from sr.options.basicsr.reader import BasicSRReader

_DATASETS = {  # whether lr is made from hr by Real-ESRGAN's degradation
    "PairedImageDataset": False,
    "RealESRGANDataset": True,
    "RealESRGANPairedDataset": False,
}


def datasets(reader: BasicSRReader, scale: int, *, crops_by_model: bool) -> dict[str, Any]:
    """`datasets` as ours. crops_by_model: the model cuts to the topmost gt_size."""
    made: dict[str, Any] = {"train": _train(reader, scale, crops_by_model)}
    sections = [name for name in reader.sections("datasets") if name.startswith("val")]
    if sets := [found for name in sections if (found := _validation(reader, name, scale))]:
        made["validation"] = _with_different_names(sets)
    return made


def _train(reader: BasicSRReader, scale: int, crops_by_model: bool) -> dict[str, Any]:
    above = "datasets.train"
    degrades = reader.read_choice(f"{above}.type", _DATASETS)
    made: dict[str, Any] = {"source": _source(reader, above, scale, paired=not degrades)}
    if degrades:
        made["degradation"] = degradation(reader)
    made["crop_size"] = _crop_size(reader, crops_by_model)
    made["batch_size"] = reader.read_int(f"{above}.batch_size_per_gpu")
    made["flips"], made["transposes"] = _orientations(reader)
    made["num_workers"] = reader.read_int(f"{above}.num_worker_per_gpu", 1)
    reader.expect(f"{above}.use_shuffle", True, "images always come in random order")
    reader.expect(f"{above}.gt_usm", False, "hr is not sharpened here; sharpen the files")
    reader.expect("high_order_degradation", degrades, "the type of the data set decides")
    reader.expect(f"{above}.scale", scale, "the data have the scale of the network")
    return made


def _source(reader: BasicSRReader, above: str, scale: int, *, paired: bool) -> dict[str, Any]:
    hr = reader.read_folders(f"{above}.dataroot_gt")
    known = ("{}", f"{{}}x{scale}", f"{{}}_x{scale}")
    named = reader.read_text(f"{above}.filename_tmpl", "{}")
    if named not in known:
        reader.warn(f"{above}.filename_tmpl", f"expected lr named as one of {', '.join(known)}")
    reader.expect(f"{above}.io_backend.type", "disk", "images are files in folders")
    if not paired or not reader.has(f"{above}.dataroot_lq"):
        return {"type": "HRFolders", "hr": hr}
    return {"type": "PairedFolders", "hr": hr, "lr": reader.read_folders(f"{above}.dataroot_lq")}


def _crop_size(reader: BasicSRReader, crops_by_model: bool) -> int:
    key, other = "datasets.train.gt_size", "gt_size"
    if crops_by_model and reader.has("gt_size"):
        key, other = other, key
    size = reader.read_int(key)
    reader.expect(other, size, f"{key} counts")
    return size


def _orientations(reader: BasicSRReader) -> tuple[bool, bool]:
    """Ours: flips (both ways), transposes. Theirs: one way, the other way with a transposition."""
    turned = reader.read_bool("datasets.train.use_rot")
    key, older = "datasets.train.use_hflip", "datasets.train.use_flip"
    if not reader.has(key):
        key, older = older, key
    mirrored = reader.read_bool(key)
    reader.expect(older, mirrored, f"{key} counts")
    if mirrored != turned:
        theirs = "left-right only" if mirrored else "upside down only"
        reader.warn(
            key if mirrored else "datasets.train.use_rot",
            f"taken over as flips, which are left-right and upside down; theirs {theirs}",
        )
    return mirrored or turned, turned


def _validation(reader: BasicSRReader, name: str, scale: int) -> dict[str, Any] | None:
    above = f"datasets.{name}"
    if not reader.sections(above):
        return None
    known = {**_DATASETS, "SingleImageDataset": None}
    if reader.read_choice(f"{above}.type", known) is None or not reader.has(f"{above}.dataroot_gt"):
        reader.warn_below(above, "a set without hr cannot be measured; upscale it by infer.py")
        return None
    return {
        "name": reader.read_text(f"{above}.name", name),
        "source": _source(reader, above, scale, paired=True),
    }


def _with_different_names(sets: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """A name that is taken gets a number."""
    taken: set[str] = set()
    for data in sets:
        name, number = data["name"], 2
        while data["name"] in taken:
            data["name"], number = f"{name}_{number}", number + 1
        taken.add(data["name"])
    return sets
