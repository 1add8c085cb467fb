"""The script that counts functions of sr, and its hook."""

import importlib.util
import threading
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest


@pytest.fixture
def call_path(repository: Path) -> ModuleType:
    path = repository / "benchmarks" / "call_path.py"
    spec = importlib.util.spec_from_file_location("call_path", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.slow
def test_the_chain_of_an_image_leads_from_the_command_line_to_the_network(
    call_path: ModuleType, repository: Path
) -> None:
    result: dict[str, Any] = call_path.measure_run("image", repository)
    assert result["chain"][0] == "cli/infer.py:main"
    assert result["chain"][-1] == "networks/span.py:SPAN.forward"
    assert set(result["chain"]) <= set(result["functions"])
    assert "sr.networks.span.SPAN" in result["types"]
    assert "networks/span.py" in result["files"]
    text = call_path.format_tables({"image": result})
    assert f"| one image of 200x150, no tiles | {len(result['functions'])} |" in text
    assert f"{len(result['chain'])}. `networks/span.py:SPAN.forward`" in text


def test_calls_in_threads_count_and_their_chain_begins_where_they_were_started(
    call_path: ModuleType, tmp_path: Path
) -> None:
    def define(name: str, code: str) -> dict[str, Any]:
        names: dict[str, Any] = {}
        exec(compile(code, str(tmp_path / name), "exec"), names)  # noqa: S102  # of this test
        return names

    forward = define("networks/net.py", "def forward(): pass")["forward"]
    start = define("main.py", "def start(thread): thread.start()")["start"]
    thread = threading.Thread(target=forward)
    recorder = call_path.Recorder(tmp_path)
    stop = recorder.start()
    try:
        start(thread)
        thread.join()
    finally:
        stop()
    assert recorder.chain == ["main.py:start", "networks/net.py:forward"]
    assert recorder.functions == set(recorder.chain)
