"""A web server on this machine whose answers are as wrong as a test needs them."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

Answer = Callable[["Request"], None]


class Request(BaseHTTPRequestHandler):
    """One request, and what sends its answer."""

    protocol_version = "HTTP/1.1"
    server: "_Server"

    def do_GET(self) -> None:
        self._answer()

    def do_HEAD(self) -> None:
        self._answer()

    def do_POST(self) -> None:
        self._answer()

    def do_PUT(self) -> None:
        self._answer()

    def _answer(self) -> None:
        self.body = self._read_body()
        self.server.site.requests.append(self)
        path = self.path.partition("?")[0]
        answers = self.server.site.answers.get(path, [status(404)])
        answer = answers.pop(0) if len(answers) > 1 else answers[0]
        try:
            answer(self)
        except (BrokenPipeError, ConnectionResetError):
            self.close_connection = True

    def _read_body(self) -> bytes:
        if self.headers.get("Transfer-Encoding") != "chunked":
            return self.rfile.read(int(self.headers.get("Content-Length", 0)))
        body = b""
        while size := int(self.rfile.readline(), 16):
            body += self.rfile.read(size)
            self.rfile.readline()
        self.rfile.readline()
        return body

    def start(self, code: int, **headers: object) -> None:
        """Send the head of an answer; `_` in names of headers stands for `-`."""
        self.send_response(code)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), str(value))
        self.end_headers()

    @property
    def first_byte(self) -> int:
        """Of the range that is asked for."""
        asked = self.headers.get("Range", "bytes=0-")
        return int(asked.removeprefix("bytes=").partition("-")[0])

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002, as the base class has it
        """Keep quiet."""


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    site: "Site"


class Site:
    """Paths with their answers: one after the other, the last one again and again."""

    def __init__(self, port: int) -> None:
        self.address = f"http://127.0.0.1:{port}"
        self.answers: dict[str, list[Answer]] = {}
        self.requests: list[Request] = []
        self.closing = threading.Event()

    def add(self, path: str, *answers: Answer) -> str:
        """Return the URL of a path that answers so."""
        self.answers[path] = list(answers)
        return f"{self.address}{path}"

    def list_ranges(self) -> list[str | None]:
        """Return the ranges that were asked for."""
        return [request.headers.get("Range") for request in self.requests]


@contextmanager
def run_site() -> Iterator[Site]:
    """Run a server."""
    server = _Server(("127.0.0.1", 0), Request)
    server.site = Site(server.server_address[1])
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield server.site
    finally:
        server.site.closing.set()
        server.shutdown()
        server.server_close()
        thread.join()


def give(content: bytes, *, stop_after: int | None = None, stall: bool = False) -> Answer:
    """Answer with a file, or the range of it that is asked for.

    stop_after: bytes of the answer, after which the connection is cut, or, with stall, goes silent.
    """

    def answer(request: Request) -> None:
        first = request.first_byte
        if first >= len(content) > 0:
            request.start(416, Content_Range=f"bytes */{len(content)}", Content_Length=0)
            return
        part = content[first:]
        if first:
            extent = f"bytes {first}-{len(content) - 1}/{len(content)}"
            request.start(206, Content_Length=len(part), Content_Range=extent)
        else:
            request.start(200, Content_Length=len(part))
        request.wfile.write(part[:stop_after])
        if stop_after is not None:
            request.wfile.flush()
            request.close_connection = True
            if stall:
                request.server.site.closing.wait(20)

    return answer


def give_without_ranges(content: bytes, *, stop_after: int | None = None) -> Answer:
    """Answer with a whole file, whatever range is asked for."""

    def answer(request: Request) -> None:
        request.start(200, Content_Length=len(content))
        request.wfile.write(content[:stop_after])
        request.close_connection = stop_after is not None

    return answer


def give_endlessly(content: bytes) -> Answer:
    """Answer with bytes whose number is not stated, again and again."""

    def answer(request: Request) -> None:
        request.close_connection = True
        request.start(200, Connection="close")
        while not request.server.site.closing.is_set():
            request.wfile.write(content)

    return answer


def drip(content: bytes, seconds: float) -> Answer:
    """Answer with one byte at a time."""

    def answer(request: Request) -> None:
        request.start(200, Content_Length=len(content))
        request.close_connection = True
        for number in range(len(content)):
            request.wfile.write(content[number : number + 1])
            if request.server.site.closing.wait(seconds):
                return

    return answer


def claim(content: bytes, length: int) -> Answer:
    """Answer with a file whose length is not that which is stated."""

    def answer(request: Request) -> None:
        request.start(200, Content_Length=length)
        request.wfile.write(content)
        request.close_connection = True

    return answer


def status(code: int, **headers: object) -> Answer:
    """Answer with a status alone."""
    return lambda request: request.start(code, Content_Length=0, **headers)


def redirect(url: str) -> Answer:
    """Answer with another address."""
    return status(302, Location=url)


def give_json(text: str) -> Answer:
    """Answer with JSON."""

    def answer(request: Request) -> None:
        content = text.encode()
        request.start(200, Content_Length=len(content), Content_Type="application/json")
        request.wfile.write(content)

    return answer
