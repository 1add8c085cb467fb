"""The command line of training data. What reads images is imported when there are some to read."""

import math
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from sr.cli.terminal import print_line, report_errors
from sr.errors import UserError

if TYPE_CHECKING:
    from sr.data.check_images import Survey
    from sr.data.prepare_images import Recipe

LISTED = 5  # findings of a kind on the terminal
OPTION_FILES = (".yml", ".yaml")
HELP = {"help_option_names": ["-h", "--help"]}

Report = Callable[[int, int], None]  # gets numbers of files: done, and in all

app = typer.Typer(
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",
    no_args_is_help=True,
    context_settings=HELP,
    help="Prepare training data. Exit codes: 0 success, 2 files or folders that cannot be used, a"
    " full disk, or another process in the same folder, 130 interrupted by Ctrl-C.",
)


@app.command(context_settings=HELP)
def prepare(
    inputs: Annotated[
        list[str],
        typer.Argument(
            metavar="OPTIONS.yml [KEY.SUB=VALUE...] | FOLDER...",
            help="Option file, whose training images are prepared at each size that it uses; or"
            " folders of HR images.",
        ),
    ],
    scale: Annotated[
        int, typer.Option(min=2, max=8, help="Scale of the LR images, for folders.")
    ] = 4,
    cache_folder: Annotated[
        Path,
        typer.Option(metavar="FOLDER", help="As datasets.cache_folder, for folders of images."),
    ] = Path("datasets/cache"),
    verify: Annotated[
        bool,
        typer.Option(
            "--verify", help="Read what was prepared before, and repeat it if it is damaged."
        ),
    ] = False,
) -> None:
    """Decode training images once for all runs, into the folder `images` of datasets.cache_folder.

    Training uses what is there, and maps it into memory; results are the same as without it. Files
    that were added or have changed are prepared by a repeated call, which also continues an
    interrupted one.
    """
    with report_errors():
        from sr.build_data import locate_prepared
        from sr.data.prepare_images import prepare_images
        from sr.data.sources import raise_faults

        recipes, cache_folder = _list_recipes(inputs, scale, cache_folder)
        folder = locate_prepared(cache_folder)
        with _show_progress("prepared") as report:
            done = prepare_images(recipes, folder, verify=verify, report=report)
        print_line(f"{folder}: {done.num_files} files prepared, {done.num_present} before")
        if verify:
            print_line(f"{done.num_damaged} images were damaged and have been repeated")
        if done.stale_bytes:
            print_line(
                f"{done.stale_bytes / 2**30:.1f} GiB are of files that are gone or have changed;"
                " to free them, delete the folder and prepare again"
            )
        raise_faults("images that cannot be prepared", done.faults)


def _list_recipes(
    inputs: Sequence[str], scale: int, cache_folder: Path
) -> tuple[list["Recipe"], Path]:
    """Return what is to be prepared, and the cache folder."""
    from sr.build_data import list_recipes
    from sr.data.hr_only import make_variants
    from sr.data.prepare_images import Recipe
    from sr.data.sources import list_images

    if Path(inputs[0]).suffix in OPTION_FILES:
        from sr.options.load import load_options

        options = load_options(Path(inputs[0]), inputs[1:])
        return list_recipes(options), options.datasets.cache_folder
    variants = make_variants(1.0, scale)
    images = list_images([Path(each) for each in inputs], ())
    return [Recipe(path, variants) for path in images], cache_folder


@app.command(context_settings=HELP)
def check(
    folders: Annotated[
        list[Path], typer.Argument(metavar="FOLDER...", help="Folders of HR images.")
    ],
    out: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", help="Write the images found to a list, for the option `exclude_list`."
        ),
    ] = None,
    min_side: Annotated[
        int, typer.Option(min=1, help="Small: a side below this many pixels (crop_size).")
    ] = 96,
    blur: Annotated[
        float,
        typer.Option(
            min=0,
            help="Blurred: the variance of the Laplacian (8-bit levels) is below this in 95 % of"
            " the blocks of 64 px.",
        ),
    ] = 30.0,
    flat: Annotated[
        float, typer.Option(min=0, help="Flat block: variance of the Laplacian below this.")
    ] = 5.0,
    flat_share: Annotated[
        float, typer.Option(min=0, max=1, help="Flat: a larger share of flat blocks.")
    ] = 0.9,
    near: Annotated[
        int,
        typer.Option(
            min=0,
            max=64,
            help="Near duplicates: at most so many of 64 bits of a hash differ.",
        ),
    ] = 3,
) -> None:
    """Find images that are unreadable, small, repeated, nearly repeated, blurred or flat.

    Of images that repeat each other the largest is not reported. Nothing is deleted.
    """
    with report_errors():
        from sr.data.check_images import Limits, check_images, format_exclude_list
        from sr.data.sources import list_images
        from sr.io.atomic_write import atomic_write

        images = list_images(folders, ())
        if out is not None and not out.parent.is_dir():
            raise UserError(f"{out}: cannot be written: {out.parent} is not a folder")
        with _show_progress("checked") as report:
            survey = check_images(images, Limits(min_side, blur, flat, flat_share, near), report)
        for line in _describe_survey(survey):
            print_line(line)
        if out is not None:
            try:
                with atomic_write(out) as temporary:
                    temporary.write_bytes(os.fsencode(format_exclude_list(survey)))
            except OSError as error:
                raise UserError(f"{out}: cannot be written: {error.strerror}") from error
            print_line(f"saved {out}")


@app.command("import-lmdb", context_settings=HELP)
def import_lmdb(
    source: Annotated[Path, typer.Argument(metavar="IN.lmdb", help="LMDB folder of BasicSR.")],
    folder: Annotated[Path, typer.Argument(metavar="FOLDER", help="Where the images are written.")],
) -> None:
    """Write the images of a BasicSR LMDB, with its meta_info.txt, into a folder, as they are.

    Needs the package lmdb, which the extra `basicsr` brings along. A repeated call continues an
    interrupted one.
    """
    with report_errors():
        from sr.data.import_lmdb import import_lmdb as write_images

        with _show_progress("imported") as report:
            written, present = write_images(source, folder, report)
        print_line(f"{folder}: {written} images written, {present} there before")


def _describe_survey(survey: "Survey") -> Iterator[str]:
    """Give a line on the images, and one on each kind of finding with the first images of it."""
    from sr.data.check_images import KINDS

    line = f"{survey.num_images} images"
    if survey.sizes:
        least, most = (choose(survey.sizes, key=math.prod) for choose in (min, max))
        line += f", {least[1]}x{least[0]} to {most[1]}x{most[0]} (width x height)"
    yield line
    for kind in KINDS:
        found = [finding for finding in survey.findings if finding.kind == kind]
        yield f"{kind}: {len(found)}"
        for finding in found[:LISTED]:
            yield f"  {finding.path}: {finding.detail}"
        if len(found) > LISTED:
            yield f"  ... and {len(found) - LISTED} more"
    left_out = {finding.path for finding in survey.findings}
    yield f"{survey.num_images - len(left_out)} images remain without these"


@contextmanager
def _show_progress(verb: str) -> Iterator[Report]:
    """Show a bar on stderr where that is a terminal; elsewhere nothing."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TimeRemainingColumn

    console = Console(stderr=True)
    columns = (verb, BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(
        *columns, console=console, disable=not console.is_terminal, transient=True
    ) as progress:
        bar = progress.add_task(verb)
        yield lambda done, total: progress.update(bar, completed=done, total=total)


def main(arguments: Sequence[str] | None = None) -> None:
    """Entry point of sr-data."""
    app(args=arguments)
