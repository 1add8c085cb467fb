"""Downloads from servers that cut, stall, lie, send other bytes, and redirect."""

import hashlib
from collections.abc import Iterator
from http.client import HTTPMessage
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.request import Request

import pytest
from helpers.web_server import (
    Answer,
    Site,
    claim,
    drip,
    give,
    give_endlessly,
    give_without_ranges,
    redirect,
    run_site,
    status,
)
from helpers.web_server import Request as Answerer

from sr.errors import UserError
from sr.io import download, https
from sr.io.download import DownloadError, Patience, download_file, locate_part
from sr.io.https import SourceError, check_url

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer as Buffer

CONTENT = bytes(range(256)) * 1000
SHA256 = hashlib.sha256(CONTENT).hexdigest()
OTHER = CONTENT[::-1]
BRISK = Patience(stall_seconds=5.0, num_tries=3, pause_seconds=0.0)
QUICK = Patience(stall_seconds=0.2, num_tries=1, pause_seconds=0.0)


@pytest.fixture
def site() -> Iterator[Site]:
    with run_site() as site:
        yield site


def fetch(
    *urls: str, target: Path, size: int | None = len(CONTENT), patience: Patience = BRISK
) -> None:
    download_file(urls, target, sha256=SHA256, size=size, patience=patience)


def check_whole(target: Path) -> None:
    assert target.read_bytes() == CONTENT
    assert list(target.parent.iterdir()) == [target]


def test_a_download_shows_its_progress_and_leaves_the_file_alone(
    site: Site, tmp_path: Path
) -> None:
    shown: list[tuple[int, int | None]] = []
    target = tmp_path / "model.pth"
    download_file(
        [site.add("/model.pth", give(CONTENT))],
        target,
        sha256=SHA256,
        show=lambda done, total: shown.append((done, total)),
    )
    check_whole(target)
    assert shown[0] == (0, len(CONTENT))
    assert shown[-1] == (len(CONTENT), len(CONTENT))


def test_a_connection_that_is_cut_is_continued(site: Site, tmp_path: Path) -> None:
    url = site.add(
        "/m", give(CONTENT, stop_after=100_000), give(CONTENT, stop_after=1), give(CONTENT)
    )
    fetch(url, target=tmp_path / "m")
    check_whole(tmp_path / "m")
    assert site.list_ranges() == [None, "bytes=100000-", "bytes=100001-"]


def test_a_server_that_goes_silent_is_asked_again(site: Site, tmp_path: Path) -> None:
    url = site.add("/m", give(CONTENT, stop_after=1000, stall=True), give(CONTENT))
    fetch(url, target=tmp_path / "m", patience=Patience(0.2, 3, 0.0))
    check_whole(tmp_path / "m")
    assert site.list_ranges() == [None, "bytes=1000-"]


def test_a_server_that_hardly_sends_is_given_up(site: Site, tmp_path: Path) -> None:
    mirrors = site.add("/slow", drip(CONTENT, 0.02)), site.add("/m", give(CONTENT))
    fetch(*mirrors, target=tmp_path / "m", patience=QUICK)
    check_whole(tmp_path / "m")


def test_a_server_without_ranges_starts_again(site: Site, tmp_path: Path) -> None:
    url = site.add(
        "/m", give_without_ranges(CONTENT, stop_after=1000), give_without_ranges(CONTENT)
    )
    fetch(url, target=tmp_path / "m")
    check_whole(tmp_path / "m")


@pytest.mark.parametrize("size", [len(CONTENT), None])
def test_what_a_killed_process_left_is_continued(
    site: Site, tmp_path: Path, size: int | None
) -> None:
    target = tmp_path / "m"
    locate_part(target, SHA256).write_bytes(CONTENT[:7000])
    fetch(site.add("/m", give(CONTENT)), target=target, size=size)
    check_whole(target)
    assert site.list_ranges() == ["bytes=7000-"]


@pytest.mark.parametrize("left", [OTHER[:7000], OTHER, OTHER + b"more"])
@pytest.mark.parametrize("size", [len(CONTENT), None])
def test_wrong_bytes_that_were_left_are_not_kept(
    site: Site, tmp_path: Path, left: bytes, size: int | None
) -> None:
    target = tmp_path / "m"
    locate_part(target, SHA256).write_bytes(left)
    fetch(site.add("/m", give(CONTENT)), target=target, size=size)
    check_whole(target)


