"""Networks that see several frames: files of train.py and published ones, described, converted."""

from pathlib import Path
from typing import Any

import pytest
import torch

from sr.device import DeviceError
from sr.errors import ModelFileError
from sr.io.model_file import read_model_file, write_model_file
from sr.models.backends import use_backend
from sr.models.clip_metadata import FLOWS, parse_flow, read_window
from sr.models.convert import convert_model
from sr.models.describe import describe_model
from sr.models.initial_weights import load_initial_weights
from sr.models.load import load_generator
from sr.motion.frame_window import Window
from sr.networks.packed_window import PackedWindow
from sr.networks.rbpn import RBPN
from sr.options.flow import DISOptions, FarnebackOptions, RAFTOptions
from sr.options.generator import RBPNOptions

OPTIONS = {
    "type": "RBPN",
    "num_shallow_features": 6,
    "num_features": 4,
    "num_stages": 1,
    "num_res_blocks": 1,
    "num_frames": 3,
    "bicubic_skip": False,
}
CLIPS = {
    "offsets": [1, -1],
    "edge": "reflect",
    "alignment": "nearest",
    "flow": {"type": "Farneback"},
}


def tiny() -> RBPN:
    torch.manual_seed(0)
    return RBPN(2, 6, 4, 1, 1, 3).eval()


def ours(folder: Path, **metadata: Any) -> Path:
    """A file as train.py writes it. metadata: a value of None leaves the key out."""
    path = folder / "rbpn.safetensors"
    known = {"generator": OPTIONS, "scale": 2, "receptive_radius": 13, "clips": CLIPS, **metadata}
    kept = {key: value for key, value in known.items() if value is not None}
    write_model_file(path, tiny().state_dict(), kept)
    return path


def theirs(folder: Path, prefix: str = "module.") -> Path:
    path = folder / "netG.pth"
    torch.save({prefix + name: tensor for name, tensor in tiny().state_dict().items()}, path)
    return path


def assert_is_tiny(network: torch.nn.Module) -> None:
    assert isinstance(network, PackedWindow)
    window = torch.rand(1, network.num_channels, 7, 9)
    with torch.no_grad():
        assert torch.equal(network(window), PackedWindow(tiny())(window))


def test_a_file_has_its_window(tmp_path: Path) -> None:
    loaded = load_generator(ours(tmp_path))
    assert loaded.window == Window((1, -1), "reflect", "nearest")
    assert loaded.flow == FarnebackOptions(type="Farneback")
    assert (loaded.scale, loaded.receptive_radius, loaded.num_channels) == (2, 13, 13)
    assert loaded.architecture == "RBPN"
    assert_is_tiny(loaded.network)


def test_published_weights_are_detected_and_have_the_published_window(tmp_path: Path) -> None:
    loaded = load_generator(theirs(tmp_path))
    assert loaded.window == Window((-1, 1), "reference", "none")
    assert loaded.flow == DISOptions(type="DIS")
    assert loaded.metadata["generator"] == OPTIONS
    assert loaded.receptive_radius == 13  # of the same depth, measured
    assert_is_tiny(loaded.network)


def test_published_weights_that_do_not_fit_are_refused(tmp_path: Path) -> None:
    weights = tiny().state_dict()
    del weights["res_feat3.0.conv1.bias"]
    path = tmp_path / "odd.pth"
    torch.save(weights, path)
    with pytest.raises(ModelFileError, match=r"(?s)odd\.pth: it looks like RBPN x2.*res_feat3"):
        load_generator(path)


@pytest.mark.parametrize(
    ("clips", "message"),
    [
        (None, "expected `clips`"),
        ("yes", "expected `clips`.*got 'yes'"),
        ({**CLIPS, "offsets": [-1, 1, 2]}, r"2 different numbers.*3 frames, got \[-1, 1, 2\]"),
        ({**CLIPS, "offsets": [0, 1]}, r"other than 0.*got \[0, 1\]"),
        ({**CLIPS, "offsets": [1, 1]}, r"got \[1, 1\]"),
        ({**CLIPS, "offsets": [1, 1000]}, "clips:.*offsets"),
        ({**CLIPS, "edge": "wrap"}, "clips:.*edge"),
        ({**CLIPS, "alignment": None}, "clips:.*alignment"),
        ({**CLIPS, "flow": {"type": "guess"}}, "clips:.*flow"),
        ({**CLIPS, "order": "time"}, "clips:.*order"),
    ],
)
def test_a_window_that_is_missing_or_does_not_fit_is_refused(
    tmp_path: Path, clips: Any, message: str
) -> None:
    with pytest.raises(ModelFileError, match=r"(?s)rbpn\.safetensors: .*" + message):
        load_generator(ours(tmp_path, clips=clips))


