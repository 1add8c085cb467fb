from pathlib import Path

import pytest

from sr.build import build_generator
from sr.cli import convert, info
from sr.io.model_file import write_model_file
from sr.options.generator import CompactOptions

RED = "\x1b]0;name\x07\x1b[31mred"


def test_metadata_and_names_are_shown_escaped(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    tiny = CompactOptions(type="Compact", num_features=4, num_convs=1)
    metadata = {"generator": tiny.model_dump(), "scale": 2, "training_data": RED, "licence": RED}
    path = tmp_path / "\x1b[31m.safetensors"
    write_model_file(path, build_generator(tiny, 2).state_dict(), metadata)
    with pytest.raises(SystemExit) as exit_:
        info.main([str(path)])
    shown = capsys.readouterr().out
    assert exit_.value.code == 0
    assert "\x1b" not in shown
    assert shown.count(r"\x1b[31mred") == 2
    assert r"\x1b[31m.safetensors" in shown


@pytest.mark.parametrize("command", [info.main, lambda names: convert.main([*names, "a.pth"])])
def test_messages_are_shown_escaped(
    command: object, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "\x1b[31m\n.safetensors"
    path.write_bytes(b"no model")
    assert callable(command)
    with pytest.raises(SystemExit) as exit_:
        command([str(path)])
    assert exit_.value.code == 2
    assert r"\x1b[31m\x0a.safetensors: expected" in capsys.readouterr().err
