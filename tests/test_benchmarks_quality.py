import csv
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torchvision.models import vgg16

from sr.data.imresize import imresize
from sr.io.rgb8 import image_to_tensor, read_rgb8, write_rgb8
from sr.losses.dists import DISTS
from sr.losses.lpips import LPIPS
from sr.metrics.niqe import niqe
from sr.metrics.psnr import psnr
from sr.metrics.ssim import ssim
from sr.models.load import load_generator

NAMES = ("b.png", "a.png")


@pytest.fixture(autouse=True)
def scripts(repository: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The folder's scripts import each other by name, as when one of them is run."""
    monkeypatch.syspath_prepend(str(repository / "benchmarks"))


@pytest.fixture
def quality() -> ModuleType:
    import quality

    return quality


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two sets of small images, the second with one more."""
    rng = np.random.default_rng(0)
    for name, images in (("few", NAMES), ("more", (*NAMES, "c.png"))):
        hr = tmp_path / "sets" / name / "HR"
        hr.mkdir(parents=True)
        for image in images:
            coarse = rng.integers(0, 256, (8, 10, 3), dtype=np.uint8)
            write_rgb8(hr / image, imresize(coarse, 4)[:31])
    return tmp_path / "sets"


def rows_of(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def run(quality: ModuleType, folder: Path, model: Path, output: Path, *others: str) -> None:
    usual = ("--no-time", "--device", "cpu", "-o", str(output))
    quality.main([str(folder), "-m", str(model), *usual, *others])


@pytest.fixture
def written(quality: ModuleType, folder: Path, model: Path, tmp_path: Path) -> Path:
    run(quality, folder, model, tmp_path / "out", "--per-image")
    return tmp_path / "out"


def test_the_csv_has_what_the_metrics_give_directly(
    written: Path, folder: Path, model: Path
) -> None:
    network = load_generator(model).network
    rows = rows_of(written.with_name("out.csv"))
    assert [(row["set"], row["model"]) for row in rows] == [
        ("few", "bicubic"),
        ("few", "tiny"),
        ("more", "bicubic"),
        ("more", "tiny"),
    ]
    assert [row["images"] for row in rows] == ["2", "2", "3", "3"]
    for row in rows:
        scores = []
        for path in sorted((folder / row["set"] / "HR").iterdir()):
            hr = read_rgb8(path)[:30]
            lr = imresize(hr, 0.5)
            with torch.no_grad():
                sr = network(image_to_tensor(lr))
            if row["model"] == "bicubic":
                sr = image_to_tensor(imresize(lr, 2))
            pair = (sr, image_to_tensor(hr))
            scores.append([f(*pair, border=2, channel="y") for f in (psnr, ssim)])
        expected = np.mean(scores, axis=0)
        assert float(row["psnr_y"]) == pytest.approx(expected[0], abs=1e-3)
        assert float(row["ssim_y"]) == pytest.approx(expected[1], abs=1e-5)


def test_rows_are_the_means_of_the_images(written: Path) -> None:
    images = rows_of(written.with_name("out.images.csv"))
    for row in rows_of(written.with_name("out.csv")):
        keys = ("set", "model")
        own = [each for each in images if all(each[key] == row[key] for key in keys)]
        mean = np.mean([float(each["psnr_rgb"]) for each in own])
        assert float(row["psnr_rgb"]) == pytest.approx(mean)


def test_the_text_says_where_its_numbers_come_from(written: Path) -> None:
    text = written.with_name("out.md").read_text(encoding="utf-8")
    for label in ("date", "command", "commit", "versions", "CPU", "files", "LR"):
        assert f"- {label}: " in text
    assert "| tiny | Compact | " in text
    assert written.with_name("out.png").stat().st_size > 0


def test_lr_that_is_given_is_taken(
    quality: ModuleType, folder: Path, model: Path, tmp_path: Path
) -> None:
    gray = np.full((15, 20, 3), 128, np.uint8)
    (folder / "few" / "LR_x2").mkdir()
    for name in NAMES:
        write_rgb8(folder / "few" / "LR_x2" / name, gray)
    run(quality, folder, model, tmp_path / "out")
    rows = rows_of(tmp_path / "out.csv")
    assert [row["lr"] for row in rows] == ["LR_x2", "LR_x2", "bicubic", "bicubic"]
    assert float(rows[0]["psnr_y"]) < float(rows[2]["psnr_y"])


def test_a_degraded_image_depends_on_the_seed_and_its_name_alone(folder: Path) -> None:
    from degraded_images import degradation_of, find_blindly_degraded

    def lr_of(name: str, seed: int) -> dict[str, bytes]:
        found = find_blindly_degraded(folder / name / "HR", 2, degradation_of("Real"), seed)
        return {Path(each.name).name: each.load()[0].tobytes() for each in found}

    for name in NAMES:
        hr = (folder / "few" / "HR" / name).read_bytes()
        (folder / "more" / "HR" / name).write_bytes(hr)
    few, more = lr_of("few", 0), lr_of("more", 0)
    (folder / "few" / "HR" / "a.png").unlink()
    assert few == {name: more[name] for name in few}
    assert lr_of("few", 0) == {"b.png": few["b.png"]}
    assert lr_of("few", 1) != {"b.png": few["b.png"]}


@pytest.mark.slow
def test_saved_lr_gives_the_same_scores(
    quality: ModuleType, folder: Path, model: Path, tmp_path: Path
) -> None:
    degraded = ("--degraded", "Light", "--seed", "3", "--save-lr", str(folder))
    run(quality, folder, model, tmp_path / "made", *degraded)
    assert sorted(path.name for path in (folder / "more" / "LR_x2").iterdir()) == [
        "a.png",
        "b.png",
        "c.png",
    ]
    run(quality, folder, model, tmp_path / "read")
    made, read = (rows_of(tmp_path / f"{name}.csv") for name in ("made", "read"))
    assert made[0]["lr"] == "Light, seed 3"
    assert [row["psnr_y"] for row in made] == [row["psnr_y"] for row in read]


def test_time_is_measured_for_all(quality: ModuleType, model: Path) -> None:
    import quality_methods

    methods = quality_methods.with_bicubic(
        quality_methods.load_methods([model], torch.device("cpu"), "fp32")
    )[2]
    seconds = quality_methods.seconds_a_megapixel(methods, side=16, num_rounds=1)
    assert len(seconds) == 2
    assert all(0 < each.least <= each.median for each in seconds)


def test_a_model_given_twice_is_one_method(
    quality: ModuleType, model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(model.parent)
    models = [Path(model.name), model, Path(model.name)]
    (method,) = quality.load_methods(models, torch.device("cpu"), "fp32")
    assert method.name == model.stem


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["-m", "spam_x4"], "did you mean span_x4"),
        (["--sets", "none"], "no such folder"),
        (["--per-image"], "needs -o"),
        (["--save-lr", "lr"], "needs --degraded"),
        (["--device", "foo"], "foo"),
        (["--rounds", "0"], "--rounds: expected 1 or more"),
        (["--time-size", "2"], "--time-size: expected 64 or more"),
        (["-o", "few/HR/a.png/new/out"], "few/HR/a.png"),
        (["--no-reference", "niqe_bundled"], "a.png: 40x30 (width x height)"),
    ],
)
def test_what_cannot_be_had_is_reported(
    quality: ModuleType,
    folder: Path,
    model: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    options: list[str],
    message: str,
) -> None:
    monkeypatch.chdir(folder)
    monkeypatch.setattr("quality_measures.load_metrics", dict.fromkeys)  # without their packages
    with pytest.raises(SystemExit):
        quality.main([str(folder), "-m", str(model), *options])
    assert message in capsys.readouterr().err


def test_models_of_clips_are_refused(
    quality: ModuleType, folder: Path, clip_model: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        quality.main([str(folder), "-m", str(clip_model)])
    assert "expected one of single images" in capsys.readouterr().err


def test_a_missing_package_is_reported_with_the_command(monkeypatch: pytest.MonkeyPatch) -> None:
    import no_reference

    monkeypatch.setattr(no_reference, "find_spec", lambda _name: None)
    with pytest.raises(ValueError, match="pip install --no-deps pypiqe"):
        no_reference.load_metrics(["piqe"])


def test_niqe_with_the_bundled_parameters_needs_no_package(monkeypatch: pytest.MonkeyPatch) -> None:
    import no_reference

    monkeypatch.setattr(no_reference, "find_spec", lambda _name: None)
    image = np.random.default_rng(0).integers(0, 256, (100, 200, 3), dtype=np.uint8)
    score = no_reference.load_metrics(["niqe_bundled"])["niqe_bundled"](image)
    assert score == niqe(image_to_tensor(image), border=0) > 0


def test_niqe_takes_the_parameters_of_the_package(tmp_path: Path) -> None:
    import no_reference

    path, covariance = tmp_path / "parameters.npz", np.eye(36, dtype=np.float32)
    np.savez(path, mu_pris_param=np.ones((1, 36)), cov_pris_param=covariance)
    pristine = no_reference.read_pristine(path)
    assert pristine.mean.shape == (36,)
    assert pristine.covariance.dtype == np.float64


def test_distances_of_vgg16_are_those_of_the_same_pixels(
    quality: ModuleType, folder: Path, model: Path, tmp_path: Path
) -> None:
    vgg16_file = tmp_path / "vgg16.safetensors"
    save_file(vgg16(weights=None).features.state_dict(prefix="features."), vgg16_file)
    run(quality, folder, model, tmp_path / "out", "--vgg16", str(vgg16_file), "--sets", "few")
    rows = rows_of(tmp_path / "out.csv")
    distances = {"lpips_vgg16": LPIPS("VGG16", vgg16_file), "dists": DISTS(vgg16_file)}
    for name, distance in distances.items():
        expected = []
        for path in sorted((folder / "few" / "HR").iterdir()):
            hr = read_rgb8(path)[:30]
            sr = imresize(imresize(hr, 0.5), 2)
            pair = (image_to_tensor(image)[..., 2:-2, 2:-2] for image in (sr, hr))
            with torch.no_grad():
                expected.append(float(distance(*pair)))
        assert float(rows[0][name]) == pytest.approx(np.mean(expected), rel=1e-4)
        assert 0 < float(rows[1][name]) != float(rows[0][name])
    text = (tmp_path / "out.md").read_text(encoding="utf-8")
    assert "few: PSNR Y, dB / SSIM Y / LPIPS of VGG16 / DISTS" in text
    assert "- LPIPS of VGG16, DISTS: VGG16; weights: SHA-256 " in text
