"""Prepared images: what training reads instead of the files, and what a killed process leaves."""

import os
import pickle
import shutil
import subprocess
import sys
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
import torch
from helpers.disks import limit_file_size
from helpers.locks import hold_elsewhere

from sr.data import prepare_images as module
from sr.data.cache import SourceCache
from sr.data.crops import CropDataset, CropSettings
from sr.data.hr_only import HRImage, find_hr_images, make_variants
from sr.data.imresize import imresize
from sr.data.paired import PairedImage, find_paired_images
from sr.data.prepare_images import Preparation, Recipe, prepare_images
from sr.data.prepared_images import INDEX, WHOLE, PreparedImages, prefetch_rows
from sr.data.sources import DataError, Image
from sr.io.process_lock import LockedError
from sr.io.rgb8 import write_rgb8

SCALE = 4


def write(path: Path, height: int, width: int, seed: int = 0) -> npt.NDArray[np.uint8]:
    path.parent.mkdir(parents=True, exist_ok=True)
    image = np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)
    write_rgb8(path, image)
    return image


@pytest.fixture
def photos(tmp_path: Path) -> list[Path]:
    paths = [tmp_path / "photos" / f"{number}.png" for number in range(4)]
    for number, path in enumerate(paths):
        write(path, 37 + number, 46, number)
    return paths


def prepare(
    paths: Sequence[Path], folder: Path, downscale: float = 1.0, verify: bool = False
) -> Preparation:
    variants = make_variants(downscale, SCALE)
    return prepare_images([Recipe(path, variants) for path in paths], folder, verify=verify)


def find(
    photos: Sequence[Path], folder: Path, downscale: Sequence[float] = (1.0,)
) -> list[HRImage]:
    prepared = PreparedImages(folder)
    return find_hr_images([photos[0].parent], SCALE, (), downscale, None, prepared)


