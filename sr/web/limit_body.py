"""A limit for the size of requests, before anything is stored of them."""

from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

PAGE_BYTES = 5_000_000  # what the page sends but uploads: texts and numbers
UPLOADS = "/gradio_api/upload"  # several files at once, of which gradio bounds each


class BodyTooLargeError(Exception):
    """A request is longer than it may be."""


class LimitBody:
    """Ends requests at a number of bytes, declared or not: of the API, and of the page's calls."""

    def __init__(self, app: ASGIApp, max_bytes: int) -> None:
        self._app = app
        self._max_bytes = max_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve a request."""
        if scope["type"] != "http" or scope["path"].startswith(UPLOADS):
            await self._app(scope, receive, send)
            return
        max_bytes = self._max_bytes if scope["path"].startswith("/v1/") else PAGE_BYTES
        num_bytes = 0
        declared = dict(scope["headers"]).get(b"content-length", b"0")
        is_too_long = not declared.isdigit() or int(declared) > max_bytes

        async def receive_limited() -> Message:
            nonlocal num_bytes
            if is_too_long:
                raise BodyTooLargeError
            message = await receive()
            num_bytes += len(message.get("body", b""))
            if num_bytes > max_bytes:
                raise BodyTooLargeError
            return message

        try:
            await self._app(scope, receive_limited, send)
        except BodyTooLargeError:  # of the page's calls; the API says it itself
            answer = JSONResponse({"error": f"expected at most {max_bytes:,} bytes"}, 413)
            await answer(scope, receive, send)
