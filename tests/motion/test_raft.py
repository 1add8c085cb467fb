import pickle
import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor, nn
from torchvision.models.optical_flow import Raft_Small_Weights, raft_small

from sr.build import build_flow
from sr.motion import raft
from sr.motion.methods import RGB8
from sr.motion.raft import RAFT
from sr.options.flow import RAFTOptions

Moved = Callable[..., RGB8]

CPU = torch.device("cpu")
RIGHT, DOWN = 16.0, -8.0


def random_weights(seed: int = 0) -> dict[str, Tensor]:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network: nn.Module = raft_small(weights=None)
    return network.state_dict()


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Random weights of raft_small."""
    path = tmp_path_factory.mktemp("raft") / "small.pth"
    torch.save(random_weights(), path)
    return path


class Constant(nn.Module):
    """In the network's place: the same flow everywhere, and what it was given."""

    def forward(self, a: Tensor, b: Tensor, num_flow_updates: int) -> list[Tensor]:
        self.given = a, b
        flow = torch.tensor([RIGHT, DOWN]).view(1, 2, 1, 1).expand(1, 2, *a.shape[-2:])
        return [0 * flow] * (num_flow_updates - 1) + [flow]


def test_flow_of_small_frames_has_their_size_and_is_the_same_each_time(
    path: Path, moved: Moved
) -> None:
    method = RAFT("small", path, CPU)
    a, b = moved(0, 0), moved(2, 1)
    flow = method(a, b)
    assert flow.shape == (64, 112, 2)
    assert flow.dtype == np.float32
    assert np.isfinite(flow).all()
    assert flow.any()
    assert np.array_equal(method(a, b), flow)
    assert not np.array_equal(method(b, a), flow)


def test_it_runs_in_full_fp32_whatever_other_threads_do(path: Path, moved: Moved) -> None:
    class Watching(Constant):
        def forward(self, a: Tensor, b: Tensor, num_flow_updates: int) -> list[Tensor]:
            self.precision = torch.backends.cudnn.conv.fp32_precision  # type: ignore[attr-defined]
            return super().forward(a, b, num_flow_updates)

    method = RAFT("small", path, CPU)
    method.network = network = Watching()
    method(moved(0, 0), moved(2, 1))
    assert network.precision == "ieee"


@pytest.mark.parametrize(
    ("size", "factor", "given"),
    [
        ((64, 112), 2, (128, 224)),
        ((144, 180), 1, (144, 184)),
        ((127, 200), 2, (256, 400)),
        ((129, 128), 1, (136, 128)),
        ((30, 43), 5, (152, 216)),
        ((4, 50), 8, (128, 400)),
        ((1, 1), 8, (128, 128)),
    ],
)
def test_frames_are_enlarged_and_flow_counts_in_their_own_pixels(
    size: tuple[int, int], factor: int, given: tuple[int, int], path: Path
) -> None:
    method = RAFT("small", path, CPU)
    method.network = network = Constant()
    frame = np.full((*size, 3), 255, np.uint8)
    flow = method(frame, np.zeros_like(frame))
    assert flow.shape == (*size, 2)
    assert np.array_equal(flow[..., 0], np.full(size, RIGHT / factor, np.float32))
    assert np.array_equal(flow[..., 1], np.full(size, DOWN / factor, np.float32))
    a, b = network.given
    assert a.shape == b.shape == (1, 3, *given)
    assert torch.allclose(a, torch.ones(()))
    assert torch.allclose(b, -torch.ones(()))


def test_what_the_network_finds_at_a_place_is_the_flow_there(path: Path) -> None:
    class Brightness(nn.Module):
        """Flow that is red and green of the first frame."""

        def forward(self, a: Tensor, _b: Tensor, num_flow_updates: int) -> list[Tensor]:
            return [a[:, :2]] * num_flow_updates

    method = RAFT("small", path, CPU)
    method.network = Brightness()
    rows, columns = np.mgrid[:64, :112]
    ramps = np.stack([2 * columns, 255 - 3 * rows, 0 * rows], axis=-1).astype(np.uint8)
    flow = 2 * method(ramps, ramps)  # enlarged by 2, flow divided by it
    expected = ramps[..., :2] / 127.5 - 1
    assert np.abs(flow - expected)[3:-3, 3:-3].max() < 1e-5
    assert np.abs(flow - expected).max() < 0.01


