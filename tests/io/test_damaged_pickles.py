"""Pickles and archives that make readers fail in ways of their own."""

import zipfile
from pathlib import Path

import pytest
import torch

from sr.errors import ModelFileError
from sr.io.weights_file import read_weights

# Of torch's format before 1.6: magic number, protocol, sizes; then {"params": bytearray(2**62)}.
LEGACY = bytes.fromhex("80028a0a6cfc9c46f9206aa850192e80024de9032e80027d2e")
ENORMOUS = LEGACY + (
    b"\x80\x02}X\x06\x00\x00\x00paramsc__builtin__\nbytearray\n\x8a\x08"
    + (2**62).to_bytes(8, "little")
    + b"\x85Rs."
    + b"\x80\x02]."
)


@pytest.mark.parametrize(
    "content",
    [b"\x80\x02X\xff\xff", b"\x80", b"\x80\x02", b"\x80\x02\x8a\x0a", LEGACY, ENORMOUS],
)
def test_a_cut_or_hostile_pickle_is_refused_by_name(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "odd.pth").write_bytes(content)
    with pytest.raises(ModelFileError, match=r"odd\.pth: expected "):
        read_weights(tmp_path / "odd.pth")


def test_an_archive_that_unpacks_to_more_than_itself_is_refused(tmp_path: Path) -> None:
    torch.save({"a": torch.zeros(1000, 1000)}, tmp_path / "plain.pth")
    with (
        zipfile.ZipFile(tmp_path / "plain.pth") as plain,
        zipfile.ZipFile(tmp_path / "packed.pth", "w", zipfile.ZIP_DEFLATED) as packed,
    ):
        for name in plain.namelist():
            packed.writestr(name, plain.read(name))
    with pytest.raises(ModelFileError, match=r"packed\.pth: .*an archive of .* unpacks to 4,00"):
        read_weights(tmp_path / "packed.pth")
