"""A look at an input names the model that suits it; of a run once, and -m auto takes it."""

from io import BytesIO
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from helpers.clips import draw_planes, make_clip
from helpers.images import encode_image
from helpers.locks import hold_elsewhere
from helpers.models import write_compact
from PIL import Image, ImageDraw, ImageFont

from sr.cli.infer import main
from sr.inference.load_models import load_models
from sr.inference.named_files import ModelFiles
from sr.inference.options import InferOptions, OutputOptions
from sr.inference.suggest_model import (
    Signs,
    describe_signs,
    look_at_image,
    look_at_tasks,
    suggest_model,
)
from sr.inference.tasks import Task
from sr.io.degradation_signs import estimate_noise, is_pixel_art, measure_blockiness
from sr.io.jpeg_segments import estimate_quality
from sr.models import bundled
from sr.models.loaded_model import LoadedGenerator

SIDE = 160


def draw_photo(seed: int = 0) -> Image.Image:
    """Draw smooth areas and edges, as of a clean photograph."""
    random = np.random.default_rng(seed)
    noise = random.random((SIDE, SIDE, 3)).astype(np.float32)
    smooth = cv2.GaussianBlur(noise, (0, 0), 9)
    smooth = (smooth - smooth.min()) / np.ptp(smooth)
    pixels = np.where(smooth > 0.55, smooth, smooth * 0.6 + 0.1)
    return Image.fromarray((255 * cv2.GaussianBlur(pixels, (0, 0), 0.8)).round().astype(np.uint8))


def add_noise(image: Image.Image, level: float, *, is_gray: bool = False) -> Image.Image:
    pixels = np.asarray(image, np.float32)
    shape = (*pixels.shape[:2], 1) if is_gray else pixels.shape
    noise = np.random.default_rng(1).normal(0, level, shape)
    return Image.fromarray(np.clip(pixels + noise, 0, 255).round().astype(np.uint8))


def look(image: Image.Image, kind: str = "png", **options: Any) -> str:
    return look_at_image(encode_image(image, kind, **options)).reason


@pytest.mark.parametrize("quality", [10, 30, 50, 75, 90, 95])
def test_a_jpegs_quality_is_read_from_its_tables(quality: int) -> None:
    found = estimate_quality(BytesIO(encode_image(draw_photo(), "jpeg", quality=quality)))
    assert found is not None
    assert abs(found - quality) <= (6 if quality == 10 else 1)


def test_clean_images_have_no_signs() -> None:
    photo = draw_photo()
    assert look(photo) == ""
    assert look(photo, "jpeg", quality=95) == ""
    assert look(photo.convert("L")) == ""
    assert look(Image.new("RGB", (3, 2), "red")) == ""
    assert suggest_model(encode_image(photo, "png")) is None


def test_compressed_images_have_signs_also_as_other_files() -> None:
    photo = draw_photo()
    assert look(photo, "jpeg", quality=60) == "JPEG quality 60"
    content = encode_image(photo, "jpeg", quality=40)
    again = Image.open(BytesIO(content))
    assert look(again) == "blocks of compression"
    assert look(again, "jpeg", quality=97) == "blocks of compression"
    assert look(again.crop((3, 5, SIDE, SIDE))) == "blocks of compression"
    assert suggest_model(content) == "compact_real_x4"


def test_noisy_images_have_signs() -> None:
    photo = draw_photo()
    assert look(add_noise(photo, 8)).startswith("noise of ")
    assert look(add_noise(photo, 10, is_gray=True)) == "noise of 9 levels"
    assert look(add_noise(photo, 1)) == ""


def test_rendered_text_is_no_noise() -> None:
    page = Image.new("RGB", (400, 260), "white")
    draw = ImageDraw.Draw(page)
    for line in range(9):
        text = "The quick brown fox jumps over the lazy dog"
        draw.text((8, 8 + 26 * line), text, fill="black", font=ImageFont.load_default(size=18))
    assert look(page) == ""
    assert look(add_noise(page, 8)).startswith("noise of ")