def test_whole_bytes_that_were_left_need_no_server(tmp_path: Path) -> None:
    target = tmp_path / "m"
    locate_part(target, SHA256).write_bytes(CONTENT)
    fetch("http://127.0.0.1:9/m", target=target)
    check_whole(target)


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (give(OTHER), "expected SHA-256 .*, got "),
        (give(CONTENT[:-1]), "expected 256,000 bytes, got a file of 255,999"),
        (claim(CONTENT, len(CONTENT) + 5), "expected 256,000 bytes, got a file of 256,005"),
        (claim(CONTENT[:10], len(CONTENT)), "cut off after 10 of 256,000 bytes"),
        (give_endlessly(CONTENT), "expected 256,000 bytes, got more"),
        (status(404), "HTTP 404"),
        (status(503), "HTTP 503"),
        (redirect("ftp://127.0.0.1/m"), "expected https://..., got ftp://127.0.0.1/m"),
        (redirect("file:///etc/passwd"), "Redirection to url 'file:///etc/passwd' is not allowed"),
        (redirect("http://example.com/m"), "expected https://..., got http://example.com/m"),
        (redirect("/again"), "redirect"),
    ],
)
def test_a_wrong_mirror_is_followed_by_the_next(
    site: Site, tmp_path: Path, answer: Answer, message: str
) -> None:
    wrong, right = site.add("/wrong", answer), site.add("/right", give(CONTENT))
    site.add("/again", redirect("/again"))
    target = tmp_path / "m"
    with pytest.raises(DownloadError, match=message):
        fetch(wrong, target=target)
    assert not target.exists()
    fetch(wrong, right, target=target)
    check_whole(target)


def test_no_server_at_all_is_an_error_with_every_source(tmp_path: Path) -> None:
    with pytest.raises(DownloadError, match=r"9/a: Connection refused\n  http://127.0.0.1:9/b: "):
        fetch("http://127.0.0.1:9/a", "http://127.0.0.1:9/b", target=tmp_path / "m")
    assert not list(tmp_path.iterdir())


def test_wrong_bytes_without_a_size_are_bounded(
    site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(download, "MAX_BYTES", 300_000)
    with pytest.raises(DownloadError, match="expected 300,000 bytes, got more"):
        fetch(site.add("/m", give_endlessly(CONTENT)), target=tmp_path / "m", size=None)
    with pytest.raises(DownloadError, match="at most 300,000 bytes, got a file of 512,000"):
        fetch(site.add("/m", give(CONTENT * 2)), target=tmp_path / "m", size=None)


def test_the_second_mirror_continues_what_the_first_began(site: Site, tmp_path: Path) -> None:
    first = site.add("/a", give(CONTENT, stop_after=5000), status(404))
    fetch(first, site.add("/b", give(CONTENT)), target=tmp_path / "m")
    check_whole(tmp_path / "m")
    assert site.list_ranges() == [None, "bytes=5000-", "bytes=5000-"]


def test_secrets_do_not_follow_a_redirect(site: Site, tmp_path: Path) -> None:
    site.add("/there", give(CONTENT))
    download_file(
        [site.add("/m", redirect("/there"))],
        tmp_path / "m",
        sha256=SHA256,
        secret_headers={"Authorization": "Bearer secret"},
    )
    check_whole(tmp_path / "m")
    sent = [request.headers.get("Authorization") for request in site.requests]
    assert sent == ["Bearer secret", None]


def test_https_is_never_left() -> None:
    for url in ("http://example.com/m", "file:///m", "ftp://h/m", "https:///m", "m", "http://[x"):
        with pytest.raises(SourceError, match="expected https://"):
            check_url(url)
    check_url("https://example.com/m")
    handler = https._SafeRedirects()
    request = Request("https://example.com/m")
    for url in ("http://127.0.0.1/m", "http://example.com/m"):
        with pytest.raises(SourceError, match=r"expected (redirects to )?https"):
            handler.redirect_request(request, BytesIO(), 302, "Found", HTTPMessage(), url)


def test_a_full_disk_is_reported_before_anything_is_written(
    site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = type("Usage", (), {"free": 1000})
    monkeypatch.setattr("shutil.disk_usage", lambda _: usage)
    with pytest.raises(UserError, match="expected 256,000 bytes of free disk space, got 1,000"):
        fetch(site.add("/m", give(CONTENT)), target=tmp_path / "m")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("length", ["9" * 5000, "\xb2", "-1", "many"])
def test_a_length_that_is_no_number_is_not_one(site: Site, tmp_path: Path, length: str) -> None:
    def answer(request: Answerer) -> None:
        request.start(200, Content_Length=length, Connection="close")
        request.wfile.write(CONTENT)
        request.close_connection = True

    fetch(site.add("/m", answer), target=tmp_path / "m", size=None)
    check_whole(tmp_path / "m")


def test_a_chunk_that_a_disk_has_no_room_for_is_reported(tmp_path: Path) -> None:
    class Full(BytesIO):
        def write(self, chunk: "Buffer") -> int:
            return len(bytes(chunk)) - 1

    with pytest.raises(UserError, match="m: cannot be written: No space left on device"):
        download._write(Full(), b"abc", tmp_path / "m")
