"""A model of one's own -> a repository on huggingface.co, in the formats that programs read."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from sr.errors import ModelFileError, UsageError, UserError
from sr.io.https import is_offline
from sr.models.convert import convert_model
from sr.models.find_model import find_source
from sr.models.hub import connect_hub, describe_fault, find_endpoint, parse_reference
from sr.models.hub_card import make_page
from sr.models.load import load_generator

FORMATS = (".safetensors", ".pth", ".onnx")


@dataclass(frozen=True)
class Publication:
    """What is to be uploaded."""

    repository: str
    """OWNER/NAME."""
    folder: Path
    files: Sequence[Path]
    """README.md first."""
    notes: Sequence[str]
    """Formats that are left out, and why; what else there is to know before."""


def parse_target(text: str) -> str:
    """Return OWNER/NAME of `hf:OWNER/NAME`. Raises UsageError for anything else."""
    try:
        reference = parse_reference(text)
    except ModelFileError:
        reference = None
    if reference is None or reference.file is not None or "@" in text:
        raise UsageError(f"--to {text}: expected hf:OWNER/REPOSITORY")
    return reference.repository


def prepare_publication(
    model: Path,
    folder: Path,
    repository: str,
    *,
    license_name: str | None = None,
    suffixes: Sequence[str] = FORMATS,
) -> Publication:
    """Write what is to be uploaded into an empty folder.

    license_name: SPDX identifier; None for what the file states, or the place that it was
    downloaded from. suffixes: of the formats. Raises ModelFileError for a file that is no model or
    cannot be had in any format, and UsageError where no license is stated.
    """
    generator = load_generator(model)
    source = find_source(model)
    stated = generator.metadata.get("licence") or (source and source.license) or ""
    license_name = license_name or str(stated).removeprefix("not stated")
    if not license_name:
        raise UsageError(f"{model}: states no license; expected one by --license")
    name, notes, formats = model.stem, [], []
    for suffix in suffixes:
        try:
            convert_model(model, folder / f"{name}{suffix}")
            formats.append(suffix)
        except UserError as error:
            notes.append(f"left out: {str(error).replace(f'{folder}/', '')}")
    if not formats:
        raise ModelFileError(f"{model}: cannot be published: {'; '.join(notes)}")
    if ".safetensors" in formats and "options" in generator.metadata:
        notes.append(
            f"{name}.safetensors holds all options of its training run, with the paths of its data"
        )
    page = make_page(
        model,
        name,
        generator,
        repository=repository,
        license_name=license_name,
        formats=formats,
        source=source,
    )
    readme = folder / "README.md"
    readme.write_text(page, encoding="utf-8")
    files = [readme, *(folder / f"{name}{suffix}" for suffix in formats)]
    return Publication(repository, folder, files, notes)


def upload_publication(publication: Publication, *, private: bool = False) -> str:
    """Upload in one commit, into a repository that is made if there is none. Returns its address.

    Raises UserError where the hub cannot be reached, or refuses.
    """
    if is_offline():
        raise UserError(f"hf:{publication.repository}: SR_OFFLINE forbids the network")
    hub = connect_hub()
    try:
        hub.create_repo(publication.repository, exist_ok=True, private=private or None)
        hub.upload_folder(
            repo_id=publication.repository,
            folder_path=publication.folder,
            commit_message=f"Publish {publication.files[-1].stem}",
        )
    except ValueError as error:  # of the page's header, which the hub validates
        raise UserError(f"hf:{publication.repository}: {error}") from None
    except Exception as error:  # noqa: BLE001, which raises all but the hub's again
        raise UserError(f"hf:{publication.repository}: {describe_fault(error)}") from None
    return f"{find_endpoint()}/{publication.repository}"