def test_noise_and_blocks_are_measured_in_levels() -> None:
    flat = np.full((96, 96), 128, np.float32)
    noisy = flat + np.random.default_rng(0).normal(0, 5, flat.shape).astype(np.float32)
    assert estimate_noise(noisy) == pytest.approx(5, abs=0.7)
    assert estimate_noise(flat) == measure_blockiness(flat) == 0
    stairs = np.kron(np.arange(144).reshape(12, 12) % 5, np.ones((8, 8))).astype(np.float32)
    assert measure_blockiness(stairs) > 1


def test_pixel_art_has_few_colors_and_no_gradients() -> None:
    random = np.random.default_rng(0)
    colors = np.array([(0, 0, 0), (255, 0, 0), (40, 200, 60), (250, 250, 250)], np.uint8)
    sprite = np.kron(random.integers(0, 4, (16, 16)), np.ones((2, 2), int))
    assert is_pixel_art(colors[sprite])
    signs = look_at_image(encode_image(Image.fromarray(colors[sprite]), "png"))
    assert signs == Signs(is_pixel_art=True)
    assert not is_pixel_art(np.asarray(draw_photo()))
    ramp = np.repeat(np.arange(200, dtype=np.uint8)[None, :, None], 20, 0)
    assert not is_pixel_art(ramp)
    assert not is_pixel_art(np.zeros((9, 9, 1), np.uint8))


def make_task(name: str) -> Task:
    return Task(Path(name), Path("out"))


def test_a_run_has_one_line_however_many_inputs() -> None:
    tasks = [make_task(f"{number}.jpg") for number in range(4)]
    signs = [
        Signs(),
        Signs("JPEG quality 40"),
        Signs("noise of 9 levels"),
        Signs(is_pixel_art=True),
    ]
    (bad, art) = describe_signs(tasks, signs, num_inputs=4, is_auto=False, model="a_x4")
    assert bad == (
        "2 of 4 inputs are compressed or noisy, such as 1.jpg: JPEG quality 40; -m a_x4"
        " is made for that, -m auto chooses by itself"
    )
    assert art.startswith("3.jpg: few colors and no gradients")
    (line, _) = describe_signs(tasks, signs, num_inputs=99, is_auto=True, model="a_x4")
    assert line.startswith("2 of the 4 inputs looked at are")
    assert line.endswith("; a_x4 is taken")
    (line,) = describe_signs(tasks[1:2], signs[1:2], num_inputs=1, is_auto=False, model="a_x4")
    assert line.startswith("1.jpg: JPEG quality 40; -m")
    assert describe_signs(tasks[:1], signs[:1], num_inputs=1, is_auto=False, model="a_x4") == []


