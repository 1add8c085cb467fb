"""Shards: together all inputs, each once, whatever the order in which machines list them."""

import unicodedata
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from helpers.clips import make_clip
from helpers.videos import CountingNetwork, Listener, make_upscaler

from sr.errors import UsageError
from sr.inference import shards
from sr.inference.options import STREAM, InferOptions, OutputOptions
from sr.inference.run import run
from sr.inference.run_summary import RunSummary
from sr.inference.shards import Shard, parse_shard, read_shard, split_by_work
from sr.inference.share_tasks import share_tasks
from sr.inference.tasks import Task, find_tasks
from sr.io import image_reader
from sr.io.image_reader import Header, read_header
from sr.io.rgb8 import write_rgb8


@pytest.fixture
def images(tmp_path: Path) -> Path:
    """Eleven images of 16x16 to 26x16 pixels, in two folders."""
    folder = tmp_path / "in"
    (folder / "below").mkdir(parents=True)
    random = np.random.default_rng(0)
    for number in range(11):
        path = folder / ("below" if number % 2 else "") / f"{number}.png"
        write_rgb8(path, random.integers(0, 256, (16, 16 + number, 3), dtype=np.uint8))
    return folder


def ask(inputs: list[Path], output: Path, shard: Shard | None, **more: Any) -> InferOptions:
    by = {name: more.pop(name) for name in ("shard_by", "reference") if name in more}
    options = OutputOptions(output, recursive=True, **more)
    return InferOptions(inputs, options, shard=shard, **by)


def run_shard(options: InferOptions) -> tuple[RunSummary, Listener]:
    listener = Listener()
    return run(options, listener, [make_upscaler(CountingNetwork(), 1)]), listener


@pytest.mark.parametrize("by", ["hash", "work"])
def test_shards_together_make_every_result_once(images: Path, tmp_path: Path, by: Any) -> None:
    made = Counter[Path]()
    for number in (1, 2, 3):  # one after the other, into one folder, without --skip-existing
        options = ask([images], tmp_path / "out", Shard(number, 3), shard_by=by)
        summary, listener = run_shard(options)
        assert summary.exit_code == 0
        assert listener.fields("start")[0]["shard"] == f"{number}/3"
        made.update(fields["output"] for fields in listener.fields("item_done"))
    assert set(made.values()) == {1}
    run_shard(ask([images], tmp_path / "whole", None))
    whole = {path.name: path.read_bytes() for path in (tmp_path / "whole").rglob("*.png")}
    assert whole == {path.name: path.read_bytes() for path in (tmp_path / "out").rglob("*.png")}
    assert len(whole) == len(made) == 11


def test_a_shard_follows_from_the_path_below_the_input_folder() -> None:
    # On all machines, in all versions: other numbers would do inputs twice or never.
    keys = ("a.png", "below/b.png", "\u00e9.png", "\udcff.png")
    assert [next(n for n in range(1, 8) if Shard(n, 7).holds(key)) for key in keys] == [3, 6, 6, 5]


def test_composed_and_decomposed_names_are_one_key(tmp_path: Path) -> None:
    keys = []
    for form in ("NFC", "NFD"):
        folder = tmp_path / form / unicodedata.normalize(form, "f\u00fcr")
        folder.mkdir(parents=True)
        (folder / unicodedata.normalize(form, "\u00e9.png")).touch()
        tasks, _ = find_tasks(ask([tmp_path / form], tmp_path / "out", None), 1)
        keys += [task.key for task in tasks]
    assert keys == ["f\u00fcr/\u00e9.png"] * 2


def test_patterns_of_one_name_fall_to_several_shards(tmp_path: Path) -> None:
    inputs = [tmp_path / f"shot{number}" / "%05d.png" for number in range(8)]
    for pattern in inputs:
        pattern.parent.mkdir()
        write_rgb8(pattern.parent / "00000.png", np.zeros((8, 8, 3), np.uint8))
    options = ask(inputs, tmp_path / "out", Shard(1, 2))
    tasks, _ = find_tasks(options, 1)
    assert [task.key for task in tasks] == [f"shot{number}/%05d.png" for number in range(8)]
    assert 0 < len(share_tasks(tasks, options)) < 8


