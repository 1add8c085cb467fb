"""A limit for the size of requests to the API, before anything is stored of them."""

from starlette.types import ASGIApp, Message, Receive, Scope, Send


class BodyTooLargeError(Exception):
    """A request is longer than it may be."""


class LimitBody:
    """Ends requests to the API at a number of bytes, declared or not."""

    def __init__(self, app: ASGIApp, max_bytes: int) -> None:
        self._app = app
        self._max_bytes = max_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve a request."""
        if scope["type"] != "http" or not scope["path"].startswith("/v1/"):
            await self._app(scope, receive, send)
            return
        num_bytes = 0
        declared = dict(scope["headers"]).get(b"content-length", b"0")
        is_too_long = not declared.isdigit() or int(declared) > self._max_bytes

        async def receive_limited() -> Message:
            nonlocal num_bytes
            if is_too_long:
                raise BodyTooLargeError
            message = await receive()
            num_bytes += len(message.get("body", b""))
            if num_bytes > self._max_bytes:
                raise BodyTooLargeError
            return message

        await self._app(scope, receive_limited, send)
