"""A run: every image is upscaled, or said to have failed; nothing is half done."""

import io
import json
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import pyvips
import torch
from helpers.videos import Listener
from torch import Tensor, nn

from sr.errors import NoInputError, UsageError, UserError
from sr.inference import image
from sr.inference.channels import Channels
from sr.inference.options import STREAM, InferOptions, OutputOptions, RuntimeOptions
from sr.inference.run import LONG_RUN, run
from sr.io.image_reader import open_image, read_header
from sr.io.rgb8 import read_rgb8, write_rgb8
from sr.tiling.upscaler import Upscaler

CPU = torch.device("cpu")


class Fault(nn.Module):
    """Enlarges by nearest neighbor, and raises at images that are `width` pixels wide."""

    def __init__(self, width: int, error: BaseException) -> None:
        super().__init__()
        self.width = width
        self.error = error

    def forward(self, lr: Tensor) -> Tensor:
        if lr.shape[-1] == self.width:
            raise self.error
        return lr.repeat_interleave(2, 2).repeat_interleave(2, 3)


def upscaler(network: nn.Module | None = None, dtype: torch.dtype = torch.float32) -> Upscaler:
    network = nn.Upsample(scale_factor=2, mode="nearest") if network is None else network
    return Upscaler(network, scale=2, halo=1, tile_size=16, device=CPU, dtype=dtype)


def ask(
    inputs: list[Path],
    output: Path,
    *,
    reference: Path | None = None,
    verify_tiles: bool = False,
    **more: Any,
) -> InferOptions:
    return InferOptions(
        inputs,
        OutputOptions(output, **more),
        model="nearest",
        runtime=RuntimeOptions(verify_tiles=verify_tiles),
        reference=reference,
    )


@pytest.fixture
def images(tmp_path: Path) -> Path:
    """Three images, 30 to 32 pixels wide and 24 high."""
    folder = tmp_path / "in"
    folder.mkdir()
    random = np.random.default_rng(0)
    for name, width in (("a", 30), ("b", 31), ("c", 32)):
        write_rgb8(folder / f"{name}.png", random.integers(0, 256, (24, width, 3), dtype=np.uint8))
    return folder


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def enlarged(path: Path) -> np.ndarray[Any, Any]:
    return read_rgb8(path).repeat(2, 0).repeat(2, 1)


def test_all_images_are_upscaled_exactly(images: Path, tmp_path: Path) -> None:
    listener, output = Listener(), tmp_path / "new" / "out"
    outcome = run(ask([images], output), listener, [upscaler()])
    assert (outcome.num_done, outcome.exit_code) == (3, 0)
    assert names(output) == ["a_x2.png", "b_x2.png", "c_x2.png"]
    np.testing.assert_array_equal(read_rgb8(output / "a_x2.png"), enlarged(images / "a.png"))


def test_events_describe_the_whole_run(images: Path, tmp_path: Path) -> None:
    listener = Listener()
    run(ask([images], tmp_path / "out"), listener, [upscaler()])
    (start,), (done,) = listener.fields("start"), listener.fields("done")
    assert (start["pictures"], start["model"], start["scale"]) == (3, "nearest", 2)
    assert (start["tile_size"], start["halo"], start["precision"]) == (16, 1, "fp32")
    for number in (1, 2, 3):
        progress = [fields for fields in listener.fields("progress") if fields["picture"] == number]
        assert [fields["tile"] for fields in progress] == [1, 2, 3, 4]
    (item,) = [fields for fields in listener.fields("item_done") if fields["picture"] == 2]
    assert (item["picture"], item["source"]) == (2, images / "b.png")
    assert (item["lr_size"], item["sr_size"], item["tiles"]) == ((31, 24), (62, 48), 4)
    assert (item["tile_size"], item["precision"], item["passes"]) == (16, "fp32", 1)
    assert item["megapixels"] == pytest.approx(31 * 24 / 1e6, abs=1e-3)
    assert item["peak_gib"] > 0
    assert (done["done"], done["skipped"], done["failed"], done["ended"]) == (3, 0, 0, "done")


