"""Paths in object stores, s3://BUCKET/KEY and gs://BUCKET/KEY, by fsspec (BSD-3-Clause).

Stores have no folders: one is there if the key of an object begins with its name and a slash.
Objects appear completely or not at all, so that an upload needs no other name before it is
complete. Credentials are those that s3fs and gcsfs find: variables, files, roles of the machine.
"""

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sr.errors import UsageError, UserError

_PACKAGES = {"s3": ("s3fs", "s3"), "gs": ("gcsfs", "gcs")}  # and the extras that install them
_PROBE = ".sr-infer"  # written and removed, to know before the work that results can be

if TYPE_CHECKING:
    _Base = Path
else:
    _Base = type(Path())  # Path itself cannot be derived from in Python 3.11


class StoreError(UserError):
    """An object store that does not do what it is asked for; the message names the URL."""


class ObjectPath(_Base):
    """The URL of an object, or of the folder that its key seems to be in.

    What is there is looked up once, folder by folder, until `forget_listings`. Opened as a file it
    does not exist.
    """

    def __str__(self) -> str:
        return super().__str__().replace(":/", "://", 1)

    def exists(self, **_: Any) -> bool:
        """Whether there is such an object or folder, by the listing of the folder that it is in."""
        listing = _LISTINGS.get(str(self))
        if listing is not None:
            return bool(listing.names) or listing.is_object
        return self.name in _list_folder(self.parent).names

    def is_dir(self, **_: Any) -> bool:
        """Whether there are objects below this name."""
        return bool(_list_folder(self).names)

    def is_file(self, **_: Any) -> bool:
        """Whether there is an object of this name."""
        return _list_folder(self).is_object

    def absolute(self) -> "ObjectPath":
        return self

    def resolve(self, strict: bool = False) -> "ObjectPath":  # noqa: ARG002, as of Path
        return self

    def list_objects(self, *, recursive: bool) -> "list[ObjectPath]":
        """Return the objects in this folder, and below it if `recursive`; of no hidden folder."""
        if not recursive:
            listing = _list_folder(self)
            return [self / name for name, is_object in listing.names.items() if is_object]
        with _explain(self, "listed"):
            found = _open_store(self).find(str(self), withdirs=False)
        scheme = self.parts[0]
        paths = [ObjectPath(f"{scheme}//{key}") for key in found if not key.endswith("/")]
        return [
            path
            for path in paths
            if not any(part.startswith(".") for part in path.relative_to(self).parent.parts)
        ]

    def is_there(self) -> bool:
        """Whether there is such an object at this moment. Raises StoreError."""
        with _explain(self, "looked up"):
            return bool(_open_store(self).exists(str(self)))

    def download(self, target: Path) -> None:
        """Write the object to a file. Raises StoreError."""
        with _explain(self, "read"):
            _open_store(self).get_file(str(self), str(target))

    def upload(self, source: Path) -> None:
        """Make, or replace, the object by a file. Raises StoreError."""
        with _explain(self, "written"):
            _open_store(self).put_file(str(source), str(self))

    def check_writable(self) -> None:
        """Raise StoreError unless objects can be written to this folder."""
        probe = str(self / _PROBE)
        store = _open_store(self)
        with _explain(self, "written"):
            store.pipe_file(probe, b"")
        with suppress(Exception):  # whoever may write may not be allowed to remove
            store.rm_file(probe)


def parse_place(path: Path) -> Path:
    """Return an ObjectPath for the URL of a store, which pathlib has made s3:/BUCKET/KEY; else it.

    Raises UsageError for a URL without a bucket.
    """
    scheme = path.parts[0].removesuffix(":") if path.parts else ""
    if scheme not in _PACKAGES or not path.parts[0].endswith(":"):
        return path
    if len(path.parts) < 2:
        raise UsageError(f"{scheme}://: expected {scheme}://BUCKET/KEY")
    return ObjectPath(path)


def forget_listings() -> None:
    """Look folders up again the next time."""
    _LISTINGS.clear()


@dataclass(frozen=True)
class _Listing:
    names: dict[str, bool]
    """Of what is directly in a folder: whether it is an object, else it is a folder."""
    is_object: bool
    """Whether there is an object with the folder's own name."""


_LISTINGS: dict[str, _Listing] = {}  # by URL


def _list_folder(folder: Path) -> _Listing:
    url = str(folder)
    if url not in _LISTINGS:
        own = url.partition("://")[2]
        entries: list[dict[str, Any]] = []
        with _explain(folder, "listed"), suppress(FileNotFoundError):
            entries = _open_store(folder).ls(url, detail=True)
        below = {entry["name"].removeprefix(f"{own}/"): entry["type"] for entry in entries}
        is_object = below.pop(own, None) == "file"
        # Some tools mark folders by objects whose keys end in a slash.
        names = {name.rstrip("/"): kind == "file" for name, kind in below.items() if name}
        _LISTINGS[url] = _Listing(names, is_object)
    return _LISTINGS[url]


def _open_store(path: Path) -> Any:
    """Return fsspec's file system; it is made once per process. Raises UsageError without it."""
    import fsspec

    scheme = path.parts[0].removesuffix(":")
    package, extra = _PACKAGES[scheme]
    try:
        return fsspec.filesystem(scheme, use_listings_cache=False)
    except ImportError:
        raise UsageError(
            f"{path}: needs the extra `{extra}` ({package} is missing): pip install 'sr[{extra}]'"
        ) from None


@contextmanager
def _explain(path: Path, verb: str) -> Iterator[None]:
    try:
        yield
    except UserError:
        raise
    except Exception as error:  # of botocore, aiohttp, gcsfs: no type in common
        words = str(error) or type(error).__name__
        raise StoreError(f"{path}: cannot be {verb}: {words}") from error
