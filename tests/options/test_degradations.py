from dataclasses import fields
from pathlib import Path
from typing import Any, get_args

import pytest
import yaml
from pydantic import TypeAdapter

from sr.data.random_degradation import Degradation, Stage
from sr.options.datasets import TrainingData
from sr.options.degradations import (
    DegradationOptions,
    LightOptions,
    RealESRGANOptions,
    RealOptions,
    StageOptions,
)
from sr.options.load import load_options
from sr.options.read_yaml import OptionsError

MEMBERS = get_args(get_args(DegradationOptions)[0])
HR_FOLDERS = {"type": "HRFolders", "hr": ["photos"]}


def degradation(**parts: Any) -> RealESRGANOptions | RealOptions | LightOptions:
    options: RealESRGANOptions | RealOptions | LightOptions = TypeAdapter(
        DegradationOptions
    ).validate_python(parts)
    return options


def fault_of(tmp_path: Path, part: dict[str, Any], source: dict[str, Any] = HR_FOLDERS) -> str:
    """The one line of the error under its first."""
    tree = {
        "name": "a_run",
        "scale": 4,
        "generator": {"type": "SRResNet"},
        "losses": {"pixel": {"type": "L1"}},
        "datasets": {"train": {"source": source, "degradation": part}},
        "train": {"steps": 10, "optimizer": {"type": "Adam"}, "schedule": {"type": "cosine"}},
    }
    path = tmp_path / "options.yml"
    path.write_text(yaml.safe_dump(tree))
    with pytest.raises(OptionsError) as caught:
        load_options(path)
    _, line = str(caught.value).splitlines()
    return line.strip().removeprefix("datasets.train.")


def stages_of(options: RealESRGANOptions | RealOptions | LightOptions) -> list[StageOptions]:
    return [part for _, part in options if isinstance(part, StageOptions)]


def test_stages_have_the_very_fields_of_what_is_made_of_them() -> None:
    names = {field.name for field in fields(Stage)}
    for member in MEMBERS:
        for stage in stages_of(
            degradation(type=get_args(member.model_fields["type"].annotation)[0])
        ):
            assert set(type(stage).model_fields) == names
        others = {name for name in member.model_fields if name.endswith("_probability")}
        assert others | {"stages"} == {field.name for field in fields(Degradation)}


def test_there_is_no_degradation_by_default() -> None:
    assert TrainingData.model_validate({"source": HR_FOLDERS}).degradation is None


def test_real_esrgan_has_the_published_numbers() -> None:
    options = degradation(type="RealESRGAN")
    first, second = stages_of(options)
    for stage in (first, second):
        assert stage.kernel_sizes == (7, 21)
        assert stage.sinc_probability == 0.1
        assert (stage.gaussian_probability, stage.grey_probability) == (0.5, 0.4)
        assert (stage.quality, stage.compression_probability) == ((30, 95), 1)
        assert stage.webp_probability == 0
    assert (first.blur_probability, second.blur_probability) == (1, 0.8)
    assert (first.blur_sigma, second.blur_sigma) == ((0.2, 3), (0.2, 1.5))
    assert first.resize_probabilities == (0.2, 0.7, 0.1)
    assert second.resize_probabilities == (0.3, 0.4, 0.3)
    assert (first.resize_factor, second.resize_factor) == ((0.15, 1.5), (0.3, 1.2))
    assert (first.gaussian_sigma, second.gaussian_sigma) == ((1, 30), (1, 25))
    assert (first.poisson_scale, second.poisson_scale) == ((0.05, 3), (0.05, 2.5))
    assert options.final_sinc_probability == 0.8


