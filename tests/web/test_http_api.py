"""The API as programs see it, by starlette's client."""

import asyncio
import io
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from helpers.images import encode_image, encode_png, noise
from PIL import Image

pytest.importorskip("gradio")
pytest.importorskip("httpx")

from fastapi import FastAPI
from starlette.testclient import TestClient

from sr.web.application import Application, make_application
from sr.web.engine import Engine
from sr.web.form import parse_choices
from sr.web.http_api import RequestCounts, _wait
from sr.web.image_runs import Upload, start_images
from sr.web.server import make_server
from sr.web.settings import Settings

FAST = {"model": "compact_tiny_x4"}
TOKEN = "tok-en-12"  # noqa: S105
ADDRESS = "http://127.0.0.1:7860"
Wait = Callable[[Callable[[], object]], None]


def open_client(application: Application) -> TestClient:
    async def make() -> FastAPI:  # gradio makes an event loop, and leaves it, where there is none
        return make_server(application)

    return TestClient(asyncio.run(make()), base_url=ADDRESS)


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Application]:
    from sr.web.folders import AllowedFolders

    folder = tmp_path_factory.mktemp("api")
    settings = Settings(
        AllowedFolders([folder]),
        folder / "work",
        folder / "state",
        device="cpu",
        max_upload=100_000,
        max_upload_pixels=10_000,
        max_waiting=60,
    )
    application = make_application(settings, Engine)
    application.queue.start()
    yield application
    application.queue.close()


@pytest.fixture(scope="module")
def client(shared: Application) -> TestClient:
    return open_client(shared)


def post(client: TestClient, content: bytes, name: str = "a.png", **more: Any) -> Any:
    headers = more.pop("headers", {})
    return client.post(
        "/v1/images", files={"file": (name, content)}, data={**FAST, **more}, headers=headers
    )


def test_a_file_goes_in_and_its_result_comes_out(client: TestClient, shared: Application) -> None:
    answer = post(client, encode_png(noise(6, 5, 3)), scale="2")
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "image/png"
    assert answer.headers["x-size"] == "10x12"
    assert 'filename="a_x2.png"' in answer.headers["content-disposition"]
    with Image.open(io.BytesIO(answer.content)) as image:
        assert image.size == (10, 12)
    assert not list(shared.settings.work.glob("run-*"))


@pytest.mark.parametrize(
    ("accept", "fields", "kind"),
    [
        ("image/webp", {}, "image/webp"),
        ("text/html, image/jpeg;q=0.5, image/tiff;q=0.9", {}, "image/tiff"),
        ("*/*", {}, "image/png"),
        ("image/webp", {"format": "jpg"}, "image/jpeg"),
    ],
)
def test_accept_chooses_the_format_and_a_field_goes_before_it(
    client: TestClient, accept: str, fields: dict[str, str], kind: str
) -> None:
    answer = post(client, encode_png(noise(3, 3, 3)), headers={"Accept": accept}, **fields)
    assert (answer.status_code, answer.headers["content-type"]) == (200, kind)


def test_metadata_is_kept(client: TestClient) -> None:
    exif = Image.Exif()
    exif[0x010E] = "a description"
    content = encode_image(Image.fromarray(noise(5, 5, 3)), "JPEG", exif=exif)
    answer = post(client, content, "a.jpg", headers={"Accept": "image/jpeg"})
    with Image.open(io.BytesIO(answer.content)) as image:
        assert image.getexif()[0x010E] == "a description"


GOOD = encode_png(noise(4, 4, 3))


@pytest.mark.parametrize(
    ("status", "name", "content", "more"),
    [
        (415, "a.png", b"this is a text, and no image", {}),
        (415, "a.txt", GOOD, {}),
        (415, "a.png", GOOD, {"headers": {"Accept": "text/html"}}),
        (415, "a.png", b"", {}),
        (422, "a.png", GOOD[:45], {}),
        (422, "a.png", GOOD, {"scale": "-1"}),
        (422, "a.png", GOOD, {"scale": "2", "size": "9x9"}),
        (422, "a.png", GOOD, {"model": "/etc/passwd"}),
        (422, "a.png", GOOD, {"model": "rbpn_small_x4"}),
        (422, "a.png", GOOD, {"output": "/etc/passwd"}),
        (422, "a.png", GOOD, {"quality": "101"}),
        (422, "http://127.0.0.1/a.png", b"\x89PNG\r\n\x1a\n", {}),
        (413, "a.png", encode_png(np.zeros((200, 200, 3), np.uint8)), {}),
        (413, "a.png", GOOD, {"size": "90000x90000"}),
        (413, "a.png", bytes(150_000), {}),
        (413, "a.png", bytes(300_000), {}),
    ],
)
def test_what_cannot_be_done_is_refused_in_json(
    client: TestClient, status: int, name: str, content: bytes, more: dict[str, Any]
) -> None:
    answer = post(client, content, name, **more)
    assert answer.status_code == status, answer.text
    error = answer.json()["error"]
    assert "expected" in error
    assert "run-" not in error  # no path of the server


def test_a_body_of_no_declared_length_is_cut_off(client: TestClient) -> None:
    def chunks() -> Iterator[bytes]:
        yield b'--x\r\nContent-Disposition: form-data; name="file"; filename="a.png"\r\n\r\n'
        for _ in range(100):
            yield bytes(10_000)

    kind = {"Content-Type": "multipart/form-data; boundary=x"}
    answer = client.post("/v1/images", content=chunks(), headers=kind)
    assert answer.status_code == 413


