"""Guess what a video's colors mean where its file does not say, as players do (mpv).

A guess goes by the size of the image. The enlarged result has another size, by which players
would guess otherwise, so what is resolved here is written to it explicitly.
"""

from sr.io.video.frame import UNSPECIFIED, Color, Layout

_LIMITED_RANGE, _FULL_RANGE = 1, 2  # FFmpeg's numbers; 0 for unknown
_IDENTITY, _BT709, _BT470BG, _BT601, _BT2020 = 0, 1, 5, 6, 9  # matrices, and but for 0 primaries
_SRGB_TRANSFER, _BT2020_TRANSFER, _BT2020_12_TRANSFER = 13, 14, 15
HDR_TRANSFERS = (16, 18)  # PQ and HLG
_RESERVED = (0, UNSPECIFIED, 3)  # of primaries and transfer: unknown

_NOT_LINEAR = {  # chroma that no matrix makes of R'G'B'
    10: "BT.2020 with constant luminance",
    13: "chromaticity-derived with constant luminance",
    14: "ICtCp",
    15: "IPT-C2",
}
_NAMES = {
    ("matrix", _BT709): "BT.709",
    ("matrix", _BT470BG): "BT.601",
    ("matrix", _BT601): "BT.601",
    ("matrix", _BT2020): "BT.2020",
    ("primaries", _BT709): "BT.709",
    ("primaries", _BT470BG): "BT.601 (625 lines)",
    ("primaries", _BT601): "BT.601 (525 lines)",
    ("primaries", 7): "SMPTE 240M",
    ("primaries", _BT2020): "BT.2020",
    ("transfer", _BT709): "BT.709",
    ("transfer", _BT601): "BT.601",
    ("transfer", 7): "SMPTE 240M",
    ("transfer", _SRGB_TRANSFER): "sRGB",
    ("transfer", _BT2020_TRANSFER): "BT.2020",
    ("transfer", _BT2020_12_TRANSFER): "BT.2020",
}


def resolve_color(
    matrix: int,
    primaries: int,
    transfer: int,
    color_range: int,
    *,
    layout: Layout,
    width: int,
    height: int,
    codec: str = "",
) -> tuple[Color, tuple[str, ...]]:
    """Return a color without gaps, and what was guessed, in words for the user.

    matrix, primaries, transfer: H.273's numbers from a decoder. color_range: 0 unknown,
    1 limited, 2 full. width, height: pixels. codec: FFmpeg's name.

    That limited range is taken for YUV and gray, and sRGB for RGB, is usual and goes unsaid.
    Raises `ValueError` for a matrix that is not linear on R'G'B'.
    """
    if layout.kind == "rgb":
        primaries = _BT709 if primaries in _RESERVED else primaries
        transfer = _SRGB_TRANSFER if transfer in _RESERVED else transfer
        return Color(_IDENTITY, primaries, transfer, color_range != _LIMITED_RANGE), ()
    if matrix in _NOT_LINEAR:
        raise ValueError(
            "expected a color matrix that is linear on R'G'B', as of BT.601, BT.709 or BT.2020,"
            f" got {_NOT_LINEAR[matrix]}"
        )
    guessed: dict[str, int] = {}
    if matrix in _RESERVED:  # 0 would be R'G'B' itself, and FFmpeg gives that as RGB
        matrix = guessed["matrix"] = _guess_matrix(primaries, width, height)
    if primaries in _RESERVED:
        primaries = guessed["primaries"] = _guess_primaries(matrix, transfer, width, height)
    if transfer in _RESERVED:
        transfer = guessed["transfer"] = _guess_transfer(matrix, layout.depth)
    full_range = color_range == _FULL_RANGE or (not color_range and "jpeg" in codec)
    return Color(matrix, primaries, transfer, full_range), _describe_guesses(guessed, width, height)


def _guess_matrix(primaries: int, width: int, height: int) -> int:
    if primaries == _BT2020:
        return _BT2020
    if _is_high_definition(width, height):
        return _BT709
    return _BT470BG if height in (288, 576) else _BT601  # the same numbers under two names


def _guess_primaries(matrix: int, transfer: int, width: int, height: int) -> int:
    if matrix == _BT2020 or transfer in HDR_TRANSFERS:
        return _BT2020
    if matrix == 7:  # SMPTE 240M
        return 7
    if matrix == _BT709 or _is_high_definition(width, height):
        return _BT709
    return {576: _BT470BG, 480: _BT601, 486: _BT601}.get(height, _BT709)  # else not of television


def _guess_transfer(matrix: int, depth: int) -> int:
    if matrix == _BT2020:
        return _BT2020_12_TRANSFER if depth >= 12 else _BT2020_TRANSFER
    if matrix == 7:  # SMPTE 240M
        return 7
    return _BT601 if matrix in (_BT470BG, _BT601) else _BT709  # one curve under two names


def _is_high_definition(width: int, height: int) -> bool:
    return width >= 1280 or height > 576


def _describe_guesses(guessed: dict[str, int], width: int, height: int) -> tuple[str, ...]:
    if not guessed:
        return ()
    taken = [_NAMES[kind, number] for kind, number in guessed.items()]
    if len(set(taken)) == 1:
        del taken[1:]
    return (
        f"color {_join_words(list(guessed))} unknown, taken as {_join_words(taken)},"
        f" as players do for {width}x{height}",
    )


def _join_words(words: list[str]) -> str:
    return " and ".join(filter(None, [", ".join(words[:-1]), words[-1]]))
