"""Choose a result's pixel format and color by its source and by what its encoder takes.

The rule: those of the source where the encoder takes them; else what loses the least; and every
loss is reported.
"""

from dataclasses import replace

from sr.io.video.encode.codecs import Codec, EncoderError, suggest_name
from sr.io.video.frame import UNSPECIFIED, Color, Layout, Siting, VideoInfo

_BT709 = 1  # H.273: matrix, primaries
_SRGB = 13  # H.273: transfer
_RGB = 0  # H.273: matrix of samples that are R, G and B


def choose_layout(
    codec: Codec, pix_fmt: str | None, source: Layout
) -> tuple[Layout, tuple[str, ...]]:
    """Choose the layout of the planes to encode, and note what is lost.

    pix_fmt: the user's choice. EncoderError: unknown, or the encoder does not take it.
    """
    layouts = tuple(codec.list_layouts())
    if pix_fmt is not None:
        return _check_choice(codec, pix_fmt, layouts, source), ()
    wanted, notes = _find_wanted(codec, source)
    same_kind = [layout for layout in layouts if layout.kind == wanted.kind]
    layout = min(same_kind, key=lambda offered: _rate_loss(wanted, offered))
    return layout, notes + _describe_losses(codec, wanted, layout)


def choose_color(source: VideoInfo, layout: Layout) -> Color:
    """Choose what the result's samples mean: as in the source where planes are of its kind.

    RGB and gray without a matrix become BT.709 in limited range, which every player expects.
    """
    color = source.color
    given = replace(
        color,
        primaries=_BT709 if color.primaries == UNSPECIFIED else color.primaries,
        transfer=_SRGB if color.transfer == UNSPECIFIED else color.transfer,
    )
    if layout.kind == "rgb":
        return replace(given, matrix=_RGB, full_range=True)
    if layout.kind == "gray" and source.layout.kind == "gray":
        return given
    if source.layout.kind == "rgb" or color.matrix in (_RGB, UNSPECIFIED):
        return replace(given, matrix=_BT709, full_range=False)
    return given


def choose_siting(codec: Codec, source: VideoInfo, layout: Layout) -> Siting:
    """Choose where chroma lies: as in the source if the stream can say so, else `left`."""
    halved = (1, 1)
    if codec.tags_siting and source.layout.chroma_shift == layout.chroma_shift == halved:
        return source.siting
    return "left"


def round_size(
    codec: Codec, layout: Layout, width: int, height: int
) -> tuple[int, int, tuple[str, ...]]:
    """Round the size up to what can be encoded, and note the extra columns and rows.

    H.264, HEVC and ProRes hold whole chroma samples only.
    """
    if not codec.even or layout.kind != "yuv":
        return width, height, ()
    across, down = (2**shift for shift in layout.chroma_shift)
    coded = (-(-width // across) * across, -(-height // down) * down)
    if coded == (width, height):
        return width, height, ()
    more = [
        f"{extra} {what}{'s' if extra > 1 else ''}"
        for extra, what in ((coded[0] - width, "column"), (coded[1] - height, "row"))
        if extra
    ]
    note = (
        f"{' and '.join(more)} repeated: {codec.encoder} takes {_format_chroma(layout)} in even "
        f"sizes only, so {width}x{height} becomes {coded[0]}x{coded[1]} (4:4:4 can be odd)"
    )
    return *coded, (note,)


def warn_of_players(encoder: str, layout: Layout) -> tuple[str, ...]:
    """Warn of H.264 that browsers, televisions and most phones do not play."""
    is_usual = layout.depth == 8 and layout.chroma_shift == (1, 1)
    if encoder not in ("libx264", "h264_nvenc") or is_usual:
        return ()
    hevc = ""
    if layout.chroma_shift == (1, 1):
        hevc = f", and with --codec libx265 they take {layout.depth} bits"
    return (
        f"few players take H.264 of {_format_chroma(layout)} with {layout.depth} bits per sample;"
        f" all take --pix-fmt yuv420p{hevc}",
    )


def _check_choice(
    codec: Codec, pix_fmt: str, layouts: tuple[Layout, ...], source: Layout
) -> Layout:
    """Return the layout of the user's pixel format."""
    layout = Layout.parse(pix_fmt)
    layouts = tuple(offered for offered in layouts if source.alpha or not offered.alpha)
    names = [offered.pix_fmt for offered in layouts]
    if layout is None or layout not in layouts or pix_fmt.startswith("yuvj"):
        raise EncoderError(
            f"expected a pixel format that {codec.encoder} takes, one of {', '.join(names)}, "
            f"got {pix_fmt!r}{suggest_name(pix_fmt, names)}"
        )
    return layout


def _find_wanted(codec: Codec, source: Layout) -> tuple[Layout, tuple[str, ...]]:
    """Return the layout to look for among those that the encoder takes."""
    if source.kind == "gray" and (source.alpha or not codec.keeps_gray):
        # few players show gray alone
        return Layout("yuv", source.depth, (1, 1), source.alpha), ()
    if source.kind != "rgb" or codec.rgb == "kept":
        return source, ()
    depth = min(source.depth, 10)  # players show no more
    layout = Layout("yuv", depth, (0, 0) if codec.rgb == "444" else (1, 1), source.alpha)
    fewer = f", and {source.depth} bits per sample {depth}" if depth < source.depth else ""
    return layout, (f"RGB becomes Y'CbCr {_format_chroma(layout)}, as players expect{fewer}",)


def _rate_loss(wanted: Layout, offered: Layout) -> tuple[bool, int, int, int, int]:
    """Rate a layout, less is better: alpha, bits, then chroma lost, then what is too much."""
    bits = wanted.depth - offered.depth
    chroma = [
        have - want for want, have in zip(wanted.chroma_shift, offered.chroma_shift, strict=True)
    ]
    return (
        wanted.alpha != offered.alpha,
        max(bits, 0),
        sum(max(halvings, 0) for halvings in chroma),
        sum(max(-halvings, 0) for halvings in chroma),
        max(-bits, 0),
    )


def _describe_losses(codec: Codec, wanted: Layout, layout: Layout) -> tuple[str, ...]:
    """Describe what `layout` lacks of `wanted`."""
    _, bits, chroma, _, _ = _rate_loss(wanted, layout)
    notes = []
    if bits:
        notes.append(
            f"{wanted.depth} bits per sample become {layout.depth}: {codec.encoder} takes no more"
        )
    if chroma:
        notes.append(
            f"chroma {_format_chroma(wanted)} becomes {_format_chroma(layout)}: "
            f"{codec.encoder} takes no finer one"
        )
    return tuple(notes)


def _format_chroma(layout: Layout) -> str:
    """Format a chroma as in 4:2:0."""
    return ":".join(layout.pix_fmt.removeprefix("yuv").removeprefix("a")[:3])
