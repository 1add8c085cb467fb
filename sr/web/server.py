"""The FastAPI application: the page, the API, downloads, and headers that keep others out."""

from pathlib import Path
from typing import Any

import gradio as gr
from fastapi import FastAPI, HTTPException
from fastapi.responses import FileResponse, JSONResponse
from starlette.datastructures import Headers as RequestHeaders
from starlette.datastructures import MutableHeaders
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from sr.web.application import Application
from sr.web.http_api import add_api
from sr.web.limit_body import LimitBody
from sr.web.model_cards import SAMPLES
from sr.web.page import CSS, SCRIPT, make_page, make_theme

FORM_BYTES = 100_000  # of a form around a file
LOCAL_NAMES = ("127.0.0.1", "localhost", "[::1]")
# Whatever gradio's scripts would fetch from elsewhere the browser refuses.
POLICY = (
    "default-src 'self' data: blob:; script-src 'self' 'unsafe-inline' 'unsafe-eval' blob:;"
    " style-src 'self' 'unsafe-inline'; frame-ancestors 'none'; form-action 'self'"
)


class Headers:
    """Adds headers to all answers."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve a request."""

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                headers["Content-Security-Policy"] = POLICY
                headers["X-Content-Type-Options"] = "nosniff"
                headers["Referrer-Policy"] = "no-referrer"
            await send(message)

        await self._app(scope, receive, send_with_headers)


class RefuseOtherSites:
    """Refuses what pages of other sites ask for, by a browser that may be logged in here.

    Gradio would answer any origin where it listens for others than this computer.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve a request."""
        if scope["type"] in ("http", "websocket"):
            headers = RequestHeaders(scope=scope)
            origin = headers.get("origin")
            if origin is not None and origin.partition("://")[2] != headers.get("host"):
                message = f"expected a request of this site or of a program, got one of {origin}"
                await JSONResponse({"error": message}, 403)(scope, receive, send)
                return
        await self._app(scope, receive, send)


def _send_image(folder: Path, name: str) -> FileResponse:
    """Send a file of a folder by its bare name; no other path leads anywhere."""
    if name not in (each.name for each in folder.glob("*.webp")):
        raise HTTPException(404, "no such image")
    return FileResponse(folder / name)


def make_server(application: Application) -> FastAPI:
    """Make what uvicorn serves; in a running event loop, else gradio makes one."""
    settings = application.settings
    server = FastAPI(title="sr", docs_url=None, redoc_url=None, openapi_url=None)
    server.add_middleware(LimitBody, max_bytes=settings.max_upload + FORM_BYTES)
    server.add_middleware(RefuseOtherSites)
    server.add_middleware(Headers)
    if settings.user is None:  # else other sites could reach it by a name of theirs
        server.add_middleware(TrustedHostMiddleware, allowed_hosts=list(LOCAL_NAMES))

    @server.get("/results/{run_id}/{number}/{_name}")
    def download(run_id: str, number: int, _name: str) -> FileResponse:
        """Send a result; the id is secret."""
        file = application.find_result(run_id, number)
        if file is None:
            raise HTTPException(404, "no such result")
        return FileResponse(file, filename=file.name)

    @server.get("/views/{name}")
    def show_view(name: str) -> FileResponse:
        """Send a small copy of an image; its name is secret."""
        return _send_image(settings.work / "views", name)

    @server.get("/samples/{name}")
    def show_sample(name: str) -> FileResponse:
        """Send the sample of a model."""
        return _send_image(SAMPLES, name)

    add_api(server, application)
    page = make_page(application)
    page.queue(default_concurrency_limit=20, max_size=200)
    auth: Any = None
    if settings.user is not None:
        auth = (settings.user, settings.password)
    gr.mount_gradio_app(
        server,
        page,
        path="/",
        server_name=settings.host,
        server_port=settings.port,
        footer_links=[],
        run_history=False,
        auth=auth,
        show_error=True,
        max_file_size=settings.max_upload,
        ssr_mode=False,
        enable_monitoring=False,
        pwa=False,
        mcp_server=False,
        theme=make_theme(),
        css=CSS,
        head=SCRIPT,
    )
    return server
