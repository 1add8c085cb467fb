"""What the numbers of an image mean, where a file says so without an ICC profile.

PNG has the chunks cICP, gAMA and cHRM (PNG, third edition, 11.3.2), AVIF and HEIF the box nclx;
cICP and nclx hold code points of ITU-T H.273. As far as curves of ICC.1 can say the same, it
becomes an ICC profile for formats that hold nothing else.
"""

import struct
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Chromaticities = tuple[float, float, float, float, float, float, float, float]
"""x and y of white, red, green and blue."""

_D65 = (0.3127, 0.3290)
_SRGB_PRIMARIES, _SRGB_TRANSFER, _UNSPECIFIED = 1, 13, 2
_PRIMARIES: dict[int, Chromaticities] = {  # H.273, table 2
    1: (*_D65, 0.64, 0.33, 0.30, 0.60, 0.15, 0.06),
    4: (0.310, 0.316, 0.67, 0.33, 0.21, 0.71, 0.14, 0.08),
    5: (*_D65, 0.64, 0.33, 0.29, 0.60, 0.15, 0.06),
    6: (*_D65, 0.630, 0.340, 0.310, 0.595, 0.155, 0.070),
    7: (*_D65, 0.630, 0.340, 0.310, 0.595, 0.155, 0.070),
    9: (*_D65, 0.708, 0.292, 0.170, 0.797, 0.131, 0.046),
    11: (0.314, 0.351, 0.680, 0.320, 0.265, 0.690, 0.150, 0.060),
    12: (*_D65, 0.680, 0.320, 0.265, 0.690, 0.150, 0.060),
    22: (*_D65, 0.630, 0.340, 0.295, 0.605, 0.155, 0.077),
}
_SRGB_CURVE = (2.4, 1 / 1.055, 0.055 / 1.055, 1 / 12.92, 0.04045)
_BT709_CURVE = (1 / 0.45, 1 / 1.099, 0.099 / 1.099, 1 / 4.5, 0.081)
_CURVES: dict[int, tuple[float, ...]] = {  # H.273, table 3, as parameters of ICC.1, 10.18
    **dict.fromkeys((1, 6, 14, 15), _BT709_CURVE),
    4: (2.2,),
    5: (2.8,),
    8: (1.0,),
    13: _SRGB_CURVE,
}
_SD_PRIMARIES, _SD_TRANSFERS = (1, 2, 5, 6, 7), (1, 2, 6, 13, 14, 15)
_NEAR, _USUAL_GAMMAS = 0.02, (0.4, 0.6)
_D50 = (0.9642, 1.0, 0.8249)  # XYZ of the profile connection space
_BRADFORD = np.array(
    [[0.8951, 0.2664, -0.1614], [-0.7502, 1.7135, 0.0367], [0.0389, -0.0685, 1.0296]]
)  # ICC.1, annex E
_TOLERANCE = 1e-3  # of gamma and chromaticities, which writers round


@dataclass(frozen=True)
class ColorEncoding:
    """The meaning of RGB or gray values, other than sRGB's.

    codes: H.273's numbers of (primaries, transfer function), None without cICP or nclx. gamma: the
    exponent of the encoding, as gAMA has it: 0.45455 is usual. chromaticities: by cHRM.
    """

    codes: tuple[int, int] | None = None
    gamma: float | None = None
    chromaticities: Chromaticities | None = None


def make_encoding(
    codes: tuple[int, int] | None = None,
    gamma: float | None = None,
    chromaticities: Chromaticities | None = None,
) -> ColorEncoding | None:
    """Return what a file says of its colors; None where it is sRGB, or is not known."""
    if codes is not None:
        primaries, transfer = codes
        known_primaries = (_SRGB_PRIMARIES, _UNSPECIFIED)
        if primaries in known_primaries and transfer in (_SRGB_TRANSFER, _UNSPECIFIED):
            return None
        return ColorEncoding(codes, gamma, chromaticities)
    if gamma is not None and abs(gamma - 1 / 2.2) < _TOLERANCE and chromaticities is None:
        return None
    srgb = _PRIMARIES[_SRGB_PRIMARIES]
    if chromaticities is not None and np.abs(np.subtract(chromaticities, srgb)).max() < _TOLERANCE:
        return make_encoding(gamma=gamma)
    if gamma is None and chromaticities is None:
        return None
    return ColorEncoding(None, gamma, chromaticities)


def is_like_srgb(encoding: ColorEncoding) -> bool:
    """Return whether colors look much the same as sRGB: as those of most videos do."""
    if encoding.codes is not None:
        primaries, transfer = encoding.codes
        return primaries in _SD_PRIMARIES and transfer in _SD_TRANSFERS
    chromaticities = encoding.chromaticities or _PRIMARIES[_SRGB_PRIMARIES]
    near = np.abs(np.subtract(chromaticities, _PRIMARIES[_SRGB_PRIMARIES])).max() < _NEAR
    return bool(near) and _USUAL_GAMMAS[0] < (encoding.gamma or 1 / 2.2) < _USUAL_GAMMAS[1]


