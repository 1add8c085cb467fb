"""ncnn programs as files: a .param, and a .bin of the same name next to it.

Those of others (Real-ESRGAN, Upscayl, waifu2x) run as they are. ncnn reads them in C++ and trusts
much of what they say, so only layers whose sizes can be checked are given to it.
"""

from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryDirectory

import torch

from sr.errors import ModelFileError
from sr.models.loaded_model import LoadedGenerator, measure_difference
from sr.models.ncnn_convert import choose_padding, convert_network, write_pair
from sr.models.ncnn_graph import check_weights, trace_program
from sr.models.ncnn_network import NcnnNetwork, NcnnPair
from sr.models.ncnn_program import read_program
from sr.networks.receptive_radius import MAX_RADIUS
from sr.vulkan import import_ncnn

SUFFIX, WEIGHTS_SUFFIX = ".param", ".bin"
TOLERANCE = {torch.float32: 1e-4, torch.float16: 2e-2}  # of the [0, 1] range, by type of weights
PROBED_SIDE = 32  # LR pixels


def read_pair(param: Path, *, converted_from: str | None = None) -> NcnnPair:
    """Read and check a pair of files. Raises ModelFileError for one that cannot be run safely.

    converted_from: what messages call the network that they were converted from here; then layers
    which are not known to be safe are taken as they are.
    """
    if not param.is_file():
        raise ModelFileError(f"{param}: no such model file")
    weights = param.with_suffix(WEIGHTS_SUFFIX)
    if not weights.is_file():
        raise ModelFileError(f"{param}: expected its weights next to it, in {weights.name}")
    program = read_program(param, converted_from)
    graph = None
    try:
        graph = trace_program(program)
    except ValueError as error:
        if converted_from is None:
            raise ModelFileError(f"{param}: {error}") from None
    if graph is not None:
        check_weights(weights, graph.weights)
    try:
        return NcnnPair(program, graph, weights.read_bytes())
    except OSError as error:
        raise ModelFileError(f"{weights}: cannot be read: {error.strerror}") from None


def is_ncnn(path: Path) -> bool:
    """Return whether this is a .param, or a .bin with one next to it."""
    suffix = path.suffix.lower()
    return suffix == SUFFIX or (suffix == WEIGHTS_SUFFIX and path.with_suffix(SUFFIX).is_file())


def read_ncnn(path: Path) -> LoadedGenerator:
    """Return the generator of a .param, or of the .bin next to one, run on the CPU.

    Raises ModelFileError for files that are not one, MissingNcnnError without the extra `ncnn`.
    """
    import_ncnn()
    path = path if path.suffix.lower() == SUFFIX else path.with_suffix(SUFFIX)
    pair = read_pair(path)
    graph = pair.graph
    assert graph is not None
    network = NcnnNetwork(pair, str(path)).eval()
    _try_out(network, graph.scale)
    radius = graph.receptive_radius
    return LoadedGenerator(
        network,
        graph.scale,
        MAX_RADIUS if radius is None else min(radius, MAX_RADIUS),
        architecture=f"unnamed, {len(pair.program.layers)} layers",
        origin="ncnn",
        reduced_precisions=frozenset({torch.float16}),
        size_multiple=graph.size_multiple,
        tiling="exact" if radius is not None else "discouraged",
    )


def write_ncnn(path: Path, generator: LoadedGenerator, *, half: bool) -> float:
    """Convert a generator to `path`, a .param, and its .bin; only if ncnn computes what torch does.

    The blobs are `data` and `output`, as programs for Real-ESRGAN expect. half: float16 weights.
    Returns the largest difference on two images, in units of the [0, 1] range. Raises
    ModelFileError where the network cannot be converted or the program computes something else.
    """
    import_ncnn()
    tolerance = TOLERANCE[torch.float16 if half else torch.float32]
    with TemporaryDirectory(prefix="sr-ncnn-") as folder:
        made = convert_network(generator, str(path), Path(folder), half=half)
        program = read_program(made)
        names = {program.source: "data", program.result: "output"}
        lines = program.text.splitlines()
        renamed = [" ".join(names.get(word, word) for word in line.split()) for line in lines]
        made.write_text("\n".join([*renamed, ""]), encoding="ascii")
        network = NcnnNetwork(
            read_pair(made, converted_from=str(path)), str(path), pad=choose_padding(generator)
        )
        difference = measure_difference(network, generator.network, str(path))
        if not difference <= tolerance:
            raise ModelFileError(
                f"{path}: ncnn's result differs from torch's by {difference:g} (allowed: "
                f"{tolerance:g}); nothing was written"
            )
        write_pair(made, path)
    return difference


def _try_out(network: NcnnNetwork, scale: int) -> None:
    """Run it once. Raises ModelFileError where the result is not what the text says."""
    sr = None
    with suppress(MemoryError, RuntimeError):  # reported below
        sr = network(torch.full((1, 3, PROBED_SIDE, PROBED_SIDE), 0.5))
    expected = (1, 3, scale * PROBED_SIDE, scale * PROBED_SIDE)
    if sr is None or tuple(sr.shape) != expected:
        got = "nothing" if sr is None else tuple(sr.shape)
        raise ModelFileError(
            f"{network.name}: expected {expected} for {PROBED_SIDE} pixels a side, got {got}"
        )
