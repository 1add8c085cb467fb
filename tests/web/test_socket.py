"""A server at a real socket: several clients at once, gradio's own client, and what is refused."""

import asyncio
import io
import socket
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import numpy as np
import psutil
import pytest
from helpers.images import encode_png, noise
from PIL import Image

from sr.io.rgb8 import write_rgb8

pytest.importorskip("gradio")
pytest.importorskip("httpx")

import gradio_client
import httpx
import uvicorn

from sr.web.application import Application, make_application
from sr.web.engine import Engine
from sr.web.folders import AllowedFolders
from sr.web.server import make_server
from sr.web.settings import Settings

FAST = "compact_tiny_x4"


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Application]:
    folder = tmp_path_factory.mktemp("socket")
    settings = Settings(
        AllowedFolders([folder]),
        folder / "work",
        folder / "state",
        device="cpu",
        max_upload=100_000,
        max_waiting=20,
    )
    application = make_application(settings, Engine)
    application.queue.start()
    yield application
    application.queue.close()


@pytest.fixture(scope="module")
def address(served: Application) -> Iterator[str]:
    with socket.socket() as opened:
        opened.bind(("127.0.0.1", 0))
        servers: list[uvicorn.Server] = []

        async def serve() -> None:
            config = uvicorn.Config(make_server(served), log_level="critical")
            servers.append(uvicorn.Server(config))
            await servers[0].serve(sockets=[opened])

        thread = threading.Thread(target=lambda: asyncio.run(serve()))
        thread.start()
        address = f"http://127.0.0.1:{opened.getsockname()[1]}"
        with httpx.Client(transport=httpx.HTTPTransport(retries=10), timeout=60) as client:
            while not servers or not servers[0].started:
                threading.Event().wait(0.02)
            assert client.get(f"{address}/healthz").json() == {"status": "ok"}
        yield address
        servers[0].should_exit = True
        thread.join(30)


@pytest.fixture
def listener() -> Iterator[socket.socket]:
    """A service of this computer that nobody may reach through the server."""
    with socket.socket() as opened:
        opened.bind(("127.0.0.1", 0))
        opened.listen()
        opened.settimeout(0.3)
        yield opened


def test_clients_at_a_time_get_their_own_results_and_memory_stays(
    address: str, served: Application, wait_for: Callable[[Callable[[], object]], None]
) -> None:
    def send(number: int) -> bool:
        level = 10 * number
        content = encode_png(np.full((5, 4 + number, 3), level, np.uint8))
        answer = httpx.post(
            f"{address}/v1/images",
            files={"file": (f"{number}.png", content)},
            data={"model": FAST},
            timeout=60,
        )
        assert answer.status_code == 200, answer.text
        with Image.open(io.BytesIO(answer.content)) as image:
            mean = float(np.asarray(image.convert("RGB"), np.float64)[4:-4, 4:-4].mean())
            return image.size == (4 * (4 + number), 20) and abs(mean - level) < 12

    def send_all() -> int:
        with ThreadPoolExecutor(18) as threads:
            assert all(threads.map(send, range(18)))
        return int(psutil.Process().memory_info().rss)

    before = send_all()
    assert send_all() - before < 50e6
    wait_for(lambda: not list(served.settings.work.glob("run-*")))  # removed once it is sent


def test_gradios_client_finds_named_endpoints_and_nothing_else(
    address: str, tmp_path: Path
) -> None:
    write_rgb8(tmp_path / "photo.png", noise(6, 5, 3))
    client = gradio_client.Client(address, verbose=False, download_files=tmp_path / "got")
    with closing(client):
        endpoints = client.view_api(return_format="dict", print_info=False)
        assert isinstance(endpoints, dict)
        assert set(endpoints["named_endpoints"]) == {"/upscale", "/models"}
        assert not endpoints["unnamed_endpoints"]
        names = [
            each["parameter_name"]
            for each in endpoints["named_endpoints"]["/upscale"]["parameters"]
        ]
        assert names == ["image", "model", "scale", "size", "long_side", "format", "quality"]
        image = gradio_client.handle_file(tmp_path / "photo.png")
        file = client.predict(image=image, model=FAST, scale=2, format="webp", api_name="/upscale")
        assert Path(file).name == "photo_x2.webp"
        with Image.open(file) as result:
            assert result.size == (10, 12)
        models = client.predict(api_name="/models")
        assert FAST in [model["name"] for model in models]
        with pytest.raises(gradio_client.exceptions.AppError, match="quality: expected"):
            client.predict(image=image, model=FAST, quality=101, api_name="/upscale")


def test_addresses_in_place_of_files_are_not_fetched(address: str, listener: socket.socket) -> None:
    inner = f"http://127.0.0.1:{listener.getsockname()[1]}/a.png"
    for path in (inner, "/etc/passwd", __file__):
        file = {"path": path, "url": inner, "meta": {"_type": "gradio.FileData"}}
        data = {"data": [file, FAST, None, None, None, "png", 95]}
        call = httpx.post(f"{address}/gradio_api/call/upscale", json=data, timeout=60)
        if call.status_code == 200:
            event = call.json()["event_id"]
            answer = httpx.get(f"{address}/gradio_api/call/upscale/{event}", timeout=60)
            assert "event: error" in answer.text
    for path in (f"/gradio_api/file={inner}", f"/gradio_api/proxy={inner}"):
        answer = httpx.get(f"{address}{path}", timeout=60, follow_redirects=False)
        assert answer.status_code != 200
    with pytest.raises(TimeoutError):
        listener.accept()


def test_huge_uploads_and_calls_of_the_page_are_refused(address: str) -> None:
    answer = httpx.post(
        f"{address}/gradio_api/upload", files={"files": ("a.png", bytes(300_000))}, timeout=60
    )
    assert answer.status_code == 413
    kind = {"Content-Type": "application/json"}
    for path in ("/gradio_api/queue/join", "/gradio_api/call/upscale", "/nowhere"):
        answer = httpx.post(f"{address}{path}", content=bytes(6_000_000), headers=kind, timeout=60)
        assert answer.status_code in (400, 404, 405, 413), path
