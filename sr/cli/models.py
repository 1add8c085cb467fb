"""The command line of models by name: find, download, check, remove, publish.

Torch is imported when there is a model to publish.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated

import typer

from sr.cli.list_models import show_models
from sr.cli.terminal import print_line
from sr.errors import ModelFileError, UserError
from sr.io.stop_signals import get_exit_code, raise_stop_signals
from sr.models.catalogue import list_catalogue
from sr.models.find_model import (
    find_downloaded,
    find_local,
    find_remote,
    is_source,
    resolve_model,
)
from sr.models.remote_file import (
    RemoteFile,
    check_hash,
    fetch_file,
    find_models_folder,
    list_recorded,
    remove_file,
)

HELP = {"help_option_names": ["-h", "--help"]}

app = typer.Typer(
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",
    no_args_is_help=True,
    context_settings=HELP,
    help="""Models by name: find, download, check, remove and publish them.

NAME is a name that `sr-models search` lists, a purpose (photo, anime, ...),
hf:OWNER/REPOSITORY[/FILE][@REVISION], openmodeldb:NAME, or https://... with --sha256. Downloaded
files are kept in the user's cache folder, or below SR_CACHE. With SR_OFFLINE=1 nothing is
downloaded.

Exit codes: 0 success, 2 no such model, it cannot be had, or a file is not what it should be, 130
interrupted by Ctrl-C; the same command continues a download.
""",
)

Names = Annotated[list[str], typer.Argument(metavar="NAME...")]


@app.command(context_settings=HELP)
def search(
    words: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[WORD...]",
            help="Words that all must occur in name, purpose, network, license or author, such as"
            " anime, x2, fast. Without any: all models.",
        ),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """List bundled and downloaded models, and those that can be downloaded."""
    with _report_errors():
        show_models(" ".join(words or []), as_json=as_json)


@app.command(context_settings=HELP)
def get(
    names: Names,
    sha256: Annotated[
        str | None, typer.Option(metavar="HEX", help="SHA-256 of the file, for https://...")
    ] = None,
) -> None:
    """Download models, and print where they are.

    A file that is there and whole is kept; one that is damaged, or that its branch on the hub has
    replaced, is downloaded again.
    """
    with _report_errors():
        for name in names:
            print_line(_get(name, sha256))


@app.command(context_settings=HELP)
def remove(names: Names) -> None:
    """Remove downloaded models; of the catalogue, also what an unfinished download has left."""
    with _report_errors():
        for name in names:
            num_bytes = remove_file(_find_known(name))
            if not num_bytes:
                raise ModelFileError(f"{name}: is not downloaded")
            print_line(f"{name}: removed, {num_bytes / 1e6:.1f} MB")


@app.command(context_settings=HELP)
def verify(
    names: Annotated[
        list[str] | None, typer.Argument(metavar="[NAME...]", help="Without any: all.")
    ] = None,
) -> None:
    """Compare the SHA-256 of downloaded models with what it should be."""
    with _report_errors():
        known = [_find_known(name) for name in names] if names else _list_downloaded()
        faults = 0
        for remote in known:
            try:
                if not remote.is_here:
                    raise ModelFileError(f"{remote.name}: is not downloaded")
                check_hash(remote.file, remote.sha256)
            except ModelFileError as error:
                print_line(f"error: {error}", err=True)
                faults += 1
                continue
            print_line(f"{remote.name}: correct")
        if faults:
            raise typer.Exit(2)
        if not known:
            print_line("nothing is downloaded")


@app.command(context_settings=HELP)
def where(
    name: Annotated[
        str | None, typer.Argument(metavar="[NAME]", help="Without it: the folder.")
    ] = None,
) -> None:
    """Print where a model's file is, or, of one that is not downloaded yet, will be."""
    with _report_errors():
        if name is None:
            print_line(find_models_folder())
        else:
            print_line(find_local(name) or _find_known(name).file)


@app.command(context_settings=HELP)
def publish(
    model: Annotated[
        str, typer.Argument(metavar="FILE", help="Model file, or name of a bundled model.")
    ],
    to: Annotated[str, typer.Option(metavar="hf:OWNER/REPOSITORY", help="Where to.")],
    license_name: Annotated[
        str | None,
        typer.Option(
            "--license",
            metavar="ID",
            help="SPDX identifier, such as Apache-2.0; else what the file states.",
        ),
    ] = None,
    private: Annotated[
        bool, typer.Option("--private", help="Make a new repository private.")
    ] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Print what would be uploaded; upload nothing.")
    ] = False,
) -> None:
    """Upload a model to huggingface.co: README.md, NAME.safetensors, NAME.pth and NAME.onnx.

    README.md has the hub's header (license, tags, scores) and the text of the card NAME.md next to
    FILE, if there is one. A format that the network cannot be had in is left out, and reported.
    Who uploads is logged in by `hf auth login`, or named by HF_TOKEN.
    """
    from sr.models.publish import parse_target, prepare_publication, upload_publication

    with _report_errors(), TemporaryDirectory() as folder:
        repository = parse_target(to)
        publication = prepare_publication(
            resolve_model(model), Path(folder), repository, license_name=license_name
        )
        print_line(f"{'would upload' if dry_run else 'uploading'} to hf:{repository}:")
        for file in publication.files:
            print_line(f"  {file.name}  {file.stat().st_size:,} bytes")
        for note in publication.notes:
            print_line(f"note: {note}")
        if dry_run:
            print_line("README.md:")
            for line in publication.files[0].read_text(encoding="utf-8").splitlines():
                print_line(f"  {line}")
        else:
            print_line(f"published: {upload_publication(publication, private=private)}")


def _get(name: str, sha256: str | None) -> Path:
    local = find_local(name)
    if local is not None:
        return local
    remote = find_remote(name, sha256, again=True)
    if remote.is_here:
        try:
            check_hash(remote.file, remote.sha256)
        except ModelFileError as error:
            print_line(f"{error}; downloading again", err=True)
            return fetch_file(remote, replace=True)
    return fetch_file(remote)


def _find_known(name: str) -> RemoteFile:
    """Return the file on the web that a name stands for, without asking for it there."""
    if is_source(name):
        remote = find_downloaded(name)
        if remote is None:
            raise ModelFileError(f"{name}: is not downloaded")
        return remote
    try:
        return find_remote(name)
    except ModelFileError:
        local = find_local(name)
        if local is None:
            raise
        raise ModelFileError(f"{name}: expected a downloaded model, got {local}") from None


def _list_downloaded() -> list[RemoteFile]:
    listed = [entry.remote for entry in list_catalogue() if entry.is_downloaded]
    return [*listed, *list_recorded()]


@contextmanager
def _report_errors() -> Iterator[None]:
    """Print what a user can fix, and end with exit code 2."""
    try:
        with raise_stop_signals():
            yield
    except UserError as error:
        print_line(f"error: {error}", err=True)
        raise typer.Exit(2) from None
    except KeyboardInterrupt as stop:
        raise typer.Exit(get_exit_code(stop)) from None


def main(arguments: Sequence[str] | None = None) -> None:
    """Entry point of sr-models."""
    app(args=arguments)
