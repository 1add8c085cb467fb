"""The HTTP API for programs: a file in, a file out; docs/web.md describes it.

Answers that are errors are JSON, {"error": "..."}: 400 a form that cannot be read, 401 no token or
a wrong one, 403 a request from another site, 408 a form that does not end, 413 too large, 415 no
image, or no format of `Accept` that can be written, 422 an option or an image that cannot be used,
429 the queue is full, 500 an internal error, 503 the run was stopped.
"""

import asyncio
import hmac
import shutil
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager

from fastapi import FastAPI, Request
from fastapi.responses import FileResponse, JSONResponse, PlainTextResponse, Response
from starlette.background import BackgroundTask
from starlette.concurrency import run_in_threadpool
from starlette.datastructures import FormData, UploadFile
from starlette.exceptions import HTTPException

from sr.errors import UserError
from sr.web.application import Application
from sr.web.form import parse_choices
from sr.web.image_runs import Upload, start_images
from sr.web.limit_body import BodyTooLargeError
from sr.web.metrics import format_metrics
from sr.web.queued_run import QueuedRun
from sr.web.run_queue import QueueFullError
from sr.web.uploads import NotAnImageError, TooLargeError, choose_name
from sr.web.work_folders import make_work_folder

OWNER = "api"
MEDIA_TYPES = {
    "png": "image/png",
    "jpg": "image/jpeg",
    "webp": "image/webp",
    "tif": "image/tiff",
    "avif": "image/avif",
}
_RETRY_SECONDS = "10"
_MAX_FIELDS = 20
_FORM_SECONDS = 600  # in which it has to be sent
_SECONDS_BETWEEN = 0.25  # looks whether the client is still there

Respond = Callable[[Request], Awaitable[Response]]


