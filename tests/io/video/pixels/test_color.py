"""Colors that a file lacks are guessed as players do, and reported."""

import pytest

from sr.io.video.frame import Color, Layout
from sr.io.video.pixels.color import resolve_color

YUV = Layout("yuv", 8, (1, 1))
RGB = Layout("rgb", 8)


def resolved(
    *given: int, layout: Layout = YUV, size: tuple[int, int] = (1280, 720), codec: str = "h264"
) -> tuple[Color, tuple[str, ...]]:
    matrix, primaries, transfer, color_range = given
    return resolve_color(
        matrix,
        primaries,
        transfer,
        color_range,
        layout=layout,
        width=size[0],
        height=size[1],
        codec=codec,
    )


@pytest.mark.parametrize("given", [(1, 1, 1, 1), (9, 9, 16, 1), (5, 5, 6, 2), (6, 1, 13, 2)])
def test_what_is_given_is_kept_without_a_note(given: tuple[int, int, int, int]) -> None:
    color, notes = resolved(*given)
    assert (color.matrix, color.primaries, color.transfer) == given[:3]
    assert color.full_range == (given[3] == 2)
    assert notes == ()


@pytest.mark.parametrize(
    ("size", "expected"),
    [
        ((1280, 720), (1, 1, 1)),
        ((1920, 1080), (1, 1, 1)),
        ((720, 578), (1, 1, 1)),
        ((720, 576), (5, 5, 6)),
        ((352, 288), (5, 1, 6)),
        ((720, 480), (6, 6, 6)),
        ((640, 360), (6, 1, 6)),
    ],
)
def test_what_is_unknown_goes_by_the_size(
    size: tuple[int, int], expected: tuple[int, int, int]
) -> None:
    for unspecified in (0, 2, 3):
        color, notes = resolved(unspecified, unspecified, unspecified, 0, size=size)
        assert (color.matrix, color.primaries, color.transfer) == expected
        assert not color.full_range
        (note,) = notes
        assert note.startswith("color matrix, primaries and transfer unknown, taken as BT.")
        assert note.endswith(f"as players do for {size[0]}x{size[1]}")


def test_a_single_guess_is_named_alone() -> None:
    _, notes = resolved(2, 1, 1, 1)
    assert notes == ("color matrix unknown, taken as BT.709, as players do for 1280x720",)


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ((9, 2, 2, 1), (9, 9, 14)),
        ((2, 9, 16, 1), (9, 9, 16)),
        ((1, 2, 2, 1), (1, 1, 1)),
        ((7, 2, 2, 1), (7, 7, 7)),
        ((9, 2, 18, 1), (9, 9, 18)),
    ],
)
def test_guesses_agree_with_what_is_given(
    given: tuple[int, int, int, int], expected: tuple[int, int, int]
) -> None:
    color, _ = resolved(*given)
    assert (color.matrix, color.primaries, color.transfer) == expected


def test_nothing_is_left_unspecified() -> None:
    for matrix in (0, 1, 2, 4, 5, 6, 7, 8, 9):
        for primaries in (0, 1, 2, 3, 9):
            for transfer in (0, 1, 2, 3, 16):
                for layout in (YUV, RGB, Layout("gray", 12), Layout("yuv", 12)):
                    color, _ = resolved(matrix, primaries, transfer, 0, layout=layout)
                    numbers = (color.matrix, color.primaries, color.transfer)
                    assert not {2, 3} & set(numbers)
                    assert color.primaries != 0
                    assert color.transfer != 0
                    assert (color.matrix == 0) == (layout.kind == "rgb")


def test_rgb_is_srgb_in_full_range_unless_given_otherwise() -> None:
    assert resolved(2, 2, 2, 0, layout=RGB) == (Color(0, 1, 13, True), ())
    assert resolved(1, 9, 16, 1, layout=RGB) == (Color(0, 9, 16, False), ())


def test_motion_jpeg_is_full_range() -> None:
    assert resolved(2, 2, 2, 0, codec="mjpeg")[0].full_range
    assert not resolved(2, 2, 2, 1, codec="mjpeg")[0].full_range


@pytest.mark.parametrize(("matrix", "name"), [(10, "BT.2020"), (13, "chroma"), (14, "ICtCp")])
def test_matrices_that_are_not_linear_are_refused_by_name(matrix: int, name: str) -> None:
    with pytest.raises(ValueError, match=rf"linear .*, got {name}"):
        resolved(matrix, 9, 16, 1)
