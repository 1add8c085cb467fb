import pickle
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from sr.data import cache
from sr.data.cache import SourceCache, fill_cache, open_cache, write_index
from sr.data.hr_only import find_hr_images
from sr.data.sources import DataError, Pair, count_pair_bytes
from sr.io.rgb8 import write_rgb8


@dataclass
class Counted:
    """A source that counts how often it was loaded."""

    number: int
    hr_size: tuple[int, int]
    loads: int = 0

    @property
    def name(self) -> str:
        return f"image {self.number}"

    @property
    def num_bytes(self) -> int:
        return count_pair_bytes(self.hr_size)

    def load(self) -> Pair:
        self.loads += 1
        height, width = self.hr_size
        rng = np.random.default_rng(self.number)
        hr = rng.integers(0, 256, (height, width, 3), dtype=np.uint8)
        return hr[::4, ::4], hr


def sources() -> list[Counted]:
    return [Counted(number, (16 + 4 * number, 24)) for number in range(5)]


def assert_pairs_are_those_of_the_sources(pairs: SourceCache[Pair]) -> None:
    assert len(pairs) == len(pairs.sources)
    for index, source in enumerate(pairs.sources):
        for cached, loaded in zip(pairs[index], source.load(), strict=True):
            assert cached.dtype == np.uint8
            np.testing.assert_array_equal(cached, loaded)


@pytest.mark.parametrize("limit_bytes", [0, 3000, 5000, 10**9])
def test_the_cache_gives_what_the_sources_load_whatever_its_limit(
    tmp_path: Path, limit_bytes: int
) -> None:
    pairs = fill_cache(sources(), tmp_path / "cache.bin", limit_bytes)
    assert_pairs_are_those_of_the_sources(pairs)
    assert (tmp_path / "cache.bin").stat().st_size <= limit_bytes


def test_a_cached_image_is_decoded_once(tmp_path: Path) -> None:
    counted = sources()
    pairs = fill_cache(counted, tmp_path / "cache.bin", 10**9)
    for _ in range(3):
        for index in range(5):
            pairs[index]
    assert [source.loads for source in counted] == [1] * 5


def test_images_beyond_the_limit_are_decoded_at_each_use(tmp_path: Path) -> None:
    counted = sources()
    pairs = fill_cache(counted, tmp_path / "cache.bin", 5000)
    num_cached = len(pairs.blocks)
    assert 0 < num_cached < 5
    assert [source.loads for source in counted] == [1] * num_cached + [0] * (5 - num_cached)
    for _ in range(3):
        for index in range(5):
            pairs[index]
    assert [source.loads for source in counted] == [1] * num_cached + [3] * (5 - num_cached)


def test_pickling_takes_the_place_of_the_file_and_not_its_content(tmp_path: Path) -> None:
    big = [Counted(number, (400, 400)) for number in range(3)]
    pairs = fill_cache(big, tmp_path / "cache.bin", 10**9)
    pairs[0]  # maps the file
    pickled = pickle.dumps(pairs)
    assert len(pickled) < 2000
    copy = pickle.loads(pickled)  # noqa: S301, our own
    assert_pairs_are_those_of_the_sources(copy)
    assert [source.loads for source in copy.sources] == [2] * 3  # once here, once by the cache


def test_what_is_written_to_a_cached_image_does_not_reach_the_file(tmp_path: Path) -> None:
    file = tmp_path / "cache.bin"
    pairs = fill_cache(sources(), file, 10**9)
    before = file.read_bytes()
    pairs[0][0][:] = 0
    assert file.read_bytes() == before
    assert_pairs_are_those_of_the_sources(SourceCache(pairs.sources, file, pairs.blocks))


def test_images_that_cannot_be_decoded_are_all_named(tmp_path: Path) -> None:
    folder = tmp_path / "images"
    folder.mkdir()
    image = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    for name in ("a", "b", "c"):
        write_rgb8(folder / f"{name}.png", image)
    for name in ("a", "c"):  # the header stays, the pixels are cut short
        path = folder / f"{name}.png"
        path.write_bytes(path.read_bytes()[:2000])
    found = find_hr_images([folder], 4, (), (1.0,))
    with pytest.raises(DataError, match="images that cannot be decoded: 2 faults") as caught:
        fill_cache(found, tmp_path / "cache.bin", 10**9)
    assert "a.png" in str(caught.value)
    assert "c.png" in str(caught.value)
    assert "b.png" not in str(caught.value)


def test_a_disk_without_room_is_reported_with_the_option_to_lower(tmp_path: Path) -> None:
    huge = [Counted(0, (2**24, 2**24))]
    with pytest.raises(DataError, match=r"GiB; lower datasets\.train\.cache_gib"):
        fill_cache(huge, tmp_path / "cache.bin", 2**60)
    assert huge[0].loads == 0


def test_no_more_images_are_decoded_ahead_than_there_are_threads(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    counted, written, append = [Counted(n, (16, 16)) for n in range(20)], [], cache._append

    def write(stream: Any, array: Any) -> Any:
        written.append(array)
        decoded = sum(source.loads for source in counted)
        assert decoded <= len(written) // 2 + 1 + 3  # two arrays of each image
        return append(stream, array)

    monkeypatch.setattr("os.cpu_count", lambda: 2)
    monkeypatch.setattr(cache, "_append", write)
    assert_pairs_are_those_of_the_sources(fill_cache(counted, tmp_path / "cache.bin", 10**9))
    assert len(written) == 40


def test_a_file_that_cannot_be_mapped_is_reported_with_the_option_that_does_without(
    tmp_path: Path,
) -> None:
    file = tmp_path / "cache.bin"
    write_index(fill_cache(sources(), file, 10**9))
    assert_pairs_are_those_of_the_sources(open_cache(sources(), file))
    file.write_bytes(b"")
    with pytest.raises(DataError, match=r"cache\.bin: .*mapped.*datasets\.train\.cache_gib=0"):
        open_cache(sources(), file)
    file.unlink()
    with pytest.raises(DataError, match=r"got No such file or directory; .*cache_gib=0"):
        open_cache(sources(), file)
    write_index(fill_cache(sources(), file, 0))  # an empty file, and nothing in it
    assert_pairs_are_those_of_the_sources(open_cache(sources(), file))