def make_profile(encoding: ColorEncoding, *, gray: bool) -> bytes | None:
    """Make the ICC profile, version 4, of an encoding; None of one that it cannot say.

    That is PQ, HLG and code points that H.273 reserves. What the encoding leaves open is sRGB's.
    gray: with the curve alone.
    """
    primaries, transfer = encoding.codes or (_UNSPECIFIED, _UNSPECIFIED)
    chromaticities = encoding.chromaticities or _PRIMARIES[_SRGB_PRIMARIES]
    curve: tuple[float, ...] = _SRGB_CURVE if encoding.gamma is None else (1 / encoding.gamma,)
    if primaries != _UNSPECIFIED:
        if primaries not in _PRIMARIES:
            return None
        chromaticities = _PRIMARIES[primaries]
    if transfer != _UNSPECIFIED:
        if transfer not in _CURVES:
            return None
        curve = _CURVES[transfer]
    try:
        matrix, adaptation = _compute_matrix(chromaticities)
    except np.linalg.LinAlgError:  # three primaries on one line, or y of 0
        return None
    tags = {
        b"desc": _pack_text("RGB or gray, from the color encoding of the image"),
        b"cprt": _pack_text("No copyright"),
        b"wtpt": _pack_numbers(b"XYZ ", _D50),
        b"chad": _pack_numbers(b"sf32", adaptation.ravel()),
    }
    if gray:
        tags[b"kTRC"] = _pack_curve(curve)
    else:
        for letter, xyz in zip(b"rgb", matrix.T, strict=True):
            tags[b"%cXYZ" % letter] = _pack_numbers(b"XYZ ", xyz)
            tags[b"%cTRC" % letter] = _pack_curve(curve)
    return _pack_profile(b"GRAY" if gray else b"RGB ", tags)


def _compute_matrix(
    chromaticities: Chromaticities,
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Return linear RGB -> XYZ under D50, and the adaptation from the white of the image to it."""
    points = np.array(chromaticities).reshape(4, 2)
    if not (np.isfinite(points).all() and (points[:, 1] > 0).all()):
        raise np.linalg.LinAlgError
    x, y = points.T
    xyz = np.stack([x / y, np.ones(4), (1 - x - y) / y])  # columns: white, red, green, blue
    white, primaries = xyz[:, 0], xyz[:, 1:]
    matrix = primaries * np.linalg.solve(primaries, white)
    gains = (_BRADFORD @ _D50) / (_BRADFORD @ white)
    adaptation = np.linalg.inv(_BRADFORD) @ np.diag(gains) @ _BRADFORD
    return adaptation @ matrix, adaptation


def _pack_profile(space: bytes, tags: dict[bytes, bytes]) -> bytes:
    """Pack header, table and tags (ICC.1, 7)."""
    offset = 128 + 4 + 12 * len(tags)
    table, content = struct.pack(">I", len(tags)), b""
    for signature, tag in tags.items():
        table += struct.pack(">4sII", signature, offset + len(content), len(tag))
        content += tag.ljust(-(-len(tag) // 4) * 4, b"\0")
    illuminant = _pack_numbers(b"", _D50)
    header = struct.pack(
        ">I4sI4s4s4s12s4s28s12s48s",
        *(offset + len(content), b"", 0x04300000, b"mntr", space, b"XYZ "),
        struct.pack(">6H", 2020, 1, 1, 0, 0, 0),
        *(b"acsp", b"", illuminant, b""),
    )
    return header + table + content


def _pack_numbers(kind: bytes, numbers: npt.ArrayLike) -> bytes:
    """Pack s15Fixed16 numbers, after the type and four zeros if there is a type."""
    fixed: bytes = np.rint(np.asarray(numbers) * 65536).astype(">i4").tobytes()
    return (kind + bytes(4) if kind else b"") + fixed


def _pack_curve(parameters: tuple[float, ...]) -> bytes:
    """Pack a parametric curve: a power, or one with a line at its start (functions 0 and 3)."""
    function = 0 if len(parameters) == 1 else 3
    return b"para" + bytes(4) + struct.pack(">HH", function, 0) + _pack_numbers(b"", parameters)


def _pack_text(text: str) -> bytes:
    content = text.encode("utf-16-be")
    return (
        b"mluc"
        + bytes(4)
        + struct.pack(">II2s2sII", 1, 12, b"en", b"US", len(content), 28)
        + content
    )
