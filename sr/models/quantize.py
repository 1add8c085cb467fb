"""A generator as an ONNX program whose convolutions compute in 8-bit integers.

Post-training quantization by NNCF, https://github.com/openvinotoolkit/nncf: it runs the network
over images, takes the ranges of its activations, and corrects the biases for the rounding of the
weights. The program holds the integers next to their factors (QDQ), so that each runtime can run
it; OpenVINO runs it fastest. Needs the extras `int8` and `onnx`.
"""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from sr.errors import ModelFileError
from sr.io.find_files import find_images
from sr.io.image_formats import ImageError
from sr.io.rgb8 import image_to_tensor, read_rgb8
from sr.models.loaded_model import LoadedGenerator
from sr.models.onnx_model import OnnxNetwork, export_onnx, require_onnx, save_onnx
from sr.models.quiet import silence_output

CROP_SIZE = 96  # LR pixels
OVERLAP = 8  # crops at most that a pixel is in, on average
MAX_CROPS = 300  # NNCF's own default
NUM_CHECKED = 8  # crops that NNCF does not see
MIN_PSNR = 45.0  # dB to the network in float32; costs 0.1 dB of the 28 dB to the original of Set14


def write_int8_onnx(path: Path, generator: LoadedGenerator, folder: Path) -> tuple[float, int]:
    """Quantize a generator and write it as an ONNX file, which appears only if it is near enough.

    folder: of images like those that will be upscaled, at their size. Returns the PSNR to the
    network in float32 on crops that NNCF did not see, RGB in [0, 1], in dB, and how many it saw.
    Raises ModelFileError where the network cannot be quantized, the folder has too few pixels, or
    the result is farther than MIN_PSNR from the network's.
    """
    require_onnx()
    crops = cut_crops(folder)
    seen, checked = crops[NUM_CHECKED:], crops[:NUM_CHECKED]
    program = _quantize(export_onnx(generator.network, str(path)), seen, str(path))
    psnr = _measure_psnr(OnnxNetwork(program.SerializeToString(), str(path)), generator, checked)
    if not psnr >= MIN_PSNR:  # also where it is not a number
        raise ModelFileError(
            f"{path}: in 8-bit integers the network's result is {psnr:.1f} dB from that in float32 "
            f"(expected {MIN_PSNR:g} or more); nothing was written"
        )
    about = {"calibration_crops": len(seen), "psnr_to_fp32": round(psnr, 2)}
    save_onnx(path, program, generator, int8=about)
    return psnr, len(seen)


def cut_crops(folder: Path) -> list[Tensor]:
    """Cut the same crops in each run from the images in a folder and the folders in it.

    Returns at most MAX_CROPS of (1, 3, CROP_SIZE, CROP_SIZE), RGB in [0, 1], all images in turn.
    Raises ModelFileError for a folder without enough pixels, or with a damaged image.
    """
    if not folder.is_dir():
        raise ModelFileError(f"--calibrate {folder}: expected a folder of images")
    rng = np.random.default_rng(0)
    paths = find_images([folder], recursive=True)
    paths = [paths[index] for index in rng.permutation(len(paths))[:MAX_CROPS]]
    crops = []
    for path in paths:
        try:
            image = read_rgb8(path, convert=True)
        except ImageError as error:
            raise ModelFileError(f"--calibrate {folder}: {error}") from None
        height, width, _ = image.shape
        if min(height, width) < CROP_SIZE:
            continue
        most = OVERLAP * height * width // CROP_SIZE**2
        for _ in range(min(-(-MAX_CROPS // len(paths)), most)):
            top, left = (int(rng.integers(side - CROP_SIZE + 1)) for side in (height, width))
            crops.append(image_to_tensor(image[top : top + CROP_SIZE, left : left + CROP_SIZE]))
    if len(crops) < 2 * NUM_CHECKED:
        raise ModelFileError(
            f"--calibrate {folder}: expected images for {2 * NUM_CHECKED} crops or more of "
            f"{CROP_SIZE}x{CROP_SIZE} pixels, got {len(paths)} image(s) for {len(crops)}"
        )
    return [crops[index] for index in rng.permutation(len(crops))[:MAX_CROPS]]


def _quantize(program: Any, crops: Sequence[Tensor], name: str) -> Any:
    """Return the ONNX model in 8-bit integers; its weights a channel, its activations a tensor."""
    sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]  # bars an import
    try:
        import nncf
    except ImportError as error:
        raise ModelFileError(
            f"--int8 needs the extra `int8` ({error.name} is missing): pip install -e '.[int8]'"
        ) from None
    # NNCF takes the mean of the crops' maxima by default, which would cut off what is bright.
    ranges = nncf.quantization.range_estimator.RangeEstimatorParametersSet.MINMAX
    inputs = nncf.Dataset([{"lr": crop.numpy()} for crop in crops])
    try:
        with silence_output():
            return nncf.quantize(
                program,
                inputs,
                preset=nncf.QuantizationPreset.MIXED,
                subset_size=len(crops),
                advanced_parameters=nncf.AdvancedQuantizationParameters(
                    activations_range_estimator_params=ranges
                ),
            )
    except Exception as error:  # noqa: BLE001, whatever NNCF and onnxruntime raise of a graph
        raise ModelFileError(
            f"{name}: NNCF cannot quantize this network ({type(error).__name__}: {error})"
        ) from None


def _measure_psnr(
    network: OnnxNetwork, generator: LoadedGenerator, crops: Sequence[Tensor]
) -> float:
    """Return the PSNR of the network's results to the generator's, RGB in [0, 1], in dB."""
    errors = []
    with torch.inference_mode():
        for crop in crops:
            expected = generator.network(crop.clone()).clamp(0, 1)
            errors.append((network(crop).clamp(0, 1) - expected).square().mean())
    return float(-10 * torch.stack(errors).mean().log10())
