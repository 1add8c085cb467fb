"""Read the values of a BasicSR file by key path, and keep track of those that are not translated.

A value that is never read is listed as unused, so that none is lost silently.
"""

import json
import math
from collections.abc import Collection, Iterator, Mapping, Sequence
from fnmatch import fnmatchcase
from typing import Any, TypeVar

from sr.errors import UserError

REASONS = (  # (pattern of key paths, why there is no counterpart or what to do instead)
    ("num_gpu", "torchrun --nproc-per-node N starts one process per GPU; see also train.device"),
    ("dist_params.*", "the launcher chooses: torchrun or accelerate launch"),
    ("find_unused_parameters", "not needed by our networks"),
    ("queue_size", "not needed: crops are degraded one by one, so every batch is mixed"),
    ("datasets.train.name", "the data set is named by its folders"),
    ("datasets.*.meta_info*", "all images of the folders are used; leave some out by `exclude`"),
    ("datasets.*.io_backend.*", "images are files in folders"),
    ("datasets.*.dataset_enlarge_ratio", "lengths are in steps; epochs have no bounds"),
    ("datasets.*.prefetch_mode", "batches are always prepared ahead"),
    ("datasets.*.num_prefetch_queue", "batches are always prepared ahead"),
    ("datasets.*.pin_memory", "chosen by the device"),
    ("datasets.*.color", "images are RGB"),
    ("datasets.*.mean", "images stay in [0, 1]"),
    ("datasets.*.std", "images stay in [0, 1]"),
    ("network_d.*", "no adversarial training with this model_type"),
    ("train.optim_d.*", "no adversarial training with this model_type"),
    ("train.gan_opt.*", "no adversarial training with this model_type"),
    ("train.net_d_*", "no adversarial training with this model_type"),
    ("path.param_key_d", "chosen by itself: params_ema before params"),
    ("path.*_d", "no adversarial training with this model_type"),
    ("path.pretrain_*", "our optimizers start again"),
    ("path.param_key_g", "chosen by itself: params_ema before params"),
    ("path.resume_state", "the same command goes on with a run that was interrupted"),
    ("path.*", "runs are in log.folder"),
    ("val.save_img", "log.num_images of each set are in TensorBoard; see validate.save_images"),
    (
        "val.metrics.*",
        "always PSNR and SSIM, of Y and RGB, border `scale`; LPIPS by validate.lpips",
    ),
    ("logger.wandb.*", "log.trackers: [tensorboard, wandb] sends losses and scores there"),
)

MAX_DEPTH = 20

_Kind = TypeVar("_Kind")


