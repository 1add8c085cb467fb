"""What the documents name exists: files, headings, option files, options, bundled models."""

import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import pytest
import typer

from sr.cli import convert, data, infer, info, models, train
from sr.models.bundled import BUNDLED
from sr.models.catalogue import list_catalogue, list_recommended
from sr.options.load import load_options
from sr.web import main as web

ROOT = Path(__file__).resolve().parents[1]
PATTERNS = (
    "*.md",
    "docs/*.md",
    "datasets/*.md",
    "datasets/samples/*.md",
    "benchmarks/**/*.md",
    "examples/*.md",
    "sr/weights/*.md",
)
DOCUMENTS = sorted({path for pattern in PATTERNS for path in ROOT.glob(pattern)})
PROGRAMS = {
    "infer.py": infer.make_app(),
    "sr-infer": infer.make_app(),
    "train.py": train.app,
    "sr-train": train.app,
    "sr-info": info.app,
    "sr-convert": convert.app,
    "sr-data": data.app,
    "sr-models": models.app,
    "sr-web": web.app,
}
EXAMPLE = "ESPCN"  # the network that docs/contributing.md adds
# Options of BasicSR, torchrun and Slurm.
OTHERS = {"--force_yml", "--local-rank", "--node-rank", "--array", "--signal"}
Command = tuple[str, list[str]]


def each_document() -> pytest.MarkDecorator:
    names = [path.relative_to(ROOT).as_posix() for path in DOCUMENTS]
    return pytest.mark.parametrize("document", DOCUMENTS, ids=names)


def code_and_text(document: Path) -> tuple[list[str], list[str]]:
    """Lines between fences, and the others."""
    code: list[str] = []
    text: list[str] = []
    inside = False
    for line in document.read_text(encoding="utf-8").splitlines():
        if line.startswith("```"):
            inside = not inside
        else:
            (code if inside else text).append(line)
    assert not inside, f"{document}: a fence is not closed"
    return code, text


def anchors(document: Path) -> set[str]:
    """Of the headings, as GitHub makes them."""
    found: list[str] = []
    for line in code_and_text(document)[1]:
        heading = re.fullmatch(r"#{1,6} (.*)", line)
        if heading is not None:
            shown = re.sub(r"\[([^]]*)\]\([^)]*\)", r"\1", heading[1])
            found.append(re.sub(r"[^\w\- ]", "", shown.strip().lower()).replace(" ", "-"))
    doubled = [f"{slug}-{found[:place].count(slug)}" for place, slug in enumerate(found)]
    return {slug.removesuffix("-0") for slug in doubled}


def links(document: Path) -> Iterator[str]:
    text = "\n".join(code_and_text(document)[1])
    text = re.sub(r"`[^`]*`", "code", text)
    yield from re.findall(r"\]\(([^)\s]+)\)", text)


def commands(document: Path) -> Iterator[Command]:
    """Programs of ours in code blocks, with their arguments up to a pipe."""
    code = "\n".join(code_and_text(document)[0]).replace("\\\n", " ")
    for line in code.splitlines():
        try:
            words = shlex.split(line, comments=True)
        except ValueError:
            continue  # no command
        for number, word in enumerate(words):
            if Path(word).name in PROGRAMS:
                arguments = words[number + 1 :]
                ends = [arguments.index(end) for end in ("|", ">", "&&") if end in arguments]
                yield Path(word).name, arguments[: min(ends, default=None)]
                break


def options_of(program: str) -> set[str]:
    command = typer.main.get_command(PROGRAMS[program])
    parts = [command, *getattr(command, "commands", {}).values()]
    return {name for part in parts for parameter in part.params for name in parameter.opts}


def test_there_are_documents_with_commands() -> None:
    assert {"README.md", "docs/faq.md", "docs/options.md"} <= {
        path.relative_to(ROOT).as_posix() for path in DOCUMENTS
    }
    assert sum(1 for document in DOCUMENTS for _ in commands(document)) > 30


@each_document()
def test_every_link_leads_somewhere(document: Path) -> None:
    faults = []
    for link in links(document):
        if re.match(r"[a-z]+:", link):
            continue  # of the web, which tests do not ask
        path, _, anchor = link.partition("#")
        target = (document.parent / path).resolve() if path else document
        if not target.exists():
            faults.append(f"{link}: no such file")
        elif anchor and anchor not in anchors(target):
            faults.append(f"{link}: no such heading")
    assert not faults


@each_document()
def test_every_option_of_a_command_exists(document: Path) -> None:
    faults = [
        f"{program} {word}"
        for program, arguments in commands(document)
        for word in arguments
        if re.match(r"--?[a-z]", word) and word.partition("=")[0] not in options_of(program)
    ]
    assert not faults


@each_document()
def test_every_option_in_a_sentence_exists(document: Path) -> None:
    if document.is_relative_to(ROOT / "benchmarks"):
        return  # whose scripts have options of their own
    ours = set().union(*(options_of(program) for program in PROGRAMS))
    named = re.findall(r"`(--[a-z][\w-]*)", "\n".join(code_and_text(document)[1]))
    assert set(named) <= ours | OTHERS


@each_document()
def test_every_option_file_loads_with_what_replaces_its_options(document: Path) -> None:
    for program, arguments in commands(document):
        words = " ".join(arguments)
        if program not in ("train.py", "sr-train") or "..." in words or EXAMPLE in words:
            continue
        file = arguments[arguments.index("-opt") + 1]
        if file != "FILE":
            load_options(ROOT / file, [word for word in arguments if "=" in word])


@each_document()
def test_every_file_of_the_repository_that_is_named_exists(document: Path) -> None:
    names = re.findall(
        r"(?<![\w/.])(?:options/train|examples|benchmarks|sr)/[\w./-]*\.(?:yml|py|sh|md)",
        document.read_text(encoding="utf-8"),
    )
    missing = [name for name in names if not (ROOT / name).exists()]
    assert not [name for name in missing if EXAMPLE.lower() not in name]


@each_document()
def test_every_model_that_is_named_exists(document: Path) -> None:
    listed = {entry.name for entry in list_catalogue()}
    known = {"auto", *(bundled.name for bundled in BUNDLED), *listed, *list_recommended()}
    for program, arguments in commands(document):
        if program == "infer.py" and "-m" in arguments:
            model = arguments[arguments.index("-m") + 1]
            assert "." in model or ":" in model or model in known, f"-m {model}"
