import errno
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from sr.io.atomic_write import atomic_write, remove_abandoned, remove_folder
from sr.io.process_lock import hold_lock, locate_lock


def test_the_file_appears_at_the_end_with_nothing_next_to_it(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    with atomic_write(path) as temporary:
        temporary.write_text("new")
        assert temporary.suffix == ".txt"
        assert not path.exists()
    assert path.read_text() == "new"
    assert list(tmp_path.iterdir()) == [path]


def test_an_error_leaves_what_was_there(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_text("old")
    with pytest.raises(RuntimeError), atomic_write(path) as temporary:  # noqa: PT012, both are the case
        temporary.write_text("half")
        raise RuntimeError
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_what_a_killed_process_left_is_removed_and_what_a_living_one_writes_is_not(
    tmp_path: Path,
) -> None:
    program = (
        "import os, signal, sys\n"
        "from pathlib import Path\n"
        "from sr.io.atomic_write import atomic_write\n"
        "with atomic_write(Path(sys.argv[1])) as temporary:\n"
        "    temporary.write_text('half')\n"
        "    os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    path = tmp_path / "a.tif"
    subprocess.run([sys.executable, "-c", program, str(path)], check=False)
    (left,) = tmp_path.iterdir()
    assert left.suffix == ".tif"
    others = [tmp_path / name for name in (".hidden.png", f".{'0' * 32}.png", "b.unfinished.png")]
    for other in others:
        other.touch()
    with atomic_write(path) as temporary:
        assert remove_abandoned(tmp_path) == 1
        assert not left.exists()
        assert temporary.exists()
        assert remove_abandoned(tmp_path) == 0
    assert sorted(tmp_path.iterdir()) == sorted([*others, path])
    assert remove_abandoned(tmp_path / "none") == 0


def test_what_another_machine_writes_stays_for_an_hour(tmp_path: Path) -> None:
    # Its lock may not be seen here.
    new, old = (tmp_path / f".{digit * 16}.unfinished.png" for digit in "01")
    for path in (new, old):
        path.touch()
    hour_ago = time.time() - 3700
    os.utime(old, (hour_ago, hour_ago))
    assert remove_abandoned(tmp_path) == 1
    assert list(tmp_path.iterdir()) == [new]


def test_a_folder_is_removed_as_a_whole(tmp_path: Path) -> None:
    for name in ("parts", f".{'0' * 16}.removed"):  # the second is what a kill would leave
        (tmp_path / name).mkdir()
        (tmp_path / name / "a").touch()
    remove_folder(tmp_path / "parts")
    assert not (tmp_path / "parts").exists()
    remove_folder(tmp_path / "parts")
    assert remove_abandoned(tmp_path) == 0
    assert list(tmp_path.iterdir()) == []


def test_locks_of_killed_processes_are_removed_and_not_counted(tmp_path: Path) -> None:
    lock = locate_lock(tmp_path / "a.png")
    with hold_lock(tmp_path / "a.png"):
        content = lock.read_bytes()
        remove_abandoned(tmp_path)
        assert lock.exists()
    lock.write_bytes(content)
    assert remove_abandoned(tmp_path) == 0
    assert not lock.exists()


def test_an_error_of_the_system_names_the_file_that_was_asked_for(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    with pytest.raises(OSError, match=r"No space left.*/a\.txt") as raised, atomic_write(path):
        raise OSError(errno.ENOSPC, "No space left on device")
    assert raised.value.filename == str(path)
    with (
        pytest.raises(FileNotFoundError, match=r"none/a\.txt"),
        atomic_write(tmp_path / "none/a.txt"),
    ):
        pass
    assert list(tmp_path.iterdir()) == []
