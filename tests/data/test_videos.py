import os
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from numpy.typing import NDArray

from sr.data import videos as decoded_videos
from sr.data.sources import DataError
from sr.data.videos import decode_video, find_videos
from sr.io.image_formats import ImageError
from sr.io.rgb8 import write_rgb8
from sr.io.video.frame import VideoError
from sr.io.video.read.reader import open_video

WIDTH, HEIGHT = 32, 24


def frames_of_noise(num_frames: int, seed: int = 0) -> NDArray[np.uint8]:
    shape = (num_frames, HEIGHT, WIDTH, 3)
    return np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)


def write_lossless(path: Path, frames: NDArray[np.uint8]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with av.open(str(path), "w") as container:
        stream: Any = container.add_stream("libx264rgb", rate=25, options={"qp": "0"})
        stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, "rgb24"
        for number, image in enumerate(frames):
            frame = av.VideoFrame.from_ndarray(image, "rgb24")
            frame.pts = number
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


@pytest.fixture
def video(tmp_path: Path) -> Path:
    return write_lossless(tmp_path / "videos" / "a.mkv", frames_of_noise(5))


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    return tmp_path / "cache"


@pytest.fixture
def decodings(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """The videos that are opened from now on."""
    opened: list[Path] = []

    def counted(path: Path) -> Any:
        opened.append(path)
        return open_video(path)

    monkeypatch.setattr(decoded_videos, "open_video", counted)
    return opened


def fails_at(number: int, error: BaseException) -> Callable[..., None]:
    """What stands for write_rgb8 and fails at the frame of this number."""

    def write(path: Path, image: NDArray[np.uint8]) -> None:
        if path.stem == f"{number:08d}":
            raise error
        write_rgb8(path, image)

    return write


def test_the_frames_of_a_lossless_video_come_back_as_they_were(video: Path, cache: Path) -> None:
    (clip,) = find_videos([video], cache, clip_frames=100, min_frames=1)
    assert clip.size == (HEIGHT, WIDTH)
    np.testing.assert_array_equal(np.stack(clip.read()), frames_of_noise(5))


def test_a_video_is_decoded_once_and_again_where_the_file_has_changed(
    video: Path, cache: Path, decodings: list[Path]
) -> None:
    first = decode_video(video, cache)
    assert decode_video(video, cache) == first
    assert decodings == [video]
    os.utime(video, ns=(0, 0))
    assert decode_video(video, cache) != first
    assert decodings == [video, video]


def test_videos_of_one_name_do_not_take_each_others_place(video: Path, cache: Path) -> None:
    other = write_lossless(video.parent / "deep" / "a.mkv", frames_of_noise(5, seed=1))
    assert decode_video(video, cache) != decode_video(other, cache)


@pytest.mark.parametrize(
    "error", [KeyboardInterrupt(), OSError(28, "No space left"), ImageError("no")]
)
def test_what_is_interrupted_leaves_nothing_half_and_is_done_later(
    video: Path, cache: Path, error: BaseException, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = KeyboardInterrupt if isinstance(error, KeyboardInterrupt) else VideoError
    with monkeypatch.context() as patch:
        patch.setattr(decoded_videos, "write_rgb8", fails_at(3, error))
        with pytest.raises(expected) as caught:
            decode_video(video, cache)
    if expected is VideoError:
        assert f"{video}: cannot be decoded into {cache}" in str(caught.value)
    assert not list(cache.rglob("*.png"))
    assert len(list(decode_video(video, cache).iterdir())) == 5


def test_what_a_killed_run_has_left_is_not_taken_for_the_video(video: Path, cache: Path) -> None:
    folder = decode_video(video, cache)
    folder.rename(folder.with_name(f".{folder.name}-unfinished"))
    (folder.with_name(f".{folder.name}-unfinished") / "00000004.png").unlink()
    assert len(list(decode_video(video, cache).glob("*.png"))) == 5
    assert [path.name for path in folder.parent.iterdir() if path.is_dir()] == [folder.name]


def test_of_processes_that_come_at_once_one_decodes(
    video: Path, cache: Path, decodings: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    def slowly(path: Path, image: NDArray[np.uint8]) -> None:
        time.sleep(0.02)
        write_rgb8(path, image)

    monkeypatch.setattr(decoded_videos, "write_rgb8", slowly)
    together = threading.Barrier(3)

    def one(_number: int) -> Path:
        together.wait()
        return decode_video(video, cache)

    with ThreadPoolExecutor(3) as pool:
        folders = set(pool.map(one, range(3)))
    assert len(folders) == 1
    assert len(decodings) == 1


def test_folders_are_searched_and_long_videos_cut_into_pieces(video: Path, cache: Path) -> None:
    write_lossless(video.parent / "deep" / "b.mkv", frames_of_noise(3))
    (video.parent / "notes.txt").touch()
    clips = find_videos([video.parent], cache, clip_frames=2, min_frames=2)
    assert [clip.num_frames for clip in clips] == [2, 2, 2]
    assert [path.stem for path in clips[1].paths] == ["00000002", "00000003"]
    first, second = clips[1].read()
    np.testing.assert_array_equal(np.stack([first, second]), frames_of_noise(5)[2:4])


def test_all_broken_and_short_videos_are_named(video: Path, cache: Path) -> None:
    (video.parent / "b.mkv").write_bytes(b"no video")
    (video.parent / "c.mp4").write_bytes(video.read_bytes()[:300])
    with pytest.raises(DataError) as caught:
        find_videos([video.parent], cache, clip_frames=10, min_frames=6)
    title, *faults = str(caught.value).splitlines()
    assert title == "videos: 3 faults"
    assert str(video) in faults[0]
    assert "at least 6 frames, got 5" in faults[0]
    assert str(video.parent / "b.mkv") in faults[1]
    assert str(video.parent / "c.mp4") in faults[2]


def test_missing_videos_and_folders_without_any_are_named(tmp_path: Path, cache: Path) -> None:
    inputs = [tmp_path / "x.mp4", tmp_path, tmp_path / "y"]
    with pytest.raises(DataError, match=r"no such video or folder: \S*/x\.mp4, \S*/y$"):
        find_videos(inputs, cache, clip_frames=1, min_frames=1)
    with pytest.raises(DataError, match="no video files found"):
        find_videos([tmp_path], cache, clip_frames=1, min_frames=1)