def test_all_its_facts_are_listed(tmp_path: Path) -> None:
    metadata = describe_model(ours(tmp_path))
    assert metadata["frames"] == (
        "3: the reference, +1, -1; beyond ends and cuts: reflect; alignment: nearest; "
        "flow: Farneback"
    )
    assert metadata["parameters"] == f"{sum(x.numel() for x in tiny().parameters()):,}"
    assert float(metadata["cost"].split()[0]) > 0


def test_published_weights_become_a_file_of_ours_and_back(tmp_path: Path) -> None:
    convert_model(theirs(tmp_path), tmp_path / "a.safetensors")
    assert_is_tiny(load_generator(tmp_path / "a.safetensors").network)
    read = read_model_file(tmp_path / "a.safetensors")
    assert read.metadata["clips"]["offsets"] == [-1, 1]
    assert set(read.state_dict) == set(tiny().state_dict())
    convert_model(tmp_path / "a.safetensors", tmp_path / "b.pth")
    assert_is_tiny(load_generator(tmp_path / "b.pth").network)


def test_what_weights_alone_cannot_hold_is_refused_as_pth(tmp_path: Path) -> None:
    with pytest.raises(ModelFileError, match=r"b\.pth: .*reflect.* cannot be detected"):
        convert_model(ours(tmp_path), tmp_path / "b.pth")
    convert_model(ours(tmp_path), tmp_path / "b.safetensors")
    assert load_generator(tmp_path / "b.safetensors").window is not None


def test_other_runtimes_are_refused(tmp_path: Path) -> None:
    path = ours(tmp_path)
    with pytest.raises(ModelFileError, match=r"b\.onnx: RBPN takes several frames"):
        convert_model(path, tmp_path / "b.onnx")
    generator = load_generator(path)
    for backend in ("onnxruntime", "openvino", "ncnn"):
        with pytest.raises(ModelFileError, match=f"backend {backend}: RBPN takes several frames"):
            use_backend(generator, backend, device=torch.device("cpu"), precision=torch.float32)
    with pytest.raises(DeviceError, match="backend: expected"):
        use_backend(generator, "tvm", device=torch.device("cpu"), precision=torch.float32)


def test_flows_go_by_name_or_by_a_file_of_weights(tmp_path: Path) -> None:
    assert parse_flow("dis") == DISOptions(type="DIS")
    assert parse_flow("raft") == RAFTOptions(type="RAFT", size="small", weights="torchvision")
    weights = tmp_path / "raft.pth"
    weights.touch()
    assert parse_flow(str(weights)) == RAFTOptions(type="RAFT", weights=weights)
    with pytest.raises(ValueError, match=f"expected auto, {', '.join(FLOWS)} or a file.*none.pth"):
        parse_flow(str(tmp_path / "none.pth"))


def test_any_number_of_frames_that_fits_is_taken() -> None:
    clips = {**CLIPS, "offsets": [-4, -2, 2, 4]}
    assert read_window({"clips": clips}, num_frames=5)[0].radius == 4


def test_initial_weights_that_learned_with_other_neighbors_are_refused(tmp_path: Path) -> None:
    path, network = ours(tmp_path), tiny()
    options = RBPNOptions.model_validate(OPTIONS)
    load_initial_weights(network, path, options, 2, {**CLIPS, "flow": {"type": "DIS"}})
    for name, value in (("offsets", [-1, 1]), ("edge", "reference"), ("alignment", "none")):
        with pytest.raises(ModelFileError, match=f"learned with {name} .*datasets.window, got"):
            load_initial_weights(network, path, options, 2, {**CLIPS, name: value})
