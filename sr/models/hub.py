"""Models on huggingface.co: `hf:owner/repo[/file][@revision]`.

huggingface_hub asks the hub's API what a repository has, at HF_ENDPOINT and as who is logged in;
the file itself is downloaded as all others are, checked by the SHA-256 that the hub states.
"""

import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

from sr.errors import ModelFileError
from sr.io.https import is_offline
from sr.models.remote_file import (
    RemoteFile,
    find_models_folder,
    is_sha256,
    list_files,
    read_record,
)

if TYPE_CHECKING:
    from huggingface_hub import HfApi

PREFIX = "hf:"
DEFAULT_ENDPOINT = "https://huggingface.co"
SUFFIXES = (".safetensors", ".pth", ".pt", ".ckpt", ".onnx")  # in this order of preference
_PART = r"[A-Za-z0-9][A-Za-z0-9._-]*"
_REFERENCE = re.compile(rf"hf:({_PART}/{_PART})(?:/([^@]+))?(?:@([A-Za-z0-9][A-Za-z0-9._/-]*))?")


@dataclass(frozen=True)
class HubReference:
    """What `hf:owner/repo[/file][@revision]` says."""

    repository: str
    file: str | None
    revision: str
    """A branch, a tag or a commit."""

    @property
    def folder(self) -> Path:
        """Where its files are kept."""
        return find_models_folder() / "hf" / self.repository / self.revision.replace("/", "%2F")


def parse_reference(text: str) -> HubReference:
    """Parse a reference. Raises ModelFileError for another form."""
    found = _REFERENCE.fullmatch(text)
    if found is None or (found[2] and not _is_plain(found[2])):
        raise ModelFileError(f"{text}: expected hf:OWNER/REPOSITORY[/FILE][@REVISION]")
    return HubReference(found[1], found[2], found[3] or "main")


def find_on_hub(text: str, sha256: str | None = None, *, again: bool = False) -> RemoteFile:
    """Return the file of a reference; of one that is here already, without asking the hub.

    again: ask in any case, since a branch may have moved. sha256: where the hub states none. Raises
    ModelFileError where there is no such repository, revision or model file, or several, or the hub
    cannot be reached.
    """
    reference = parse_reference(text)
    recorded = None if again else find_recorded(text)
    return recorded or _ask_hub(reference, text, sha256)


def find_recorded(text: str) -> RemoteFile | None:
    """Return the file that was downloaded by this reference, if it is there."""
    reference = parse_reference(text)
    if reference.file is not None:
        remote = read_record(reference.folder / reference.file)
        return remote if remote is not None and remote.is_here else None
    for suffix in SUFFIXES:
        for file in list_files(reference.folder, f"**/*{suffix}"):
            remote = read_record(file)
            if remote is not None and reference == parse_reference(remote.name):
                return remote
    return None


def connect_hub() -> "HfApi":
    """Return a client of the hub, or of HF_ENDPOINT."""
    from huggingface_hub import HfApi

    return HfApi(endpoint=find_endpoint())


def find_endpoint() -> str:
    """Return the hub's address."""
    return os.environ.get("HF_ENDPOINT", DEFAULT_ENDPOINT).rstrip("/")


def _ask_hub(reference: HubReference, text: str, sha256: str | None) -> RemoteFile:
    if is_offline():
        raise ModelFileError(
            f"{text}: not downloaded yet, and SR_OFFLINE forbids the network\n  By hand: get its"
            f" file from {find_endpoint()}/{reference.repository}/tree/{reference.revision}, and"
            " -m FILE"
        )
    from huggingface_hub import get_token, hf_hub_url

    about = _read_repository(reference, text)
    files = {sibling.rfilename: sibling for sibling in about.siblings or []}
    name = reference.file or _choose_file(text, list(files))
    if name not in files:
        raise ModelFileError(f"{text}: no such file in the repository; it has {_preview(files)}")
    lfs, size = files[name].lfs, files[name].size
    stated = sha256 if lfs is None else str(lfs.sha256).lower()
    if stated is None or not is_sha256(stated):
        raise ModelFileError(
            f"{text}: the hub states no SHA-256 of {name}; expected one by --sha256"
        )
    if not _is_plain(name):
        raise ModelFileError(f"{text}: expected a plain file name, got {name!r}")
    url = hf_hub_url(
        reference.repository, name, revision=str(about.sha), endpoint=find_endpoint()
    )  # of the commit, so that its content is that of the hash
    token = get_token()
    return RemoteFile(
        name=text,
        urls=(url,),
        sha256=stated,
        size=size if isinstance(size, int) and size > 0 else None,
        license=_read_license(about.card_data),
        author=str(about.author or reference.repository.partition("/")[0]),
        file=reference.folder / name,
        secret_headers={"Authorization": f"Bearer {token}"} if token else {},
    )