def test_what_cannot_be_read_has_no_signs(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(b"no image")
    options = InferOptions([tmp_path], OutputOptions(tmp_path))
    assert look_at_tasks([make_task(str(tmp_path / "a.png"))], options) == [Signs()]


def test_videos_of_a_low_bit_rate_have_signs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sr.inference.suggest_model.BITS_PER_PIXEL", 0.2)  # of so short clips
    options = InferOptions([tmp_path], OutputOptions(tmp_path))
    reasons = []
    for crf in ("0", "51"):
        planes = draw_planes(1, (192, 256), "yuv420p") * 20
        clip = make_clip(tmp_path / f"{crf}.mp4", planes=planes, options={"crf": crf})
        (signs,) = look_at_tasks([Task(clip, tmp_path / "out.mkv", "video")], options)
        reasons.append(signs.reason)
    assert not reasons[0].startswith("low bit rate")
    assert reasons[1].startswith("low bit rate, 0.0")


@pytest.fixture
def small_models(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Small models in the place of the bundled ones."""
    folder = tmp_path / "weights"
    folder.mkdir()
    for seed, model in enumerate(bundled.BUNDLED):
        write_compact(folder / f"{model.name}.safetensors", int(model.name[-1]), seed=seed)
    monkeypatch.setattr(bundled, "WEIGHTS", folder)
    return folder


def run(*arguments: object) -> Any:
    with pytest.raises(SystemExit) as stop:
        main([str(argument) for argument in arguments])
    return stop.value.code


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with a clean image and a compressed one."""
    folder = tmp_path / "in"
    folder.mkdir()
    draw_photo().save(folder / "clean.png")
    draw_photo(1).save(folder / "bad.jpg", quality=40)
    return folder


@pytest.mark.usefixtures("small_models")
def test_auto_takes_for_each_input_the_model_that_suits_it(
    tmp_path: Path, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    draw_photo(2).save(folder / "other.png")
    assert run("-i", folder, "-o", tmp_path / "auto", "-m", "auto", "--precision", "fp32") == 0
    shown = " ".join(capsys.readouterr().err.split())
    assert "1 of 3 inputs are compressed or noisy" in shown
    assert "JPEG quality 40; compact_real_x4 is taken" in shown
    assert "span_x4.safetensors, compact_real_x4.safetensors: x4, 3 input(s)" in shown
    assert "[1/3]" in shown
    assert "[3/3]" in shown
    for name, model in {"clean": "span_x4", "bad": "compact_real_x4", "other": "span_x4"}.items():
        source = next(folder.glob(f"{name}.*"))
        apart = tmp_path / "apart" / f"{name}_x4.png"
        assert run("-i", source, "-o", apart, "-m", model, "--precision", "fp32") == 0
        assert apart.read_bytes() == (tmp_path / "auto" / f"{name}_x4.png").read_bytes()


@pytest.mark.usefixtures("small_models")
def test_auto_takes_models_of_scale_2_for_small_enlargements(
    tmp_path: Path, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("-i", folder, "-o", tmp_path / "auto", "-m", "auto", "-s", "2") == 0
    shown = " ".join(capsys.readouterr().err.split())
    assert "JPEG quality 40; compact_real_x2 is taken" in shown
    assert "span_x2.safetensors, compact_real_x2.safetensors: x2, 2 input(s)" in shown


@pytest.mark.usefixtures("small_models")
def test_auto_does_the_inputs_of_one_model_where_others_write_those_of_the_other(
    tmp_path: Path, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    results = tmp_path / "out"
    results.mkdir()
    with hold_elsewhere(results / "bad_x4.png"):
        assert run("-i", folder, "-o", results, "-m", "auto") == 3
    assert (results / "clean_x4.png").is_file()
    assert "1 input(s) failed" in capsys.readouterr().err
    draw_photo(2).save(folder / "late.jpg", quality=40)
    (results / "bad_x4.png").touch()
    assert run("-i", folder, "-o", results, "-m", "auto", "--skip-existing") == 0
    first = capsys.readouterr().err.partition("\n")[0]
    assert first == f"{folder / 'late.jpg'}: JPEG quality 40; compact_real_x4 is taken"


@pytest.mark.usefixtures("small_models")
def test_auto_loads_each_model_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    loaded = []

    def load(files: ModelFiles) -> LoadedGenerator:
        loaded.append(files.name)
        return load_models(files)

    monkeypatch.setattr("sr.inference.run.load_models", load)
    draw_photo().save(tmp_path / "clean.png")
    assert run("-i", tmp_path / "clean.png", "-o", tmp_path / "out.png", "-m", "auto") == 0
    assert loaded == ["span_x4.safetensors"]


@pytest.mark.usefixtures("small_models")
def test_the_hint_stands_once_and_only_where_no_model_is_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    draw_photo().save(tmp_path / "bad.jpg", quality=40)
    given = ["-i", tmp_path / "bad.jpg", "-o", tmp_path / "out.png", "--overwrite"]
    assert run(*given) == 0
    assert capsys.readouterr().err.count("-m compact_real_x4 is made for that") == 1
    assert run(*given, "-m", "span_x4") == 0
    assert run(*given, "--resample", "nearest") == 0
    assert "compact_real_x4" not in capsys.readouterr().err
