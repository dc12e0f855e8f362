"""Imported releases on disk: only what a device would accept, whole or not at all."""

import os

import pytest
from fleet_bench import make_fleet
from release_factory import make_anchor, make_keys, make_release, make_statement

from pawl import bundle, codes, index
from pawl.compat import sha256
from pawl.errors import ManifestError
from pawl.index import b64u
from pawl_server.judges import Judges
from pawl_server.repository import Repository
from pawl_tools import release, template


@pytest.fixture
def fleet(tmp_path):
    return make_fleet(tmp_path)


def _refused(fleet, raw):
    """Return the reason of a refusal, after which the folder is empty."""
    with pytest.raises(ManifestError) as caught:
        fleet.repository.add(raw)
    assert list((fleet.folder / "releases").iterdir()) == []
    return caught.value.code


def test_an_imported_release_is_kept_under_its_digest(fleet):
    """What is known of it comes from the manifest, and its file is the bundle as it came."""
    raw = make_release(fleet.keys, image=b"x" * 5000, sequence=7, version=(1, 2, 3))
    release = fleet.repository.add(raw)
    assert (release.sequence, release.version, release.size_bytes) == (7, "1.2.3", 5000)
    (path,) = (fleet.folder / "releases").iterdir()
    assert path.name == b64u(release.digest) + ".pawl"
    assert path.read_bytes() == raw
    bundle = fleet.repository.open(release.digest)
    assert bytes(bundle.app().image) == b"x" * 5000 and bundle.app().digest == release.index_digest


def test_the_same_bundle_twice_is_one_file(fleet):
    """Import is idempotent."""
    raw = make_release(fleet.keys)
    assert fleet.repository.add(raw) == fleet.repository.add(raw)
    assert len(list((fleet.folder / "releases").iterdir())) == 1


def test_t01_arbitrary_software_of_an_unknown_key(fleet):
    """A release that the anchor's set didn't sign is refused by that name."""
    assert _refused(fleet, make_release(make_keys())) == codes.REASON_UNAUTHORISED


def test_every_flipped_byte_is_refused(fleet):
    """No byte of a bundle is anybody's choice."""
    raw = make_release(fleet.keys, image=b"i" * 300)
    for at in range(len(raw)):
        damaged = bytearray(raw)
        damaged[at] ^= 0x01
        with pytest.raises(ManifestError):
            fleet.repository.add(bytes(damaged))
    assert list((fleet.folder / "releases").iterdir()) == []


def test_every_truncation_and_t12_appended_bytes_are_refused(fleet):
    """A bundle is whole, and nothing follows it."""
    raw = make_release(fleet.keys, image=b"i" * 300)
    for size in range(len(raw)):
        with pytest.raises(ManifestError):
            fleet.repository.add(raw[:size])
    assert _refused(fleet, raw + b"\0") == codes.REASON_TRAILING_BYTES


def test_a_bundle_above_the_limit_is_refused_unread(fleet):
    """The limit comes before the parser."""
    repository = Repository(fleet.folder / "other", fleet.judges, bundle_max_bytes=1000)
    with pytest.raises(ManifestError) as caught:
        repository.add(make_release(fleet.keys, image=bytes(1000)))
    assert caught.value.code == codes.REASON_TOO_LARGE
    assert list((fleet.folder / "other").iterdir()) == []


def test_an_index_that_no_device_reads_is_refused(fleet):
    """Devices read at most 64 KiB of index: 2047 blocks. Our own tools sign no such release, so it is made without them."""
    image = bytes(2048 * codes.BLOCK_BYTES)
    listing = index.write(image)
    uri = index.uri_of(sha256(listing))
    body = template.manifest([template.Image(content=image, uri=uri)], None, make_statement(), None)
    members = {uri: image, "#i:" + index.b64u(sha256(listing)): listing}
    raw = bundle.envelope_of(release.sign(body, [fleet.keys.release]), body, members)
    repository = Repository(fleet.folder / "other", fleet.judges, bundle_max_bytes=1 << 24)
    with pytest.raises(ManifestError) as caught:
        repository.add(raw)
    assert caught.value.code == codes.REASON_TOO_LARGE


def test_a_barred_release_is_refused(fleet):
    """What the anchor bars is not imported."""
    raw = make_release(fleet.keys)
    digest = fleet.repository.add(raw).digest
    judges = Judges(make_anchor(fleet.keys, version=2, barred=[digest]), fleet.folder / "disagreements")
    with pytest.raises(ManifestError) as caught:
        Repository(fleet.folder / "releases", judges, bundle_max_bytes=1 << 20).open(digest)
    assert caught.value.code == codes.REASON_BARRED


def test_a_file_that_changed_on_disk_is_refused_and_import_repairs_it(fleet):
    """The verifier has the last word at every opening; the same release imported again takes the bad file's place."""
    raw = make_release(fleet.keys)
    digest = fleet.repository.add(raw).digest
    path = fleet.folder / "releases" / (b64u(digest) + ".pawl")
    path.write_bytes(raw[:-1])
    with pytest.raises(ManifestError):
        fleet.repository.open(digest)
    fleet.repository.add(raw)
    assert fleet.repository.open(digest).envelope.digest == digest


def test_a_file_under_another_name_is_refused(fleet):
    """A good release in the place of another is not that other one."""
    first, second = make_release(fleet.keys, sequence=1), make_release(fleet.keys, sequence=2)
    digest = fleet.repository.add(first).digest
    (fleet.folder / "releases" / (b64u(digest) + ".pawl")).write_bytes(second)
    with pytest.raises(ManifestError) as caught:
        fleet.repository.open(digest)
    assert caught.value.code == codes.REASON_MANIFEST_DIGEST


def test_an_unknown_release_is_not_found(fleet):
    """Nothing was imported under this digest."""
    with pytest.raises(FileNotFoundError):
        fleet.repository.open(bytes(32))


def test_a_write_that_fails_leaves_nothing(fleet, monkeypatch):
    """A full disk, met before the rename, leaves neither half a release nor its temporary file."""

    def full_disk(_descriptor):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full_disk)
    with pytest.raises(OSError, match="No space left"):
        fleet.repository.add(make_release(fleet.keys))
    assert list((fleet.folder / "releases").iterdir()) == []