@pytest.mark.parametrize(("outscale", "size"), [(3.0, (72, 90)), (1.5, (36, 45)), (0.01, (1, 1))])
def test_other_scales_are_reached_by_passes_and_resampling(
    images: Path, tmp_path: Path, outscale: float, size: tuple[int, int]
) -> None:
    options = ask([images / "a.png"], tmp_path / "o.png", outscale=outscale)
    run(options, Listener(), [upscaler()])
    assert read_rgb8(tmp_path / "o.png").shape[:2] == size


@pytest.mark.parametrize(
    ("least", "runtime", "used"),
    [
        (1, {}, "openvino"),
        (10**6, {}, "auto"),
        (1, {"backend": "torch"}, "torch"),
        (1, {"compile": True}, "auto"),
    ],
)
def test_a_long_run_takes_the_back_end_that_is_fastest(
    least: int,
    runtime: dict[str, Any],
    used: str,
    images: Path,
    model: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(LONG_RUN, "image", least)
    monkeypatch.setattr("sr.models.choose_backend.choose_backend", lambda *_: "openvino")
    monkeypatch.setattr("sr.inference.run.make_upscalers", lambda *_args, **_more: [upscaler()])
    options = replace(ask([images], tmp_path / "out"), model=str(model))
    listener = Listener()
    run(replace(options, runtime=RuntimeOptions(**runtime)), listener)
    assert listener.fields("start")[0]["backend"] == used


def test_a_bad_image_does_not_keep_the_others(images: Path, tmp_path: Path) -> None:
    (images / "b.png").write_text("only words")
    listener = Listener()
    outcome = run(ask([images], tmp_path / "out"), listener, [upscaler()])
    assert (outcome.num_done, outcome.exit_code) == (2, 3)
    assert list(outcome.failures) == [images / "b.png"]
    assert listener.fields("item_failed")[0]["error"].startswith(f"{images / 'b.png'}: expected")
    assert names(tmp_path / "out") == ["a_x2.png", "c_x2.png"]


def test_only_bad_images_are_no_usable_input(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_text("only words")
    outcome = run(ask([tmp_path / "a.png"], tmp_path / "out"), Listener(), [upscaler()])
    assert outcome.exit_code == 4


@pytest.mark.parametrize(
    "error",
    [
        MemoryError(),
        torch.OutOfMemoryError("CUDA out of memory"),
        RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried 1 bytes"),
    ],
)
def test_a_tile_too_large_for_the_memory_is_cut(tmp_path: Path, error: Exception) -> None:
    class TooSmall(Fault):
        def forward(self, lr: Tensor) -> Tensor:
            if lr.shape[-1] * lr.shape[-2] > 800:
                raise self.error
            return super().forward(lr)

    network, listener = TooSmall(width=-1, error=error), Listener()
    tiled = Upscaler(
        network,
        scale=2,
        halo=1,
        tile_size=0,
        device=CPU,
        dtype=torch.float32,
        on_warning=lambda message: listener("warning", message=message),
    )
    source = tmp_path / "a.png"
    pixels = np.random.default_rng(0).integers(0, 256, (24, 48, 3), dtype=np.uint8)
    write_rgb8(source, pixels)
    outcome = run(ask([source], tmp_path / "out"), listener, [tiled])
    assert outcome.exit_code == 0
    assert "memory" in listener.fields("warning")[0]["message"]
    result = read_rgb8(tmp_path / "out" / "a_x2.png")
    np.testing.assert_array_equal(result, enlarged(source))


def test_an_image_too_large_for_the_memory_fails_alone(images: Path, tmp_path: Path) -> None:
    class NoMemory(Fault):
        def forward(self, lr: Tensor) -> Tensor:
            if lr.mean() > 0.9:  # the white one
                raise MemoryError
            return super().forward(lr)

    write_rgb8(images / "b.png", np.full((24, 31, 3), 255, np.uint8))
    network = NoMemory(width=-1, error=ValueError())
    outcome = run(ask([images], tmp_path / "out"), Listener(), [upscaler(network)])
    assert list(outcome.failures) == [images / "b.png"]
    assert "not enough memory" in outcome.failures[images / "b.png"]


def test_faults_of_ours_are_not_taken_for_the_images(images: Path, tmp_path: Path) -> None:
    network = Fault(width=16, error=RuntimeError("mat1 and mat2 shapes cannot be multiplied"))
    listener = Listener()
    with pytest.raises(RuntimeError, match="mat1"):
        run(ask([images], tmp_path / "out"), listener, [upscaler(network)])
    assert listener.fields("done")[0]["ended"] == "aborted"


def test_values_that_are_not_finite_fail_the_image(images: Path, tmp_path: Path) -> None:
    class NotFinite(Fault):
        def forward(self, lr: Tensor) -> Tensor:
            return super().forward(lr) * float("nan")

    network = NotFinite(width=-1, error=ValueError())
    outcome = run(ask([images], tmp_path / "out"), Listener(), [upscaler(network)])
    assert len(outcome.failures) == 3
    assert names(tmp_path / "out") == []


def test_an_interrupt_leaves_only_whole_files(images: Path, tmp_path: Path) -> None:
    network, listener = Fault(width=31, error=KeyboardInterrupt()), Listener()
    upscale = Upscaler(network, scale=2, halo=0, tile_size=0, device=CPU, dtype=torch.float32)
    with pytest.raises(KeyboardInterrupt):
        run(ask([images], tmp_path / "out"), listener, [upscale])
    assert "b_x2.png" not in names(tmp_path / "out")
    assert not [name for name in names(tmp_path / "out") if name.startswith(".")]
    (done,) = listener.fields("done")
    assert done["ended"] == "interrupted"
    assert done["done"] == len(names(tmp_path / "out"))


def test_existing_results_are_kept_or_replaced_as_asked(images: Path, tmp_path: Path) -> None:
    output = tmp_path / "out"
    output.mkdir()
    old = np.zeros((48, 60, 3), np.uint8)
    write_rgb8(output / "a_x2.png", old)
    with pytest.raises(UsageError, match=r"a_x2\.png already exists"):
        run(ask([images], output), Listener(), [upscaler()])
    assert names(output) == ["a_x2.png"]
    outcome = run(ask([images], output, skip_existing=True), Listener(), [upscaler()])
    assert (outcome.num_skipped, outcome.num_done, outcome.exit_code) == (1, 2, 0)
    np.testing.assert_array_equal(read_rgb8(output / "a_x2.png"), old)
    run(ask([images], output, overwrite=True), Listener(), [upscaler()])
    np.testing.assert_array_equal(read_rgb8(output / "a_x2.png"), enlarged(images / "a.png"))


def test_nothing_is_made_when_the_request_is_refused(images: Path, tmp_path: Path) -> None:
    refused = ask([images], tmp_path / "out", reference=tmp_path / "none")
    with pytest.raises(UserError, match=r"--reference .*none: expected a folder"):
        run(refused, Listener(), [upscaler()])
    with pytest.raises(NoInputError):
        run(ask([tmp_path / "none"], tmp_path / "out"), Listener(), [upscaler()])
    (tmp_path / "file").touch()
    with pytest.raises(UsageError, match="cannot create a folder"):
        run(ask([images], tmp_path / "file" / "out"), Listener(), [upscaler()])
    assert names(tmp_path) == ["file", "in"]


def test_sizes_that_the_format_cannot_hold_fail_before_the_work(tmp_path: Path) -> None:
    write_rgb8(tmp_path / "a.png", np.zeros((1, 9000, 3), np.uint8))
    listener = Listener()
    outcome = run(ask([tmp_path / "a.png"], tmp_path / "o.webp"), listener, [upscaler()])
    assert "at most 16383 pixels" in outcome.failures[tmp_path / "a.png"]
    assert listener.fields("progress") == []


@pytest.fixture
def originals(images: Path, tmp_path: Path) -> Path:
    """Originals that nearest enlargement reaches exactly."""
    folder = tmp_path / "hr"
    folder.mkdir()
    for path in images.iterdir():
        write_rgb8(folder / path.name, enlarged(path))
    return folder


def test_scores_are_reported_and_saved(images: Path, originals: Path, tmp_path: Path) -> None:
    listener, output = Listener(), tmp_path / "out"
    request = ask([images], output, reference=originals)
    outcome = run(request, listener, [upscaler()])
    assert [score.psnr_y for score in outcome.scores.values()] == [float("inf")] * 3
    assert listener.fields("item_done")[0]["scores"]["ssim_y"] == 1
    assert listener.fields("done")[0]["scores"]["psnr_y"] == "inf"
    saved = json.loads((output / "scores.json").read_text())
    assert list(saved["pictures"]) == [str(images / f"{name}.png") for name in "abc"]
    with pytest.raises(UsageError, match=r"scores\.json"):
        run(ask([images], output, reference=originals), Listener(), [upscaler()])


def test_skipped_images_are_scored_too(images: Path, originals: Path, tmp_path: Path) -> None:
    request = ask([images], tmp_path / "out", reference=originals, skip_existing=True)
    run(ask([images / "a.png"], tmp_path / "out"), Listener(), [upscaler()])
    outcome = run(request, Listener(), [upscaler()])
    assert (outcome.num_skipped, outcome.num_done, len(outcome.scores)) == (1, 2, 3)


def test_a_missing_original_fails_its_image(images: Path, originals: Path, tmp_path: Path) -> None:
    (originals / "b.png").unlink()
    outcome = run(ask([images], tmp_path / "out", reference=originals), Listener(), [upscaler()])
    assert outcome.exit_code == 3
    assert "b.png: expected one original named b" in outcome.failures[images / "b.png"]
    assert len(outcome.scores) == 2


def test_gray_images_stay_gray_and_are_scored(tmp_path: Path) -> None:
    gray = np.full((20, 20), 7, np.uint8)
    source = tmp_path / "a.png"
    pyvips.Image.new_from_array(gray).copy(interpretation="b-w").pngsave(str(source))
    (tmp_path / "hr").mkdir()
    write_rgb8(tmp_path / "hr" / "a.png", np.full((40, 40, 3), 7, np.uint8))
    request = ask([source], tmp_path / "out", reference=tmp_path / "hr")
    outcome = run(request, Listener(), [upscaler()])
    assert outcome.scores[source].psnr_rgb == float("inf")
    assert read_header(tmp_path / "out" / "a_x2.png").num_bands == 1


def test_several_upscalers_share_the_images(images: Path, tmp_path: Path) -> None:
    used = set()

    class Noted(Fault):
        def forward(self, lr: Tensor) -> Tensor:
            used.add(id(self))
            time.sleep(0.02)
            return super().forward(lr)

    networks = [Noted(width=-1, error=ValueError()) for _ in range(2)]
    outcome = run(
        ask([images], tmp_path / "out"), Listener(), [upscaler(network) for network in networks]
    )
    assert outcome.num_done == 3
    assert used == {id(network) for network in networks}
    for name in "abc":
        result = read_rgb8(tmp_path / "out" / f"{name}_x2.png")
        np.testing.assert_array_equal(result, enlarged(images / f"{name}.png"))


def test_an_image_goes_through_a_pipe(images: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    content, out = (images / "a.png").read_bytes(), io.BytesIO()
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(content)))
    monkeypatch.setattr("sys.stdout", io.TextIOWrapper(out))
    outcome = run(ask([STREAM], STREAM), Listener(), [upscaler()])
    assert outcome.exit_code == 0
    with open_image(out.getvalue()) as result:
        pixels = result.read(slice(None), slice(None))
    np.testing.assert_array_equal(pixels, enlarged(images / "a.png"))


def test_images_are_known_to_be_bad_before_any_work(images: Path, tmp_path: Path) -> None:
    (images / "c.png").write_text("only words")
    (images / "notes.txt").touch()
    listener = Listener()
    run(ask([images], tmp_path / "out"), listener, [upscaler()])
    (start,) = listener.fields("start")
    assert (start["pictures"], start["ignored"]) == (3, 1)
    assert start["megapixels"] == pytest.approx((30 + 31) * 24 / 1e6, abs=1e-3)


def test_what_a_result_cannot_keep_is_reported(tmp_path: Path) -> None:
    deep = np.full((9, 8, 3), 40000, np.uint16)
    source = tmp_path / "deep.png"
    image = pyvips.Image.new_from_memory(deep.data, 8, 9, 3, "ushort")
    image.copy(interpretation="rgb16").pngsave(str(source))
    listener = Listener()
    run(ask([source], tmp_path / "out.jpg"), listener, [upscaler()])
    assert "16 bits per channel become 8" in listener.fields("warning")[0]["message"]


def test_an_unreachable_size_fails_its_image(images: Path, tmp_path: Path) -> None:
    options = ask([images / "a.png"], tmp_path / "out", size=(10, 30 * 17))
    outcome = run(options, Listener(), [upscaler()])
    assert "expected at most 16 times" in outcome.failures[images / "a.png"]


@pytest.mark.parametrize("attempt", range(20))
def test_the_fault_itself_comes_out_whoever_hears_of_it_first(
    attempt: int, images: Path, tmp_path: Path
) -> None:
    networks = [Fault(width=16, error=AssertionError("ours")) for _ in range(2)]
    with pytest.raises(AssertionError, match="ours"):
        run(
            ask([images], tmp_path / "out"),
            Listener(),
            [upscaler(network) for network in networks],
        )


@pytest.mark.parametrize("place", ["read", "merge"])
def test_too_little_memory_next_to_the_network_fails_only_its_image(
    place: str, images: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = getattr(Channels, place)

    def fails(channels: Channels, *given: Any) -> Tensor:
        if channels.width == 31:
            raise RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried 1 bytes")
        result: Tensor = whole(channels, *given)
        return result

    monkeypatch.setattr(Channels, place, fails)
    outcome = run(ask([images], tmp_path / "out"), Listener(), [upscaler()])
    assert outcome.num_done == 2
    assert "not enough memory" in outcome.failures[images / "b.png"]


def test_too_little_memory_to_verify_tiles_is_only_reported(
    images: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(*_: Any) -> None:
        raise MemoryError

    monkeypatch.setattr(image, "verify_tiles", fails)
    listener = Listener()
    run(ask([images], tmp_path / "out", verify_tiles=True), listener, [upscaler()])
    assert len(names(tmp_path / "out")) == 3
    assert "tiles not verified" in listener.fields("warning")[0]["message"]


def test_an_image_of_one_tile_has_nothing_to_verify(images: Path, tmp_path: Path) -> None:
    listener = Listener()
    whole = Upscaler(
        Fault(width=-1, error=ValueError()),
        scale=2,
        halo=0,
        tile_size=0,
        device=CPU,
        dtype=torch.float32,
    )
    run(ask([images / "a.png"], tmp_path / "out", verify_tiles=True), listener, [whole])
    assert "tile_difference" not in listener.fields("item_done")[0]


def test_results_that_cannot_be_scored_are_refused_before_the_work(
    originals: Path, tmp_path: Path
) -> None:
    source, listener = tmp_path / "a.png", Listener()
    pixels = np.zeros((24, 30, 4), np.uint8)
    image = pyvips.Image.new_from_memory(pixels.data, 30, 24, 4, "uchar")
    image.copy(interpretation="srgb").pngsave(str(source))
    request = ask([source], tmp_path / "out", reference=originals)
    outcome = run(request, listener, [upscaler()])
    assert "--reference: expected images of 8 bits" in outcome.failures[source]
    assert listener.fields("progress") == []


def test_every_ending_advances_the_megapixels(images: Path, tmp_path: Path) -> None:
    listener = Listener()
    network = Fault(width=17, error=MemoryError())
    run(ask([images], tmp_path / "out"), listener, [upscaler(network)])
    ended = listener.fields("item_done") + listener.fields("item_failed")
    total = sum(fields["megapixels"] for fields in ended)
    assert total == pytest.approx((30 + 31 + 32) * 24 / 1e6)


def test_the_work_counts_all_passes(images: Path, tmp_path: Path) -> None:
    listener = Listener()
    run(ask([images / "a.png"], tmp_path / "out", outscale=8), listener, [upscaler()])
    pixels = 30 * 24 * (1 + 4 + 16)
    assert listener.fields("item_done")[0]["megapixels"] == pytest.approx(pixels / 1e6)
