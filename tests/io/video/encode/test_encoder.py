import struct
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from av.sidedata.sidedata import Type
from helpers.streams import INFO

from sr.io.video.encode.codecs import CODECS, Codec, EncoderError, choose_codec
from sr.io.video.encode.encoder import Encoding, plan_encoding, try_encoder
from sr.io.video.encode.pixel_format import choose_layout
from sr.io.video.encode.segment_writer import SegmentWriter, make_frame
from sr.io.video.frame import Color, Layout, Mastering, VideoInfo

YUV420 = Layout("yuv", 8, (1, 1))
YUV422_10 = Layout("yuv", 10, (1, 0))
RGB = Layout("rgb", 8)
HERE = [name for name, codec in CODECS.items() if not codec.on_gpu]


def encoding(
    codec: str | None = None,
    info: VideoInfo = INFO,
    size: tuple[int, int] = (64, 48),
    suffix: str = ".mkv",
    **choice: Any,
) -> Encoding:
    return plan_encoding(info, width=size[0], height=size[1], suffix=suffix, codec=codec, **choice)


@pytest.mark.parametrize("name", HERE)
def test_every_encoder_opens_with_its_defaults_in_each_of_its_containers(name: str) -> None:
    for suffix in CODECS[name].suffixes:
        made = encoding(name, suffix=suffix)
        assert made.encoder == name
        assert (made.width, made.height) == (64, 48)


@pytest.mark.parametrize(
    ("suffix", "expected"), [(".mp4", "libx264"), (".mkv", "libx264"), (".WEBM", "libvpx-vp9")]
)
def test_without_a_choice_the_container_decides(suffix: str, expected: str) -> None:
    assert encoding(suffix=suffix).encoder == expected


@pytest.mark.parametrize(
    ("short", "encoder"),
    [("h264", "libx264"), ("H265", "libx265"), ("av1", "libsvtav1"), ("prores", "prores_ks")],
)
def test_short_names_stand_for_encoders(short: str, encoder: str) -> None:
    assert encoding(short).encoder == encoder


@pytest.mark.parametrize("name", HERE)
def test_containers_listed_for_an_encoder_are_those_that_ffmpeg_has_a_tag_for(
    name: str, tmp_path: Path
) -> None:
    for suffix in (".mp4", ".mkv", ".webm"):
        with av.open(str(tmp_path / f"a{suffix}"), "w") as container:
            try:
                container.add_stream(name, rate=25)
                can_hold = True
            except ValueError:
                can_hold = False
        assert (suffix in CODECS[name].suffixes) == can_hold, suffix


