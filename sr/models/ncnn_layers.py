"""What each layer of an ncnn program makes of its inputs: channels, size, and how far it sees.

Only layers of which that is known, with the parameters that image networks use; sizes of weights
are checked against the channels, since ncnn trusts the file in that. Keys of parameters are those
of ncnn's layers.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from fractions import Fraction

from sr.models.ncnn_blobs import Blob, Step, UnknownLayerError, Weights, take_one, widen_reach
from sr.models.ncnn_convolutions import trace_convolution, trace_deconvolution, trace_inner_product
from sr.models.ncnn_program import Layer

MAX_CHANNELS = 8192
MAX_SCALE = 64  # pixels per LR pixel along a side, anywhere in the network


def trace_layer(layer: Layer, inputs: Sequence[Blob]) -> Step:
    """Return what a layer makes. Raises UnknownLayerError, and ValueError for what cannot be."""
    trace = _LAYERS.get(layer.kind)
    if trace is None:
        raise UnknownLayerError(
            f"layer {layer.kind} is not supported; supported are {', '.join(sorted(_LAYERS))}"
        )
    if any(isinstance(value, str) for value in layer.values.values()):
        raise UnknownLayerError("expressions as parameters are not supported")
    step = trace(layer, inputs)
    if len(step.outputs) != len(layer.outputs):
        raise ValueError(f"expected {len(step.outputs)} output(s), got {len(layer.outputs)}")
    for blob in step.outputs:
        if not 1 <= blob.channels <= MAX_CHANNELS or not 1 / MAX_SCALE <= blob.scale <= MAX_SCALE:
            raise ValueError(
                f"expected 1 to {MAX_CHANNELS} channels and at most {MAX_SCALE} times the size, "
                f"got {blob.channels} and {float(blob.scale):g}"
            )
    return step


def _trace_input(layer: Layer, inputs: Sequence[Blob]) -> Step:
    if inputs or layer.get_integer(2, 0) not in (0, 3):
        raise ValueError(f"expected an input of 3 channels, got {layer.get_integer(2, 0)}")
    return Step([Blob(3)])


def _trace_memory(layer: Layer, inputs: Sequence[Blob]) -> Step:
    """One value per channel; others are not seen in image networks."""
    width, height, channels, depth = (layer.get_integer(key, 0) for key in (0, 1, 2, 11))
    if inputs or (width, height, depth) != (1, 1, 0) or layer.get_integer(21, 1) != 1:
        raise UnknownLayerError("expected one value per channel")
    return Step([Blob(channels, is_image=False)], [Weights(channels, is_tagged=False)])


def _trace_split(layer: Layer, inputs: Sequence[Blob]) -> Step:
    return Step([take_one(inputs)] * len(layer.outputs), is_in_place=True)


def _trace_elementwise(_layer: Layer, inputs: Sequence[Blob]) -> Step:
    return Step([take_one(inputs)], is_in_place=True)


def _trace_slopes(layer: Layer, inputs: Sequence[Blob]) -> Step:
    blob, count = take_one(inputs), layer.get_integer(0, 0)
    if count not in (1, blob.channels):
        raise ValueError(f"expected 1 or {blob.channels} slopes, got {count}")
    return Step([blob], [Weights(count, is_tagged=False)], is_in_place=True)


def _trace_scale(layer: Layer, inputs: Sequence[Blob]) -> Step:
    """Scale: factors and perhaps offsets; BatchNorm: four numbers per channel."""
    blob, count = take_one(inputs), layer.get_integer(0, 0)
    if count != blob.channels:
        raise ValueError(f"expected numbers for {blob.channels} channels, got {count}")
    num_arrays = 4 if layer.kind == "BatchNorm" else 1 + bool(layer.get_integer(1, 0))
    return Step([blob], [Weights(count, is_tagged=False)] * num_arrays, is_in_place=True)


def _trace_pooling(layer: Layer, inputs: Sequence[Blob]) -> Step:
    blob = take_one(inputs, image=True)
    if not layer.get_integer(4, 0):
        raise UnknownLayerError("expected pooling over the whole image")
    return Step([replace(blob, is_image=False, reach=None)])


def _trace_pair(layer: Layer, inputs: Sequence[Blob]) -> Step:
    """Operations of two images, or of an image and one value per channel, or with a number."""
    if layer.kind == "BinaryOp" and not 0 <= layer.get_integer(0, 0) <= 11:
        raise ValueError(f"expected an operation 0 to 11, got {layer.get_integer(0, 0)}")
    if layer.kind == "BinaryOp" and layer.get_integer(1, 0):
        return Step([take_one(inputs)], is_in_place=True)
    if len(inputs) < 2 or (layer.kind == "BinaryOp" and len(inputs) > 2):
        raise ValueError(f"expected two inputs, got {len(inputs)}")
    first = next((blob for blob in inputs if blob.is_image), inputs[0])
    channels = max(blob.channels for blob in inputs)
    for blob in inputs:
        fits = blob.channels in ((1, channels) if layer.kind == "BinaryOp" else (channels,))
        if not fits or (blob.is_image and blob.scale != first.scale):
            raise ValueError(
                f"expected inputs of one size, got {[_describe(blob) for blob in inputs]}"
            )
        if layer.kind == "Eltwise" and not blob.is_image:
            raise UnknownLayerError("expected images")
    if layer.kind == "Eltwise" and len(layer.get_array(1)) not in (0, len(inputs)):
        raise ValueError(f"expected a factor for each input, got {layer.get_array(1)}")
    return Step([replace(first, channels=channels, reach=_farthest(inputs))])


def _trace_concat(layer: Layer, inputs: Sequence[Blob]) -> Step:
    if layer.get_integer(0, 0) != 0 or not inputs or not all(blob.is_image for blob in inputs):
        raise UnknownLayerError("expected images to be joined along their channels")
    if len({blob.scale for blob in inputs}) > 1:
        raise ValueError(f"expected images of one size, got {[_describe(b) for b in inputs]}")
    channels = sum(blob.channels for blob in inputs)
    return Step([replace(inputs[0], channels=channels, reach=_farthest(inputs))])


def _trace_slice(layer: Layer, inputs: Sequence[Blob]) -> Step:
    blob = take_one(inputs, image=True)
    sizes, left, parts = [int(size) for size in layer.get_array(0)], blob.channels, []
    if layer.get_integer(1, 0) != 0 or layer.get_array(2) or not sizes:
        raise UnknownLayerError("expected an image to be cut along its channels")
    for number, size in enumerate(sizes):
        part = left // (len(sizes) - number) if size == -233 else size
        if not 0 < part <= left:
            raise ValueError(f"expected parts of {blob.channels} channels, got {sizes}")
        parts.append(replace(blob, channels=part))
        left -= part
    return Step(parts)


def _trace_shuffle(layer: Layer, inputs: Sequence[Blob]) -> Step:
    """Channels to pixels (PixelShuffle), or back (Reorg)."""
    blob, factor = take_one(inputs, image=True), layer.get_integer(0, 1)
    if not 1 <= factor <= MAX_SCALE or layer.get_integer(1, 0) not in (0, 1):
        raise ValueError(f"expected a factor of 1 to {MAX_SCALE}, got {factor}")
    if layer.kind == "Reorg":
        # A pixel now holds what is up to `factor - 1` pixels of the finer image away.
        wider = widen_reach(blob, factor - 1, blob.channels * factor**2)
        return Step([replace(wider, scale=blob.scale / factor)])
    if blob.channels % factor**2:
        raise ValueError(f"expected a multiple of {factor**2} channels, got {blob.channels}")
    return Step([replace(blob, channels=blob.channels // factor**2, scale=blob.scale * factor)])


def _trace_interpolation(layer: Layer, inputs: Sequence[Blob]) -> Step:
    """1: nearest, 2: bilinear, 3: bicubic. Enlargements by whole numbers."""
    blob, kind = take_one(inputs, image=True), layer.get_integer(0, 0)
    down, across = layer.get_number(1, 1.0), layer.get_number(2, 1.0)
    if any(layer.get_integer(key, 0) for key in (3, 4, 5, 6)) or layer.get_array(9):
        raise UnknownLayerError("expected a size that follows the input's, without align_corner")
    if kind not in (1, 2, 3) or down != across or down != int(down) or not 1 <= down <= MAX_SCALE:
        raise UnknownLayerError("expected an enlargement by a whole number")
    wider = widen_reach(blob, kind - 1, blob.channels)
    return Step([replace(wider, scale=blob.scale * int(down))])


def _farthest(blobs: Sequence[Blob]) -> Fraction | None:
    reaches = [blob.reach for blob in blobs]
    return None if None in reaches else max(reach for reach in reaches if reach is not None)


def _describe(blob: Blob) -> str:
    return f"{blob.channels} channels" + (f", {float(blob.scale):g}x" if blob.is_image else "")


_ELEMENTWISE = (
    "AbsVal", "Clip", "Dropout", "ELU", "Erf", "GELU", "HardSigmoid", "HardSwish", "Mish", "Noop",
    "ReLU", "SELU", "Sigmoid", "Softplus", "Swish", "TanH", "UnaryOp",
)  # fmt: skip
_LAYERS: dict[str, Callable[[Layer, Sequence[Blob]], Step]] = {
    **dict.fromkeys(_ELEMENTWISE, _trace_elementwise),
    "BatchNorm": _trace_scale,
    "BinaryOp": _trace_pair,
    "Concat": _trace_concat,
    "Convolution": trace_convolution,
    "ConvolutionDepthWise": trace_convolution,
    "Deconvolution": trace_deconvolution,
    "Eltwise": _trace_pair,
    "InnerProduct": trace_inner_product,
    "Input": _trace_input,
    "Interp": _trace_interpolation,
    "MemoryData": _trace_memory,
    "PReLU": _trace_slopes,
    "PixelShuffle": _trace_shuffle,
    "Pooling": _trace_pooling,
    "Reorg": _trace_shuffle,
    "Scale": _trace_scale,
    "Slice": _trace_slice,
    "Split": _trace_split,
}
