"""8-bit integers: near the network in float32, in a file that says so, or a word why not."""

from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
import torch
from typer.testing import CliRunner

from sr.cli.convert import app
from sr.errors import ModelFileError
from sr.io.model_file import write_model_file
from sr.io.rgb8 import write_rgb8
from sr.models.backends import use_backend
from sr.models.describe import describe_model
from sr.models.load import load_generator
from sr.models.quantize import CROP_SIZE, MAX_CROPS, cut_crops
from sr.networks.compact import Compact

CPU = torch.device("cpu")


def write_gradients(folder: Path, number: int, height: int, width: int) -> Path:
    """A image whose red says where a pixel is, and whose green is the image's number."""
    image = np.full((height, width, 3), number, np.uint8)
    image[..., 0] = np.linspace(0, 255, width).astype(np.uint8)
    image[..., 2] = np.linspace(0, 255, height).astype(np.uint8)[:, None]
    path = folder / f"{number}.png"
    write_rgb8(path, image)
    return path


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("images")
    for number, size in enumerate([(150, 200), (120, 130), (CROP_SIZE, CROP_SIZE), (40, 400)]):
        write_gradients(folder, number, *size)
    return folder


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.manual_seed(0)
    path = tmp_path_factory.mktemp("model") / "a.safetensors"
    generator = {"type": "Compact", "num_features": 8, "num_convs": 1}
    metadata = {"generator": generator, "scale": 2, "receptive_radius": 3, "licence": "CC0-1.0"}
    write_model_file(path, Compact(2, num_features=8, num_convs=1).state_dict(), metadata)
    return path


@pytest.fixture(scope="module")
def quantized(model: Path, folder: Path) -> Path:
    # Not importorskip: imported so, nncf and openvino would report it to their makers.
    if not all(map(find_spec, ("onnx", "onnxruntime", "onnxscript", "nncf"))):
        pytest.skip("needs the extras int8 and onnx")
    path = model.with_suffix(".onnx")
    arguments = [str(model), str(path), "--int8", "--calibrate", str(folder)]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("sr.models.quantize.MAX_CROPS", 40)  # enough for so small a network
        result = CliRunner().invoke(app, arguments)
    assert result.exit_code == 0, result.output
    assert "dB from the network in float32, calibrated on" in result.output
    return path


def measure_psnr(a: torch.Tensor, b: torch.Tensor) -> float:
    return float(-10 * (a - b).square().mean().log10())


@pytest.mark.slow
def test_integers_are_near_the_network_in_float32(
    model: Path, quantized: Path, folder: Path
) -> None:
    theirs, ours = load_generator(quantized), load_generator(model)
    lr = cut_crops(folder)[0][:, :, :60, :50]
    with torch.inference_mode():
        expected, sr = ours.network(lr), theirs.network(lr)
    assert 45 < measure_psnr(sr, expected) < 80  # above: nothing was rounded
    assert theirs.receptive_radius == ours.receptive_radius
    assert theirs.metadata["licence"] == "CC0-1.0"


def test_the_file_says_what_it_is(quantized: Path) -> None:
    assert "8-bit integers" in describe_model(quantized)["quantized"]


def test_openvino_runs_the_integers(quantized: Path, folder: Path) -> None:
    if not find_spec("openvino"):
        pytest.skip("needs the extra openvino")
    generator = load_generator(quantized)
    by_openvino = use_backend(generator, "openvino", device=CPU, precision=torch.float32)
    lr = cut_crops(folder)[0][:, :, :60, :50]
    assert measure_psnr(by_openvino.network(lr), generator.network(lr)) > 35


def test_crops_are_the_same_each_time_and_of_all_images_that_are_large_enough(
    folder: Path,
) -> None:
    crops = cut_crops(folder)
    assert 16 <= len(crops) <= MAX_CROPS
    assert all(crop.shape == (1, 3, CROP_SIZE, CROP_SIZE) for crop in crops)
    assert {round(float(crop[0, 1, 0, 0]) * 255) for crop in crops} == {0, 1, 2}
    assert all(torch.equal(a, b) for a, b in zip(crops, cut_crops(folder), strict=True))


def test_what_cannot_be_calibrated_on_is_refused_and_nothing_written(
    model: Path, tmp_path: Path
) -> None:
    target = tmp_path / "a.onnx"
    few = tmp_path / "few"
    few.mkdir()
    for arguments, fault in [
        (["--calibrate", str(tmp_path / "none")], "both, or none"),
        (["--int8"], "both, or none"),
        (["--int8", "--calibrate", str(tmp_path / "none")], "expected a folder of images"),
        (["--int8", "--calibrate", str(few)], "16 crops or more of 96x96 pixels, got 0 image"),
        (["--int8", "--calibrate", str(few), "--fp16"], "expected .onnx without --fp16"),
    ]:
        result = CliRunner().invoke(app, [str(model), str(target), *arguments])
        assert result.exit_code == 2
        assert fault in " ".join(result.output.split())
    (few / "a.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    with pytest.raises(ModelFileError, match=r"--calibrate .*a\.png"):
        cut_crops(few)
    assert not target.exists()