def test_a_file_that_makes_a_reader_raise_anything_is_one_failure(
    images: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def read(source: Path) -> Header:
        if source.name == "4.png":
            raise OSError("input/output error")
        return read_header(source)

    monkeypatch.setattr(image_reader, "read_header", read)
    every = [ask([images], tmp_path / "out", Shard(n, 2), shard_by="work") for n in (1, 2)]
    shares = [share_tasks(find_tasks(options, 1)[0], options) for options in every]
    assert sum(map(len, shares)) == 11


def test_the_place_of_the_input_folder_and_what_is_done_change_no_shard(
    images: Path, tmp_path: Path
) -> None:
    moved = tmp_path / "elsewhere" / "x"
    moved.parent.mkdir()
    for by in ("hash", "work"):
        options = ask([images], tmp_path / "out", Shard(2, 3), shard_by=by, skip_existing=True)
        before = [task.key for task in share_tasks(find_tasks(options, 1)[0], options)]
        run_shard(ask([images], tmp_path / "out", Shard(1, 2), skip_existing=True))
        after = [task.key for task in share_tasks(find_tasks(options, 1)[0], options)]
        images.rename(moved)
        options = ask([moved], tmp_path / "out", Shard(2, 3), shard_by=by)
        assert before == after == [t.key for t in share_tasks(find_tasks(options, 1)[0], options)]
        moved.rename(images)


def test_work_is_split_about_equally() -> None:
    work = {f"{number}": float(number % 17 + 1) for number in range(100)}
    shares = split_by_work(work, 6)
    assert split_by_work(dict(reversed(work.items())), 6) == shares
    totals = [sum(work[key] for key in share) for share in shares]
    assert sum(map(len, shares)) == 100
    assert max(totals) <= min(totals) + 2
    nothing = split_by_work(dict.fromkeys("abcd", 0.0), 2)  # of files that cannot be read
    assert [len(share) for share in nothing] == [2, 2]


def test_a_shard_of_nothing_ends_well_and_says_so(images: Path, tmp_path: Path) -> None:
    path = images / "0.png"
    number = 2 if Shard(1, 2).holds("0.png") else 1
    summary, listener = run_shard(ask([path], tmp_path / "out", Shard(number, 2)))
    assert summary.exit_code == 0
    (note,) = listener.fields("note")
    assert note["message"] == f"--shard {number}/2: none of the inputs falls to it"
    assert listener.fields("done")[0]["done"] == 0


def test_two_results_of_one_name_are_refused_by_all_shards(images: Path, tmp_path: Path) -> None:
    write_rgb8(images / "0.jpg", np.zeros((8, 8, 3), np.uint8))
    for number in (1, 2):
        with pytest.raises(UsageError, match="two results would have this name"):
            run_shard(ask([images], tmp_path / "out", Shard(number, 2)))


def test_results_among_the_inputs_are_refused(images: Path) -> None:
    with pytest.raises(UsageError, match="another folder than that of the inputs"):
        run_shard(ask([images], images, Shard(1, 2)))


def test_each_shard_saves_scores_of_its_own(images: Path, tmp_path: Path) -> None:
    for number in (1, 2):
        options = ask([images], tmp_path / "out", Shard(number, 2), reference=images / "below")
        run_shard(options)
    names = {path.name for path in (tmp_path / "out").glob("*.json")}
    assert names == {"scores-1-of-2.json", "scores-2-of-2.json"}


def test_scores_of_videos_that_are_shared_are_refused(tmp_path: Path) -> None:
    source = make_clip(tmp_path / "in.mp4", 2)
    options = ask([source], tmp_path / "out", Shard(1, 1), reference=source, resume=True)
    with pytest.raises(UsageError, match=r"--reference: expected whole videos.*leave out --resume"):
        run_shard(options)


def test_videos_are_shared_by_those_who_resume_and_else_belong_to_one(tmp_path: Path) -> None:
    tasks = [Task(Path(f"{n}.mp4"), Path(f"out/{n}.mp4"), "video", f"{n}.mp4") for n in range(9)]
    tasks.append(Task(Path("f.mp4"), Path("out/%d.png"), "video", "f.mp4"))  # to images
    alone = [share_tasks(tasks, ask([], tmp_path, Shard(n, 2))) for n in (1, 2)]
    assert sorted(task.key for share in alone for task in share) == [t.key for t in tasks]
    both = [share_tasks(tasks, ask([], tmp_path, Shard(n, 2), resume=True)) for n in (1, 2)]
    for share, own in zip(both, alone, strict=True):
        assert [task.key for task in share if task.is_own] == [task.key for task in own]
        assert share[: len(own)] == own
    assert sum(task.key == "f.mp4" for share in both for task in share) == 1
    assert sorted(map(len, both)) == [9, 10]


@pytest.mark.parametrize(
    ("variables", "shard"),
    [
        ({"SLURM_ARRAY_TASK_ID": "3", "SLURM_ARRAY_TASK_COUNT": "4",
          "SLURM_ARRAY_TASK_MIN": "1", "SLURM_ARRAY_TASK_MAX": "4",
          "SLURM_PROCID": "0", "SLURM_STEP_NUM_TASKS": "1"}, "3/4"),
        ({"SLURM_ARRAY_TASK_ID": "0", "SLURM_ARRAY_TASK_COUNT": "4",
          "SLURM_ARRAY_TASK_MIN": "0", "SLURM_ARRAY_TASK_MAX": "3"}, "1/4"),
        ({"SLURM_PROCID": "5", "SLURM_NTASKS": "8", "SLURM_STEP_NUM_TASKS": "6"}, "6/6"),
        ({"SKYPILOT_NODE_RANK": "0", "SKYPILOT_NUM_NODES": "2"}, "1/2"),
        ({"JOB_COMPLETION_INDEX": "7", "SR_SHARD_COUNT": "16"}, "8/16"),
    ],
)  # fmt: skip
def test_a_scheduler_names_the_shard(
    variables: dict[str, str], shard: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert str(read_shard(variables)) == shard
    for name in [name for pair in shards._SOURCES for name in pair]:
        monkeypatch.delenv(name, raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert str(parse_shard("auto")) == shard


@pytest.mark.parametrize(
    ("variables", "message"),
    [
        ({}, "SLURM_ARRAY_TASK_ID and .*; SLURM_PROCID and .*got none"),
        ({"JOB_COMPLETION_INDEX": "0"}, "got JOB_COMPLETION_INDEX alone"),
        ({"SLURM_ARRAY_TASK_ID": "3", "SLURM_ARRAY_TASK_COUNT": "5", "SLURM_ARRAY_TASK_MIN": "1",
          "SLURM_ARRAY_TASK_MAX": "9"}, "consecutive numbers, got .*TASK_MAX=9"),
        ({"SLURM_PROCID": "x", "SLURM_STEP_NUM_TASKS": "2"}, "SLURM_PROCID=x"),
        ({"SLURM_PROCID": "2", "SLURM_STEP_NUM_TASKS": "2"}, "numbers, got SLURM_PROCID=2"),
        # A script of sbatch without srun is one process, however many tasks it asks for.
        ({"SLURM_PROCID": "0", "SLURM_NTASKS": "4"}, "got SLURM_PROCID alone"),
        # As long as the tasks of an array do not know how many they are, each would do all.
        ({"SLURM_ARRAY_TASK_ID": "3", "SLURM_PROCID": "0", "SLURM_STEP_NUM_TASKS": "1"},
         "got SLURM_ARRAY_TASK_ID alone"),
        ({"SLURM_ARRAY_TASK_ID": "3", "SLURM_ARRAY_TASK_COUNT": "4"}, "TASK_COUNT alone"),
    ],
)  # fmt: skip
def test_variables_that_name_no_shard_are_an_error_with_what_was_looked_for(
    variables: dict[str, str], message: str
) -> None:
    with pytest.raises(UsageError, match=message):
        read_shard(variables)


@pytest.mark.parametrize("text", ["0/2", "3/2", "2", "a/b", "1/2/3", "/", "-1/2", "1/\u0662"])
def test_other_texts_are_no_shards(text: str) -> None:
    with pytest.raises(UsageError, match="expected I/N"):
        parse_shard(text)


def test_options_that_do_not_fit_shards_are_refused() -> None:
    with pytest.raises(UsageError, match="--shard: expected files or folders"):
        InferOptions([STREAM], OutputOptions(Path("out")), shard=Shard(1, 2))
    with pytest.raises(UsageError, match="--shard-by work: needs --shard"):
        InferOptions([Path("a")], OutputOptions(Path("out")), shard_by="work")
