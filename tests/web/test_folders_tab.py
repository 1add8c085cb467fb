import asyncio
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("gradio")

import gradio

from sr.web.application import make_application
from sr.web.folders_tab import FoldersTab
from sr.web.settings import Settings


def test_a_path_out_of_the_folders_is_not_looked_at(settings: Settings, tmp_path: Path) -> None:
    (tmp_path / "secret").mkdir()
    (settings.folders.folders[0] / "in").mkdir()
    (settings.folders.folders[0] / "in" / "a.png").write_bytes(b"")

    def refuse() -> Any:
        raise AssertionError

    async def make() -> (
        FoldersTab
    ):  # gradio makes an event loop, and leaves it, where there is none
        with gradio.Blocks():
            return FoldersTab(make_application(settings, refuse))

    tab = asyncio.run(make())
    updates = tab._add("a.png", str(tmp_path / "secret"))
    assert "expected a path in" in updates[tab.message]
    assert tab.inputs not in updates
    folder = str(settings.folders.folders[0] / "in")
    updates = tab._add("", folder)
    assert updates[tab.inputs] == folder
    assert ("a.png", f"{folder}/a.png") in updates[tab.browse]["choices"]
