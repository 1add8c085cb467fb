"""A network -> a program of ncnn, by pnnx, which comes with the extra `ncnn`.

pnnx is a program of its own that reads a traced network. What it makes is kept in the user's cache
by what the network is made of, once it computes what the network does; a second run has it at once.
"""

import os
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from importlib.metadata import version
from pathlib import Path
from shutil import copyfile
from tempfile import TemporaryDirectory
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.overrides import TorchFunctionMode

from sr.errors import ModelFileError
from sr.io.atomic_write import atomic_write, remove_abandoned
from sr.io.cache_folder import find_cache_folder
from sr.io.process_lock import LockedError, hold_lock
from sr.models.fingerprint import fingerprint_network
from sr.models.loaded_model import LoadedGenerator
from sr.models.ncnn_network import NcnnNetwork, Pad
from sr.models.quiet import silence_output
from sr.networks.fuse_layers import fuse_layers
from sr.networks.padding import pad_to_multiple
from sr.vulkan import MissingNcnnError

MAX_SECONDS = 600.0  # of pnnx; RRDBNet of 23 blocks takes a minute on a busy core
NUM_KEPT = 24  # programs in the cache; those made first go first
_RECIPE = 1  # counted up where this file makes another program of the same network
_SIDES = (24, 48)  # LR pixels; from the second, pnnx sees what follows the size
_SECONDS_BETWEEN = 0.1  # looks at whether another process is done

Size = tuple[int, int, int, int]


def load_converted(
    generator: LoadedGenerator, name: str, load: Callable[[Path], NcnnNetwork]
) -> NcnnNetwork:
    """Return what `load` makes of the generator's program, a .param with its .bin next to it.

    load: raises ModelFileError for a program that is damaged or computes something else; such a one
    of the cache is made again. Raises ModelFileError where there is none.
    """
    _find_pnnx()
    param = locate_program(generator)
    with suppress(ModelFileError):
        if param.exists():
            return load(param)
    with _take_turn(param), TemporaryDirectory(prefix="sr-ncnn-") as folder:
        with suppress(ModelFileError):
            if param.exists():  # made by another process meanwhile
                return load(param)
        made = convert_network(generator, name, Path(folder))
        loaded = load(made)
        _keep(made, param)
        return loaded


def locate_program(generator: LoadedGenerator) -> Path:
    """Return where the .param is kept, by all that it is made of."""
    tools = (str(_RECIPE), version("pnnx"), torch.__version__)
    return find_cache_folder() / "ncnn" / f"{fingerprint_network(generator, *tools)}.param"


def convert_network(
    generator: LoadedGenerator, name: str, folder: Path, *, half: bool = False
) -> Path:
    """Write a .param, and a .bin next to it, to a folder; other files too. Returns the .param.

    half: the weights in float16. Raises ModelFileError where pnnx cannot.
    """
    executable = _find_pnnx()
    small, large = (_choose_size(side, generator.size_multiple) for side in _SIDES)
    trace_network(generator.network, name, small).save(str(folder / "traced.pt"))
    try:
        done = subprocess.run(
            [
                executable,
                "traced.pt",
                f"inputshape={list(small)}f32".replace(" ", ""),
                f"inputshape2={list(large)}f32".replace(" ", ""),
                f"fp16={int(half)}",
            ],
            cwd=folder,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=MAX_SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise ModelFileError(f"{name}: pnnx took more than {MAX_SECONDS:g} s") from None
    except OSError as error:
        raise ModelFileError(f"{name}: pnnx cannot be run: {error}") from None
    param = folder / "traced.ncnn.param"
    if done.returncode or not param.exists() or not param.with_suffix(".bin").exists():
        lines = done.stderr.decode(errors="replace").strip().splitlines()
        reason = lines[-1] if lines else f"exit code {done.returncode}"
        raise ModelFileError(f"{name}: pnnx cannot convert this network: {reason}")
    return param


def choose_padding(generator: LoadedGenerator) -> Pad:
    """Return how the network makes sizes fit, which its program cannot."""
    pad: Pad | None = getattr(generator.network, "pad_to_fit", None)
    return pad or (lambda lr: pad_to_multiple(lr, generator.size_multiple))


def trace_network(network: nn.Module, name: str, size: Size) -> Any:
    """Return the TorchScript of a network. Raises ModelFileError where there is none.

    size: of an image that needs no padding. It holds at other sizes that need none; to be checked.
    """
    lr = torch.rand(size, generator=torch.Generator().manual_seed(0))
    try:
        with silence_output(), _NoPadding():
            return torch.jit.trace(fuse_layers(network.eval()), lr, check_trace=False)
    except (RuntimeError, TypeError, AssertionError, ValueError) as error:
        lines = str(error).strip().splitlines()
        reason = lines[-1] if lines else type(error).__name__
        raise ModelFileError(f"{name}: this network cannot be converted: {reason}") from None


def _choose_size(least: int, multiple: int) -> Size:
    height, width = (-(-side // multiple) * multiple for side in (least, least + 24))
    return 1, 3, height, width


class _NoPadding(TorchFunctionMode):
    """Cuts and paddings that change nothing are not done, so that they are not in the trace."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        if func is torch.sym_max:
            return max(map(int, args))
        if func is functional.pad and not any(args[1] if len(args) > 1 else kwargs["pad"]):
            return args[0]
        result = func(*args, **kwargs)
        if func is Tensor.__getitem__ and tuple(result.shape) == tuple(args[0].shape):
            return args[0]
        return result


def write_pair(made: Path, param: Path) -> None:
    """Copy a program to `param` and the .bin next to it, the .param last. Raises OSError."""
    for source, target in ((made.with_suffix(".bin"), param.with_suffix(".bin")), (made, param)):
        with atomic_write(target) as temporary:
            copyfile(source, temporary)


def _keep(made: Path, param: Path) -> None:
    """Copy a program to the cache, and drop the oldest; not where that cannot be written to."""
    with suppress(OSError):
        write_pair(made, param)
        remove_abandoned(param.parent)
        kept = sorted(param.parent.glob("*.param"), key=lambda file: file.stat().st_mtime)
        for file in kept[:-NUM_KEPT]:
            file.unlink()
            file.with_suffix(".bin").unlink(missing_ok=True)


def _find_pnnx() -> str:
    try:
        import pnnx
    except ImportError as error:
        raise MissingNcnnError(
            f"conversion for ncnn needs the extra `ncnn` ({error.name} is missing): "
            "pip install -e '.[ncnn]'"
        ) from None
    return str(pnnx.EXEC_PATH)


@contextmanager
def _take_turn(param: Path) -> Iterator[None]:
    """Keep other processes from this program meanwhile; not where nothing can be kept anyway."""
    deadline = time.monotonic() + MAX_SECONDS
    with ExitStack() as stack:
        with suppress(OSError):
            param.parent.mkdir(parents=True, exist_ok=True)
        while os.access(param.parent, os.W_OK):
            try:
                stack.enter_context(hold_lock(param))
                break
            except LockedError:
                if time.monotonic() > deadline:
                    raise
                time.sleep(_SECONDS_BETWEEN)
        yield
