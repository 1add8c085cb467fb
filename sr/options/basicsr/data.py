"""BasicSR's data sets in our terms."""

from typing import Any

from sr.options.basicsr.degradation import degradation
from sr.options.basicsr.reader import Leaves

_DATASETS = {  # whether lr is made from hr by Real-ESRGAN's degradation
    "PairedImageDataset": False,
    "RealESRGANDataset": True,
    "RealESRGANPairedDataset": False,
}


def datasets(leaves: Leaves, scale: int, *, crops_by_model: bool) -> dict[str, Any]:
    """`datasets` as ours. crops_by_model: the model cuts to the topmost gt_size."""
    made: dict[str, Any] = {"train": _train(leaves, scale, crops_by_model)}
    sections = [name for name in leaves.sections("datasets") if name.startswith("val")]
    if sets := [found for name in sections if (found := _validation(leaves, name, scale))]:
        made["validation"] = _with_different_names(sets)
    return made


def _train(leaves: Leaves, scale: int, crops_by_model: bool) -> dict[str, Any]:
    above = "datasets.train"
    degrades = leaves.choice(f"{above}.type", _DATASETS)
    made: dict[str, Any] = {"source": _source(leaves, above, scale, paired=not degrades)}
    if degrades:
        made["degradation"] = degradation(leaves)
    made["crop_size"] = _crop_size(leaves, crops_by_model)
    made["batch_size"] = leaves.whole(f"{above}.batch_size_per_gpu")
    made["flips"], made["transposes"] = _orientations(leaves)
    made["num_workers"] = leaves.whole(f"{above}.num_worker_per_gpu", 1)
    leaves.agree(f"{above}.use_shuffle", True, "images always come in random order")
    leaves.agree(f"{above}.gt_usm", False, "hr is not sharpened here; sharpen the files")
    leaves.agree("high_order_degradation", degrades, "the type of the data set decides")
    leaves.agree(f"{above}.scale", scale, "the data have the scale of the network")
    return made


def _source(leaves: Leaves, above: str, scale: int, *, paired: bool) -> dict[str, Any]:
    hr = leaves.folders(f"{above}.dataroot_gt")
    known = ("{}", f"{{}}x{scale}", f"{{}}_x{scale}")
    named = leaves.text(f"{above}.filename_tmpl", "{}")
    if named not in known:
        leaves.note(f"{above}.filename_tmpl", f"expected lr named as one of {', '.join(known)}")
    leaves.agree(f"{above}.io_backend.type", "disk", "images are files in folders")
    if not paired or not leaves.given(f"{above}.dataroot_lq"):
        return {"type": "HRFolders", "hr": hr}
    return {"type": "PairedFolders", "hr": hr, "lr": leaves.folders(f"{above}.dataroot_lq")}


def _crop_size(leaves: Leaves, crops_by_model: bool) -> int:
    key, other = "datasets.train.gt_size", "gt_size"
    if crops_by_model and leaves.given("gt_size"):
        key, other = other, key
    size = leaves.whole(key)
    leaves.agree(other, size, f"{key} counts")
    return size


def _orientations(leaves: Leaves) -> tuple[bool, bool]:
    """Ours: flips (both ways), transposes. Theirs: one way, the other way with a transposition."""
    turned = leaves.truth("datasets.train.use_rot")
    key, older = "datasets.train.use_hflip", "datasets.train.use_flip"
    if not leaves.given(key):
        key, older = older, key
    mirrored = leaves.truth(key)
    leaves.agree(older, mirrored, f"{key} counts")
    if mirrored != turned:
        theirs = "left-right only" if mirrored else "upside down only"
        leaves.note(
            key if mirrored else "datasets.train.use_rot",
            f"taken over as flips, which are left-right and upside down; theirs {theirs}",
        )
    return mirrored or turned, turned


def _validation(leaves: Leaves, name: str, scale: int) -> dict[str, Any] | None:
    above = f"datasets.{name}"
    if not leaves.sections(above):
        return None
    known = {**_DATASETS, "SingleImageDataset": None}
    if leaves.choice(f"{above}.type", known) is None or not leaves.given(f"{above}.dataroot_gt"):
        leaves.note_below(above, "a set without hr cannot be measured; upscale it by infer.py")
        return None
    return {
        "name": leaves.text(f"{above}.name", name),
        "source": _source(leaves, above, scale, paired=True),
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