class ApiError(Exception):
    """A request that is refused with a status and a message."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


class RequestCounts:
    """Bounds the files that are received, or wait, at the same time."""

    def __init__(self, maximum: int) -> None:
        self._maximum = maximum
        self._count = 0

    @contextmanager
    def count_one(self) -> Iterator[None]:
        """Count a request while inside; of one thread. Raises QueueFullError."""
        if self._count >= self._maximum:
            raise QueueFullError(f"expected at most {self._maximum} requests at a time")
        self._count += 1
        try:
            yield
        finally:
            self._count -= 1


def add_api(server: FastAPI, application: Application) -> None:
    """Add the routes."""
    answers = Counter[int]()
    counts = RequestCounts(application.settings.max_waiting + 1)  # and the one being done

    def answer_by(respond: Respond) -> Callable[[Request], Awaitable[Response]]:
        async def answer(request: Request) -> Response:
            try:
                _check_token(request, application)
                response = await respond(request)
            except (ApiError, UserError, BodyTooLargeError) as error:
                response = _refuse(error, application)
            answers[response.status_code] += 1
            return response

        return answer

    async def list_models(_: Request) -> Response:
        return JSONResponse({"models": [dict(vars(card)) for card in application.cards]})

    async def report_metrics(_: Request) -> Response:
        return PlainTextResponse(format_metrics(application.queue, answers))

    async def upscale(request: Request) -> Response:
        with counts.count_one():
            return await _upscale(request, application)

    async def report_health(_: Request) -> Response:
        is_alive = application.queue.is_alive
        return JSONResponse({"status": "ok" if is_alive else "stopped"}, 200 if is_alive else 503)

    server.add_route("/v1/models", answer_by(list_models), ["GET"])
    server.add_route("/v1/images", answer_by(upscale), ["POST"])
    server.add_route("/metrics", answer_by(report_metrics), ["GET"])
    server.add_route("/healthz", report_health, ["GET"])


def _refuse(error: Exception, application: Application) -> Response:
    """Return the answer that an error becomes."""
    message = str(error)
    if isinstance(error, BodyTooLargeError):
        message = f"expected a file of at most {application.settings.max_upload:,} bytes"
    statuses = {BodyTooLargeError: 413, TooLargeError: 413, NotAnImageError: 415}
    statuses |= {QueueFullError: 429}
    status = error.status if isinstance(error, ApiError) else statuses.get(type(error), 422)
    headers = {"Retry-After": _RETRY_SECONDS} if status == 429 else {}
    headers |= {"WWW-Authenticate": "Bearer"} if status == 401 else {}
    return JSONResponse({"error": message}, status, headers=headers)


async def _upscale(request: Request, application: Application) -> Response:
    application.queue.refuse_if_full()  # before the file is read
    form = await _read_form(request)
    try:
        run, extension = await run_in_threadpool(_start, form, request, application)
    finally:
        await form.close()
    await _wait(request, application, run)
    return _answer(run, extension)


def _start(form: FormData, request: Request, application: Application) -> tuple[QueuedRun, str]:
    """Queue what a form asks for; return the run and the format of its result."""
    settings = application.settings
    uploads = [value for _, value in form.multi_items() if isinstance(value, UploadFile)]
    texts = {key: value for key, value in form.items() if isinstance(value, str)}
    if len(uploads) != 1:
        raise ApiError(400, f"expected one file in the form, got {len(uploads)}")
    if not texts.get("format"):
        texts["format"] = _choose_format(request.headers.get("accept", ""))
    choices = parse_choices(texts)
    folder = make_work_folder(settings)
    try:
        name = choose_name(uploads[0].filename or "image")
        file = folder / name
        with file.open("wb") as target:
            shutil.copyfileobj(uploads[0].file, target)
        run = start_images([Upload(file, name)], choices, OWNER, application.queue, settings)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    return run, choices.format


def _answer(run: QueuedRun, extension: str) -> Response:
    """Return the result; the files of the run go once it is sent."""
    task = run.tasks.get(1)
    if task is None or task.output is None:
        sources = f"{run.options.inputs[0].parent}/"
        errors = [error.replace(sources, "") for error in run.list_errors()]
        if run.error is not None and run.error.startswith("internal error"):
            raise ApiError(500, run.error)
        if run.state == "stopped":
            raise ApiError(503, "the server was stopped")
        raise ApiError(422, "; ".join(errors) or "there is no result")
    assert task.size is not None
    return FileResponse(
        task.output,
        media_type=MEDIA_TYPES[extension],
        filename=task.output.name,
        headers={
            "X-Model": " + ".join(run.options.models),
            "X-Size": f"{task.size[0]}x{task.size[1]}",
            "X-Seconds": f"{task.seconds:.3f}",
        },
        background=BackgroundTask(run.remove_files),
    )


async def _wait(request: Request, application: Application, run: QueuedRun) -> None:
    """Wait for the end of a run; it is stopped where the client has gone."""
    try:
        while not run.ended.is_set():
            for _ in range(10):
                if run.ended.is_set():
                    return
                await asyncio.sleep(_SECONDS_BETWEEN / 10)
            if await request.is_disconnected():
                application.queue.stop(run)
                await run_in_threadpool(run.ended.wait, 60)
    except asyncio.CancelledError:
        application.queue.stop(run)
        raise


async def _read_form(request: Request) -> FormData:
    kind = request.headers.get("content-type", "")
    if not kind.startswith("multipart/form-data"):
        raise ApiError(415, f"expected multipart/form-data, got {kind or 'no content type'}")
    try:
        async with asyncio.timeout(_FORM_SECONDS):
            return await request.form(max_files=2, max_fields=_MAX_FIELDS)
    except TimeoutError:
        raise ApiError(408, f"expected a form within {_FORM_SECONDS} s") from None
    except HTTPException as error:
        raise ApiError(400, f"expected a form: {error.detail}") from None


def _choose_format(accept: str) -> str:
    """Return the first format that `Accept` names with the highest quality; png for any."""
    wanted: list[tuple[float, str]] = []
    for part in accept.split(","):
        kind, *parameters = [piece.strip().lower() for piece in part.split(";")]
        weight = 1.0
        for parameter in parameters:
            if parameter.startswith("q="):
                try:
                    weight = float(parameter[2:])
                except ValueError:
                    weight = 0.0
        if kind and weight > 0:
            wanted.append((weight, kind))
    names = {kind: name for name, kind in MEDIA_TYPES.items()}
    for _, kind in sorted(wanted, key=lambda each: -each[0]):
        if kind in names:
            return names[kind]
        if kind in ("*/*", "image/*"):
            return "png"
    if wanted:
        raise ApiError(415, f"Accept: expected {', '.join(names)}, got {accept}")
    return "png"


def _check_token(request: Request, application: Application) -> None:
    """Refuse requests without the token if there is one."""
    settings = application.settings
    if settings.token is None:
        if settings.user is not None:
            raise ApiError(401, "the API is closed: the server was started without --token-file")
        return
    kind, _, token = request.headers.get("authorization", "").partition(" ")
    if kind.lower() != "bearer" or not hmac.compare_digest(
        token.strip().encode(), settings.token.encode()
    ):
        raise ApiError(401, "expected the header Authorization: Bearer TOKEN")
