"""Black bars are found in all frames together, and nothing that shows something is cropped."""

from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from helpers.clips import make_clip

from sr.io.video.filter_options import FilterOptions
from sr.io.video.frame import Layout
from sr.io.video.read.black_bars import find_bars
from sr.io.video.read.reader import open_video
from sr.io.video.read.stream_side_data import NO_CROPPING, Cropping

Images = list[npt.NDArray[np.uint8]]


def draw(bars: Cropping, num_frames: int = 6, size: tuple[int, int] = (48, 64)) -> Images:
    """Draw noise between noisy black bars."""
    random = np.random.default_rng(0)
    images = []
    for _ in range(num_frames):
        image = random.integers(0, 6, (*size, 3), dtype=np.uint8)
        rows = slice(bars.top, size[0] - bars.bottom)
        columns = slice(bars.left, size[1] - bars.right)
        inside = image[rows, columns]
        image[rows, columns] = random.integers(40, 250, inside.shape)
        images.append(image)
    return images


def find(path: Path, pix_fmt: str = "yuv420p") -> Cropping:
    layout = Layout.parse(pix_fmt)
    assert layout is not None
    return find_bars(path, stream=None, layout=layout, max_pixels=10**6)


@pytest.mark.parametrize(
    ("drawn", "found"),
    [
        (Cropping(0, 0, 6, 6), Cropping(0, 0, 6, 6)),
        (Cropping(8, 4, 0, 0), Cropping(8, 4, 0, 0)),
        (Cropping(3, 5, 7, 1), Cropping(2, 4, 6, 0)),
        (NO_CROPPING, NO_CROPPING),
    ],
)
@pytest.mark.parametrize("suffix", [".mkv", ".h264"])
def test_bars_are_measured_in_whole_chroma_samples(
    tmp_path: Path, drawn: Cropping, found: Cropping, suffix: str
) -> None:
    path = make_clip(tmp_path / f"clip{suffix}", images=draw(drawn), codec="libx264")
    assert find(path) == found


def test_dark_frames_say_nothing_and_subtitles_in_a_bar_keep_it(tmp_path: Path) -> None:
    images = draw(Cropping(0, 0, 8, 8))
    images[1][:] = 0  # a fade
    images[2][12:36, :32] = 0
    assert find(make_clip(tmp_path / "a.mkv", images=images)) == Cropping(0, 0, 8, 8)
    images[3][42:45, 20:40] = 255
    assert find(make_clip(tmp_path / "b.mkv", images=images)) == Cropping(0, 0, 8, 2)


def test_a_dark_video_is_not_cropped(tmp_path: Path) -> None:
    images = [np.zeros((48, 64, 3), np.uint8) for _ in range(4)]
    assert find(make_clip(tmp_path / "a.mkv", images=images)) == NO_CROPPING
    images[2][20:24, 20:24] = 255
    assert find(make_clip(tmp_path / "b.mkv", images=images)) == NO_CROPPING


@pytest.mark.parametrize("pix_fmt", ["yuv420p10le", "gbrp10le", "gray"])
def test_frames_come_without_the_bars(tmp_path: Path, pix_fmt: str) -> None:
    path = make_clip(
        tmp_path / "a.mkv", images=draw(Cropping(4, 4, 6, 8)), pix_fmt=pix_fmt, codec="ffv1"
    )
    with open_video(path) as reader:
        whole = list(reader.frames())
    with open_video(path, filters=FilterOptions(crop_bars=True)) as reader:
        assert (reader.info.width, reader.info.height) == (56, 34)
        note = "4 at the left, 4 at the right, 6 at the top, 8 at the bottom"
        assert f"black bars are cropped, in pixels: {note}" in reader.info.notes
        for frame, other in zip(reader.frames(), whole, strict=True):
            np.testing.assert_array_equal(frame.planes[0], other.planes[0][6:-8, 4:-4])
