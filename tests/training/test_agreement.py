"""What processes of one run must have in common, and how a difference is named."""

from pathlib import Path

import pytest
from helpers.images import write_block_images

from sr.errors import UserError
from sr.training.agreement import compare_facts, fingerprint_sources, flatten_options


class File:
    """A source."""

    num_bytes = 0

    def __init__(self, path: Path, side: int = 8) -> None:
        self.name = str(path)
        self.hr_size = (side, side)

    def load(self) -> None:
        raise AssertionError


def test_the_process_that_differs_is_named_with_what_differs() -> None:
    same = {"python": "3.12", "training data": "9 (aa)"}
    compare_facts([("0", same), ("0", dict(same)), ("1", dict(same))])
    with pytest.raises(UserError, match=r"process 2 on machine 1: .*data: 9 \(aa\) and 8 \(bb\)$"):
        compare_facts([("0", same), ("0", same), ("1", {**same, "training data": "8 (bb)"})])
    many = {f"option {number}": "1" for number in range(9)}
    with pytest.raises(UserError, match=r"option 3: not set and 1; 5 more$"):
        compare_facts([("0", same), ("0", {**same, **many})])


def test_data_is_the_same_wherever_it_lies_and_other_with_another_file(tmp_path: Path) -> None:
    prints = []
    for name in ("a", "b"):
        write_block_images(tmp_path / name, 3)
        prints.append(
            fingerprint_sources([File(path) for path in sorted((tmp_path / name).iterdir())])
        )
    assert prints[0] == prints[1]
    assert prints[0].startswith("3 (")
    paths = sorted((tmp_path / "b").iterdir())
    assert fingerprint_sources([File(path) for path in reversed(paths)]) != prints[0]
    assert fingerprint_sources([File(path, 9) for path in paths]) != prints[0]
    paths[0].write_bytes(b"longer" + paths[0].read_bytes())
    assert fingerprint_sources([File(path) for path in paths]) != prints[0]
    assert fingerprint_sources([]) != fingerprint_sources([File(paths[0])])


def test_data_in_folders_given_both_ways_is_compared(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("a", "b"):
        write_block_images(tmp_path / name, 1)
    paths = [path.relative_to(tmp_path) for path in (tmp_path / "a").iterdir()]
    paths += (tmp_path / "b").iterdir()
    whole = [tmp_path / path for path in paths]
    prints = [fingerprint_sources([File(path) for path in each]) for each in (paths, whole)]
    assert prints[0] == prints[1]


def test_folders_of_data_may_be_mounted_elsewhere() -> None:
    def ask(root: str, steps: int) -> dict[str, str]:
        folders = (Path(root) / "hr", Path(root) / "more")
        sets = [{"hr": (folders[0],)}]
        return dict(flatten_options({"train": {"steps": steps}, "hr": folders, "sets": sets}))

    assert ask("/mnt/one", 3) == ask("/data", 3)
    assert ask("/data", 3) == {
        "train.steps": "3", "hr.0": "hr", "hr.1": "more", "sets.0.hr.0": "hr"
    }  # fmt: skip
    assert ask("/data", 3) != ask("/data", 4)
