"""ONNX programs that conversion writes, and those that it refuses."""

from pathlib import Path

import pytest
import torch
from torch import nn

from sr.errors import ModelFileError
from sr.io.model_file import write_model_file
from sr.models import onnx_model
from sr.models.convert import convert_model
from sr.models.describe import describe_model
from sr.models.load import load_generator
from sr.networks.compact import Compact
from sr.networks.rlfn import RLFN
from sr.networks.rrdb import RRDBNet
from sr.networks.span import SPAN


@pytest.mark.parametrize("half", [False, True])
def test_an_onnx_file_computes_what_the_network_does(tmp_path: Path, half: bool) -> None:
    pytest.importorskip("onnxruntime")
    pytest.importorskip("onnxscript")
    network = Compact(4, 8, 2)
    options = {"type": "Compact", "num_features": 8, "num_convs": 2}
    ours = tmp_path / "ours.safetensors"
    write_model_file(ours, network.state_dict(), {"generator": options, "scale": 4})
    facts = convert_model(ours, tmp_path / "a.onnx", half=half)
    assert "onnxruntime's result differs from torch's by" in facts
    loaded = load_generator(tmp_path / "a.onnx")
    assert (loaded.scale, loaded.receptive_radius, loaded.architecture) == (4, 4, "Compact")
    lr = torch.rand(3, 3, 9, 14)
    with torch.no_grad():
        expected = network(lr)
    torch.testing.assert_close(loaded.network(lr), expected, rtol=0, atol=0.02 if half else 1e-5)
    described = describe_model(tmp_path / "a.onnx")
    assert described["network"] == "Compact (ONNX)"
    assert not {"parameters", "cost"} & set(described)
    for name in ("back.pth", "back.safetensors", "back.onnx"):
        with pytest.raises(ModelFileError, match=r"a\.onnx: an ONNX program, which cannot be"):
            convert_model(tmp_path / "a.onnx", tmp_path / name)
        assert not (tmp_path / name).exists()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("network", "multiple", "tiling"),
    [
        (RRDBNet(2, 4, 1, 2).eval(), 2, "exact"),
        (SPAN(2, 4, 1).eval(), 1, "exact"),
        (RLFN(2, 4, 1).eval(), 1, "discouraged"),
    ],
)
def test_an_onnx_file_takes_odd_sizes_also_of_networks_that_fold_fuse_or_pad(
    network: nn.Module, multiple: int, tiling: str, tmp_path: Path
) -> None:
    pytest.importorskip("onnxruntime")
    pytest.importorskip("onnxscript")
    torch.save(network.state_dict(), tmp_path / "a.pth")
    convert_model(tmp_path / "a.pth", tmp_path / "a.onnx")
    loaded = load_generator(tmp_path / "a.onnx")
    assert (loaded.size_multiple, loaded.tiling) == (multiple, tiling)
    for size in ((7, 11), (41, 32)):
        lr = torch.rand(1, 3, *size)
        with torch.no_grad():
            expected = network(lr)
        torch.testing.assert_close(loaded.network(lr), expected, rtol=0, atol=1e-5)


def test_a_network_whose_export_fixes_sizes_gives_no_onnx_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As windows of attention do; here it is a reshape to 32x32."""
    onnx = pytest.importorskip("onnx")
    pytest.importorskip("onnxruntime")
    pytest.importorskip("onnxscript")
    ends = [
        onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, [None, 3, None, None])
        for name in ("lr", "sr")
    ]
    size = onnx.helper.make_tensor("size", onnx.TensorProto.INT64, [4], [1, 3, 32, 32])
    node = onnx.helper.make_node("Reshape", ["lr", "size"], ["sr"])
    graph = onnx.helper.make_graph([node], "fixed", ends[:1], ends[1:], [size])
    opset = onnx.helper.make_opsetid("", 20)
    program = onnx.helper.make_model(graph, opset_imports=[opset], ir_version=9)
    monkeypatch.setattr(onnx_model, "export_onnx", lambda *_: program)
    torch.save(Compact(1, 4, 1).state_dict(), tmp_path / "a.pth")
    with pytest.raises(ModelFileError, match=r"a\.onnx: expected .* any size, .*as it is$"):
        convert_model(tmp_path / "a.pth", tmp_path / "a.onnx")
    assert not (tmp_path / "a.onnx").exists()


def write_identity(
    path: Path, shape: list[str | int], type_: int, metadata: dict[str, str] | None = None
) -> None:
    """An ONNX program that gives what it takes, of that shape and type of ONNX."""
    onnx = pytest.importorskip("onnx")
    pytest.importorskip("onnxruntime")
    pytest.importorskip("onnxscript")
    ends = [onnx.helper.make_tensor_value_info(name, type_, shape) for name in ("x", "y")]
    node = onnx.helper.make_node("Identity", ["x"], ["y"])
    graph = onnx.helper.make_graph([node], "identity", ends[:1], ends[1:])
    opset = onnx.helper.make_opsetid("", 20)
    program = onnx.helper.make_model(graph, opset_imports=[opset], ir_version=9)
    onnx.helper.set_model_props(program, metadata or {})
    onnx.save(program, path)


@pytest.mark.parametrize(
    ("shape", "type_", "fault"),
    [
        ([1, 3, 8, 8], 1, "expected a free height and width"),
        (["n", 3, "h"], 1, r"expected one input and one output \(N, 3, H, W\)"),
        (["n", 1, "h", "w"], 1, "expected 3 channels"),
        (["n", 3, "h", "w"], 2, r"got 3 of tensor\(uint8\)"),
        (["n", 3, "h", "w"], 16, r"got 3 of tensor\(bfloat16\)"),
    ],
)
def test_an_onnx_program_of_another_kind_is_refused(
    shape: list[str | int], type_: int, fault: str, tmp_path: Path
) -> None:
    write_identity(tmp_path / "a.onnx", shape, type_)
    with pytest.raises(ModelFileError, match=rf"a\.onnx: .*{fault}"):
        load_generator(tmp_path / "a.onnx")


@pytest.mark.parametrize("facts", ["{", "[]", '{"receptive_radius": -5}', '{"generator": "x"}'])
def test_odd_metadata_of_an_onnx_program_is_refused(facts: str, tmp_path: Path) -> None:
    write_identity(tmp_path / "a.onnx", ["n", 3, "h", "w"], 1, {"sr": facts})
    with pytest.raises(ModelFileError, match=r"a\.onnx: its metadata cannot be read"):
        load_generator(tmp_path / "a.onnx")


def test_a_broken_onnx_file_is_refused(tmp_path: Path) -> None:
    pytest.importorskip("onnxruntime")
    for content in (b"not a program", b""):
        (tmp_path / "a.onnx").write_bytes(content)
        with pytest.raises(ModelFileError, match=r"a\.onnx: "):
            load_generator(tmp_path / "a.onnx")
    with pytest.raises(ModelFileError, match="no such model file"):
        load_generator(tmp_path / "none.onnx")


@pytest.mark.parametrize("damaged", [b"hhh", b"Identity"])
def test_names_of_an_onnx_program_that_are_no_text_are_refused(
    damaged: bytes, tmp_path: Path
) -> None:
    path = tmp_path / "a.onnx"
    write_identity(path, ["n", 3, "hhh", "w"], 1)
    path.write_bytes(path.read_bytes().replace(damaged, b"\x8d" * len(damaged)))
    with pytest.raises(ModelFileError, match=r"a\.onnx: "):
        load_generator(path)
