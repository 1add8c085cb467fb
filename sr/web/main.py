"""The command line of the page in the browser.

Gradio and torch are imported when the server starts, so that --help is quick.
"""

import asyncio
import logging
import os
import socket
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from sr.cli.terminal import print_line
from sr.errors import UsageError, UserError
from sr.io.cache_folder import find_cache_folder
from sr.io.stop_signals import exit_at_signals
from sr.web.folders import AllowedFolders
from sr.web.settings import Settings
from sr.web.work_folders import hold_server_folders

if TYPE_CHECKING:
    from sr.web.application import Application
    from sr.web.engine import Engine

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False, rich_markup_mode="markdown")


@app.command(context_settings={"help_option_names": ["-h", "--help"]})
def command(
    port: Annotated[
        int, typer.Option(metavar="NUMBER", min=0, max=65535, help="Port; 0: any that is free.")
    ] = 7860,
    listen: Annotated[
        str | None,
        typer.Option(
            metavar="ADDRESS",
            show_default="this computer only",
            help="Address to listen on, such as 0.0.0.0 for all of this computer's; needs --user"
            " and --password-file.",
        ),
    ] = None,
    user: Annotated[
        str | None, typer.Option(metavar="NAME", show_default="none", help="Name to log in with.")
    ] = None,
    password_file: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", show_default="none", help="File whose first line is the password."
        ),
    ] = None,
    token_file: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            show_default="none",
            help="File whose first line is the token of the HTTP API (Authorization: Bearer TOKEN)."
            " Without one the API is closed where there is a password, else open.",
        ),
    ] = None,
    folder: Annotated[
        list[Path] | None,
        typer.Option(
            metavar="FOLDER",
            show_default="the current folder",
            help="Folder that the page may read and write. Can be repeated.",
        ),
    ] = None,
    runs: Annotated[Path, typer.Option(metavar="FOLDER", help="Folder of training runs.")] = Path(
        "runs"
    ),
    device: Annotated[str, typer.Option(metavar="NAME", help="As infer.py --device.")] = "auto",
    state: Annotated[
        Path | None,
        typer.Option(
            metavar="FOLDER",
            show_default="web in the cache folder",
            help="Folder of the list of runs, which outlives the server; one server at a time.",
        ),
    ] = None,
    max_upload_mb: Annotated[int, typer.Option(metavar="MB", min=1, help="Largest upload.")] = 200,
    max_upload_megapixels: Annotated[
        int, typer.Option(metavar="NUMBER", min=1, help="Largest uploaded image.")
    ] = 100,
    max_waiting: Annotated[
        int, typer.Option(metavar="NUMBER", min=1, help="Largest number of runs that wait.")
    ] = 16,
) -> None:
    """Open a page for the browser, and an HTTP API, that upscale images and videos."""
    if listen is not None and (user is None or password_file is None):
        raise UsageError("--listen: needs --user and --password-file")
    if (user is None) != (password_file is None):
        raise UsageError("--user and --password-file: expected both or neither")
    _check_devices(device)
    folders, state = AllowedFolders(folder or [Path()]), state or find_cache_folder() / "web"
    with hold_server_folders(state) as work:
        settings = Settings(
            folders=folders,
            work=work,
            state=state,
            host=listen or "127.0.0.1",
            port=port,
            user=user,
            password=_read_secret("--password-file", password_file),
            token=_read_secret("--token-file", token_file),
            device=device,
            runs=runs,
            max_upload=max_upload_mb * 1_000_000,
            max_upload_pixels=max_upload_megapixels * 1_000_000,
            max_waiting=max_waiting,
        )
        serve(settings)


def main(arguments: Sequence[str] | None = None) -> None:
    """Run sr-web."""
    try:
        app(args=sys.argv[1:] if arguments is None else list(arguments))
    except UserError as error:
        print_line(f"error: {error}", err=True)
        raise SystemExit(2) from None


def serve(settings: Settings) -> None:
    """Serve until Ctrl-C or SIGTERM, which stop the run as on the command line."""
    os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"
    os.environ["GRADIO_TEMP_DIR"] = str(settings.work / "uploads")
    opened = _open_socket(settings)
    with exit_at_signals():
        try:
            import sr.web.server  # noqa: F401, seconds, in which a signal is to end the program
        except ModuleNotFoundError as error:
            raise UsageError(
                f"sr-web needs the extra `web` ({error.name} is missing): pip install 'sr[web]'"
            ) from None
        from sr.web.application import make_application
    application = make_application(settings, lambda: _make_engine(settings.device))
    try:
        asyncio.run(_serve(opened, application))
    except KeyboardInterrupt:
        pass  # uvicorn has ended orderly, and raises it again
    finally:
        application.queue.close()


def _make_engine(device: str) -> "Engine":
    """Import torch and load the default model, while the page can be opened already."""
    from sr.web.engine import Engine

    engine = Engine(device)
    engine.load_default()
    return engine


async def _serve(opened: socket.socket, application: "Application") -> None:
    """Print the address once it can be opened, and serve."""
    import uvicorn

    from sr.web.server import make_server

    config = uvicorn.Config(
        make_server(application), log_level="warning", timeout_graceful_shutdown=1
    )
    logging.getLogger("uvicorn.error").addFilter(_is_fault)
    server = uvicorn.Server(config)
    serving = asyncio.ensure_future(server.serve(sockets=[opened]))
    while not server.started and not serving.done():
        await asyncio.sleep(0.05)
    if server.started:
        application.queue.start()
        settings = application.settings
        print_line(f"http://{settings.host}:{opened.getsockname()[1]}  (Ctrl-C ends it)")
        folders = ", ".join(map(str, settings.folders.folders))
        print_line(f"folders that the page may read and write: {folders}")
    await serving


def _is_fault(record: logging.LogRecord) -> bool:
    """Whether a line of uvicorn's is more than that open pages were cut off at the end."""
    kind = record.exc_info[0] if record.exc_info else None
    is_cut_off = kind is not None and issubclass(kind, asyncio.CancelledError)
    return not (is_cut_off or "graceful shutdown" in record.getMessage())


def _open_socket(settings: Settings) -> socket.socket:
    """Bind the address, so that one in use is known at once."""
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    opened = socket.socket(family)
    opened.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        opened.bind((settings.host, settings.port))
    except OSError as error:
        opened.close()
        raise UsageError(
            f"{settings.host}:{settings.port}: cannot be listened on: {error.strerror};"
            " --port takes another"
        ) from None
    return opened


def _check_devices(names: str) -> None:
    """Refuse devices that are not there, before anything is served. Raises UserError."""
    for name in names.split(","):
        if name not in ("auto", "cpu"):  # else torch is imported once the page can be opened
            from sr.device import resolve_device

            resolve_device(name)


def _read_secret(name: str, file: Path | None) -> str | None:
    if file is None:
        return None
    try:
        lines = file.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"{name} {file}: cannot be read: {error}") from None
    if not lines or len(lines[0].strip()) < 8:
        raise UsageError(f"{name} {file}: expected a first line of 8 characters or more")
    return lines[0].strip()
