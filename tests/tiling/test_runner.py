"""The runner: what a precision cannot hold is computed in a wider one."""

import functools
import threading
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from sr.tiling.runner import CompileError, NetworkRunner, NumericError

CPU = torch.device("cpu")
FP16, BF16, FP32 = torch.float16, torch.bfloat16, torch.float32
CONV: Any = torch.backends.cudnn.conv  # type: ignore[attr-defined]


class Faulty(nn.Module):
    """Enlarges twice; in the given precisions one pixel of bright patches is `value`, or all."""

    def __init__(self, *dtypes: torch.dtype, value: float, everywhere: bool = False) -> None:
        super().__init__()
        self.dtypes = dtypes
        self.value = value
        self.everywhere = everywhere
        self.passes: list[torch.dtype] = []

    def forward(self, lr: Tensor) -> Tensor:
        reduced = torch.is_autocast_enabled("cpu")
        dtype = torch.get_autocast_dtype("cpu") if reduced else FP32
        self.passes.append(dtype)
        sr = lr.repeat_interleave(2, 2).repeat_interleave(2, 3)
        bright = lr.mean((1, 2, 3)) > 0.7
        if dtype in self.dtypes:
            if self.everywhere:
                sr[bright] = self.value
            else:
                sr[bright, 1, -1, 3] = self.value
        return sr.to(dtype)


def patches(*brightnesses: float) -> Tensor:
    generator = torch.Generator().manual_seed(0)
    noise = torch.rand(len(brightnesses), 3, 9, 11, generator=generator) * 0.2
    return noise + torch.tensor(brightnesses).view(-1, 1, 1, 1)


def runner(
    network: nn.Module, dtype: torch.dtype, warnings: list[str], compiled: bool = False
) -> NetworkRunner:
    return NetworkRunner(
        network,
        scale=2,
        device=CPU,
        dtype=dtype,
        compiled=compiled,
        on_warning=warnings.append,
    )


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
@pytest.mark.parametrize(
    ("dtype", "bad", "good"),
    [
        (FP16, [FP16], BF16),
        (FP16, [FP16, BF16], FP32),
        (BF16, [BF16], FP32),
        (BF16, [FP16], BF16),
    ],
)
def test_values_that_are_not_finite_are_computed_in_the_next_precision_that_holds_them(
    value: float, dtype: torch.dtype, bad: list[torch.dtype], good: torch.dtype
) -> None:
    warnings: list[str] = []
    network = Faulty(*bad, value=value)
    run = runner(network, dtype, warnings)
    lr = patches(0.1, 0.8)
    sr = run(lr)
    assert sr.dtype == good
    assert run.dtype == good
    assert torch.equal(sr, lr.repeat_interleave(2, 2).repeat_interleave(2, 3).to(good))
    assert len(warnings) == (0 if dtype == good else len(bad))
    assert all("values that are not finite" in warning for warning in warnings)
    network.passes.clear()
    run(lr)
    assert network.passes == [good]  # remembered
    assert len(warnings) == (0 if dtype == good else len(bad))


def test_numbers_too_large_for_fp16_are_computed_in_bf16() -> None:
    network = nn.Sequential(nn.Conv2d(3, 8, 1), nn.Conv2d(8, 12, 1), nn.PixelShuffle(2))
    for layer, size in zip(network, (1e5, 1e-5), strict=False):
        assert isinstance(layer, nn.Conv2d)
        nn.init.constant_(layer.weight, size)
    warnings: list[str] = []
    lr = patches(0.1)
    with torch.no_grad():
        exact = network(lr)
    sr = runner(network, FP16, warnings)(lr)
    assert sr.dtype == BF16
    assert (sr - exact).abs().max() < 0.02 * exact.abs().max()
    assert warnings == [
        "in fp16 the network gives values that are not finite; from here on in bf16"
    ]


def test_a_constant_result_of_a_image_with_contrast_is_computed_again() -> None:
    warnings: list[str] = []
    lr = patches(0.1, 0.8)
    sr = runner(Faulty(BF16, value=0.0, everywhere=True), BF16, warnings)(lr)
    assert torch.equal(sr, lr.repeat_interleave(2, 2).repeat_interleave(2, 3))
    assert warnings == ["in bf16 the network gives the same everywhere; from here on in fp32"]


def test_a_signal_lost_beside_a_large_constant_is_found_behind_a_pixel_shuffle() -> None:
    layers = [nn.Conv2d(3, 3, 1), nn.Conv2d(3, 12, 1)]
    for layer, bias in zip(layers, (1e4, -1e4), strict=True):
        nn.init.dirac_(layer.weight)
        nn.init.constant_(layer.get_parameter("bias"), bias)
    layers[1].get_parameter("bias").data[:] = torch.linspace(
        -1, 1, 12
    )  # another constant in each subpixel
    warnings: list[str] = []
    runner(nn.Sequential(*layers, nn.PixelShuffle(2)), BF16, warnings)(patches(0.1))
    assert len(warnings) == 1