def forbid_decoding(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(path: Path, **_options: object) -> None:
        raise AssertionError(f"{path} was opened")

    for target in ("hr_only", "paired"):
        for name in ("read_rgb8", "read_kind"):
            monkeypatch.setattr(f"sr.data.{target}.{name}", fail)


@pytest.mark.parametrize("downscale", [1.0, 0.5, 1 / 3])
def test_prepared_images_are_those_of_the_files_and_need_no_file(
    photos: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, downscale: float
) -> None:
    folder = tmp_path / "cache" / "images"
    done = prepare(photos, folder, downscale)
    assert (done.num_files, done.num_present, done.stale_bytes) == (4, 0, 0)
    loaded = [source.load() for source in find(photos, tmp_path / "none", (downscale,))]
    forbid_decoding(monkeypatch)
    sources = find(photos, folder, (downscale,))
    for source, (lr, hr) in zip(sources, loaded, strict=True):
        np.testing.assert_array_equal(source.load()[0], lr)
        np.testing.assert_array_equal(source.load()[1], hr)
        found = source.find_lr()
        assert found is not None
        np.testing.assert_array_equal(found, lr)
        assert source.num_bytes == 0


def test_prepared_pairs_are_those_of_the_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(2):
        hr = write(tmp_path / "hr" / f"{number}.png", 34, 29, number)[:32, :28]
        write_rgb8(make_folder(tmp_path / "lr") / f"{number}x4.png", imresize(hr, Fraction(1, 4)))

    def find_pairs(folder: Path) -> list[PairedImage]:
        prepared = PreparedImages(folder)
        return find_paired_images([tmp_path / "lr"], [tmp_path / "hr"], SCALE, (), prepared)

    expected = [pair.load() for pair in find_pairs(tmp_path / "none")]
    files = [path for name in ("lr", "hr") for path in (tmp_path / name).iterdir()]
    prepare_images([Recipe(path, (WHOLE,)) for path in files], tmp_path / "images")
    forbid_decoding(monkeypatch)
    for pair, arrays in zip(find_pairs(tmp_path / "images"), expected, strict=True):
        assert pair.num_bytes == 0
        for found, array in zip(pair.load(), arrays, strict=True):
            np.testing.assert_array_equal(found, array)


def make_folder(path: Path) -> Path:
    path.mkdir(exist_ok=True)
    return path


def test_a_file_that_has_changed_is_read_again(photos: list[Path], tmp_path: Path) -> None:
    folder = tmp_path / "images"
    prepare(photos, folder)
    image = write(photos[1], 48, 40, seed=9)
    source = find(photos, folder)[1]
    assert source.prepared_hr is None
    np.testing.assert_array_equal(source.load()[1], image)
    again = prepare(photos, folder)
    assert (again.num_files, again.num_present) == (1, 3)
    assert again.stale_bytes > 3 * 38 * 46
    source = find(photos, folder)[1]
    assert source.prepared_hr is not None
    np.testing.assert_array_equal(source.load()[1], image)


def test_another_size_of_a_prepared_file_is_added(photos: list[Path], tmp_path: Path) -> None:
    folder = tmp_path / "images"
    prepare(photos, folder)
    assert prepare(photos, folder, 0.5).num_files == 4
    assert all(source.num_bytes == 0 for source in find(photos, folder, (1.0, 0.5)))
    assert prepare(photos, folder).num_present == 4


def test_images_are_distributed_over_shards(
    photos: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "SHARD_BYTES", 7000)  # each image has 5,000 and more
    folder = tmp_path / "images"
    prepare(photos, folder)
    assert len(list(folder.glob("*.bin"))) == 2
    decoded = find_hr_images([photos[0].parent], SCALE, (), (1.0,))
    for source, expected in zip(find(photos, folder), decoded, strict=True):
        assert source.prepared_hr is not None
        np.testing.assert_array_equal(source.load()[1], expected.load()[1])


def test_pickled_sources_are_small_and_map_again(photos: list[Path], tmp_path: Path) -> None:
    prepare(photos, tmp_path / "images")
    sources = find(photos, tmp_path / "images")
    expected = [source.load() for source in sources]
    pickled = pickle.dumps(sources)
    assert len(pickled) < 3000
    for copy, arrays in zip(pickle.loads(pickled), expected, strict=True):  # noqa: S301, our own
        np.testing.assert_array_equal(copy.load()[1], arrays[1])


@pytest.mark.skipif(sys.platform != "linux", reason="names are Unicode elsewhere")
def test_a_file_name_may_be_no_unicode(tmp_path: Path) -> None:
    path = tmp_path / os.fsdecode(b"caf\xe9 %41.png")
    write(tmp_path / "a.png", 20, 20)
    (tmp_path / "a.png").rename(path)
    assert prepare([path], tmp_path / "images").stale_bytes == 0
    assert prepare([path], tmp_path / "images").stale_bytes == 0
    assert find([path], tmp_path / "images")[0].prepared_hr is not None


def test_rows_are_prefetched_where_the_images_exceed_memory(
    photos: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    prepare(photos, tmp_path / "images")
    prefetched = []

    def record(rows: Image) -> None:
        prefetched.append(rows.shape)
        prefetch_rows(rows)

    monkeypatch.setattr("sr.data.crops.prefetch_rows", record)
    settings = CropSettings(16, 1, flips=True, transposes=True)
    crops = {}
    for exceed in (False, True):
        sources = find(photos, tmp_path / "images")
        assert sources[0].prepared_hr is not None
        sources[0].prepared_hr.images.exceed_memory = exceed
        dataset = CropDataset(SourceCache(sources, Path(), []), SCALE, settings, seed=0)
        crops[exceed] = [dataset[index % 4, index]["hr"] for index in range(12)]
        assert len(prefetched) == (24 if exceed else 0)
    assert all(torch.equal(*pair) for pair in zip(*crops.values(), strict=True))
    assert set(prefetched) == {(16, 44, 3), (4, 11, 3)}  # hr and lr


KILLED = """
import os, sys
from pathlib import Path
from sr.data import prepare_images as module
from sr.data.hr_only import make_variants

def report(done, total):
    if done == 2:
        os.kill(os.getpid(), 9)

recipes = [module.Recipe(Path(name), make_variants(1.0, 4)) for name in sys.argv[2:]]
module.prepare_images(recipes, Path(sys.argv[1]), report=report)
"""


@pytest.mark.slow
def test_a_killed_process_loses_nothing_that_was_complete(
    photos: list[Path], tmp_path: Path, repository: Path
) -> None:
    folder = tmp_path / "images"
    command = [sys.executable, "-c", KILLED, str(folder), *map(str, photos)]
    killed = subprocess.run(command, cwd=repository, check=False)
    assert killed.returncode == -9
    with (folder / INDEX).open("ab") as stream:  # and in the middle of a line
        stream.write(b'{"path": "/half')
    with (folder / "0000.bin").open("ab") as stream:  # and of an image
        stream.write(b"half an image")
    assert sum(source.prepared_hr is not None for source in find(photos, folder)) == 2
    done = prepare(photos, folder, verify=True)
    assert (done.num_files, done.num_present, done.num_damaged) == (2, 2, 0)
    assert prepare(photos, folder, verify=True).num_present == 4
    assert sorted(path.name for path in folder.iterdir()) == ["0000.bin", INDEX]


def test_a_damaged_image_is_found_and_repeated(photos: list[Path], tmp_path: Path) -> None:
    folder = tmp_path / "images"
    prepare(photos, folder)
    shard = folder / "0000.bin"
    content = bytearray(shard.read_bytes())
    content[100] ^= 1
    shard.write_bytes(content)
    done = prepare(photos, folder, verify=True)
    assert (done.num_damaged, done.num_files, done.num_present) == (1, 1, 3)
    assert prepare(photos, folder, verify=True).num_damaged == 0


@pytest.mark.parametrize("fault", ["shard", "missing", "header", "line", "number"])
def test_a_damaged_folder_is_refused_by_name(
    photos: list[Path], tmp_path: Path, fault: str
) -> None:
    folder = tmp_path / "images"
    prepare(photos, folder)
    shard, index = folder / "0000.bin", folder / INDEX
    if fault == "shard":
        os.truncate(shard, 100)
    elif fault == "missing":
        shard.unlink()
    elif fault == "header":
        index.write_bytes(index.read_bytes().replace(b'"version": 1', b'"version": 2'))
    elif fault == "line":
        index.write_bytes(index.read_bytes().replace(b'"crc32"', b'"crc"', 1))
    else:
        index.write_bytes(index.read_bytes().replace(b'"offset":0', b'"offset":-9', 1))
    name = "0000.bin" if fault in ("shard", "missing") else INDEX
    with pytest.raises(DataError, match=rf"{name}.*: expected .*, got .*prepare again"):
        find(photos, folder)


def test_a_shard_that_was_deleted_after_the_start_is_refused_by_name(
    photos: list[Path], tmp_path: Path
) -> None:
    folder = tmp_path / "images"
    prepare(photos, folder)
    source = find(photos, folder)[0]
    (folder / "0000.bin").unlink()
    with pytest.raises(DataError, match=r"0000\.bin: cannot be read"):
        source.load()


def test_two_processes_do_not_write_at_once(photos: list[Path], tmp_path: Path) -> None:
    with hold_elsewhere(tmp_path / "images"), pytest.raises(LockedError):
        prepare(photos, tmp_path / "images")


def test_a_disk_that_is_too_small_is_refused_before_anything_is_written(
    photos: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = shutil.disk_usage(tmp_path)._replace(free=1000)
    monkeypatch.setattr(shutil, "disk_usage", lambda _path: usage)
    with pytest.raises(DataError, match=r"images: expected .* GiB of free space"):
        prepare(photos, tmp_path / "images")
    assert not list((tmp_path / "images").glob("*.bin"))


def test_a_full_disk_is_one_line_and_keeps_what_is_complete(
    photos: list[Path], tmp_path: Path
) -> None:
    folder = tmp_path / "images"
    with limit_file_size(12_000), pytest.raises(DataError, match="cannot be written") as caught:
        prepare(photos, folder)
    assert "\n" not in str(caught.value)
    assert sum(source.prepared_hr is not None for source in find(photos, folder)) == 2
    assert prepare(photos, folder, verify=True).num_present == 2


def test_files_that_cannot_be_read_are_named_after_the_others(
    photos: list[Path], tmp_path: Path
) -> None:
    photos[2].write_bytes(photos[2].read_bytes()[:1000])
    photos[0].write_bytes(b"no image")
    done = prepare(photos, tmp_path / "images")
    assert done.num_files == 2
    assert [Path(fault.split(":")[0]).name for fault in done.faults] == ["0.png", "2.png"]
