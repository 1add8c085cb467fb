"""The text of ncnn programs: what is read from it, and what is refused before ncnn sees it."""

from pathlib import Path

import pytest
import torch
from helpers.ncnn_files import LINES, join_lines, pack_weights, write_program

from sr.errors import ModelFileError
from sr.models.ncnn_blobs import UnknownLayerError
from sr.models.ncnn_graph import Graph, check_weights, trace_program
from sr.models.ncnn_program import MAX_BYTES, parse_program, read_program


def trace(*lines: str) -> Graph:
    return trace_program(parse_program(join_lines(lines)))


def between(*lines: str) -> Graph:
    """Trace layers from `a`, an image of 3 channels, to `z`, its result."""
    return trace("Input in 0 1 a", *lines)


def test_layers_and_the_ends_are_read() -> None:
    program = parse_program(join_lines())
    assert (program.source, program.result) == ("data", "output")
    convolution = program.layers[2]
    assert (convolution.kind, convolution.inputs, convolution.outputs) == (
        "Convolution",
        ("a",),
        ("c",),
    )
    assert convolution.get_integer(6, 0) == 324
    assert program.layers[4].get_number(1, 0) == 2.0


def test_a_graph_says_scale_radius_weights_and_memory() -> None:
    graph = trace(*LINES)
    assert (graph.scale, graph.receptive_radius, graph.size_multiple) == (2, 1, 1)
    assert graph.num_weights == 324 + 12
    assert graph.largest_blob == 12
    # When the sum is taken: both of its summands and itself; 3 channels of 4 pixels each.
    assert graph.peak_numbers == 36


def test_the_radius_grows_less_where_pixels_are_finer() -> None:
    wide = "Convolution {0} 1 1 {0} {1} 0=3 1=5 4=2 6=225"
    up = "Interp up 1 1 b c 0=1 1=2.0 2=2.0"
    assert between(wide.format("a", "z")).receptive_radius == 2
    assert between(wide.format("a", "b"), up, wide.format("c", "z")).receptive_radius == 3
    assert between(up.replace("b c 0=1", "a z 0=3")).receptive_radius == 2
    assert between("Convolution x 1 1 a z 0=3 1=3 2=4 4=4 6=81").receptive_radius == 4
    up = "Deconvolution up 1 1 a z 0=3 1=6 3=2 4=2 6=324"
    assert (between(up).scale, between(up).receptive_radius) == (2, 1)


def test_attention_over_the_whole_image_has_no_radius() -> None:
    graph = between(
        "Split s 1 2 a b c",
        "Pooling mean 1 1 b d 0=1 4=1",
        "InnerProduct fc 1 1 d e 0=3 1=1 2=9 9=4",
        "BinaryOp times 2 1 c e z 0=2",
    )
    assert graph.receptive_radius is None
    assert graph.num_weights == 9 + 3


def test_a_network_that_folds_needs_a_multiple() -> None:
    conv = "Convolution conv 1 1 b c 0=48 1=1 6=2304"
    graph = between("Reorg fold 1 1 a b 0=4", conv, "PixelShuffle up 1 1 c z 0=4")
    assert (graph.scale, graph.size_multiple) == (1, 4)