def test_light_is_milder_than_real_and_real_than_real_esrgan() -> None:
    strong, real, light = (
        stages_of(degradation(type=type_))[0] for type_ in ("RealESRGAN", "Real", "Light")
    )
    for mild, strict in ((light, real), (real, strong)):
        assert mild.blur_probability < strict.blur_probability
        assert mild.blur_sigma[1] < strict.blur_sigma[1]
        assert mild.gaussian_sigma[1] < strict.gaussian_sigma[1]
        assert mild.poisson_scale[1] < strict.poisson_scale[1]
        assert mild.quality[0] > strict.quality[0]
    assert len(stages_of(degradation(type="Light"))) == 1
    for member in ("RealESRGAN", "Real", "Light"):
        assert 0.1 <= degradation(type=member).clean_probability <= 0.2


def test_a_replaced_field_leaves_the_others_of_its_preset() -> None:
    options = degradation(type="Real", second={"quality": [60, 80]}, clean_probability=0.15)
    expected = degradation(type="Real").model_dump()
    expected["second"]["quality"] = (60, 80)
    expected["clean_probability"] = 0.15
    assert options.model_dump() == expected


@pytest.mark.parametrize(
    ("part", "fault"),
    [
        ({"type": "Reel"}, "degradation.type: unknown type 'Reel', did you mean 'Real'?; allowed"),
        ({"type": "Light", "first": {}}, "degradation.first: unknown key"),
        (
            {"type": "Real", "first": {"blur_sigmas": 1}},
            "degradation.first.blur_sigmas: unknown key, did you mean 'blur_sigma'?",
        ),
        ({"type": "Real", "clean_probability": 1.1}, "degradation.clean_probability: Input should"),
    ],
)
def test_a_wrong_section_is_reported_with_its_key(
    tmp_path: Path, part: dict[str, Any], fault: str
) -> None:
    assert fault_of(tmp_path, part).startswith(fault)


@pytest.mark.parametrize(
    ("field", "value", "fault"),
    [
        ("blur_sigma", [2, 1], ": expected the smaller number first, got [2.0, 1.0]"),
        ("gaussian_sigma", [5, 1], ": expected the smaller number first"),
        ("poisson_scale", [5, 1], ": expected the smaller number first"),
        ("quality", [90, 60], ": expected the smaller number first"),
        ("quality", [0, 60], ".0: Input should be greater than or equal to 1, got 0"),
        ("quality", [60, 101], ".1: Input should be less than or equal to 100, got 101"),
        ("blur_sigma", [0, 1], ".0: Input should be greater than 0, got 0"),
        ("gaussian_sigma", [-1, 1], ".0: Input should be greater than or equal to 0"),
        ("kernel_sizes", [8, 21], ": expected two odd sizes, the smaller one first, got [8, 21]"),
        ("kernel_sizes", [21, 7], ": expected two odd sizes"),
        ("kernel_sizes", [1, 7], ".0: Input should be greater than or equal to 3"),
        ("resize_factor", [0.5, 0.9], ": expected a range around 1, got [0.5, 0.9]"),
        ("resize_factor", [0.01, 1], ".0: Input should be greater than or equal to 0.05"),
        ("resize_probabilities", [0.2, 0.7, 0.2], ": expected probabilities that sum to 1"),
        ("resize_filters", [], ": List should have at least 1 item"),
        ("resize_filters", ["area", "sinc"], ".1: Input should be 'area', 'bilinear' or 'bicubic'"),
        ("blur_probability", 1.5, ": Input should be less than or equal to 1"),
    ],
)
def test_a_wrong_range_is_reported_with_its_key(
    tmp_path: Path, field: str, value: Any, fault: str
) -> None:
    line = fault_of(tmp_path, {"type": "RealESRGAN", "second": {field: value}})
    assert line.startswith(f"degradation.second.{field}{fault}")


def test_degradation_is_refused_where_lr_images_are_given(tmp_path: Path) -> None:
    paired = {"type": "PairedFolders", "hr": ["a"], "lr": ["b"]}
    line = fault_of(tmp_path, {"type": "Light"}, paired)
    assert (
        "degradation makes lr from hr: expected source.type HRFolders, "
        "Synthetic or Mixed of these, got 'PairedFolders'" in line
    )
