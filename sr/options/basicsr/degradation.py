"""Real-ESRGAN's degradation, of its data set and its model, as our type RealESRGAN."""

from collections.abc import Callable
from typing import Any

from sr.options.basicsr.reader import BasicSRReader

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


def degradation(reader: BasicSRReader) -> dict[str, Any]:
    """Both stages; what the file leaves out has Real-ESRGAN's value."""
    made: dict[str, Any] = {"type": "RealESRGAN"}
    made["first"] = _stage(reader, "")
    made["second"] = _stage(reader, "2")
    if reader.has("second_blur_prob"):
        made["second"]["blur_probability"] = reader.read_number("second_blur_prob")
    for stage in ("first", "second"):
        if not made[stage]:
            del made[stage]
    if reader.has("datasets.train.final_sinc_prob"):
        made["final_sinc_probability"] = reader.read_number("datasets.train.final_sinc_prob")
    made["clean_probability"] = 0.0  # theirs has no bicubic lr
    return made


def _stage(reader: BasicSRReader, end: str) -> dict[str, Any]:
    """end: of the stage's keys, nothing or `2`."""
    above = "datasets.train."
    for key, value in _SHAPES.items():
        why = _LARGEST_KERNEL if key == "blur_kernel_size" else f"always {value} here"
        reader.expect(f"{above}{key}{end}", value, why)
    readers: dict[str, tuple[str, Callable[[str], Any]]] = {
        f"{above}sinc_prob{end}": ("sinc_probability", reader.read_number),
        f"{above}blur_sigma{end}": ("blur_sigma", reader.read_numbers),
        f"resize_prob{end}": ("resize_probabilities", lambda path: _shares(reader, path)),
        f"resize_range{end}": ("resize_factor", reader.read_numbers),
        f"gaussian_noise_prob{end}": ("gaussian_probability", reader.read_number),
        f"noise_range{end}": ("gaussian_sigma", reader.read_numbers),
        f"poisson_scale_range{end}": ("poisson_scale", reader.read_numbers),
        f"gray_noise_prob{end}": ("grey_probability", reader.read_number),
        f"jpeg_range{end}": ("quality", reader.read_ints),
    }
    return {ours: read(path) for path, (ours, read) in readers.items() if reader.has(path)}


def _shares(reader: BasicSRReader, path: str) -> list[float]:
    """Theirs may be any weights; ours sum to 1."""
    weights = reader.read_numbers(path)
    total = sum(weights)
    if total <= 0:
        raise ValueError(f"{path}: expected weights with a sum above 0, got {weights}")
    return weights if abs(total - 1) < 1e-6 else [weight / total for weight in weights]
