"""ncnn programs of others: run as they are, on the CPU and by Vulkan, or refused."""

import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from helpers.ncnn_files import BIAS, LINES, WEIGHT, compute, pack_weights, write_program

from sr.device import DeviceError
from sr.errors import ModelFileError
from sr.models.backends import use_backend
from sr.models.convert import convert_model
from sr.models.describe import describe_model
from sr.models.load import load_generator
from sr.models.loaded_model import LoadedGenerator
from sr.models.ncnn_network import NcnnNetwork
from sr.tiling.upscaler import Upscaler
from sr.vulkan import MissingNcnnError

pytest.importorskip("ncnn")

CPU = torch.device("cpu")
SIZES = ((1, 3, 1, 2), (1, 3, 7, 11), (2, 3, 24, 32), (1, 3, 40, 17))


@pytest.fixture
def param(tmp_path: Path) -> Path:
    return write_program(tmp_path / "double.param")


def make_upscaler(
    loaded: LoadedGenerator,
    device: torch.device,
    dtype: torch.dtype = torch.float32,
    *,
    tile_size: int = 0,
    on_warning: Callable[[str], None] | None = None,
) -> Upscaler:
    return Upscaler(
        loaded.network,
        scale=loaded.scale,
        halo=loaded.receptive_radius,
        tile_size=tile_size,
        device=CPU,
        network_device=device,
        dtype=dtype,
        on_warning=on_warning,
    )


def draw(*size: int) -> torch.Tensor:
    return torch.rand(size, generator=torch.Generator().manual_seed(1))


def test_a_program_computes_what_its_layers_say_at_every_size(param: Path) -> None:
    loaded = load_generator(param)
    assert (loaded.scale, loaded.receptive_radius, loaded.tiling) == (2, 1, "exact")
    for size in SIZES:
        lr = draw(*size)
        torch.testing.assert_close(loaded.network(lr), compute(lr), rtol=0, atol=1e-5)


def test_it_is_found_by_either_of_its_files(param: Path) -> None:
    assert load_generator(param.with_suffix(".bin")).scale == 2


def test_it_runs_by_vulkan(param: Path, vulkan: torch.device) -> None:
    loaded = use_backend(load_generator(param), "ncnn", device=vulkan, precision=torch.float32)
    for size in SIZES:
        lr = draw(*size)
        torch.testing.assert_close(loaded.network(lr), compute(lr), rtol=0, atol=1e-5)


def test_half_precision_is_near_and_not_the_same(param: Path, half_vulkan: torch.device) -> None:
    loaded = use_backend(load_generator(param), "ncnn", device=half_vulkan, precision=torch.float16)
    lr = draw(1, 3, 32, 40)
    upscaler = make_upscaler(loaded, half_vulkan, torch.float16)
    error = upscaler(lr) - compute(lr)
    assert 1e-5 < error.abs().max() < 1e-2
    assert -10 * error.double().square().mean().log10() > 60  # dB
    assert upscaler.dtype == torch.float16


def test_what_overflows_in_half_precision_is_run_again_in_fp32(
    tmp_path: Path, half_vulkan: torch.device
) -> None:
    lines = [*LINES[:2], "BinaryOp x 1 1 b f 0=2 1=1 2=100000.0", *LINES[2:4]]
    lines += [LINES[4].replace(" b e ", " f g "), "BinaryOp y 1 1 g e 0=2 1=1 2=0.00001", LINES[5]]
    loaded = load_generator(write_program(tmp_path / "a.param", lines))
    with pytest.raises(ModelFileError, match="its result differs by"):
        use_backend(loaded, "ncnn", device=half_vulkan, precision=torch.float16)
    assert isinstance(loaded.network, NcnnNetwork)
    warnings: list[str] = []
    network = NcnnNetwork(loaded.network.pair, "a", device=half_vulkan.index)
    on_gpu = LoadedGenerator(network, 2, 1, "a", "test")
    upscaler = make_upscaler(on_gpu, half_vulkan, torch.float16, on_warning=warnings.append)
    lr = draw(1, 3, 24, 20)
    torch.testing.assert_close(upscaler(lr), compute(lr), rtol=0, atol=1e-4)
    assert upscaler.dtype == torch.float32
    (warning,) = warnings
    assert warning.startswith("in fp16 the network gives values that are not finite; from here on")
    assert warning.endswith("in fp32")


@pytest.mark.parametrize("where", ["cpu", "vulkan"])
def test_tiles_give_the_whole_image(
    where: str, param: Path, request: pytest.FixtureRequest
) -> None:
    device = CPU if where == "cpu" else request.getfixturevalue("vulkan")
    loaded = use_backend(load_generator(param), "ncnn", device=device, precision=torch.float32)
    lr = draw(1, 3, 33, 29)
    whole, tiles = (make_upscaler(loaded, device, tile_size=side)(lr) for side in (0, 9))
    torch.testing.assert_close(tiles, whole, rtol=0, atol=1e-5)


