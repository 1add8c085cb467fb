"""Reading from the web: by https only, without an end that waits for ever or never comes.

`http://` is for servers on this machine, such as those of tests and mirrors behind a tunnel.
"""

import json
import os
import ssl
import string
import time
from collections.abc import Mapping
from functools import cache
from http.client import HTTPException, HTTPMessage, HTTPResponse
from typing import IO, Any
from urllib.error import HTTPError, URLError
from urllib.parse import quote, urlsplit
from urllib.request import (
    HTTPRedirectHandler,
    HTTPSHandler,
    OpenerDirector,
    ProxyHandler,
    Request,
    build_opener,
)

from sr.errors import UserError

USER_AGENT = "sr/0.1"
LOOPBACK = ("localhost", "127.0.0.1", "::1")
TRANSIENT = (408, 425, 429, 500, 502, 503, 504)  # answers after which it is worth to ask again
FAULTS = (OSError, HTTPException)
"""What a connection raises that cannot be made, or is lost."""
MAX_JSON_BYTES, MAX_JSON_SECONDS = 64 * 2**20, 300.0


class SourceError(UserError):
    """A source that does not give what was asked for; asked again it would not either."""


def is_offline() -> bool:
    """Return whether SR_OFFLINE forbids the network."""
    return os.environ.get("SR_OFFLINE", "").lower() not in ("", "0", "false", "no")


def check_url(url: str) -> None:
    """Raise SourceError for anything but https://, or http:// on this machine.

    Also with a name and password in it, which would be printed, and kept with the file.
    """
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname or "", parts.port
    except ValueError as error:
        raise SourceError(f"expected https://..., got {url} ({error})") from None
    if "@" in parts.netloc:
        raise SourceError("expected an address without a user's name and password in it")
    if not host or not (parts.scheme == "https" or (parts.scheme == "http" and host in LOOPBACK)):
        raise SourceError(f"expected https://..., got {url}")


def open_url(
    url: str,
    *,
    seconds: float,
    headers: Mapping[str, str] | None = None,
    secret_headers: Mapping[str, str] | None = None,
) -> HTTPResponse:
    """Return the answer to GET, after at most ten redirects.

    seconds: without any byte after which the connection counts as lost. secret_headers: for this
    host only, and not sent on redirects. Raises SourceError for a URL that is not https, also on
    the way, and for an answer that says no; one of `FAULTS` where asking again may help.
    """
    check_url(url)
    plain = quote(url, safe=string.punctuation)  # also of a name with spaces or umlauts
    request = Request(plain, headers={"User-Agent": USER_AGENT, "Accept-Encoding": "identity"})
    for name, value in (headers or {}).items():
        request.add_header(name, value)
    for name, value in (secret_headers or {}).items():
        request.add_unredirected_header(name, value)
    try:
        answer: HTTPResponse = _make_opener(url).open(request, timeout=seconds)
    except HTTPError as error:
        error.close()
        if error.code in TRANSIENT:
            raise ConnectionError(f"HTTP {error.code} {error.reason}") from None
        raise AnswerError(error.code, f"HTTP {error.code} {error.reason}") from None
    return answer


class AnswerError(SourceError):
    """An answer that says no. status: of HTTP."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


def read_json(url: str, *, seconds: float = 30.0) -> Any:
    """Return what a URL holds as JSON.

    Raises SourceError where it does not, and one of `FAULTS` for a lost connection.
    """
    with open_url(url, seconds=seconds, headers={"Accept": "application/json"}) as answer:
        content = _read_within(answer, MAX_JSON_BYTES, MAX_JSON_SECONDS)
    try:
        return json.loads(content)
    except (ValueError, RecursionError) as error:
        raise SourceError(f"expected JSON, got something else ({error})") from None


def _read_within(answer: HTTPResponse, max_bytes: int, seconds: float) -> bytes:
    """Return a whole answer. Raises SourceError for a larger one, TimeoutError for a slower one."""
    content = bytearray()
    end = time.monotonic() + seconds
    while chunk := answer.read1(2**16):
        content += chunk
        if len(content) > max_bytes:
            raise SourceError(f"expected at most {max_bytes:,} bytes, got more")
        if time.monotonic() > end:
            raise TimeoutError(f"not complete after {seconds:g} s")
    if answer.length:
        raise ConnectionError(f"cut off after {len(content):,} bytes")
    return bytes(content)


def describe_fault(error: Exception) -> str:
    """Say in a few words why a connection failed."""
    reason = error.reason if isinstance(error, URLError) else error
    if isinstance(reason, TimeoutError):
        return str(reason) if reason.errno is None and "after" in str(reason) else "timed out"
    if isinstance(reason, OSError) and reason.strerror:
        return reason.strerror
    return str(reason) or type(reason).__name__


class _SafeRedirects(HTTPRedirectHandler):
    def redirect_request(
        self,
        req: Request,
        fp: IO[bytes],
        code: int,
        msg: str,
        headers: HTTPMessage,
        newurl: str,
    ) -> Request | None:
        check_url(newurl)
        if urlsplit(newurl).scheme == "http" and urlsplit(req.full_url).scheme == "https":
            raise SourceError(f"expected redirects to https, got {newurl}")
        return super().redirect_request(req, fp, code, msg, headers, newurl)


@cache
def _make_context() -> ssl.SSLContext:
    return ssl.create_default_context()  # which reads all certificates


def _make_opener(url: str) -> OpenerDirector:
    handlers = [_SafeRedirects(), HTTPSHandler(context=_make_context())]
    if urlsplit(url).hostname in LOOPBACK:
        return build_opener(ProxyHandler({}), *handlers)
    return build_opener(*handlers)
