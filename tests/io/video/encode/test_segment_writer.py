from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from helpers.streams import INFO

from sr.io.video.encode.encoder import Encoding, plan_encoding
from sr.io.video.encode.segment_writer import SegmentWriter, make_frame
from sr.io.video.frame import Color, Layout, Planes, VideoError

HD = Color(1, 1, 1, False)


def encoding(
    codec: str,
    pix_fmt: str = "yuv420p",
    size: tuple[int, int] = (64, 48),
    color: Color = HD,
    **choice: Any,
) -> Encoding:
    layout = Layout.parse(pix_fmt)
    assert layout is not None
    info = replace(INFO, width=size[0], height=size[1], layout=layout, color=color)
    return plan_encoding(
        info,
        width=size[0],
        height=size[1],
        suffix=".mkv",
        codec=codec,
        pix_fmt=pix_fmt,
        **choice,
    )


def extract_planes(made: Encoding, number: int) -> Planes:
    """Slopes that move from frame to frame, and use all bits."""
    top = 2**made.layout.depth
    return tuple(
        (
            (np.add.outer(np.arange(h) * 3, np.arange(w) * 5) + number * 11 + 40 * plane) % top
        ).astype(made.layout.dtype)
        for plane, (h, w) in enumerate(made.layout.shapes(made.height, made.width))
    )


def writer(
    path: Path, made: Encoding, time_base: Fraction = Fraction(1, 90000), origin: int = 0
) -> SegmentWriter:
    return SegmentWriter(
        path,
        made,
        time_base=time_base,
        rate=Fraction(25),
        sample_aspect_ratio=Fraction(1),
        origin=origin,
    )


def write(path: Path, made: Encoding, times: list[int], **how: Any) -> None:
    with writer(path, made, **how) as segment:
        for number, pts in enumerate(times):
            segment.write(make_frame(extract_planes(made, number), made), pts, 3600)


def frames(path: Path) -> list[av.VideoFrame]:
    with av.open(str(path)) as container:
        return list(container.decode(video=0))


def decoded(frame: av.VideoFrame, layout: Layout) -> Planes:
    """The planes of FFmpeg's frame, by its own conversion where it is packed."""
    if frame.format.name != layout.pix_fmt:
        frame = frame.reformat(format=layout.pix_fmt, threads=1)  # more err at small sizes
    planes = [
        np.frombuffer(plane, layout.dtype).reshape(-1, plane.line_size // layout.dtype.itemsize)[  # type: ignore[call-overload]  # a buffer, which its stub does not say
            :h, :w
        ]
        for plane, (h, w) in zip(
            frame.planes, layout.shapes(frame.height, frame.width), strict=True
        )
    ]
    return (planes[2], planes[0], planes[1]) if layout.kind == "rgb" else tuple(planes)


def irregular(number: int, start: int = 1000) -> list[int]:
    """Times of a variable frame rate."""
    return [start + 3000 * i + 700 * (i % 4) for i in range(number)]


WITHOUT_LOSS = [
    *(("ffv1", pix_fmt, {}) for pix_fmt in ("yuv420p", "yuv422p10le", "yuv444p16le", "gray12le")),
    *(("ffv1", pix_fmt, {}) for pix_fmt in ("gbrp", "gbrp10le", "gbrp16le", "gray", "yuv440p")),
    *(("libx264", p, {"options": {"qp": "0"}}) for p in ("yuv420p", "yuv444p10le", "yuv422p")),
    *(("libx265", p, {"options": {"x265-params": "lossless=1"}}) for p in ("yuv420p12le", "gbrp")),
    ("libvpx-vp9", "yuv444p", {"options": {"lossless": "1"}}),
]