def test_what_is_too_large_for_one_buffer_is_cut(
    param: Path, vulkan: torch.device, monkeypatch: pytest.MonkeyPatch
) -> None:
    loaded = use_backend(load_generator(param), "ncnn", device=vulkan, precision=torch.float32)
    monkeypatch.setattr("sr.models.ncnn_network.MAX_BLOB_BYTES", 4 * 12 * 40 * 40)
    monkeypatch.setattr("sr.tiling.cut_batch.MIN_CORE_SIZE", 4)
    warnings: list[str] = []
    upscaler = make_upscaler(loaded, vulkan, on_warning=warnings.append)
    lr = draw(1, 3, 60, 40)
    torch.testing.assert_close(upscaler(lr), compute(lr), rtol=0, atol=1e-5)
    assert "not enough memory for a tile of 40x60 LR pixels" in warnings[0]


def test_memory_that_ncnn_could_not_get_is_reported(
    param: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Net:
        def create_extractor(self) -> "Net":
            return self

        def input(self, *_: object) -> int:
            return 0

        def extract(self, _: str) -> tuple[int, object]:
            return code, None

    network = load_generator(param).network
    monkeypatch.setattr(network, "_net", Net())
    code = -100
    with pytest.raises(MemoryError, match=r"ncnn: not enough memory for \(3, 8, 8\)"):
        network(draw(1, 3, 8, 8))
    code = -1
    with pytest.raises(RuntimeError, match=r"ncnn failed on \(3, 8, 8\), code -1"):
        network(draw(1, 3, 8, 8))


def test_tiles_are_as_large_as_memory_and_driver_allow(
    param: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    network = load_generator(param).network
    assert isinstance(network, NcnnNetwork)
    free = 0

    def choose(dtype: torch.dtype = torch.float32) -> int:
        return network.choose_tile_size(halo=5, multiple=4, dtype=dtype, share=0.5)

    monkeypatch.setattr(network, "_count_free_bytes", lambda: free)
    assert choose() == 32
    # 36 numbers and, in float32, 3 channels of the image and twice of the result.
    free = 2 * 2 * (4 * 36 + 4 * 3 * 9) * 110**2
    assert choose() == 100
    assert choose(torch.float16) > 100
    free = 2**40
    assert choose() == 512
    monkeypatch.setattr(network, "device", 0)
    assert choose() == 256
    monkeypatch.setattr("sr.models.ncnn_network.MAX_BLOB_BYTES", 4 * 12 * 110**2)
    assert choose() == 100


def test_float16_weights_are_read(tmp_path: Path) -> None:
    param = write_program(tmp_path / "a.param", weights=pack_weights(half=True))
    lr = draw(1, 3, 9, 9)
    expected = compute(lr, WEIGHT.half().float())
    torch.testing.assert_close(load_generator(param).network(lr), expected, rtol=0, atol=1e-5)


def test_it_is_described(param: Path) -> None:
    facts = describe_model(param)
    assert facts["network"] == "unnamed, 6 layers (ncnn)"
    assert facts["scale"] == "2"
    assert facts["parameters"] == str(WEIGHT.numel() + BIAS.numel())
    assert facts["receptive radius"] == "1 LR pixels"
    assert facts["precisions"] == "float32, float16"


def test_files_that_cannot_be_run_are_refused(param: Path) -> None:
    weights = param.with_suffix(".bin")
    weights.write_bytes(pack_weights()[:-8])
    with pytest.raises(ModelFileError, match=r"double\.bin: expected 1348 or more bytes .* 1340$"):
        load_generator(param)
    weights.unlink()
    with pytest.raises(ModelFileError, match=r"expected its weights next to it, in double\.bin"):
        load_generator(param)
    param.unlink()
    with pytest.raises(ModelFileError, match=r"double\.param: no such model file"):
        load_generator(param)


def test_a_result_that_is_not_as_stated_is_refused(
    param: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def forward(_: NcnnNetwork, lr: torch.Tensor) -> torch.Tensor:
        return lr

    monkeypatch.setattr(NcnnNetwork, "forward", forward)
    with pytest.raises(ModelFileError, match=r"double\.param: expected \(1, 3, 64, 64\) for 32"):
        load_generator(param)


def test_only_ncnn_runs_it_and_not_everywhere(param: Path) -> None:
    loaded = load_generator(param)
    with pytest.raises(ModelFileError, match="a program that only ncnn runs"):
        use_backend(loaded, "torch", device=CPU, precision=torch.float32)
    with pytest.raises(DeviceError, match="runs on vulkan or cpu, got device cuda"):
        use_backend(loaded, "ncnn", device=torch.device("cuda"), precision=torch.float32)
    with pytest.raises(ModelFileError, match="an ncnn program, which cannot be converted further"):
        convert_model(param, param.with_name("a.onnx"))


def test_without_the_extra_it_is_named(param: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ncnn", None)
    with pytest.raises(MissingNcnnError, match=r"\(ncnn is missing\): pip install -e '\.\[ncnn\]'"):
        load_generator(param)


def test_nothing_is_printed(
    param: Path, vulkan: torch.device, capfd: pytest.CaptureFixture[str]
) -> None:
    use_backend(load_generator(param), "ncnn", device=vulkan, precision=torch.float32)
    assert capfd.readouterr() == ("", "")
