"""The library's way in."""

import doctest
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

import sr
from sr import api as library


@pytest.fixture(scope="module")
def upscaler() -> Any:
    return sr.Upscaler.load(device="cpu", precision="fp32", tile_size=16)


def test_the_documentation_is_true() -> None:
    assert doctest.testmod(library).attempted > 3
    assert doctest.testmod(library).failed == 0


def test_a_model_for_videos_is_refused(clip_model: Path) -> None:
    with pytest.raises(ValueError, match=r"rbpn\.safetensors: .*upscales videos.*infer\.py"):
        sr.Upscaler.load(clip_model, device="cpu", tile_size=16)


def test_importing_sr_is_quick() -> None:
    command = "import sys, sr; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", command], check=False).returncode == 0


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32])
@pytest.mark.parametrize("shape", [(9, 20), (9, 20, 1), (9, 20, 2), (9, 20, 3), (9, 20, 4)])
def test_arrays_come_back_of_their_kind(upscaler: Any, shape: tuple[int, ...], dtype: Any) -> None:
    white = 1 if dtype is np.float32 else np.iinfo(dtype).max
    image = (np.random.default_rng(0).random(shape) * white).astype(dtype)
    result = upscaler(image)
    assert result.shape == (36, 80, *shape[2:])
    assert result.dtype == dtype
    assert 0.1 * white < result.mean() < 0.9 * white


def test_all_kinds_say_the_same(upscaler: Any) -> None:
    image = np.random.default_rng(0).integers(0, 256, (9, 20, 3), dtype=np.uint8)
    array = upscaler(image)
    assert np.array_equal(np.asarray(upscaler(Image.fromarray(image))), array)
    tensor = torch.from_numpy(image).permute(2, 0, 1) / 255
    one, several = upscaler(tensor), upscaler(torch.stack([tensor, tensor.flip(2)]))
    assert one.shape == (3, 36, 80)
    assert torch.equal(several[0], one)
    levels = one.clamp(0, 1).mul(255).add(0.5).to(torch.uint8).permute(1, 2, 0).numpy()
    assert np.abs(levels.astype(int) - array).max() <= 1


@pytest.mark.parametrize("mode", ["L", "LA", "RGB", "RGBA"])
def test_pil_images_keep_their_mode(upscaler: Any, mode: str) -> None:
    result = upscaler(Image.new(mode, (20, 9)))
    assert (result.mode, result.size) == (mode, (80, 36))


@pytest.mark.parametrize(
    ("image", "message"),
    [
        ("a.png", "expected a numpy array, a PIL image or a tensor, got str"),
        (np.zeros((4, 4, 5), np.uint8), r"got uint8 \(4, 4, 5\)"),
        (np.zeros((0, 4, 3), np.uint8), r"got uint8 \(0, 4, 3\)"),
        (np.zeros((4, 4, 3)), r"got float64"),
        (torch.zeros(1, 4, 4), r"expected a float tensor \(3, H, W\)"),
        (torch.zeros(3, 4, 4, dtype=torch.uint8), "torch.uint8"),
        (Image.new("P", (4, 4)), "mode L, LA, RGB or RGBA, got P"),
    ],
)
def test_anything_else_is_refused(upscaler: Any, image: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        upscaler(image)


def test_a_file_that_is_no_model_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.pth").write_text("only words")
    with pytest.raises(ValueError, match=r"a\.pth"):
        sr.Upscaler.load(tmp_path / "a.pth")


def test_a_bundled_model_is_loaded_by_its_name(model: Path) -> None:
    upscaler = sr.Upscaler.load("compact_x4", device="cpu", precision="fp32", tile_size=16)
    file = Path(library.__file__).parent / "weights" / "compact_x4.safetensors"
    same = sr.Upscaler.load(file, device="cpu", precision="fp32", tile_size=16)
    lr = torch.rand(3, 9, 12)
    assert torch.equal(upscaler(lr), same(lr))
    assert sr.Upscaler.load(str(model), device="cpu", tile_size=16).scale == 2
    with pytest.raises(ValueError, match=r"compact_x3: no such model file, did you mean compact_x"):
        sr.Upscaler.load("compact_x3")


def test_other_names_are_not_there() -> None:
    with pytest.raises(AttributeError, match="no attribute 'upscale'"):
        _ = sr.upscale
