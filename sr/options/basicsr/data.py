"""BasicSR's data sets, and Real-ESRGAN's degradation, as our `datasets`."""

from collections.abc import Callable
from pathlib import Path, PurePosixPath
from typing import Any

from sr.errors import UserError
from sr.options.basicsr.reader import BasicSRReader

_DATASETS = {  # whether lr is made from hr by Real-ESRGAN's degradation
    "PairedImageDataset": False,
    "RealESRGANDataset": True,
    "RealESRGANPairedDataset": False,
}
# Real-ESRGAN's shapes of blur kernels, Wang et al. 2021, sec. 4.1; the only ones here.
_SHAPES = {
    "kernel_list": [
        "iso",
        "aniso",
        "generalized_iso",
        "generalized_aniso",
        "plateau_iso",
        "plateau_aniso",
    ],
    "kernel_prob": [0.45, 0.25, 0.12, 0.03, 0.12, 0.03],
    "betag_range": [0.5, 4],
    "betap_range": [1, 2],
    "blur_kernel_size": 21,
}
_LARGEST_KERNEL = "Real-ESRGAN's own code draws 7 to 21 whatever this says; see kernel_sizes"


def translate_datasets(
    reader: BasicSRReader, scale: int, *, crops_by_model: bool
) -> dict[str, Any]:
    """`datasets` as ours. crops_by_model: the model cuts to the topmost gt_size."""
    made: dict[str, Any] = {"train": _translate_train(reader, scale, crops_by_model)}
    sections = [name for name in reader.list_keys("datasets") if name.startswith("val")]
    if sets := [
        found for name in sections if (found := _translate_validation(reader, name, scale))
    ]:
        made["validation"] = _make_names_unique(sets)
    return made


def _translate_train(reader: BasicSRReader, scale: int, crops_by_model: bool) -> dict[str, Any]:
    section = "datasets.train"
    degrades = reader.read_choice(f"{section}.type", _DATASETS)
    made: dict[str, Any] = {
        "source": _translate_source(reader, section, scale, paired=not degrades)
    }
    if degrades:
        made["degradation"] = _translate_degradation(reader)
    made["crop_size"] = _translate_crop_size(reader, crops_by_model)
    made["batch_size"] = reader.read_int(f"{section}.batch_size_per_gpu")
    made["flips"], made["transposes"] = _translate_flips(reader)
    made["num_workers"] = reader.read_int(f"{section}.num_worker_per_gpu", 1)
    reader.expect(f"{section}.use_shuffle", True, "images always come in random order")
    reader.expect(f"{section}.gt_usm", False, "hr is not sharpened here; sharpen the files")
    reader.expect("high_order_degradation", degrades, "the type of the data set decides")
    reader.expect(f"{section}.scale", scale, "the data have the scale of the network")
    return made


def _translate_source(
    reader: BasicSRReader, section: str, scale: int, *, paired: bool
) -> dict[str, Any]:
    hr = reader.read_folders(f"{section}.dataroot_gt")
    known = ("{}", f"{{}}x{scale}", f"{{}}_x{scale}")
    named = reader.read_str(f"{section}.filename_tmpl", "{}")
    if named not in known:
        reader.warn(f"{section}.filename_tmpl", f"expected lr named as one of {', '.join(known)}")
    reader.expect(f"{section}.io_backend.type", "disk", "images are files in folders")
    if not paired or not reader.has(f"{section}.dataroot_lq"):
        return {"type": "HRFolders", "hr": hr}
    lr = reader.read_folders(f"{section}.dataroot_lq")
    if lr == hr:  # only meta_info separates them
        hr, lr = _read_pair_folders(reader, section, hr[0])
    return {"type": "PairedFolders", "hr": hr, "lr": lr}


def _read_pair_folders(
    reader: BasicSRReader, section: str, root: str
) -> tuple[list[str], list[str]]:
    """Return the folders of hr and lr in a list of pairs, `hr.png, lr.png`, below one folder."""
    key = next((k for k in ("meta_info", "meta_info_file") if reader.has(f"{section}.{k}")), None)
    file = Path(reader.read_str(f"{section}.{key}")) if key else None
    if file is not None and file.is_file():
        try:
            lines = file.read_text(encoding="utf-8").splitlines()
        except (OSError, UnicodeDecodeError) as error:
            raise UserError(f"{section}.{key}: {file} cannot be read: {error}") from None
        pairs = [[path.strip() for path in line.split(",")] for line in lines if line.strip()]
        if not pairs or any(len(pair) != 2 for pair in pairs):
            raise UserError(f"{section}.{key}: expected lines with `hr, lr` in {file}")
        hr, lr = (
            list(dict.fromkeys(str(PurePosixPath(root, path).parent) for path in side))
            for side in zip(*pairs, strict=True)
        )
        if hr != lr:
            reader.warn(f"{section}.{key}", f"its folders, hr {hr} and lr {lr}, are taken whole")
            return hr, lr
    names = f"{root.rstrip('/')}/HR", f"{root.rstrip('/')}/LR"
    reader.warn(
        f"{section}.dataroot_lq",
        "hr and lr are in one folder, separated by meta_info, which cannot be read here or names "
        f"no folders; put them into {names[0]} and {names[1]}, or change "
        "source.hr and source.lr",
    )
    return [names[0]], [names[1]]