@pytest.mark.parametrize(
    ("choice", "suffix", "message"),
    [
        ({"codec": "libsvtav"}, ".mkv", r"got 'libsvtav'; did you mean 'libsvtav1'\?"),
        ({"codec": "prores"}, ".mp4", r"\.mp4 cannot hold what prores_ks writes.*ends in \.mkv"),
        ({"codec": "libx264"}, ".webm", r"\.webm cannot hold.*one of libsvtav1, libvpx-vp9"),
        ({}, ".avi", r"ends in \.mp4, \.mkv or \.webm, got '\.avi'"),
        ({"crf": 52.0}, ".mkv", r"from 0 \(best\) to 51, got 52"),
        ({"codec": "av1", "crf": 20.5}, ".mkv", r"a whole number from 1 \(best\) to 63, got 20\.5"),
        ({"codec": "ffv1", "crf": 3.0}, ".mkv", "without loss and takes no crf, got 3"),
        ({"codec": "prores", "crf": 3.0}, ".mkv", "takes no crf"),
        ({"preset": "slwo"}, ".mkv", r"one of ultrafast, .*got 'slwo'; did you mean 'slow'\?"),
        ({"codec": "vp9", "preset": "slow"}, ".mkv", "one of 0, 1, 2, 3, 4, 5, got 'slow'"),
        ({"codec": "ffv1", "preset": "slow"}, ".mkv", "ffv1 has no presets"),
        ({"pix_fmt": "yuv420p12le"}, ".mkv", "libx264 takes, one of yuv420p, .*got 'yuv420p12le'"),
        ({"pix_fmt": "yuvj420p"}, ".mkv", "got 'yuvj420p'"),
        ({"pix_fmt": "nv12"}, ".mkv", "got 'nv12'"),
        ({"options": {"aq_mode": "1"}}, ".mkv", r"got 'aq_mode'; did you mean 'aq-mode'\?"),
        ({"options": {"zzzzzzz": "1"}}, ".mkv", "got 'zzzzzzz'; it has preset, tune"),
        ({"options": {"ar": "1"}}, ".mkv", "got 'ar'"),
        ({"options": {"pixel_format": "gray"}}, ".mkv", "choose it as the pixel format"),
        ({"options": {"aq-mode": "odd"}}, ".mkv", "does not open .* aq-mode=odd.*value odd"),
        ({"options": {"x264-params": "foo=1"}}, ".mkv", "Error parsing option 'foo = 1'"),
        ({"codec": "x265", "options": {"x265-params": "foo=1"}}, ".mkv", "Unknown option: foo"),
        ({"codec": "av1", "options": {"svtav1-params": "foo=1"}}, ".mkv", "parsing option foo"),
        ({"codec": "vp9", "options": {"cpu-used": "9"}}, ".mkv", "out of range"),
        ({"crf": 20.0, "options": {"qp": "3"}}, ".mkv", "crf 20 and the encoder option qp=3 both"),
        ({"preset": "slow", "options": {"preset": "fast"}}, ".mkv", "give one of them"),
    ],
)
def test_what_cannot_be_done_is_refused_before_the_work(
    choice: dict[str, Any], suffix: str, message: str
) -> None:
    for _ in range(2):  # FFmpeg logs the same line once only, unless set otherwise
        with pytest.raises(EncoderError, match=message):
            encoding(suffix=suffix, **choice)


def test_cards_encode_av1_of_halved_chroma_only() -> None:
    layouts = CODECS["av1_nvenc"].list_layouts()
    assert {layout.pix_fmt for layout in layouts} == {"yuv420p", "yuv420p10le"}
    fine = replace(YUV420, chroma_shift=(0, 0))
    layout, notes = choose_layout(CODECS["av1_nvenc"], None, fine)
    assert layout == YUV420
    assert notes == ("chroma 4:4:4 becomes 4:2:0: av1_nvenc takes no finer one",)


def test_the_short_name_of_cards_encoders_is_of_one_that_takes_more_than_4096_pixels() -> None:
    assert choose_codec("nvenc", ".mp4").encoder == "hevc_nvenc"