@pytest.mark.parametrize(
    ("status", "request_"),
    [
        (400, {"data": FAST, "files": {"file": (None, "a text")}}),
        (400, {"files": [("file", ("a.png", GOOD)), ("file", ("b.png", GOOD))]}),
        (400, {"content": b"--x", "headers": {"Content-Type": "multipart/form-data"}}),
        (415, {"json": {"file": "http://localhost/a.png"}}),
        (415, {"content": GOOD}),
    ],
)
def test_other_requests_are_refused_in_json(
    client: TestClient, status: int, request_: dict[str, Any]
) -> None:
    answer = client.post("/v1/images", **request_)
    assert answer.status_code == status, answer.text
    assert "expected" in answer.json()["error"]


def test_models_health_and_metrics(client: TestClient) -> None:
    models = client.get("/v1/models").json()["models"]
    assert {"span_x4", "compact_tiny_x4"} <= {model["name"] for model in models}
    assert models[0].keys() >= {"purpose", "scale", "license", "seconds_per_megapixel"}
    assert client.get("/healthz").json() == {"status": "ok"}
    text = client.get("/metrics").text
    assert "# TYPE sr_runs_total counter" in text
    assert 'sr_api_requests_total{code="200"}' in text


def test_requests_of_other_sites_are_refused(client: TestClient) -> None:
    assert client.get("/v1/models", headers={"Origin": "https://evil.example"}).status_code == 403
    assert client.get("/v1/models", headers={"Origin": ADDRESS}).status_code == 200
    assert client.get("/v1/models", headers={"Host": "evil.example"}).status_code == 400
    for path in ("/", "/config", "/gradio_api/upload"):  # the page itself
        assert client.post(path, headers={"Origin": "https://evil.example"}).status_code == 403
        assert client.get(path, headers={"Origin": "http://["}).status_code == 403


def test_a_full_queue_is_an_answer(
    settings: Settings, slow: Any, wait_for: Wait, image: Path
) -> None:
    application = make_application(replace(settings, max_waiting=1), lambda: slow)
    application.queue.start()
    client = open_client(application)
    with ThreadPoolExecutor(2) as threads, closing(application.queue):
        first = threads.submit(post, client, GOOD)
        wait_for(lambda: application.queue.num_running)
        second = threads.submit(post, client, GOOD)
        wait_for(lambda: application.queue.num_waiting)
        refused = post(client, GOOD)
        application.queue.stop_all("api")
        assert refused.status_code == 429
        assert refused.headers["retry-after"]
        assert {first.result().status_code, second.result().status_code} == {503}


def test_files_that_are_received_at_a_time_are_bounded(
    settings: Settings, slow: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    counts = RequestCounts(1)
    monkeypatch.setattr("sr.web.http_api.RequestCounts", lambda _: counts)
    client = open_client(make_application(settings, lambda: slow))
    with counts.count_one():
        assert post(client, GOOD).status_code == 429
    assert client.post("/v1/images").status_code == 415


def test_a_form_that_does_not_end_is_given_up(
    settings: Settings, slow: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def wait_long(*_: Any, **__: Any) -> None:
        await asyncio.sleep(60)

    monkeypatch.setattr("sr.web.http_api._FORM_SECONDS", 0.01)
    monkeypatch.setattr("starlette.requests.Request._get_form", wait_long)
    client = open_client(make_application(settings, lambda: slow))
    answer = post(client, GOOD)
    assert answer.status_code == 408
    assert "expected a form within" in answer.json()["error"]


def test_a_run_whose_client_has_gone_is_stopped(settings: Settings, slow: Any, image: Path) -> None:
    class Gone:
        async def is_disconnected(self) -> bool:
            return True

    application = make_application(settings, lambda: slow)
    application.queue.start()
    with closing(application.queue):
        choices = parse_choices(FAST)
        run = start_images([Upload(image, "a.png")], choices, "api", application.queue, settings)
        request: Any = Gone()
        asyncio.run(_wait(request, application, run))
        assert run.state == "stopped"


def test_with_a_password_the_api_needs_its_token(settings: Settings, slow: Any) -> None:
    closed = replace(settings, user="me", password="secret-word")  # noqa: S106
    client = open_client(make_application(closed, lambda: slow))
    assert client.get("/v1/models").status_code == 401
    assert client.get("/metrics").status_code == 401
    assert client.get("/", headers={"Accept": "application/json"}).status_code in (200, 401)
    assert "sr-files" not in client.get("/").text  # the page to log in

    client = open_client(make_application(replace(closed, token=TOKEN), lambda: slow))
    for sent, status in (("", 401), ("Bearer wrong", 401), (f"Bearer {TOKEN}", 200)):
        assert client.get("/v1/models", headers={"Authorization": sent}).status_code == status


def test_results_are_found_by_their_secret_id_only(client: TestClient) -> None:
    for path in ("none/1/a.png", "../1/a.png", "none/x/a.png", "%2e%2e/1/..%2f..%2fsetup.cfg"):
        assert client.get(f"/results/{path}").status_code in (404, 422)


def test_files_of_the_server_are_not_served_by_the_page(client: TestClient, image: Path) -> None:
    for path in (image, Path("/etc/passwd"), Path(__file__)):
        assert client.get(f"/gradio_api/file={path}").status_code in (403, 404)
    answer = client.get("/gradio_api/file=http://127.0.0.1:9/x", follow_redirects=False)
    assert answer.status_code != 200


def test_the_page_loads_nothing_from_elsewhere(client: TestClient) -> None:
    answer = client.get("/")
    assert answer.status_code == 200
    assert "sr-files" in answer.text
    policy = answer.headers["content-security-policy"]
    assert policy.startswith("default-src 'self'")
    assert "http" not in policy
