"""The words of this project are those of the field: names, messages, comments and documents.

The lists are the left column of the glossary: names and words that were replaced by plainer ones.
"""

import ast
import io
import re
import tokenize
from collections.abc import Iterator
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
SOURCES = sorted((ROOT / "sr").rglob("*.py"))
DOCUMENTS = sorted(
    path
    for pattern in (
        "*.md",
        "docs/*.md",
        "datasets/**/*.md",
        "examples/*.md",
        "examples/*.sh",
        "benchmarks/README.md",
        "sr/weights/*.md",
        "options/**/*.yml",
        "examples/*.yml",
    )
    for path in ROOT.glob(pattern)
)
SCRIPTS = sorted(
    [
        ROOT / "train.py",
        ROOT / "infer.py",
        *ROOT.glob("benchmarks/*.py"),
        *ROOT.glob("examples/*.py"),
    ]
)

# Words that stand nowhere, neither alone nor within a name.
WORDS = re.compile(
    r"tell|tells|telling|told|heed|heeds|heeded|anew|besides?|came|mend|mends|mended|mending"
    r"|judges?|judged|judging|pictures?|colours?|coloured|colouring|greys?|greyscale"
    r"|neighbours?|neighbouring",
    re.IGNORECASE,
)
PHRASES = re.compile(r"by heart|watch over both|true to clean", re.IGNORECASE)
# Keys of option files, of the log's lines and of model files, which older files have.
# And libvips' name of 16-bit gray, and a key of older checkpoints.
KEYS = {"grey_probability", "max_colour_drift", "picture", "pictures", "grey16", "told"}

TYPES = {
    *("Making", "VideoMaking", "Request", "Running", "EncoderChoice"),
    *("Input", "Inputs", "Job", "Item", "Plan", "Checked", "Work", "VideoWork", "Outcome"),
    *("Trainee", "Trained", "Training", "Adversary", "Adversarial", "Update"),
    *("DeadTermError", "UnhealthyError", "ContractError", "Orientation", "Leaves"),
}
MODULES = {
    *("session", "job", "together", "background", "planes", "report", "loading", "target_size"),
    *("produce", "ahead", "encode", "journal", "pictures", "temporal", "part", "join", "track"),
    *("companions", "copying", "sound", "tags", "look", "contract", "timing", "expected"),
    *("opening", "damage", "span", "stills", "retime", "encoder_layout", "whole_file"),
    *("trainee", "parts", "prepare", "batches", "saving", "liveness", "health", "processes"),
    *("interruption", "check", "crop_and_flip", "degraded", "degrade", "degradation_plan"),
    *("moving_photos", "published", "community", "silence", "window", "loaded", "section"),
    *("reference", "library", "leaves", "utils", "common"),
}
FIELD_MODULES = {  # whose names are words of the field: a network, a loss, planes of YUV
    "networks/span.py",
    "losses/temporal.py",
    "io/video/pixels/planes.py",
}
FUNCTIONS = {
    *("do", "look_at", "feed", "finish", "around", "learns", "number", "begun_anew", "rating"),
    *("drawn", "forgiving", "identity_of", "some_names", "library"),
}
PARTICIPLES = re.compile(r"_*(?:[a-z]+ed|begun|drawn|given|known|made|shown|taken|written)(?:_|$)")
ED_VERBS = {"embed", "exceed", "feed", "need", "proceed", "seed", "speed"}


@cache
def parse(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


def words_of_names(name: str) -> list[str]:
    """`_tellEnd_of` -> tell, End, of."""
    return re.findall(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])", name)


def faults_in_text(text: str) -> list[str]:
    """Words and phrases of a text that others have replaced, each with what stands around it."""
    matches = [
        match
        for match in re.finditer(r"[A-Za-z]+", text)
        if WORDS.fullmatch(match[0]) and not _is_key(text, match)
    ]
    matches += PHRASES.finditer(text)
    return [" ".join(text[max(0, m.start() - 40) : m.end() + 20].split()) for m in matches]


def _is_key(text: str, match: re.Match[str]) -> bool:
    """The key itself, or a part of one, as code: `picture`, grey_probability."""
    return any(
        found.start() <= match.start() < found.end()
        for key in KEYS
        for found in re.finditer(f"(?<![A-Za-z_]){key}(?![A-Za-z_])", text)
        if "_" in key or text[found.start() - 1 : found.start()] in ("`", '"', "'")
    )


