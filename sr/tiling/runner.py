"""One pass of a network over patches, in a precision that is wide enough for them.

n patches, h x w LR pixels, s scale.
"""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext

import torch
from torch import Tensor, nn

from sr.device import DeviceError, full_fp32, name_precision, resolve_precision
from sr.errors import UserError
from sr.memory import is_out_of_memory
from sr.networks.fuse_layers import fuse_layers

Network = Callable[[Tensor], Tensor]
"""(n, 3, h, w) -> (n, 3, s*h, s*w), as `NetworkRunner`'s."""

OnWarning = Callable[[str], None]
"""Called with a sentence for the user on what is done in another way than asked."""

# A reduced precision that has lost the signal gives equal values for unequal pixels. A patch counts
# as unequal from 8 levels of 8 bits on: bf16 has 8 bits, so within [0, 1] its own rounding makes
# differences of one level vanish, but not of eight. A result counts as equal below a quarter of
# a level, which no file of 8 bits would show.
CONTRAST = 8 / 255
FLATNESS = 0.25 / 255
_NOT_FINITE, _CONSTANT = "values that are not finite", "the same everywhere"


class NumericError(UserError):
    """A result that is no image in any precision; the message says what to do."""


class NetworkError(RuntimeError):
    """A network that raised something else than that there is no memory; it would for any input."""


class CompileError(UserError):
    """A network that torch cannot compile here; the message says what to do."""


class NetworkRunner:
    """Runs a network in one precision, and in the next wider one from where that fails.

    network: (n, 3, h, w) -> (n, 3, scale*h, scale*w), RGB in [0, 1]; moved to `device`.
    dtype: float32, or bfloat16 or float16 for autocast.
    compiled: through torch.compile, which takes minutes at the first patch.
    network_device: where the network computes, if not where its tensors are.
    on_warning: called when the precision is widened.
    """

    def __init__(
        self,
        network: nn.Module,
        *,
        scale: int,
        device: torch.device,
        dtype: torch.dtype,
        compiled: bool = False,
        network_device: torch.device | None = None,
        on_warning: OnWarning,
    ) -> None:
        self.scale = scale
        self.device = device
        self.dtype = dtype
        self._network_device = network_device or device
        self._on_warning = on_warning
        self._explain_errors: Callable[[], AbstractContextManager[None]] = nullcontext
        self._network: Network = prepare_network(network, device)
        if compiled:  # dynamic: tiles come in a few sizes, and one program for all is enough
            self._network = torch.compile(self._network, dynamic=True)
            self._explain_errors = _explain_compile_errors

    def __call__(self, lr: Tensor) -> Tensor:
        """Upscale patches. All of them are run again in the next wider precision if one is bad.

        lr: (n, 3, h, w), float32, RGB in [0, 1], on any device.
        Returns: (n, 3, s*h, s*w), in the precision's type, not clamped, on the device. Raises
        NumericError for values that are not finite in float32 either. A constant result is
        taken in float32: a network may do that. NetworkError for whatever else goes wrong in it.
        """
        lr = lr.to(self.device, non_blocking=True)
        lr = lr.contiguous(memory_format=_choose_memory_format(self.device))
        while True:
            try:
                with use_precision(self.device, self.dtype), self._explain_errors():
                    sr: Tensor = self._network(lr)
                fault = _find_fault(lr, sr, self.scale)
            except Exception as error:
                known = isinstance(error, UserError | NetworkError | AssertionError)
                if known or is_out_of_memory(error):
                    raise
                raise NetworkError(f"{type(error).__name__} in the network: {error}") from error
            if fault is None or (fault == _CONSTANT and self.dtype == torch.float32):
                return sr
            del sr  # before the next pass wants the memory
            self._widen(lr, fault)

    def _widen(self, lr: Tensor, fault: str) -> None:
        """Go over to the next wider precision, for good."""
        if not torch.isfinite(lr).all():
            raise NumericError("the image has values that are not finite; read or make it again")
        narrow = name_precision(self.dtype)
        if self.dtype == torch.float32:
            raise NumericError(
                f"the network gives {fault}, in {narrow} too, so its weights are damaged or belong "
                "to another network; take another model file, or an earlier checkpoint"
            )
        self.dtype = _next_wider(self.dtype, self._network_device)
        wide = name_precision(self.dtype)
        self._on_warning(f"in {narrow} the network gives {fault}; from here on in {wide}")