def test_what_shares_memory_counts_once() -> None:
    split = "Split s 1 3 a b c d"
    alike = between(split, "Concat join 3 1 b c d e", "Convolution x 1 1 e z 0=3 1=1 6=27")
    assert alike.peak_numbers == 3 + 12  # nine channels are held as twelve
    slope = "PReLU r 1 1 a z 0=3"
    assert between(slope).peak_numbers == 3


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("", "expected an ncnn program, 7767517 in its first line, got nothing"),
        ("7767516\n1 1\n", "7767517 in its first line, got 7767516"),
        ("7767517\n", r"expected the counts of layers and blobs in line 2, got \[\]"),
        ("7767517\n99999999999 1\n", "expected the counts"),
        ("7767517\n-1 1\n", "expected the counts"),
        ("7767517\n999999 1\nInput a 0 1 a\n", "expected 999999 layers"),
        ("7767517\n1 7\nInput a 0 1 a\n", "expected 7 blobs, as it says, got 1"),
        ("7767517\n1 1\nInput a 0 1\n", "expected 0 inputs and 1 outputs"),
        ("7767517\n1 1\nInput a 0 999 a\n", "expected at most 64 inputs"),
        ("7767517\n1 1\nInput a 0 1 a 0\n", "expected KEY=VALUE, got 0"),
        ("7767517\n1 1\nInput a 0 1 a 99=1\n", "expected parameters 0 to 63, got 99"),
        ("7767517\n1 1\nInput a 0 1 a -23399=1,1\n", "expected parameters 0 to 63, got 99"),
        ("7767517\n1 1\nInput a 0 1 a 0=9999999999\n", "expected a number, got 9999999999"),
        ("7767517\n1 1\nInput a 0 1 a -23300=2147483647,1\n", "expected a count and as many"),
        ("7767517\n1 1\nInput a 0 1 a 0=x\n", "expected a number, got x"),
        (f"7767517\n1 1\nInput {'a' * 256} 0 1 a\n", "expected names of at most 255"),
        ("7767517\n2 2\nInput a 0 1 a\nInput b 0 1 b\n", "expected one input and one output"),
        ("7767517\n2 2\nInput a 0 1 a\nReLU b 1 1 c d\n", "b: expected inputs that a layer before"),
        ("7767517\n2 1\nInput a 0 1 a\nReLU b 1 1 a a\n", "b: expected new outputs"),
    ],
)
def test_a_text_with_faults_is_refused(text: str, fault: str, tmp_path: Path) -> None:
    path = tmp_path / "a.param"
    path.write_text(text)
    with pytest.raises(ModelFileError, match=rf"a\.param: .*{fault}"):
        read_program(path)


def test_what_is_no_text_or_too_long_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.param"
    path.write_bytes(b"\x5d\x85\x76\x00")  # ncnn's binary form
    with pytest.raises(ModelFileError, match=r"a\.param: expected .*, got"):
        read_program(path)
    path.write_bytes(b"7767517\n\xff")
    with pytest.raises(ModelFileError, match=r"a\.param: expected an ncnn program in text form"):
        read_program(path)
    path.write_bytes(b" " * (MAX_BYTES + 1))
    with pytest.raises(ModelFileError, match=r"a\.param: expected at most"):
        read_program(path)