def names(tree: ast.AST) -> Iterator[tuple[int, str]]:
    """Names that a file defines, with their lines; those of libraries are not ours (`tell`)."""
    for node in ast.walk(tree):
        match node:
            case ast.FunctionDef(name=name) | ast.ClassDef(name=name) | ast.arg(arg=name):
                yield node.lineno, name
            case ast.Name(id=name, ctx=ast.Store()) | ast.Attribute(attr=name, ctx=ast.Store()):
                yield node.lineno, name
            case _:
                pass


def texts(path: Path) -> Iterator[tuple[int, str]]:
    """Comments and strings of a file, docstrings and parts of f-strings too, with their lines."""
    source = path.read_text(encoding="utf-8")
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type == tokenize.COMMENT:
            yield token.start[0], token.string
    for node in ast.walk(parse(path)):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node.lineno, node.value


def functions(tree: ast.AST) -> Iterator[ast.FunctionDef]:
    """Functions and methods; not properties and validators, which may state facts."""
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef):
            decorators = " ".join(ast.unparse(decorator) for decorator in node.decorator_list)
            if not re.search(r"property|\.setter|_validator", decorators):
                yield node


def assert_none(faults: list[str]) -> None:
    assert not faults, "\n" + "\n".join(faults)


def test_the_word_lists_find_what_they_are_for() -> None:
    assert faults_in_text("what is lost is told, in Pictures of a grey cat, by heart")
    assert len(faults_in_text("tell colour colours grey greyscale neighbours anew")) == 7
    assert not faults_in_text("color colors gray retell `picture` grey_probability sentence")
    assert words_of_names("_tell_HTTPEnd") == ["tell", "HTTP", "End"]
    assert PARTICIPLES.match("_checked_lossless")
    assert not PARTICIPLES.match("read_header")


def test_documents_use_words_of_the_field() -> None:
    assert_none(
        [
            f"{path.relative_to(ROOT)}: {fault}"
            for path in DOCUMENTS
            for fault in faults_in_text(path.read_text(encoding="utf-8"))
        ]
    )


def test_comments_docstrings_and_messages_use_words_of_the_field() -> None:
    assert_none(
        [
            f"{path.relative_to(ROOT)}:{line} {fault}"
            for path in [*SOURCES, *SCRIPTS]
            for line, text in texts(path)
            if text not in KEYS
            for fault in faults_in_text(text)
        ]
    )


def test_names_are_made_of_words_of_the_field() -> None:
    assert_none(
        [
            f"{path.relative_to(ROOT)}:{line} {name}"
            for path in [*SOURCES, *SCRIPTS]
            for line, name in names(parse(path))
            if name not in KEYS and any(WORDS.fullmatch(word) for word in words_of_names(name))
        ]
    )


def test_no_module_has_a_name_that_was_replaced() -> None:
    found = {path.relative_to(ROOT / "sr").as_posix() for path in SOURCES if path.stem in MODULES}
    assert found <= FIELD_MODULES, sorted(found - FIELD_MODULES)


def test_no_type_has_a_name_that_was_replaced() -> None:
    assert_none(
        [
            f"{path.relative_to(ROOT)}:{node.lineno} {node.name}"
            for path in SOURCES
            for node in ast.walk(parse(path))
            if isinstance(node, ast.ClassDef) and node.name.lstrip("_") in TYPES
        ]
    )


def test_no_function_has_a_name_that_was_replaced() -> None:
    assert_none(
        [
            f"{path.relative_to(ROOT)}:{node.lineno} {node.name}"
            for path in SOURCES
            for node in functions(parse(path))
            if node.name.lstrip("_") in FUNCTIONS
        ]
    )


def test_functions_are_named_by_verbs() -> None:
    """Neither by participles (`checked`, `opened_container`) nor as `x_of(y)`."""
    assert_none(
        [
            f"{path.relative_to(ROOT)}:{node.lineno} {node.name}"
            for path in SOURCES
            for node in functions(parse(path))
            if (PARTICIPLES.match(node.name) or node.name.endswith("_of"))
            and node.name.lstrip("_").split("_")[0] not in ED_VERBS
        ]
    )