def test_a_constant_image_may_give_a_constant_result() -> None:
    warnings: list[str] = []
    network = nn.Upsample(scale_factor=2, mode="nearest")
    for lr in (torch.full((1, 3, 20, 20), 0.5), torch.rand(1, 3, 1, 1)):
        assert torch.isfinite(runner(network, BF16, warnings)(lr)).all()
    assert warnings == []


def test_flow_to_the_neighbors_of_a_constant_image_is_no_contrast() -> None:
    class Reference(nn.Module):
        def forward(self, window: Tensor) -> Tensor:
            return window[:, :3].repeat_interleave(2, 2).repeat_interleave(2, 3)

    warnings: list[str] = []
    window = torch.cat([torch.full((1, 3, 9, 11), 0.5), 5 * patches(0.1)], dim=1)
    runner(Reference(), BF16, warnings)(window)
    assert warnings == []


def test_a_detail_in_a_flat_patch_is_not_overlooked() -> None:
    lr = torch.zeros(1, 3, 30, 30)
    lr[:, :, 13, 17] = 1  # not one of the pixels that are looked at first
    warnings: list[str] = []
    runner(nn.Upsample(scale_factor=2, mode="nearest"), BF16, warnings)(lr)
    assert warnings == []


def test_a_network_may_be_constant_in_fp32() -> None:
    network = Faulty(FP16, BF16, FP32, value=0.25, everywhere=True)
    warnings: list[str] = []
    sr = runner(network, FP32, warnings)(patches(0.8))
    assert (sr == 0.25).all()
    assert warnings == []


def test_values_not_finite_in_fp32_either_say_what_to_do() -> None:
    network = Faulty(FP16, BF16, FP32, value=float("nan"))
    with pytest.raises(NumericError, match=r"not finite, in fp32 too.* take another model file"):
        runner(network, BF16, [])(patches(0.8))


def test_a_image_that_is_not_finite_is_not_the_networks_fault() -> None:
    warnings: list[str] = []
    lr = patches(0.1)
    lr[0, 0, 0, 0] = float("nan")
    with pytest.raises(NumericError, match="the image has values that are not finite"):
        runner(Faulty(value=0), BF16, warnings)(lr)
    assert warnings == []


def test_huge_finite_values_are_finite() -> None:
    sr = runner(Faulty(FP32, value=3e38, everywhere=True), FP32, [])(patches(0.8))
    assert torch.isfinite(sr).all()


def test_tf32_is_off_during_a_pass_and_as_before_after_it() -> None:
    seen = []

    class Looks(nn.Module):
        def forward(self, lr: Tensor) -> Tensor:
            seen.append(CONV.fp32_precision)
            return lr.repeat_interleave(2, 2).repeat_interleave(2, 3)

    before = CONV.fp32_precision
    runner(Looks(), FP32, [])(patches(0.1))
    assert seen == ["ieee"]
    assert CONV.fp32_precision == before


def test_tf32_is_off_until_the_last_of_several_threads_is_done() -> None:
    both_inside = threading.Barrier(2, timeout=30)
    first_is_out = threading.Event()
    seen = []

    class Meets(nn.Module):
        def __init__(self, is_first: bool) -> None:
            super().__init__()
            self.is_first = is_first

        def forward(self, lr: Tensor) -> Tensor:
            both_inside.wait()
            if not self.is_first:
                assert first_is_out.wait(30)
            seen.append(CONV.fp32_precision)
            return lr.repeat_interleave(2, 2).repeat_interleave(2, 3)

    def first() -> None:
        runner(Meets(is_first=True), FP32, [])(patches(0.1))
        first_is_out.set()

    before = CONV.fp32_precision
    thread = threading.Thread(target=first)
    thread.start()
    runner(Meets(is_first=False), FP32, [])(patches(0.1))
    thread.join()
    assert seen == ["ieee", "ieee"]
    assert CONV.fp32_precision == before


def use_backend(monkeypatch: pytest.MonkeyPatch, backend: Any) -> None:
    """One that is fast and needs no C++ compiler."""
    compile_with = functools.partial(torch.compile, backend=backend)
    monkeypatch.setattr(torch, "compile", compile_with)


def test_a_compiled_network_gives_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    programs = []

    def backend(graph: Any, inputs: Any) -> Any:
        programs.append(graph)
        return graph.forward

    use_backend(monkeypatch, backend)
    torch.manual_seed(0)
    network = nn.Sequential(nn.Conv2d(3, 12, 3, padding=1), nn.PixelShuffle(2))
    run, plain = runner(network, FP32, [], compiled=True), runner(network, FP32, [])
    for height in (20, 21, 25):
        lr = torch.rand(1, 3, height, 24)
        assert torch.equal(run(lr), plain(lr))
    assert len(programs) == 1  # for all sizes


def test_a_network_that_does_not_compile_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    def backend(graph: Any, inputs: Any) -> Any:
        raise RuntimeError("no C++ compiler")

    use_backend(monkeypatch, backend)
    network = nn.Sequential(nn.Conv2d(3, 12, 3, padding=1), nn.PixelShuffle(2))
    with pytest.raises(CompileError, match=r"torch.compile fails .*no C\+\+ compiler.* uncompiled"):
        runner(network, FP32, [], compiled=True)(patches(0.1))
