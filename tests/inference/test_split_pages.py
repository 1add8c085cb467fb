"""Pages and frames of images become files of their own, each skipped or continued by itself."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from helpers.videos import CountingNetwork, Listener, make_upscaler
from PIL import Image

from sr.errors import UsageError
from sr.inference.options import InferOptions, OutputOptions
from sr.inference.run import run
from sr.inference.run_summary import RunSummary
from sr.inference.shards import Shard
from sr.inference.texture_options import TextureOptions

SIZES = [(8, 6), (5, 7), (8, 6)]  # pages of a TIFF may differ


def draw_pages(sizes: list[tuple[int, int]]) -> list[Image.Image]:
    noise = np.random.default_rng(0)
    return [Image.fromarray(noise.integers(0, 256, (*size, 3), np.uint8)) for size in sizes]


def write_pages(path: Path, sizes: list[tuple[int, int]] | None = None) -> list[Any]:
    """Write pages or frames; return their pixels."""
    pages = draw_pages(sizes or SIZES)
    lossless: dict[str, Any] = {"lossless": True} if path.suffix == ".webp" else {}
    pages[0].save(path, save_all=True, append_images=pages[1:], **lossless)
    return [np.asarray(page) for page in pages]


def upscale(
    source: Path,
    output: Path,
    network: CountingNetwork | None = None,
    grain: float = 0,
    shard: Shard | None = None,
    **options: Any,
) -> RunSummary:
    return run(
        InferOptions(
            [source],
            OutputOptions(output, frames="files", **options),
            texture=TextureOptions(grain=grain),
            shard=shard,
        ),
        Listener(),
        [make_upscaler(network or CountingNetwork(2), 2)],
    )


def check(path: Path, page: Any) -> None:
    np.testing.assert_array_equal(np.asarray(Image.open(path)), np.kron(page, np.ones((2, 2, 1))))


def list_names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_pages_of_several_sizes_become_files(tmp_path: Path) -> None:
    pages = write_pages(tmp_path / "a.b.tif")
    assert upscale(tmp_path / "a.b.tif", tmp_path / "out").exit_code == 0
    assert list_names(tmp_path / "out") == [f"a.b_p00{n}_x2.png" for n in (1, 2, 3)]
    for number, page in enumerate(pages, start=1):
        check(tmp_path / "out" / f"a.b_p00{number}_x2.png", page)


@pytest.mark.parametrize("suffix", [".png", ".webp"])
def test_frames_of_animations_become_files(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"a{suffix}"
    frames = write_pages(path, [(8, 6)] * 3)
    assert upscale(path, tmp_path / "%02d.png").exit_code == 0
    for number, frame in enumerate(frames, start=1):
        check(tmp_path / f"0{number}.png", frame)


def test_images_of_one_frame_keep_their_names_and_bad_ones_fail_alone(tmp_path: Path) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    write_pages(folder / "many.tif")
    write_pages(folder / "one.tif", [(4, 4)])
    (folder / "bad.png").write_bytes(b"text")
    (folder / "worse.png").write_bytes((folder / "many.tif").read_bytes()[:40])
    summary = upscale(folder, tmp_path / "out")
    assert summary.exit_code == 3
    assert list_names(tmp_path / "out") == [
        *("many_p001_x2.png", "many_p002_x2.png", "many_p003_x2.png", "one_x2.png"),
    ]
    failed = [task.source.name for task in summary.tasks if task.error is not None]
    assert failed == ["bad.png", "worse.png"]


@pytest.mark.parametrize("flag", ["skip_existing", "resume"])
def test_each_page_is_skipped_by_itself(tmp_path: Path, flag: str) -> None:
    pages = write_pages(tmp_path / "a.tif")
    upscale(tmp_path / "a.tif", tmp_path / "out")
    (tmp_path / "out" / "a_p002_x2.png").unlink()
    network = CountingNetwork(2)
    with pytest.raises(UsageError, match="already exist"):
        upscale(tmp_path / "a.tif", tmp_path / "out")
    keep: dict[str, Any] = {flag: True}
    summary = upscale(tmp_path / "a.tif", tmp_path / "out", network, **keep)
    assert (network.num_calls, summary.num_skipped) == (1, 2)
    check(tmp_path / "out" / "a_p002_x2.png", pages[1])


def test_shards_share_the_pages(tmp_path: Path) -> None:
    write_pages(tmp_path / "a.tif", [(4, 4)] * 8)
    for number in (1, 2):
        upscale(tmp_path / "a.tif", tmp_path / str(number), shard=Shard(number, 2))
    names = [list_names(tmp_path / number) for number in "12"]
    assert sorted(names[0] + names[1]) == [f"a_p00{n}_x2.png" for n in range(1, 9)]
    assert min(map(len, names)) > 0


def test_each_page_has_grain_of_its_own(tmp_path: Path) -> None:
    gray = Image.new("L", (16, 16), 128)
    gray.save(tmp_path / "a.tif", save_all=True, append_images=[gray])
    upscale(tmp_path / "a.tif", tmp_path / "%d.png", grain=8)
    first, second = (np.asarray(Image.open(tmp_path / f"{n}.png")) for n in (1, 2))
    assert (first != second).mean() > 0.5


def test_one_file_for_several_pages_is_refused(tmp_path: Path) -> None:
    write_pages(tmp_path / "a.tif")
    with pytest.raises(UsageError, match=r"a pattern such as page_%03d\.png, for the 3 pages"):
        upscale(tmp_path / "a.tif", tmp_path / "out.png")
    with pytest.raises(UsageError, match="--page and --frames files"):
        upscale(tmp_path / "a.tif", tmp_path / "out", page=2)
    with pytest.raises(UsageError, match="expected images of one frame, got --frames files"):
        InferOptions(
            [tmp_path], OutputOptions(tmp_path / "out", frames="files"), reference=tmp_path
        )