@pytest.mark.parametrize("size", [(64, 48), (33, 25), (50, 18)])
@pytest.mark.parametrize(("codec", "pix_fmt", "choice"), WITHOUT_LOSS)
def test_without_loss_the_very_samples_come_back(
    codec: str, pix_fmt: str, choice: dict[str, Any], size: tuple[int, int], tmp_path: Path
) -> None:
    made = encoding(codec, pix_fmt, size, **choice)
    write(tmp_path / "segment", made, [0, 1, 2, 3])
    back = frames(tmp_path / "segment")
    assert len(back) == 4
    for number, frame in enumerate(back):
        expected = extract_planes(made, number)
        for one, other in zip(decoded(frame, made.layout), expected, strict=True):
            np.testing.assert_array_equal(one, other)


EVERY = [
    ("libx264", "yuv420p"),
    ("libx264", "yuv422p10le"),
    ("libx265", "yuv420p10le"),
    ("libx265", "yuv444p12le"),
    ("libsvtav1", "yuv420p"),
    ("libsvtav1", "yuv420p10le"),
    ("libvpx-vp9", "yuv420p"),
    ("ffv1", "yuv420p"),
    ("prores_ks", "yuv422p10le"),
]


@pytest.mark.parametrize(
    "time_base", [Fraction(1, 90000), Fraction(1001, 30000), Fraction(1, 10**9)]
)
@pytest.mark.parametrize(("codec", "pix_fmt"), EVERY)
def test_all_frames_and_their_times_are_kept_exactly(
    codec: str, pix_fmt: str, time_base: Fraction, tmp_path: Path
) -> None:
    times = irregular(40)
    write(tmp_path / "segment", encoding(codec, pix_fmt), times, time_base=time_base)
    with av.open(str(tmp_path / "segment")) as container:
        stream = container.streams.video[0]
        packets = [packet for packet in container.demux(stream) if packet.size]
        unit = stream.time_base
    assert unit is not None
    assert packets[0].is_keyframe
    assert min(p.pts for p in packets if p.pts is not None) == packets[0].pts  # nothing leads it
    assert sorted(p.pts * unit for p in packets if p.pts is not None) == [
        t * time_base for t in times
    ]
    shown = frames(tmp_path / "segment")
    assert [f.pts * f.time_base for f in shown if f.pts is not None and f.time_base] == [
        t * time_base for t in times
    ]


@pytest.mark.parametrize(("codec", "pix_fmt"), EVERY)
@pytest.mark.parametrize("size", [(64, 48), (50, 26), (40, 34)])
def test_the_same_frames_make_the_same_file(
    codec: str, pix_fmt: str, size: tuple[int, int], tmp_path: Path
) -> None:
    made = encoding(codec, pix_fmt, size)
    contents = set()
    for run in range(3):
        litter = [np.full(1 + 977 * i, run + 1, np.uint8) for i in range(60)]  # memory not of zeros
        del litter
        write(tmp_path / f"segment{run}", made, irregular(20))
        contents.add((tmp_path / f"segment{run}").read_bytes())
    assert len(contents) == 1


