"""Convolutions and matrices of ncnn programs: what they make of an image, and their weights.

Sizes of weights are checked against the channels, since ncnn trusts the file in that. Keys of
parameters are those of ncnn's layers.
"""

from collections.abc import Sequence
from dataclasses import replace

from sr.models.ncnn_blobs import Blob, Step, UnknownLayerError, Weights, take_one, widen_reach
from sr.models.ncnn_program import Layer

MAX_KERNEL = 31
_ACTIVATION, _ACTIVATION_NUMBERS = 9, 10
_NUM_NUMBERS = {0: 0, 1: 0, 2: 1, 3: 2, 4: 0, 5: 0, 6: 2}  # by kind of activation
_MIN_WINOGRAD_CHANNELS = 16


def trace_convolution(layer: Layer, inputs: Sequence[Blob]) -> Step:
    """A convolution that keeps the size, or divides it by its stride; depthwise: with groups."""
    blob = take_one(inputs, image=True)
    width, dilation = layer.get_integer(1, 0), layer.get_integer(2, 1)
    height, dilation_down = layer.get_integer(11, width), layer.get_integer(12, dilation)
    left, stride = layer.get_integer(4, 0), layer.get_integer(3, 1)
    top = layer.get_integer(14, left)
    across = left + layer.get_integer(15, left), dilation * (width - 1) + 1 - stride
    down = top + layer.get_integer(16, top), dilation_down * (height - 1) + 1 - stride
    if layer.get_integer(8, 0) or layer.get_integer(19, 0):
        raise UnknownLayerError("8-bit weights, and weights that are computed, are not supported")
    sides_fit = 1 <= min(width, height) <= max(width, height) <= MAX_KERNEL
    if not sides_fit or min(dilation, dilation_down) < 1:
        raise ValueError(f"expected a kernel of 1 to {MAX_KERNEL} pixels, got {width}x{height}")
    is_same = left in (-233, -234) and stride == 1
    if not 1 <= stride <= MAX_KERNEL or layer.get_integer(13, stride) != stride:
        raise UnknownLayerError(f"expected one stride of 1 to {MAX_KERNEL}")
    if not is_same and (across[0] != across[1] or down[0] != down[1] or min(left, top) < 0):
        raise UnknownLayerError("expected a result of the image's size over the stride")
    groups = layer.get_integer(7, 1) if layer.kind == "ConvolutionDepthWise" else 1
    weights = _read_weights(layer, blob, area=width * height, groups=groups)
    num_outputs = layer.get_integer(0, 0)
    # Beyond the pixels that one of the result stands for, which are `stride` a side.
    farthest = max(across[1], down[1])
    if not is_same:
        farthest = max(left, top, across[1] - left, down[1] - top)
    # Winograd's way over tiles of 4x4 holds 6x6 numbers for each, of inputs and of outputs.
    is_plain = (groups, width, height, dilation, stride) == (1, 3, 3, 1, 1)
    is_winograd = is_plain and min(blob.channels, num_outputs) >= _MIN_WINOGRAD_CHANNELS
    workspace = 2.25 * (blob.channels + num_outputs) if is_winograd else 0
    result = replace(widen_reach(blob, farthest, num_outputs), scale=blob.scale / stride)
    return Step([result], weights, workspace=workspace)


def trace_deconvolution(layer: Layer, inputs: Sequence[Blob]) -> Step:
    """A transposed convolution that makes the image `stride` times as large."""
    blob = take_one(inputs, image=True)
    kernel, stride, pad = layer.get_integer(1, 0), layer.get_integer(3, 1), layer.get_integer(4, 0)
    more = layer.get_integer(18, 0)
    odd = {1: 11, 3: 13, 4: 14, 18: 19}  # across and down alike
    if any(
        layer.get_integer(b, layer.get_integer(a, 0)) != layer.get_integer(a, 0)
        for a, b in odd.items()
    ):
        raise UnknownLayerError("expected a square kernel")
    is_plain = layer.get_integer(2, 1) == layer.get_integer(12, 1) == 1
    is_plain = is_plain and layer.get_integer(15, pad) == layer.get_integer(16, pad) == pad
    if not is_plain or layer.get_integer(8, 0):
        raise UnknownLayerError("expected equal paddings and no dilation")
    if any(layer.get_integer(key, 0) for key in (20, 21, 28)):
        raise UnknownLayerError("expected an output size that follows the input's")
    if not 1 <= kernel <= MAX_KERNEL or not 1 <= stride <= kernel or not 0 <= pad < kernel:
        raise ValueError(f"expected a kernel of at most {MAX_KERNEL} pixels and a smaller stride")
    if not 0 <= more < stride or kernel - 2 * pad + more != stride:
        raise UnknownLayerError(f"expected an image {stride} times as large")
    weights = _read_weights(layer, blob, area=kernel**2)
    farthest = max((stride - 1 + pad) // stride, (kernel - 1 - pad) // stride)
    wider = widen_reach(blob, farthest, layer.get_integer(0, 0))
    return Step([replace(wider, scale=blob.scale * stride)], weights)


def trace_inner_product(layer: Layer, inputs: Sequence[Blob]) -> Step:
    """A matrix over one value per channel, as of channel attention."""
    blob = take_one(inputs)
    if blob.is_image or layer.get_integer(8, 0):
        raise UnknownLayerError("expected one value per channel, and no 8-bit weights")
    result = replace(blob, channels=layer.get_integer(0, 0))
    return Step([result], _read_weights(layer, blob, area=0))


def _read_weights(layer: Layer, blob: Blob, *, area: int, groups: int = 1) -> list[Weights]:
    """Check the size of weights and bias as of a convolution of `area` pixels; 0: a matrix."""
    bias_key, count_key = (1, 2) if area == 0 else (5, 6)
    num_outputs, count = layer.get_integer(0, 0), layer.get_integer(count_key, 0)
    if groups < 1 or num_outputs < 1 or blob.channels % groups or num_outputs % groups:
        raise ValueError(f"expected channels in {groups} group(s)")
    expected = num_outputs * (blob.channels // groups) * max(area, 1)
    if count != expected:
        raise ValueError(
            f"expected {expected} weights for {blob.channels} to {num_outputs} channels, "
            f"got {count}"
        )
    activation = layer.get_integer(_ACTIVATION, 0)
    if len(layer.get_array(_ACTIVATION_NUMBERS)) != _NUM_NUMBERS.get(activation):
        raise UnknownLayerError(
            f"expected an activation of {sorted(_NUM_NUMBERS)} with its numbers, got {activation}"
        )
    bias = [Weights(num_outputs, is_tagged=False)] if layer.get_integer(bias_key, 0) else []
    return [Weights(count, is_tagged=True), *bias]
