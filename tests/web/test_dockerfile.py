"""The Dockerfile, as far as it can be checked without building it."""

import json
import re
from pathlib import Path

import pytest
import typer

from sr.web.main import app


@pytest.fixture
def steps(repository: Path) -> list[tuple[str, str]]:
    """The instructions with their arguments, comments and line ends removed."""
    text = (repository / "Dockerfile").read_text(encoding="utf-8")
    text = re.sub(r"^#.*\n", "", text, flags=re.MULTILINE).replace("\\\n", " ")
    lines = [line for line in text.splitlines() if line.strip()]
    return [(name, more) for name, _, more in (line.partition(" ") for line in lines)]


def test_each_line_is_an_instruction_and_the_program_runs_without_rights(
    steps: list[tuple[str, str]],
) -> None:
    known = {"FROM", "ARG", "RUN", "WORKDIR", "COPY", "USER", "ENV", "VOLUME", "EXPOSE"}
    names = [name for name, _ in steps]
    assert set(names) <= known | {"HEALTHCHECK", "ENTRYPOINT", "CMD"}
    assert [more for name, more in steps if name == "USER"] == ["sr"]
    assert "RUN" not in names[names.index("USER") :]


def test_what_is_copied_is_there_and_not_ignored(
    steps: list[tuple[str, str]], repository: Path
) -> None:
    ignored = (repository / ".dockerignore").read_text(encoding="utf-8").splitlines()
    sources = [each for name, more in steps if name == "COPY" for each in more.split()[:-1]]
    assert sources
    for source in sources:
        path = source.removeprefix("./")
        assert (repository / path).exists()
        assert f"!{path}" in ignored


def test_the_program_and_its_options_exist(steps: list[tuple[str, str]], repository: Path) -> None:
    (entry,) = (json.loads(more) for name, more in steps if name == "ENTRYPOINT")
    (arguments,) = (json.loads(more) for name, more in steps if name == "CMD")
    assert f"{entry[0]} = sr.web.main:main" in (repository / "setup.cfg").read_text("utf-8")
    options = {each for option in typer.main.get_command(app).params for each in option.opts}
    assert {each for each in arguments if each.startswith("--")} <= options
    document = (repository / "docs" / "web.md").read_text(encoding="utf-8")
    for secret in (each for each in arguments if each.startswith("/run/secrets/")):
        assert f"secrets/{Path(secret).name}" in document