def _read_repository(reference: HubReference, text: str) -> Any:
    """Return huggingface_hub's ModelInfo."""
    from huggingface_hub.errors import HFValidationError

    try:
        return connect_hub().model_info(
            reference.repository, revision=reference.revision, files_metadata=True, timeout=30.0
        )
    except HFValidationError as error:  # of a name that no repository can have
        raise ModelFileError(f"{text}: {error}") from None
    except (AttributeError, KeyError, TypeError, ValueError) as error:  # of an odd answer
        raise ModelFileError(
            f"{text}: {find_endpoint()}: expected an answer of the hub, got another ({error!r})"
        ) from None
    except Exception as error:  # noqa: BLE001, which raises all but the hub's again
        raise ModelFileError(f"{text}: {describe_fault(error)}") from None


def _read_license(card: Any) -> str:
    """Return what the head of a page states. card: huggingface_hub's ModelCardData, or None."""
    stated = {} if card is None else card.to_dict()
    name = stated.get("license_name") if stated.get("license") == "other" else None
    return str(name or stated.get("license") or "not stated")


def describe_fault(error: Exception) -> str:
    """Say what the hub refuses, or why there is no answer; raise any error of another origin."""
    from huggingface_hub import errors

    status = getattr(getattr(error, "response", None), "status_code", None)
    if isinstance(error, errors.GatedRepoError):
        return "the owner lets only some people have it: log in by `hf auth login`"
    if isinstance(error, errors.RepositoryNotFoundError):
        return f"no such repository at {find_endpoint()}, or a private one: `hf auth login`"
    if isinstance(error, errors.RevisionNotFoundError):
        return "no such revision"
    if isinstance(error, errors.OfflineModeIsEnabled):
        return "HF_HUB_OFFLINE forbids the network"
    if status in (401, 403) or isinstance(error, errors.LocalTokenNotFoundError):
        return f"{find_endpoint()}: expected who may do that: log in by `hf auth login`"
    if isinstance(error, errors.HfHubHTTPError):
        return f"{find_endpoint()}: {str(error).splitlines()[0]}"
    if isinstance(error, RuntimeError) and isinstance(error.__cause__, Exception):
        return describe_fault(error.__cause__)  # of one of several files
    is_connection = type(error).__module__.startswith(("httpx", "httpcore"))
    if is_connection or isinstance(error, ConnectionError):
        return f"{find_endpoint()} cannot be reached: {error or type(error).__name__}"
    raise error


def _choose_file(text: str, names: Sequence[str]) -> str:
    """Return the only model file, of the first format that there is."""
    for suffix in SUFFIXES:
        found = [name for name in names if name.lower().endswith(suffix)]
        if len(found) == 1:
            return found[0]
        if found:
            raise ModelFileError(
                f"{text}: expected one {suffix} file, got {len(found)}; name one of them:"
                f" {_preview(found)}"
            )
    raise ModelFileError(f"{text}: no model file ({', '.join(SUFFIXES)}); it has {_preview(names)}")


def _preview(names: Any) -> str:
    shown = sorted(names)
    return (", ".join(shown[:8]) or "no files") + (", ..." if len(shown) > 8 else "")


def _is_plain(name: str) -> bool:
    """Whether a file's name stays in its folder."""
    parts = PurePosixPath(name).parts
    unsafe = name.startswith("/") or "\\" in name or ":" in name or "\0" in name
    return bool(parts) and not unsafe and ".." not in parts