@pytest.mark.parametrize(("codec", "pix_fmt"), [e for e in EVERY if e[0] != "ffv1"])
def test_what_comes_back_is_close_also_at_odd_sizes(
    codec: str, pix_fmt: str, tmp_path: Path
) -> None:
    made = encoding(codec, pix_fmt, (97, 71))
    level = 2 ** (made.layout.depth - 8)
    rows, columns = np.mgrid[: made.height, : made.width]
    luma = (60 + rows + columns // 2) * level
    chroma = made.layout.shapes(made.height, made.width)[1]
    planes = tuple(
        plane.astype(made.layout.dtype)
        for plane in (luma, np.full(chroma, 100 * level), np.full(chroma, 150 * level))
    )
    with writer(tmp_path / "segment", made) as segment:
        segment.write(make_frame(planes, made), 0, 1)
    (frame,) = frames(tmp_path / "segment")
    assert (frame.width, frame.height) == (made.width, made.height)
    for one, other in zip(decoded(frame, made.layout), planes, strict=True):
        assert np.abs(one.astype(float) - other).max() <= 6 * level


@pytest.mark.parametrize("codec", ["libx264", "libx265", "libsvtav1", "prores_ks"])
def test_tags_of_color_are_in_the_stream(codec: str, tmp_path: Path) -> None:
    pix_fmt = "yuv422p10le" if codec == "prores_ks" else "yuv420p10le"
    made = encoding(codec, pix_fmt, color=Color(9, 9, 16, False))
    write(tmp_path / "segment", made, [0])
    frame = frames(tmp_path / "segment")[0]
    assert (frame.colorspace, frame.color_primaries, frame.color_trc) == (9, 9, 16)
    assert frame.color_range == 1


@pytest.mark.parametrize("codec", ["libx264", "libx265", "libsvtav1", "libvpx-vp9"])
def test_full_range_is_in_the_stream_without_a_format_of_its_own(
    codec: str, tmp_path: Path
) -> None:
    made = encoding(codec, color=replace(HD, full_range=True))
    assert made.frame_format == "yuv420p"
    write(tmp_path / "segment", made, [0])
    assert frames(tmp_path / "segment")[0].color_range == 2


@pytest.mark.parametrize(
    ("packed", "planar"),
    [("p010le", "yuv420p10le"), ("yuv444p10msble", "yuv444p10le"), ("bgr0", "gbrp")],
)
@pytest.mark.parametrize("size", [(64, 48), (34, 26)])
def test_packed_frames_hold_what_ffmpeg_reads_from_them(
    packed: str, planar: str, size: tuple[int, int]
) -> None:
    made = replace(encoding("ffv1", planar, size), frame_format=packed)
    frame = make_frame(extract_planes(made, 1), made)
    assert frame.format.name == packed
    for one, other in zip(decoded(frame, made.layout), extract_planes(made, 1), strict=True):
        np.testing.assert_array_equal(one, other)


def test_times_before_zero_are_kept_from_their_origin(tmp_path: Path) -> None:
    times = irregular(5, start=-20000)
    write(tmp_path / "segment", encoding("libx264"), times, origin=-20000)
    shown = frames(tmp_path / "segment")
    assert [f.pts for f in shown] == [time + 20000 for time in times]


@pytest.mark.parametrize("times", [[5, 5], [5, 4], [-1]])
def test_times_that_do_not_grow_are_refused_by_number(times: list[int], tmp_path: Path) -> None:
    path = tmp_path / "segment"
    with pytest.raises(
        VideoError, match=rf"segment, frame {len(times) - 1}: expected a time after"
    ):
        write(path, encoding("ffv1"), times)
    assert not path.exists()


def test_an_error_outside_leaves_no_file(tmp_path: Path) -> None:
    made = encoding("ffv1")
    path = tmp_path / "segment"
    with pytest.raises(KeyError), writer(path, made) as segment:  # noqa: PT012, both are the case
        segment.write(make_frame(extract_planes(made, 0), made), 0, 1)
        raise KeyError
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(VideoError, match="nowhere/segment: cannot be made"):
        write(tmp_path / "nowhere" / "segment", encoding("ffv1"), [0])


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs Linux")
def test_a_full_disk_is_named_with_the_frame(tmp_path: Path) -> None:
    path = tmp_path / "segment"
    path.symlink_to("/dev/full")
    with pytest.raises(
        VideoError, match=r"segment: frame \d cannot be written: no room left"
    ) as caught:
        write(path, encoding("ffv1", size=(640, 480)), list(range(9)))
    assert isinstance(caught.value.__cause__, OSError)
    assert not path.exists()


def test_encoders_print_nothing(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    for codec, pix_fmt in EVERY:
        write(tmp_path / "segment", encoding(codec, pix_fmt), [0, 1, 2])
    captured = capfd.readouterr()
    assert captured.out + captured.err == ""


@pytest.mark.parametrize("num_frames", [1, 2])
def test_short_segments_of_x265_are_whole_each_time(tmp_path: Path, num_frames: int) -> None:
    """Its decoding times are random there, about one time in ten."""
    made = encoding("libx265")
    for number in range(20):
        path = tmp_path / f"segment{number}"
        write(path, made, list(range(num_frames)))
        assert [frame.pts for frame in frames(path)] == list(range(num_frames))
