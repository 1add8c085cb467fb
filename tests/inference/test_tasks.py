"""Outputs are named, and clashes refused, before any work is done."""

import re
from pathlib import Path
from typing import Any

import pytest

from sr.inference.options import Job, NoInputError, Request, UsageError
from sr.inference.tasks import plan


@pytest.fixture
def images(tmp_path: Path) -> Path:
    """A folder with a.png, b.jpg and below/c.png; what is in them does not matter here."""
    folder = tmp_path / "in"
    (folder / "below").mkdir(parents=True)
    for name in ("a.png", "b.jpg", "below/c.png"):
        (folder / name).touch()
    return folder


def jobs_of(inputs: list[Path], output: Path, outscale: float = 4.0, **more: Any) -> list[Job]:
    return plan(Request(inputs, output, **more), label=f"x{outscale:g}").jobs


def outputs_of(inputs: list[Path], output: Path, outscale: float = 4.0, **more: Any) -> list[str]:
    found = jobs_of(inputs, output, outscale, **more)
    return [job.output.relative_to(output).as_posix() for job in found]


def test_results_are_png_named_by_the_scale(images: Path, tmp_path: Path) -> None:
    assert outputs_of([images], tmp_path / "out") == ["a_x4.png", "b_x4.png"]
    assert outputs_of([images / "a.png"], tmp_path / "out", 2.5) == ["a_x2.5.png"]


def test_suffix_and_format_can_be_chosen(images: Path, tmp_path: Path) -> None:
    names = outputs_of([images], tmp_path / "out", suffix="", ext="webp")
    assert names == ["a.webp", "b.webp"]


def test_folders_below_the_input_reappear_below_the_output(images: Path, tmp_path: Path) -> None:
    names = outputs_of([images], tmp_path / "out", recursive=True)
    assert names == ["a_x4.png", "b_x4.png", "below/c_x4.png"]


def test_one_input_may_go_into_a_file(images: Path, tmp_path: Path) -> None:
    for name in ("new.png", "new.jpg", "new.JPEG", "new.tif"):
        (job,) = jobs_of([images / "a.png"], tmp_path / name)
        assert job == Job(images / "a.png", tmp_path / name, skipped=False)


def test_a_folder_with_a_images_suffix_is_a_folder(images: Path, tmp_path: Path) -> None:
    (tmp_path / "odd.png").mkdir()
    assert outputs_of([images / "a.png"], tmp_path / "odd.png") == ["a_x4.png"]


@pytest.mark.parametrize(
    ("inputs", "output", "more", "message"),
    [
        (["."], "o.png", {}, "expected a folder for 2 inputs"),
        (["a.png"], "o.gif", {}, r"expected \.png, .* got \.gif"),
        (["a.png"], "o.png", {"suffix": "_big"}, "--suffix _big: has no place"),
        (["a.png"], "o.png", {"ext": "jpg"}, "--ext jpg: does not fit"),
        (["a.png"], "out", {"suffix": "x/y"}, "--suffix: expected a part of a file name"),
        (["."], ".", {"suffix": "", "ext": "jpg"}, "b.jpg would replace the input"),
        (["."], ".", {"suffix": ""}, "a.png would replace the input"),
        (["a.png", "below/../a.png"], "out", {}, None),
        (["a.png", "below/a.png"], "out", {}, "two results would have this name, those of .*a.png"),
    ],
)
def test_wrong_and_clashing_names_are_refused(
    images: Path, inputs: list[str], output: str, more: dict[str, Any], message: str | None
) -> None:
    (images / "below" / "a.png").touch()
    given = [images / name for name in inputs]
    if message is None:
        assert len(jobs_of(given, images / output, **more)) == 1
    else:
        with pytest.raises(UsageError, match=message):
            jobs_of(given, images / output, **more)


def test_a_file_in_place_of_the_output_folder_is_refused(images: Path, tmp_path: Path) -> None:
    (tmp_path / "notes").touch()
    with pytest.raises(UsageError, match="expected a folder, got a file"):
        jobs_of([images], tmp_path / "notes")


def test_existing_results_are_refused_and_all_named(images: Path, tmp_path: Path) -> None:
    output = tmp_path / "out"
    output.mkdir()
    for name in ("a_x4.png", "b_x4.png"):
        (output / name).touch()
    with pytest.raises(
        UsageError, match=re.escape(f"{output}/a_x4.png, {output}/b_x4.png already")
    ):
        jobs_of([images], output)
    assert not any(job.skipped for job in jobs_of([images], output, existing="overwrite"))


def test_of_many_existing_results_some_are_named_and_the_rest_counted(tmp_path: Path) -> None:
    for index in range(9):
        (tmp_path / f"{index}.png").touch()
        (tmp_path / f"{index}_big.webp").touch()
    sources = [tmp_path / f"{index}.png" for index in range(9)]
    with pytest.raises(UsageError, match=r"4_big\.webp and 4 more already exist"):
        jobs_of(sources, tmp_path, suffix="_big", ext="webp")


def test_further_files_of_the_run_are_not_replaced_either(images: Path, tmp_path: Path) -> None:
    scores = tmp_path / "scores.json"
    scores.touch()
    with pytest.raises(UsageError, match=r"scores\.json already exists"):
        plan(Request([images], tmp_path / "out"), label="x4", others=[scores])


def test_skipping_leaves_out_only_what_exists(images: Path, tmp_path: Path) -> None:
    output = tmp_path / "out"
    output.mkdir()
    (output / "a_x4.png").touch()
    jobs = jobs_of([images], output, existing="skip")
    assert [job.skipped for job in jobs] == [True, False]


def test_earlier_results_inside_the_input_folder_are_no_inputs(images: Path) -> None:
    output = images / "results"
    output.mkdir()
    (output / "a_x4.png").touch()
    sources = [
        job.source.name for job in jobs_of([images], output, recursive=True, existing="skip")
    ]
    assert sources == ["a.png", "b.jpg", "c.png"]


def test_results_beside_the_inputs_are_not_upscaled_again(images: Path) -> None:
    (images / "a_x4.png").touch()
    with pytest.raises(UsageError, match=r"a\.png would replace the input .*a_x4\.png"):
        jobs_of([images], images, existing="skip")


def test_no_images_is_no_input(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").touch()
    with pytest.raises(NoInputError, match=r"expected images .* got none"):
        jobs_of([tmp_path], tmp_path / "out")
    with pytest.raises(NoInputError, match=r"no such file or folder: .*/x, .*/y"):
        jobs_of([tmp_path / "x", tmp_path, tmp_path / "y"], tmp_path / "out")
