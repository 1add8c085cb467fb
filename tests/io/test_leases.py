"""Leases keep others away while their owner lives, and no longer."""

import json
import os
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from sr.io import machine
from sr.io.leases import Leases


def read_owner(folder: Path) -> dict[str, Any]:
    owner: dict[str, Any] = json.loads((folder / "a.0.lease").read_text())
    return owner


def move_elsewhere(folder: Path) -> None:
    """Make a lease one of another machine, of whose processes nothing is known here."""
    text = json.dumps({**read_owner(folder), "machine": "another"})
    (folder / "a.0.lease").write_text(text)


def test_a_lease_has_one_owner_until_it_is_given_back(tmp_path: Path) -> None:
    first, second = Leases(tmp_path), Leases(tmp_path)
    assert first.claim("a")
    assert read_owner(tmp_path)["process"] == os.getpid()
    assert not second.claim("a")
    assert second.claim("b")
    assert second.any_live()
    first.release("a")
    assert second.claim("a")
    assert second.is_live("a")


def test_what_is_held_at_the_end_is_given_back(tmp_path: Path) -> None:
    with Leases(tmp_path) as leases:
        assert leases.claim("a")
        assert Leases(tmp_path).any_live()
    assert not Leases(tmp_path).any_live()


def test_a_lease_runs_out_unless_it_is_renewed(tmp_path: Path) -> None:
    silent = Leases(tmp_path, duration=0.3)
    other = Leases(tmp_path, duration=0.3)
    assert silent.claim("a")
    move_elsewhere(tmp_path)
    assert not other.claim("a")
    time.sleep(0.4)
    assert other.claim("a")
    with Leases(tmp_path, duration=0.5, interval=0.05) as renewing:
        assert renewing.claim("b")
        time.sleep(0.8)
        assert not other.claim("b")


def test_clocks_of_machines_do_not_matter(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert Leases(tmp_path).claim("a")
    move_elsewhere(tmp_path)
    for skew in (-1e6, 1e6):
        monkeypatch.setattr("time.time", lambda skew=skew: skew)
        assert not Leases(tmp_path).claim("a")


def test_a_lease_of_the_future_is_not_waited_for(tmp_path: Path) -> None:
    assert Leases(tmp_path).claim("a")
    move_elsewhere(tmp_path)
    later = time.time() + 1e6
    os.utime(tmp_path / "a.0.lease", (later, later))
    assert Leases(tmp_path).claim("a")


def test_a_lease_that_cannot_be_renewed_keeps_no_other_from_it(tmp_path: Path) -> None:
    with Leases(tmp_path, interval=0.01) as leases:
        assert leases.claim("a")
        assert leases.claim("b")
        (tmp_path / "a.0.lease").unlink()
        os.utime(tmp_path / "b.0.lease", (0, 0))
        deadline = time.monotonic() + 30
        while not leases.is_live("b"):
            assert time.monotonic() < deadline
            time.sleep(0.01)


def test_the_lease_of_a_process_that_ended_here_is_free_at_once(tmp_path: Path) -> None:
    program = (
        "import os, signal, sys\n"
        "from pathlib import Path\n"
        "from sr.io.leases import Leases\n"
        "with Leases(Path(sys.argv[1])) as leases:\n"
        "    assert leases.claim('a')\n"
        "    os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    subprocess.run([sys.executable, "-c", program, str(tmp_path)], check=False)
    assert (tmp_path / "a.0.lease").exists()
    leases = Leases(tmp_path)
    assert not leases.is_live("a")
    assert leases.claim("a")


def test_the_number_of_an_ended_process_may_be_that_of_a_new_one(tmp_path: Path) -> None:
    assert Leases(tmp_path).claim("a")
    owner = read_owner(tmp_path)
    (tmp_path / "a.0.lease").write_text(json.dumps({**owner, "started": owner["started"] - 99}))
    assert Leases(tmp_path).claim("a")


def test_one_of_many_that_find_a_lease_run_out_gets_it(tmp_path: Path) -> None:
    for _ in range(20):
        (tmp_path / "a.0.lease").write_text('{"machine": "another"}')
        os.utime(tmp_path / "a.0.lease", (0, 0))
        barrier, won = threading.Barrier(8), list[Leases]()

        def steal(barrier: threading.Barrier = barrier, won: list[Leases] = won) -> None:
            leases = Leases(tmp_path)
            barrier.wait()
            if leases.claim("a"):
                won.append(leases)

        threads = [threading.Thread(target=steal) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(won) == 1
        assert len(list(tmp_path.iterdir())) == 2
        (tmp_path / "a.1.lease").unlink()


def test_who_looked_at_an_earlier_lease_does_not_take_the_one_after_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    old, quick, slow = Leases(tmp_path), Leases(tmp_path), Leases(tmp_path)
    assert old.claim("a")
    old.release("a")
    holds = slow._holds

    def look_and_wait(lease: Path) -> bool:
        held = holds(lease)
        quick.claim("a")
        return held

    monkeypatch.setattr(slow, "_holds", look_and_wait)
    assert not slow.claim("a")
    assert quick.is_live("a")


def test_a_lease_whose_owner_is_not_written_yet_is_live(tmp_path: Path) -> None:
    (tmp_path / "a.0.lease").touch()
    assert not Leases(tmp_path).claim("a")


def test_a_folder_that_is_gone_is_an_error_of_who_claims(tmp_path: Path) -> None:
    with Leases(tmp_path / "gone", interval=0.01) as leases:
        with pytest.raises(FileNotFoundError):
            leases.claim("a")
        assert not leases.is_live("a")
        time.sleep(0.03)


def test_a_machine_has_a_name_where_the_system_tells_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine, "_BOOT_ID", Path("/none"))
    monkeypatch.setattr(machine, "_PROCESSES", Path("/none"))
    assert machine.identify_machine.__wrapped__() == socket.gethostname()
    assert socket.gethostname() in machine.identify_processes.__wrapped__()