def _translate_crop_size(reader: BasicSRReader, crops_by_model: bool) -> int:
    key, other = "datasets.train.gt_size", "gt_size"
    if crops_by_model and reader.has("gt_size"):
        key, other = other, key
    size = reader.read_int(key)
    reader.expect(other, size, f"{key} counts")
    return size


def _translate_flips(reader: BasicSRReader) -> tuple[bool, bool]:
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


def _translate_validation(reader: BasicSRReader, name: str, scale: int) -> dict[str, Any] | None:
    section = f"datasets.{name}"
    if not reader.list_keys(section):
        return None
    known = {**_DATASETS, "SingleImageDataset": None}
    single = reader.read_choice(f"{section}.type", known) is None
    if single or not reader.has(f"{section}.dataroot_gt"):
        if not reader.has(f"{section}.dataroot_lq"):
            reader.warn_section(section, "expected a folder, dataroot_gt or dataroot_lq")
            return None
        reader.expect(f"{section}.io_backend.type", "disk", "images are files in folders")
        source = {"type": "LRFolders", "lr": reader.read_folders(f"{section}.dataroot_lq")}
    else:
        source = _translate_source(reader, section, scale, paired=True)
    return {"name": reader.read_str(f"{section}.name", name), "source": source}


def _make_names_unique(sets: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Append a number to each name that is taken."""
    taken: set[str] = set()
    for data in sets:
        name, number = data["name"], 2
        while data["name"] in taken:
            data["name"], number = f"{name}_{number}", number + 1
        taken.add(data["name"])
    return sets


def _translate_degradation(reader: BasicSRReader) -> dict[str, Any]:
    """Translate both stages; what the file leaves out has Real-ESRGAN's value."""
    made: dict[str, Any] = {"type": "RealESRGAN"}
    made["first"] = _translate_stage(reader, "")
    made["second"] = _translate_stage(reader, "2")
    if reader.has("second_blur_prob"):
        made["second"]["blur_probability"] = reader.read_float("second_blur_prob")
    for stage in ("first", "second"):
        if not made[stage]:
            del made[stage]
    if reader.has("datasets.train.final_sinc_prob"):
        made["final_sinc_probability"] = reader.read_float("datasets.train.final_sinc_prob")
    made["clean_probability"] = 0.0  # theirs has no bicubic lr
    return made


def _translate_stage(reader: BasicSRReader, end: str) -> dict[str, Any]:
    """end: of the stage's keys, nothing or `2`."""
    section = "datasets.train."
    for key, value in _SHAPES.items():
        why = _LARGEST_KERNEL if key == "blur_kernel_size" else f"always {value} here"
        reader.expect(f"{section}{key}{end}", value, why)
    readers: dict[str, tuple[str, Callable[[str], Any]]] = {
        f"{section}sinc_prob{end}": ("sinc_probability", reader.read_float),
        f"{section}blur_sigma{end}": ("blur_sigma", reader.read_floats),
        f"resize_prob{end}": ("resize_probabilities", lambda path: _normalize(reader, path)),
        f"resize_range{end}": ("resize_factor", reader.read_floats),
        f"gaussian_noise_prob{end}": ("gaussian_probability", reader.read_float),
        f"noise_range{end}": ("gaussian_sigma", reader.read_floats),
        f"poisson_scale_range{end}": ("poisson_scale", reader.read_floats),
        f"gray_noise_prob{end}": ("grey_probability", reader.read_float),
        f"jpeg_range{end}": ("quality", reader.read_ints),
    }
    return {ours: read(path) for path, (ours, read) in readers.items() if reader.has(path)}


def _normalize(reader: BasicSRReader, path: str) -> list[float]:
    """Scale weights, which theirs may be, to probabilities that sum to 1."""
    weights = reader.read_floats(path)
    total = sum(weights)
    if total <= 0:
        raise UserError(f"{path}: expected weights with a sum above 0, got {weights}")
    return weights if abs(total - 1) < 1e-6 else [weight / total for weight in weights]