class BasicSRReader:
    """The values by dotted key path; what is read counts as translated."""

    def __init__(self, tree: Mapping[str, Any]) -> None:
        self._values = dict(_flatten(tree, ""))
        self._unread = set(self._values)
        self._warnings: dict[str, str] = {}

    def list_keys(self, path: str) -> list[str]:
        """Return the names of the keys right below a path, in the file's order."""
        below = [key[len(path) + 1 :] for key in self._values if key.startswith(f"{path}.")]
        return list(dict.fromkeys(key.split(".")[0] for key in below))

    def has(self, path: str) -> bool:
        """Return whether there is a value, or a section, that is not null."""
        return self._values.get(path) is not None or bool(self.list_keys(path))

    def read_section(self, path: str, without: Collection[str] = ()) -> dict[str, Any]:
        """Return a section as it is, but for some keys right in it."""
        tree: dict[str, Any] = {}
        for key, value in self._values.items():
            if not key.startswith(f"{path}."):
                continue
            self._unread.discard(key)
            *sections, name = key[len(path) + 1 :].split(".")
            if not sections and name in without:
                continue
            inner = tree
            for section in sections:
                inner = inner.setdefault(section, {})
            inner[name] = value
        return tree

    def warn(self, path: str, why: str) -> None:
        """List a value, if there is one, as not or only partly translated."""
        if path in self._values:
            self._unread.discard(path)
            self._warnings[path] = why

    def warn_section(self, path: str, why: str) -> None:
        """List all values of a section."""
        for key in self._values:
            if key.startswith(f"{path}."):
                self.warn(key, why)

    def expect(self, path: str, ours: object, why: str) -> None:
        """List a value that has no option here, unless it is the same as ours."""
        if path in self._values and not _is_same(self._values[path], ours):
            self.warn(path, why)
        self._unread.discard(path)

    def read_float(self, path: str, default: float | None = None) -> float:
        """Return a finite number, or the default. Raises UserError where there is neither."""
        value = self._take(path, default, "a number")
        return _to_float(path, value)

    def read_int(self, path: str, default: int | None = None) -> int:
        """Return a whole number, which may be written as `!!float 5e3`."""
        value = self._take(path, default, "a whole number")
        return _to_int(path, value)

    def read_floats(self, path: str) -> list[float]:
        """Return a list of numbers."""
        return [_to_float(path, value) for value in self._list(path, "a list of numbers")]

    def read_ints(self, path: str) -> list[int]:
        """Return a list of whole numbers."""
        return [_to_int(path, value) for value in self._list(path, "a list of whole numbers")]

    def read_bool(self, path: str, default: bool = False) -> bool:
        """Return true or false."""
        value = self._take(path, default, "true or false")
        if not isinstance(value, bool):
            raise _make_error(path, "true or false", value)
        return value

    def read_str(self, path: str, default: str | None = None) -> str:
        """Return a text that is not empty."""
        value = self._take(path, default, "a text")
        if not isinstance(value, str) or not value:
            raise _make_error(path, "a text", value)
        return value

    def read_choice(
        self, path: str, known: Mapping[str, _Kind], default: str | None = None
    ) -> _Kind:
        """Return what `known` has under the text there. Raises UserError for an unknown one."""
        expected = f"one of {', '.join(known)}"
        name = self._take(path, default, expected)
        if not isinstance(name, str) or name not in known:
            raise _make_error(path, expected, name)
        return known[name]

    def read_folders(self, path: str) -> list[str]:
        """Return a folder, or a list of them, as a list."""
        value = self._take(path, None, "a folder")
        folders: list[str] = []
        for folder in value if isinstance(value, list) else [value]:
            if not isinstance(folder, str) or not folder:
                raise _make_error(path, "a folder", folder)
            if folder.rstrip("/").endswith(".lmdb"):
                self.warn(path, "taken over, but name the folder that the lmdb was made from")
            folders.append(folder)
        return folders

    def list_unused(self) -> list[str]:
        """Return `path: value -- why` of all that is listed or not read, in the file's order."""
        return [
            _format_line(path, value, self._warnings.get(path) or _find_reason(path, value))
            for path, value in self._values.items()
            if path in self._unread or path in self._warnings
        ]

    def _take(self, path: str, default: object, expected: str) -> object:
        self._unread.discard(path)
        value = self._values.get(path)
        if value is None:
            value = default
        if value is None:
            raise UserError(f"{path}: expected {expected}, got nothing")
        return value

    def _list(self, path: str, expected: str) -> Sequence[object]:
        value = self._take(path, None, expected)
        if not isinstance(value, list):
            raise _make_error(path, expected, value)
        return value


def _flatten(tree: Mapping[str, Any], prefix: str) -> Iterator[tuple[str, Any]]:
    for key, value in tree.items():
        path = f"{prefix}{key}"
        if path.count(".") > MAX_DEPTH:  # an alias of the section that it is in has no end
            raise UserError(f"{path[:60]}...: expected at most {MAX_DEPTH} sections in each other")
        if isinstance(value, Mapping) and value:
            yield from _flatten(value, f"{path}.")
        else:
            yield path, value


def _to_float(path: str, value: object) -> float:
    if isinstance(value, str):  # YAML reads 1e-4, without a dot, as a text
        try:
            value = float(value)
        except ValueError:
            raise _make_error(path, "a number", value) from None
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise _make_error(path, "a number", value)
    return value


def _to_int(path: str, value: object) -> int:
    number = _to_float(path, value)
    if number != int(number):
        raise _make_error(path, "a whole number", value)
    return int(number)


def _is_same(value: object, ours: object) -> bool:
    """Equal, and not just as Python takes 1 for true."""
    return value == ours and isinstance(value, bool) == isinstance(ours, bool)


def _make_error(path: str, expected: str, value: object) -> UserError:
    return UserError(f"{path}: expected {expected}, got {value!r}")


def _format_line(path: str, value: object, why: str) -> str:
    """One line of ASCII, whatever the file has in keys and values: it goes into a comment."""
    shown = f"{json.dumps(path)[1:-1]}: {json.dumps(value, default=str)}"
    return shown.replace("\x7f", "\\u007f") + f" -- {why}"


def _find_reason(path: str, value: object) -> str:
    otherwise = "nothing was set" if value is None else "no counterpart"
    return next((why for pattern, why in REASONS if fnmatchcase(path, pattern)), otherwise)