@pytest.mark.parametrize("name", ["nvenc", "h264_nvenc", "hevc_nvenc", "av1_nvenc"])
def test_an_encoder_of_a_card_that_is_not_there_says_what_it_needs(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    # On a machine with a card this hides it.
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    with pytest.raises(EncoderError, match=r"needs an NVIDIA card with an encoder.*choose libx264"):
        encoding(name, size=(256, 256))


def test_an_encoder_that_ffmpeg_was_built_without_is_named() -> None:
    with pytest.raises(EncoderError, match="no encoder libnothing"):
        choose_layout(Codec("libnothing", (".mkv",)), None, YUV420)


def test_a_quality_goes_to_the_encoders_own_option() -> None:
    assert encoding(crf=21.5).options["crf"] == "21.5"
    vp9 = encoding("vp9", crf=30)
    assert (vp9.options["crf"], vp9.options["b"]) == ("30", "0")
    assert encoding("vp9", preset="4").options["cpu-used"] == "4"
    assert encoding("av1", preset="9").options["preset"] == "9"


def test_a_rate_that_the_user_gives_leaves_no_default_quality() -> None:
    made = encoding(options={"b": "500000"})
    assert "crf" not in made.options
    assert made.options["b"] == "500000"


def test_options_of_the_user_go_over_the_defaults() -> None:
    assert encoding("vp9", options={"deadline": "realtime"}).options["deadline"] == "realtime"
    params = encoding("x265", options={"x265-params": "info=1:bframes=2"}).options["x265-params"]
    assert params == "log-level=none:info=1:bframes=2"


@pytest.mark.parametrize(
    ("codec", "source", "expected", "note"),
    [
        ("libx264", "yuv422p10le", "yuv422p10le", None),
        ("libx264", "yuv440p", "yuv444p", None),
        ("libx264", "yuv411p", "yuv422p", None),
        ("libx264", "yuv420p9le", "yuv420p10le", None),
        ("libx264", "yuv420p12le", "yuv420p10le", "12 bits per sample become 10: libx264"),
        ("libx265", "yuv420p14le", "yuv420p12le", "14 bits per sample become 12: libx265"),
        ("libsvtav1", "yuv422p10le", "yuv420p10le", "4:2:2 becomes 4:2:0: libsvtav1"),
        ("libvpx-vp9", "yuv420p10le", "yuv420p", "10 bits per sample become 8"),
        ("prores_ks", "yuv420p", "yuv422p10le", None),
        ("prores_ks", "yuv444p", "yuv444p10le", None),
        ("ffv1", "yuv420p14le", "yuv420p14le", None),
        ("ffv1", "gray16le", "gray16le", None),
        ("ffv1", "gbrp", "gbrp", None),
        ("ffv1", "gbrp16le", "gbrp16le", None),
        ("libx264", "gray", "yuv420p", None),
        ("libx264", "gbrp", "yuv420p", "RGB becomes Y'CbCr 4:2:0"),
        ("libx265", "gbrp16le", "yuv420p10le", "and 16 bits per sample 10"),
        ("prores_ks", "gbrp", "yuv444p10le", "RGB becomes Y'CbCr 4:4:4"),
    ],
)
def test_the_layout_is_the_sources_or_loses_the_least(
    codec: str, source: str, expected: str, note: str | None
) -> None:
    layout = Layout.parse(source)
    assert layout is not None
    made = encoding(codec, info=replace(INFO, layout=layout))
    assert made.layout.pix_fmt == expected
    assert (note is None) == (made.notes == ())
    assert note is None or note in made.notes[0]


def test_rgb_of_8_bits_goes_into_ffv1_in_its_packed_arrangement() -> None:
    made = encoding("ffv1", info=replace(INFO, layout=RGB))
    assert (made.layout, made.frame_format) == (RGB, "bgr0")


def test_color_is_the_sources_between_layouts_of_a_kind() -> None:
    hlg = Color(9, 9, 18, False)
    assert encoding(info=replace(INFO, layout=YUV422_10, color=hlg)).color == hlg
    full = Color(5, 5, 6, True)
    assert encoding(info=replace(INFO, color=full)).color == full


def test_rgb_becomes_bt709_of_limited_range_and_keeps_its_primaries_and_transfer() -> None:
    info = replace(INFO, layout=RGB, color=Color(0, 12, 13, True))
    assert encoding(info=info).color == Color(1, 12, 13, False)
    assert encoding("ffv1", info=info).color == Color(0, 12, 13, True)


def test_a_choice_of_rgb_gives_rgb_of_full_range() -> None:
    assert encoding("x265", pix_fmt="gbrp").color == Color(0, 1, 1, True)


@pytest.mark.parametrize(
    ("codec", "pix_fmt", "expected"),
    [
        ("libx264", "yuv420p", (34, 26)),
        ("libx265", "yuv422p", (34, 25)),
        ("libx264", "yuv444p", (33, 25)),
        ("prores_ks", "yuv422p10le", (34, 25)),
        ("libsvtav1", "yuv420p", (33, 25)),
        ("libvpx-vp9", "yuv420p", (33, 25)),
        ("ffv1", "yuv420p", (33, 25)),
    ],
)
def test_odd_sizes_grow_only_where_the_encoder_needs_it(
    codec: str, pix_fmt: str, expected: tuple[int, int]
) -> None:
    made = encoding(codec, size=(33, 25), pix_fmt=pix_fmt)
    assert (made.width, made.height) == expected
    assert ("repeated" in "".join(made.notes)) == (expected != (33, 25))


def test_the_note_on_an_odd_size_says_how_much_is_repeated() -> None:
    assert encoding(size=(33, 25)).notes[0].startswith("1 column and 1 row repeated")
    assert "33x24 becomes 34x24" in encoding(size=(33, 24)).notes[0]


def test_chroma_between_columns_is_kept_where_the_stream_can_say_it() -> None:
    centered = replace(INFO, siting="center")
    assert encoding(info=centered).siting == "center"
    assert encoding(info=centered).options["chroma_sample_location"] == "center"
    assert encoding("av1", info=centered).siting == "left"
    assert encoding(info=replace(centered, layout=RGB)).siting == "left"


def test_more_frames_per_second_than_av1_takes_still_open() -> None:
    assert encoding("av1", info=replace(INFO, rate=Fraction(1000))).encoder == "libsvtav1"


HDR = Mastering(
    ((0.708, 0.292), (0.17, 0.797), (0.131, 0.046), (0.3127, 0.329)), 0.005, 1000.0, 900, 400
)


@pytest.mark.parametrize("codec", ["libx264", "libx265", "libsvtav1"])
def test_mastering_metadata_is_in_the_stream(codec: str, tmp_path: Path) -> None:
    info = replace(
        INFO, layout=Layout("yuv", 10, (1, 1)), color=Color(9, 9, 16, False), mastering=HDR
    )
    made = encoding(codec, info=info)
    assert made.notes == ()
    path = tmp_path / "segment"
    planes = tuple(np.zeros(shape, np.uint16) for shape in made.layout.shapes(48, 64))
    with SegmentWriter(
        path, made, time_base=Fraction(1, 25), rate=Fraction(25), sample_aspect_ratio=Fraction(1)
    ) as segment:
        segment.write(make_frame(planes, made), 0, 1)
    with av.open(str(path)) as container:
        frame = next(container.decode(video=0))
        side_data: Any = frame.side_data  # its stub names keys, not blocks
        data = {one.type: bytes(one) for one in side_data}
    numbers = struct.unpack("=20i", data[Type.MASTERING_DISPLAY_METADATA][:80])
    values = [a / b for a, b in zip(numbers[::2], numbers[1::2], strict=True)]
    expected = [x for xy in HDR.primaries for x in xy] + [HDR.min_luminance, HDR.max_luminance]
    assert values == pytest.approx(expected, abs=1e-4)
    assert struct.unpack("=2I", data[Type.CONTENT_LIGHT_LEVEL][:8]) == (900, 400)


def test_mastering_metadata_that_has_no_place_is_noted() -> None:
    notes = encoding("vp9", info=replace(INFO, mastering=HDR)).notes
    assert notes == ("metadata of the mastering display is lost: libvpx-vp9 has no place for it",)


@pytest.mark.parametrize(
    ("codec", "suffix", "is_kept"),
    [
        ("libx264", ".mkv", True),
        ("libx265", ".mkv", True),
        ("vp9", ".mp4", True),
        ("vp9", ".mkv", False),
        ("av1", ".webm", False),
        ("ffv1", ".mkv", False),
    ],
)
def test_an_aspect_ratio_that_has_no_place_is_noted(codec: str, suffix: str, is_kept: bool) -> None:
    info = replace(INFO, sample_aspect_ratio=Fraction(16, 11))
    notes = encoding(codec, info=info, suffix=suffix).notes
    expected = () if is_kept else ("the pixels' aspect ratio 1.455 is lost",)
    assert tuple(note.split(",")[0] for note in notes) == expected


def test_formats_of_cards_are_those_they_encode_in_any_arrangement() -> None:
    formats = {
        name: {layout.pix_fmt: given for layout, given in CODECS[name].list_layouts().items()}
        for name in ("h264_nvenc", "hevc_nvenc")
    }
    deep = {"yuv420p10le": "p010le", "yuv444p10le": "yuv444p10msble"}
    assert deep.items() <= formats["hevc_nvenc"].items()
    assert formats["h264_nvenc"].keys() == formats["hevc_nvenc"].keys() - deep.keys()
    assert all(layout.depth == 8 for layout in CODECS["h264_nvenc"].list_layouts())


def test_opening_on_trial_prints_nothing(capfd: pytest.CaptureFixture[str]) -> None:
    for name in HERE:
        try_encoder(encoding(name), Fraction(25))
    captured = capfd.readouterr()
    assert captured.out + captured.err == ""