@pytest.mark.parametrize(
    ("lines", "fault"),
    [
        (["Magic x 1 1 a z"], "layer Magic is not supported"),
        (["Convolution x 1 1 a z 0=3 1=3 4=1 6=82"], "expected 81 weights for 3 to 3 channels"),
        (["Convolution x 1 1 a z 0=3 1=3 6=81"], "a result of the image's size over"),
        (["Convolution x 1 1 a z 0=3 1=3 3=0 4=1 6=81"], "expected one stride of 1 to 31"),
        (["Convolution x 1 1 a z 0=3 1=3 3=2 4=1 6=81"], "a result of the image's size over"),
        (["Convolution x 1 1 a z 0=3 1=2 3=2 6=36"], "enlarged by a whole number, as the output"),
        (["Convolution x 1 1 a z 0=3 1=3 4=1 6=81 8=1"], "8-bit weights"),
        (["Convolution x 1 1 a z 0=3 1=3 4=1 6=81 9=3"], "activation .* with its numbers, got 3"),
        (["Convolution x 1 1 a z 0=3.0 1=3 4=1 6=81"], "expected an integer as parameter 0"),
        (["Convolution x 1 1 a z 0=3 1=-3 4=1 6=81"], "expected a kernel of 1 to 31"),
        (["Convolution x 1 1 a z 0=90000 1=1 6=270000"], "expected 1 to 8192 channels"),
        (["ConvolutionDepthWise x 1 1 a z 0=3 1=1 6=3 7=0"], r"expected channels in 0 group"),
        (["PReLU x 1 1 a z 0=4"], "expected 1 or 3 slopes, got 4"),
        (["PixelShuffle x 1 1 a z 0=2"], "expected a multiple of 4 channels, got 3"),
        (["PixelShuffle x 1 1 a z 0=-2"], "expected a factor of 1 to 64, got -2"),
        (["Interp x 1 1 a z 0=1 3=99999 4=99999"], "expected a size that follows the input's"),
        (["Interp x 1 1 a z 0=1 1=64.0 2=64.0"], None),
        (["Interp x 1 1 a b 0=1 1=64.0 2=64.0", "Interp y 1 1 b z 0=1 1=2.0 2=2.0"],
         "at most 64 times the size, got 3 and 128"),
        (["Split s 1 2 a b c", "Interp x 1 1 b d 0=1 1=2.0 2=2.0", "BinaryOp p 2 1 c d z 0=0"],
         "expected inputs of one size, got"),
        (["Slice s 1 2 a b c -23300=2,9,9", "Concat j 2 1 b c z"], "expected parts of 3 channels"),
        (["Reshape x 1 1 a z 0=1"], "layer Reshape is not supported"),
        (["Split s 1 1 a z 0=\"7\""], "expressions as parameters"),
        (["Convolution x 1 1 a z 0=4 1=1 6=12"], "expected an image of 3 channels"),
        (["Pooling x 1 1 a z 0=1 4=1"], "expected an image of 3 channels"),
        (["Eltwise x 1 1 a z 0=1"], "expected two inputs, got 1"),
        (["Split s 1 2 a b c", "Eltwise x 2 1 b c z 0=1 -23301=1,1.0"], "a factor for each input"),
    ],
)  # fmt: skip
def test_layers_that_ncnn_would_take_at_their_word_are_refused(
    lines: list[str], fault: str | None
) -> None:
    if fault is None:
        assert between(*lines).scale == 64
        return
    with pytest.raises(ValueError, match=fault):
        between(*lines)


def test_what_is_only_not_known_is_told_from_what_is_wrong() -> None:
    with pytest.raises(UnknownLayerError, match=r"^Magic x: layer Magic is not supported; supp"):
        between("Magic x 1 1 a z")


@pytest.mark.parametrize("half", [False, True])
def test_weights_of_the_right_size_pass_and_others_not(half: bool, tmp_path: Path) -> None:
    param = write_program(tmp_path / "a.param", weights=pack_weights(half=half))
    weights = param.with_suffix(".bin")
    expected = trace(*LINES).weights
    check_weights(weights, expected)
    content = weights.read_bytes()
    for wrong in (content[:-1], content[:3], b"", content + b"\0"):
        weights.write_bytes(wrong)
        with pytest.raises(ModelFileError, match=rf"a\.bin: .* for its \.param, got {len(wrong)}$"):
            check_weights(weights, expected)


def test_quantized_weights_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.bin"
    path.write_bytes((0x000D4B38).to_bytes(4, "little") + bytes(2000))
    with pytest.raises(ModelFileError, match=r"got the mark 0xd4b38 at byte 0: .* is quantized"):
        check_weights(path, trace(*LINES).weights)


def test_a_file_is_read_to_its_claimed_size_only(tmp_path: Path) -> None:
    lines = ["Input in 0 1 a", "Convolution x 1 1 a b 0=8000 1=31 4=15 6=23064000"]
    lines += ["Convolution y 1 1 b z 0=3 1=31 4=15 6=23064000"]
    param = write_program(tmp_path / "a.param", lines, weights=torch.zeros(9).numpy().tobytes())
    graph = trace_program(read_program(param))
    with pytest.raises(ModelFileError, match=r"a\.bin: expected 92256008 or more bytes"):
        check_weights(param.with_suffix(".bin"), graph.weights)
