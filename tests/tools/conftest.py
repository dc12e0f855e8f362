"""A small fleet's keys and one release, made once by the tools themselves."""

import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "server"))
sys.path.insert(0, str(Path(__file__).parent))
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from trust_office import Office, pawl

from pawl import codes
from pawl_tools import identifiers, keys, pki, release, trust
from pawl_tools.keys import FileSigner

VENDOR = identifiers.vendor_id("example.com")
CLASS = identifiers.class_id(VENDOR, "unix-board")
IMAGE = bytes(n * 31 % 251 for n in range(6500))


@dataclass(frozen=True)
class Workshop:
    """Keys by name, the anchor file, and a folder to work in."""

    folder: Path
    signers: dict[str, FileSigner]
    anchor_file: Path

    def release(self, name="release.pawl", *, sequence=5, version=(1, 0), image=IMAGE, by=("release",)):
        statement = release.Statement(sequence=sequence, version=version, vendor=VENDOR, device_class=CLASS)
        path = self.folder / name
        path.write_bytes(release.build(image, statement, [self.signers[signer] for signer in by]))
        return path


@pytest.fixture(scope="session")
def workshop(tmp_path_factory):
    folder = tmp_path_factory.mktemp("workshop")
    signers = {}
    for name in ("root", "release", "second", "director", "stranger", "recovery"):
        keys.new(folder / name, "esp256")
        signers[name] = FileSigner(folder / name)
    plan = trust.Plan(
        version=1,
        issued=1_700_000_000,
        expiry=1_800_000_000,
        root=trust.KeySet(threshold=1, keys=[signers["root"].key]),
        directors=[signers["director"].key],
        roles={
            codes.ROLE_APP_RELEASE: trust.KeySet(
                threshold=1, keys=[signers["release"].key, signers["second"].key]
            ),
            codes.ROLE_APP_RECOVERY: trust.KeySet(threshold=1, keys=[signers["recovery"].key]),
        },
        ca=[pki.create_authority("test").certificate_der()],
        server_names=["localhost"],
    )
    path = folder / "trust.cbor"
    path.write_bytes(trust.build(plan, [signers["root"]]))
    return Workshop(folder, signers, path)


@pytest.fixture(scope="session")
def office(tmp_path_factory):
    return Office(tmp_path_factory.mktemp("office"))


@pytest.fixture
def anchor_1(office, tmp_path):
    """Version 1 of 2-of-3 root keys, signed by two of them."""
    path = tmp_path / "1.cbor"
    pawl(*office.init(path, "--threshold", "root=2"))
    return office.sign(path, "ana", "ben")
