"""Model files of others: one download, by one process, of the right bytes, or an explanation."""

import errno
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from helpers.catalogues import make_entry, write_catalogue
from helpers.web_server import Answer, Request, Site, give, run_site

from sr.errors import ModelFileError, UserError
from sr.io.download import Patience, locate_part
from sr.io.process_lock import LockedError, hold_lock, locate_lock
from sr.models.catalogue import find_entry
from sr.models.remote_file import OfflineError, RemoteFile, fetch_file, remove_file

CONTENT = bytes(range(256)) * 4000
BRISK = Patience(num_tries=1, pause_seconds=0.0)


@pytest.fixture
def site() -> Iterator[Site]:
    with run_site() as site:
        yield site


@pytest.fixture
def remote(site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> RemoteFile:
    """The file of the model `tiny` of a catalogue."""
    monkeypatch.setenv("SR_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("SR_OFFLINE", raising=False)
    path = write_catalogue(tmp_path / "list.json", make_entry(site, "tiny", CONTENT))
    monkeypatch.setenv("SR_CATALOGUE", str(path))
    site.add("/tiny.safetensors", give(CONTENT))
    entry = find_entry("tiny")
    assert entry is not None
    return entry.remote


def start_get(name: str) -> "subprocess.Popen[str]":
    code = f"from sr.cli.models import main; main(['get', {name!r}])"
    return subprocess.Popen(
        [sys.executable, "-c", code],
        cwd=Path(__file__).parents[2],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=dict(os.environ),
    )


def wait_until(happened: Callable[[], bool]) -> None:
    for _ in range(3000):
        if happened():
            return
        time.sleep(0.01)
    pytest.fail("it did not happen within 30 s")


def hold_back(content: bytes, release: threading.Event) -> Answer:
    """Answer with the first half, and with the second when it is released."""

    def answer(request: Request) -> None:
        request.start(200, Content_Length=len(content))
        request.wfile.write(content[: len(content) // 2])
        release.wait(60)
        request.wfile.write(content[len(content) // 2 :])

    return answer


def test_a_file_is_downloaded_once_and_one_line_says_so(
    site: Site, remote: RemoteFile, capsys: pytest.CaptureFixture[str]
) -> None:
    assert fetch_file(remote) == remote.file
    assert remote.file.read_bytes() == CONTENT
    assert list(remote.file.parent.iterdir()) == [remote.file]
    assert capsys.readouterr() == (
        "",
        "tiny (1.0 MB, license: CC-BY-4.0 by Jane Doe): downloading"
        f" {site.address}/tiny.safetensors\n",
    )
    fetch_file(remote)
    assert len(site.requests) == 1
    assert capsys.readouterr() == ("", "")


def test_offline_one_message_says_how_to_get_it_by_hand(
    site: Site, remote: RemoteFile, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SR_OFFLINE", "1")
    with pytest.raises(OfflineError) as error:
        fetch_file(remote)
    assert not site.requests
    message = str(error.value)
    assert message.startswith("tiny: not downloaded: SR_OFFLINE forbids the network\n  By hand: ")
    for part in (remote.urls[0], remote.sha256, "1,024,000 bytes", f"save it as {remote.file}"):
        assert part in message
    remote.file.parent.mkdir(parents=True)
    remote.file.write_bytes(CONTENT)
    assert fetch_file(remote) == remote.file


def test_without_a_network_the_message_is_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("SR_OFFLINE", raising=False)
    urls = ("http://127.0.0.1:9/m.pth", "http://127.0.0.1:9/mirror/m.pth")
    remote = RemoteFile("m", urls, "0" * 64, 7, "MIT", "", tmp_path / "models" / "m.pth")
    with pytest.raises(OfflineError) as error:
        fetch_file(remote, BRISK)
    lines = str(error.value).splitlines()
    assert lines[0] == "m: not downloaded: no source gave it"
    assert [line.strip().partition(": ")[0] for line in lines[1:3]] == list(urls)
    assert lines[3].startswith(f"  By hand: get {urls[0]} (SHA-256 {'0' * 64}, 7 bytes) and save")
    assert list(remote.file.parent.iterdir()) == []


def test_wrong_bytes_are_never_under_the_name_of_the_model(site: Site, remote: RemoteFile) -> None:
    site.add("/tiny.safetensors", give(CONTENT[::-1]))
    with pytest.raises(OfflineError, match=f"expected SHA-256 {remote.sha256}, got "):
        fetch_file(remote, BRISK)
    assert list(remote.file.parent.iterdir()) == []


def test_a_file_that_changed_later_is_not_opened(remote: RemoteFile) -> None:
    fetch_file(remote)
    remote.file.write_bytes(CONTENT[:-1] + b"!")
    with pytest.raises(ModelFileError, match=r"not opened\. `sr-models get tiny` downloads it ag"):
        fetch_file(remote)


def test_removing_leaves_nothing(remote: RemoteFile) -> None:
    fetch_file(remote)
    locate_part(remote.file, remote.sha256).write_bytes(b"half")
    assert remove_file(remote) == len(CONTENT) + 4
    assert list(remote.file.parent.iterdir()) == []
    assert remove_file(remote) == 0


def test_a_file_that_another_process_downloads_is_not_removed(remote: RemoteFile) -> None:
    remote.file.parent.mkdir(parents=True)
    with hold_lock(remote.file), pytest.raises(LockedError):
        remove_file(remote)


def test_of_two_processes_at_once_one_downloads(site: Site, remote: RemoteFile) -> None:
    release = threading.Event()
    site.add("/tiny.safetensors", hold_back(CONTENT, release))
    first = start_get("tiny")
    wait_until(lambda: len(site.requests) == 1)
    second = start_get("tiny")
    assert second.stderr is not None
    assert second.stderr.readline().startswith("waiting for another download: ")
    release.set()
    assert first.communicate(timeout=60)[0] == f"{remote.file}\n"
    assert second.communicate(timeout=60)[0] == f"{remote.file}\n"
    assert (first.returncode, second.returncode) == (0, 0)
    assert len(site.requests) == 1
    assert list(remote.file.parent.iterdir()) == [remote.file]


@pytest.mark.skipif(sys.platform == "win32", reason="signals of POSIX")
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT])
def test_a_download_that_was_killed_is_continued_by_the_same_command(
    site: Site, remote: RemoteFile, number: signal.Signals
) -> None:
    half = len(CONTENT) // 2
    site.add("/tiny.safetensors", hold_back(CONTENT, site.closing), give(CONTENT))
    first = start_get("tiny")
    part = locate_part(remote.file, remote.sha256)
    wait_until(lambda: part.exists() and part.stat().st_size == half)
    first.send_signal(number)
    first.communicate(timeout=60)
    assert first.returncode == (-number if number == signal.SIGKILL else 130)
    assert not remote.file.exists()
    second = start_get("tiny")
    assert second.communicate(timeout=60)[0] == f"{remote.file}\n"
    assert site.list_ranges() == [None, f"bytes={half}-"]
    assert remote.file.read_bytes() == CONTENT
    assert list(remote.file.parent.iterdir()) == [remote.file]


def test_what_is_replaced_stays_until_the_other_is_whole(site: Site, remote: RemoteFile) -> None:
    remote.file.parent.mkdir(parents=True)
    remote.file.write_bytes(b"old")
    site.add("/tiny.safetensors", give(CONTENT[::-1]))
    with pytest.raises(OfflineError):
        fetch_file(remote, BRISK, replace=True)
    assert remote.file.read_bytes() == b"old"
    site.add("/tiny.safetensors", give(CONTENT))
    assert fetch_file(remote, replace=True).read_bytes() == CONTENT
    num_requests = len(site.requests)
    fetch_file(remote, replace=True)  # as another process has done meanwhile
    assert len(site.requests) == num_requests


def test_a_record_that_cannot_be_written_is_no_reason_to_stop(
    remote: RemoteFile, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def refuse(path: Path) -> None:
        raise OSError(errno.EROFS, os.strerror(errno.EROFS), str(path))

    monkeypatch.setattr("sr.io.atomic_write.atomic_write", refuse)
    assert fetch_file(replace(remote, is_listed=False)).read_bytes() == CONTENT
    assert "source.json: not written, so its source is asked again: Read" in capsys.readouterr().err


def test_a_folder_that_cannot_be_made_is_reported_with_what_helps(
    remote: RemoteFile, tmp_path: Path
) -> None:
    (tmp_path / "cache").write_text("a file")
    assert not remote.is_here
    with pytest.raises(ModelFileError, match=r"models: cannot be made: .*; SR_CACHE names another"):
        fetch_file(remote)


@pytest.mark.skipif(sys.platform == "win32", reason="links need rights")
def test_links_of_others_are_not_written_through(remote: RemoteFile, tmp_path: Path) -> None:
    mine = tmp_path / "mine.txt"
    mine.write_text("mine")
    remote.file.parent.mkdir(parents=True)
    for link in (locate_part(remote.file, remote.sha256), locate_lock(remote.file)):
        link.symlink_to(mine)
        with pytest.raises(UserError, match="cannot be written: Too many levels of symbolic links"):
            fetch_file(remote, BRISK)
        assert mine.read_text() == "mine"
        link.unlink()
