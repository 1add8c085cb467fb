import re
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import pytest
from helpers.streams import mux_clip, write_source

from sr.io.video.mux.streams import plan_streams
from sr.io.video.time_range import WHOLE, TimeRange

KINDS = {".mp4": "mov_text", ".mkv": "subrip", ".webm": "webvtt"}
TEXTS = (
    (200, 500, r"{\i1}Hello{\i0}, world\Nand a second line"),
    (1000, 400, "Bye, bye"),
    (1500, 300, "A {word} in braces"),
)


def convert(
    folder: Path,
    kind: str,
    source_suffix: str,
    suffix: str,
    *,
    time_range: TimeRange = WHOLE,
    texts: tuple[tuple[int, int, str], ...] = TEXTS,
) -> list[tuple[float, float, str]]:
    """Start and end in seconds, and the text, of what comes out."""
    source = write_source(folder / f"in{source_suffix}", sounds=(), subtitle=kind, texts=texts)
    shown = [n for n in range(50) if time_range.overlaps(Fraction(n, 25), Fraction(0))]
    plan = plan_streams(source, video_stream=0, suffix=suffix)
    times = [512 * number for number in shown]
    output = mux_clip(folder, suffix, times, source=source, time_range=time_range)
    found = []
    with av.open(str(output)) as container:
        stream = container.streams.subtitles[0]
        copied = plan.passthrough[0].codec is None
        assert stream.codec_context.codec.canonical_name == (kind if copied else KINDS[suffix])
        for packet in container.demux(stream):
            items: Any = packet.decode() if packet.size else []  # no images
            text = b" ".join(item.dialogue for item in items).decode()
            if text:
                assert packet.pts is not None
                start = packet.pts * packet.time_base
                end = start + (packet.duration or 0) * packet.time_base
                found.append((float(start), float(end), text))
    return found


def _edges(found: list[tuple[float, float, str]]) -> list[float]:
    return [time for start, end, _ in found for time in (start, end)]


@pytest.mark.parametrize("suffix", [".mp4", ".mkv", ".webm"])
@pytest.mark.parametrize(
    ("kind", "source_suffix"), [("mov_text", ".mp4"), ("subrip", ".mkv"), ("webvtt", ".webm")]
)
def test_texts_and_their_times_come_through(
    tmp_path: Path, kind: str, source_suffix: str, suffix: str
) -> None:
    found = convert(tmp_path, kind, source_suffix, suffix)
    assert _edges(found) == pytest.approx([0.2, 0.7, 1.0, 1.4, 1.5, 1.8], abs=0.0011)
    plain = [re.sub(r"\{\\[^}]*\}", "", text) for _, _, text in found]
    assert plain[:2] == ["Hello, world\nand a second line", "Bye, bye"]


@pytest.mark.parametrize("suffix", [".mp4", ".webm"])
def test_styled_text_becomes_plain_text(tmp_path: Path, suffix: str) -> None:
    found = convert(tmp_path, "ass", ".mkv", suffix)
    assert [text for _, _, text in found][1] == "Bye, bye"
    assert len(found) == 3


@pytest.mark.parametrize("suffix", [".mp4", ".mkv"])
def test_texts_are_cut_to_the_time_range(tmp_path: Path, suffix: str) -> None:
    found = convert(
        tmp_path, "subrip", ".mkv", suffix, time_range=TimeRange(Fraction(2, 5), Fraction(6, 5))
    )
    assert _edges(found) == pytest.approx([0.0, 0.3, 0.6, 0.8], abs=0.0011)


def test_texts_that_overlap_are_shown_together_in_mp4(tmp_path: Path) -> None:
    texts = ((0, 1800, "Sign"), (200, 500, "Hello"), (400, 600, "Bye"), (400, 600, "you"))
    found = convert(tmp_path, "ass", ".mkv", ".mp4", texts=texts)
    assert [text for _, _, text in found] == [
        "Sign",
        "Sign\nHello",
        "Sign\nHello\nBye\nyou",
        "Sign\nBye\nyou",
        "Sign",
    ]
    edges = [0, 0.2, 0.2, 0.4, 0.4, 0.7, 0.7, 1.0, 1.0, 1.8]
    assert _edges(found) == pytest.approx(edges, abs=0.0011)
