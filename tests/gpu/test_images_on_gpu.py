"""Images through a GPU are those through the CPU, in every kind and precision."""

from pathlib import Path

import numpy as np
import pytest
import torch
from helpers.images import Pixels, noise
from helpers.videos import Listener

from sr.inference.options import InferOptions, OutputOptions, RuntimeOptions
from sr.inference.run import run
from sr.io.image_reader import open_image
from sr.io.image_writer import write_image
from sr.models.bundled import choose_default_model
from sr.tiling import streams

# Warnings that nobody has seen yet are no reason to fail.
pytestmark = [pytest.mark.gpu, pytest.mark.filterwarnings("default")]

TOLERANCES = {"fp32": 2e-4, "fp16": 1e-2, "bf16": 6e-2}  # of the [0, 1] range


def draw_pixels(num_bands: int, dtype: str) -> Pixels:
    """Draw noise of 60x70, with alpha that is uniform in some tiles of 16."""
    pixels = noise(60, 70, num_bands, dtype=dtype)
    if num_bands in (2, 4):
        pixels[:, :30, -1] = np.iinfo(pixels.dtype).max
        pixels[:, 50:, -1] = 0
    return pixels


def upscale(source: Path, output: Path, model: str, devices: str, **runtime: object) -> Pixels:
    """Run the whole program. devices: as on the command line."""
    listener = Listener()
    options = RuntimeOptions(devices=tuple(devices.split(",")), **runtime)  # type: ignore[arg-type]
    summary = run(
        InferOptions([source], OutputOptions(output), model=model, runtime=options), listener
    )
    assert [task.error for task in summary.tasks] == [None]
    assert not [fields for fields in listener.fields("warning") if "precision" in str(fields)]
    with open_image(output) as image:
        return image.read()


def measure_difference(one: Pixels, two: Pixels) -> float:
    """Return the largest one, in units of the [0, 1] range; of visible pixels."""
    assert (one.shape, one.dtype) == (two.shape, two.dtype)
    difference = np.abs(one.astype(np.float64) - two) / np.iinfo(one.dtype).max
    if one.shape[2] in (2, 4):
        difference = difference * (two[..., -1:] > np.iinfo(one.dtype).max // 4)
    return float(difference.max())


@pytest.mark.parametrize("num_bands", [1, 2, 3, 4])
@pytest.mark.parametrize("dtype", ["uint8", "uint16"])
@pytest.mark.parametrize("tile_size", [16, 0])
def test_gray_alpha_and_16_bits(
    device: torch.device, model: Path, tmp_path: Path, num_bands: int, dtype: str, tile_size: int
) -> None:
    source = tmp_path / "lr.png"
    write_image(source, draw_pixels(num_bands, dtype), suffix=".png", like=None)
    results = [
        upscale(
            source, tmp_path / f"{i}.png", str(model), name, precision="fp32", tile_size=tile_size
        )
        for i, name in enumerate((str(device), "cpu"))
    ]
    levels = np.iinfo(results[0].dtype).max
    assert measure_difference(*results) <= max(TOLERANCES["fp32"], 1 / levels)


@pytest.mark.parametrize("precision", ["fp32", "fp16", "bf16", "auto"])
def test_precisions(device: torch.device, tmp_path: Path, precision: str) -> None:
    if device.type == "cpu" and precision == "fp16":
        pytest.skip("a CPU has no fp16")
    source, model = tmp_path / "lr.png", str(choose_default_model())
    write_image(source, noise(40, 50, 3), suffix=".png", like=None)
    on_device, on_cpu = (
        upscale(source, tmp_path / f"{i}.png", model, name, precision=each)
        for i, (name, each) in enumerate([(str(device), precision), ("cpu", "fp32")])
    )
    error = ((on_device.astype(np.float64) - on_cpu) / 255) ** 2
    least = {"fp32": 65, "fp16": 48, "bf16": 38, "auto": 38}[precision]  # dB
    assert -10 * np.log10(max(error.mean(), 1e-12)) > least


def test_two_devices_share_the_tiles(device: torch.device, model: Path, tmp_path: Path) -> None:
    if device.type == "cuda" and torch.cuda.device_count() < 2:
        pytest.skip("needs two GPUs")
    names = "cuda:0,cuda:1" if device.type == "cuda" else "cpu,cpu"
    source = tmp_path / "lr.png"
    write_image(source, draw_pixels(4, "uint8"), suffix=".png", like=None)
    options = {"precision": "fp32", "tile_size": 16}
    two = upscale(source, tmp_path / "two.png", str(model), names, **options)
    one = upscale(source, tmp_path / "one.png", str(model), "cpu", **options)
    assert measure_difference(two, one) <= 1 / 255


def test_many_images_take_few_streams(gpu: torch.device, model: Path, tmp_path: Path) -> None:
    source = tmp_path / "lr.png"
    write_image(source, draw_pixels(3, "uint8"), suffix=".png", like=None)
    for number in range(10):
        upscale(source, tmp_path / f"{number}.png", str(model), str(gpu), tile_size=16)
    assert 0 < len(streams._idle_streams[gpu]) <= 3