def prepare_network(network: nn.Module, device: torch.device) -> nn.Module:
    """Return the network in eval mode, on the device and in the layout that suits it, fused.

    It is moved itself; what is returned may be a copy (`fuse_layers`).
    """
    prepared = fuse_layers(network.eval().to(device))
    return prepared.to(memory_format=_choose_memory_format(device))


@contextmanager
def use_precision(device: torch.device, dtype: torch.dtype) -> Iterator[None]:
    """Run what is inside in inference mode, by autocast unless `dtype` is float32, without TF32."""
    autocast = torch.autocast(device.type, dtype=dtype, enabled=dtype != torch.float32)
    with torch.inference_mode(), autocast, full_fp32:
        yield


def is_autocast_to_float16() -> bool:
    """Return whether other runtimes, whose tensors are on the CPU, are to compute in float16."""
    return torch.is_autocast_enabled("cpu") and torch.get_autocast_dtype("cpu") == torch.float16


def run_network(network: Network, lr: Tensor, dtype: torch.dtype) -> Tensor:
    """Run one pass as `NetworkRunner` does, but never a second one; for measurements.

    network: as `prepare_network` returns it. lr: (n, 3, h, w), float32, on the network's device.
    """
    lr = lr.contiguous(memory_format=_choose_memory_format(lr.device))
    with use_precision(lr.device, dtype):
        return network(lr)


@contextmanager
def _explain_compile_errors() -> Iterator[None]:
    from torch._dynamo.exc import TorchDynamoException  # seconds that others need not wait

    try:
        yield
    except TorchDynamoException as error:
        reason = " ".join(str(error).split("\n")[:2])  # the first line names the backend only
        raise CompileError(
            f"torch.compile fails on this network or machine ({reason}); run it uncompiled"
        ) from error


def _choose_memory_format(device: torch.device) -> torch.memory_format:
    # Convolutions of CPUs and tensor cores are made for channels last; MPS is not.
    return torch.channels_last if device.type in ("cpu", "cuda") else torch.contiguous_format


def _next_wider(dtype: torch.dtype, device: torch.device) -> torch.dtype:
    """fp16 -> bf16, which has the range of fp32, where the device has it -> fp32."""
    if dtype == torch.float16:
        try:
            return resolve_precision("bf16", device)
        except DeviceError:
            return torch.float32
    return torch.float32


def _find_fault(lr: Tensor, sr: Tensor, scale: int) -> str | None:
    """Return what the worst of the patches is, if that is wrong.

    A network without signal repeats its last biases, which differ between the places of a pixel
    shuffle; so constant means that each of the s*s subpixels is the same in all pixels. A sum and
    a 64th of the pixels nearly always show that there is a signal, in a tenth of the time.
    """
    n, _, h, w = lr.shape
    expected = (n, 3, scale * h, scale * w)
    if sr.shape != expected:
        raise NetworkError(f"network of scale {scale}: expected {expected}, got {tuple(sr.shape)}")
    blocks = sr.view(n, 3, h, scale, w, scale)
    sum_is_finite = torch.isfinite(sr.sum(dtype=torch.float32))  # not if one value is not
    sample_is_flat = _are_flat(blocks[:, :, ::8, :, ::8]).any()
    looks_finite, looks_flat = torch.stack([sum_is_finite, sample_is_flat]).tolist()  # one sync
    if not looks_finite and not torch.isfinite(sr).all():
        return _NOT_FINITE
    if looks_flat:
        image = lr[:, :3]  # of a packed window, whose flows differ in still images, too
        contrast = (image.amax((2, 3)) - image.amin((2, 3))).amax(1)  # (n,)
        if (_are_flat(blocks) & (contrast > CONTRAST)).any():
            return _CONSTANT
    return None


def _are_flat(blocks: Tensor) -> Tensor:
    """Return which patches are constant. blocks: (n, 3, h, s, w, s). Returns: (n,), bool."""
    spread = blocks.amax((2, 4)).float() - blocks.amin((2, 4)).float()  # (n, 3, s, s)
    return (spread < FLATNESS).flatten(1).all(1)