@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
def test_weights_come_from_files_of_torch_and_safetensors(suffix: str, tmp_path: Path) -> None:
    weights = random_weights(seed=2)
    save = torch.save if suffix == ".pth" else save_file
    save(weights, tmp_path / f"small{suffix}")
    network = RAFT("small", tmp_path / f"small{suffix}", CPU).network
    assert network is not None
    found = network.state_dict()
    assert all(torch.equal(found[name], weights[name]) for name in weights)
    assert not network.training


def test_the_name_differs_by_size_and_weights(path: Path, tmp_path: Path) -> None:
    copy, other = tmp_path / "copy.pth", tmp_path / "other.pth"
    copy.write_bytes(path.read_bytes())
    torch.save(random_weights(seed=1), other)
    name = RAFT("small", path, CPU).name
    assert re.match(r"RAFT small \(SHA-256 [0-9a-f]{16}, ", name)
    assert RAFT("small", copy, CPU).name == name
    assert RAFT("small", other, CPU).name != name


def test_weights_that_do_not_fit_are_refused(path: Path, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=f"RAFT large: {re.escape(str(path))}: expected torchvis"):
        RAFT("large", path, CPU)
    weights = random_weights()
    first = next(iter(weights))
    cases = {
        f"{first} is missing": {name: weights[name] for name in weights if name != first},
        "head.bias is not of this network": {**weights, "head.bias": torch.zeros(3)},
        rf"{first} has shape \(2, 3\), expected": {**weights, first: torch.zeros(2, 3)},
    }
    for fault, broken in cases.items():
        torch.save(broken, tmp_path / "broken.pth")
        with pytest.raises(ValueError, match=fault):
            RAFT("small", tmp_path / "broken.pth", CPU)


def test_a_file_that_is_no_weights_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no such model file"):
        RAFT("small", tmp_path / "small.pth", CPU)
    (tmp_path / "small.pth").write_bytes(b"flow")
    with pytest.raises(ValueError, match=re.escape(str(tmp_path / "small.pth"))):
        RAFT("small", tmp_path / "small.pth", CPU)


def test_without_a_connection_the_error_says_what_to_do(no_connection: Path) -> None:
    expected = (
        f"RAFT small: .*{re.escape(str(no_connection))}.*raft_small.*no route.*`weights: PATH`"
    )
    with pytest.raises(ValueError, match=expected):
        build_flow(RAFTOptions(type="RAFT"), CPU)


def test_options_become_raft(path: Path) -> None:
    method = build_flow(RAFTOptions(type="RAFT", weights=path), CPU)
    assert isinstance(method, RAFT)
    assert method.name == RAFT("small", path, CPU).name


@pytest.mark.parametrize("shift", [(2.0, 1.0), (-1.5, 0.5)])
def test_with_torchvisions_weights_a_moved_scene_gives_the_shift(
    shift: tuple[float, float], moved: Moved
) -> None:
    name = Raft_Small_Weights.DEFAULT.url.rpartition("/")[2]
    if not (Path(torch.hub.get_dir()) / "checkpoints" / name).is_file():
        pytest.skip(f"{name} is not in torch's cache; RAFT downloads it on first use")
    method = RAFT("small", "torchvision", CPU)
    forward = method(moved(0, 0), moved(*shift))
    backward = method(moved(*shift), moved(0, 0))
    inside = (slice(10, -10), slice(10, -10))
    assert np.abs(forward[inside] - shift).mean() < 0.2
    assert np.abs(backward[inside] + shift).mean() < 0.2


def test_worker_processes_get_no_weights_and_load_them_when_they_measure_flow(
    path: Path, moved: Moved
) -> None:
    method, (a, b) = RAFT("small", path, CPU), (moved(0, 0), moved(2, 1))
    pickled = pickle.dumps(method)
    assert len(pickled) < 2000
    copy: RAFT = pickle.loads(pickled)  # noqa: S301, our own
    assert copy.network is None
    assert copy.name == method.name
    assert np.array_equal(copy(a, b), method(a, b))


@pytest.mark.parametrize("kind", ["cuda", "cpu"])
def test_threads_use_a_gpu_in_turn_and_the_cpu_together(
    kind: str, path: Path, moved: Moved, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Watching(Constant):
        def forward(self, a: Tensor, b: Tensor, num_flow_updates: int) -> list[Tensor]:
            self.in_turn = method._gpu_lock.locked()
            return super().forward(a, b, num_flow_updates)

    prepare = raft._prepare
    monkeypatch.setattr(raft, "_prepare", lambda frame, factor, _: prepare(frame, factor, CPU))
    method = RAFT("small", path, CPU)
    method.network = network = Watching()
    method.device = torch.device(kind)
    method(moved(0, 0), moved(2, 1))
    assert network.in_turn is (kind == "cuda")
