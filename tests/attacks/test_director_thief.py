"""Whoever owns the server and the director's key: T30."""

import ast
from pathlib import Path

import factory
from release_factory import KeyPair, make_release
from served import serving
from target import Target
from test_server_attacks import import_reason

from pawl import bundle, codes
from pawl_server.domain.fleet import Release

ROOT = Path(__file__).resolve().parents[2]


def test_t30_a_compromised_server_imports_its_own_release(attack, tmp_path):
    """The repository is the device's verifier: what the thief signs with the director's key isn't even kept."""
    row = attack("T30", "server compromise: import of a release signed by the director's key")
    with serving(tmp_path) as (server, target):
        keys = server.fleet.keys
        before = target.snapshot(), list((tmp_path / "releases").iterdir())

        class Stolen:
            root, release, director = keys.root, keys.director, keys.director

        row.refused(import_reason(server, make_release(Stolen, sequence=2)), codes.REASON_UNAUTHORISED)
        Stolen.release = KeyPair()
        row.refused(import_reason(server, make_release(Stolen, sequence=2)), codes.REASON_UNAUTHORISED)
        row.kept(before, (target.snapshot(), list((tmp_path / "releases").iterdir())))


def test_t30_a_compromised_server_publishes_past_the_repository(attack, tmp_path):
    """Its true director offers, under the true nonce, what the thief put on the broker: the device decides."""
    row = attack("T30", "server compromise: true offers of a stranger's, altered and older releases")
    with serving(tmp_path) as (server, target):
        keys = server.fleet.keys
        target.assign(5)
        target.run()
        target.run()
        target.run()
        before = target.snapshot()
        assert before.ratchet[0] == 5

        class Strangers:
            root, release, director = keys.root, KeyPair(), keys.director

        for raw, reason in (
            (make_release(Strangers, sequence=6, version=(6,)), codes.REASON_UNAUTHORISED),
            (make_release(keys, sequence=4, version=(6,)), codes.REASON_SEQUENCE_LOW),
            (make_release(keys, sequence=5, version=(6,)), codes.REASON_SEQUENCE_REUSED),
            (make_release(keys, sequence=6, version=(4,)), codes.REASON_VERSION_LOW),
            (make_release(keys, sequence=6, version=(6,), device_class=bytes(16)), codes.REASON_CLASS),
        ):
            target.publish(raw)
            server.force(listed(raw))
            row.refused(target.refusal(), reason)
            row.unchanged(before, target.snapshot())


def listed(raw):
    """Return the row that a release has in the server's database."""
    opened = bundle.Bundle(bundle.suit.Envelope(raw))
    return Release(
        digest=bytes(opened.envelope.digest),
        sequence=opened.manifest.sequence_number,
        version="9",
        index_digest=bytes(opened.index_digest),
        size_bytes=opened.index.size,
    )


def test_t30_the_director_thiefs_choices(attack):
    """With the director's key alone: everything but a signed, newer, unbarred release for this device is refused."""
    row = attack("T30", "director thief: all choices but a newer signed release")
    target = Target()
    target.publish(factory.release(sequence=5, version=(5,)))
    assert target.installs()
    target.run()
    before = target.snapshot()
    for raw, reason in (
        (factory.release(sequence=6, version=(6,), signers=(factory.DIRECTOR,)), codes.REASON_UNAUTHORISED),
        (factory.release(sequence=6, version=(6,), signers=()), codes.REASON_UNAUTHORISED),
        (factory.release(sequence=1), codes.REASON_SEQUENCE_LOW),
        (factory.release(sequence=1025 << 32, version=(6,)), codes.REASON_EPOCH_JUMP),
        (factory.release(sequence=5, version=(5,), image=b"x"), codes.REASON_SEQUENCE_REUSED),
        (factory.release(sequence=5, version=(5,)), None),
    ):
        target.publish(raw)
        if reason is None:
            target.run()
            assert target.reports()[-1] == (codes.EVENT_STARTED, codes.REASON_ALREADY_INSTALLED)
        else:
            row.refused(target.refusal(), reason)
        row.unchanged(before, target.snapshot())


def test_the_director_thief_may_choose_among_what_was_signed():
    """What the theft does gain: any release that the threshold signed above what runs."""
    target = Target()
    target.publish(factory.release(sequence=7, version=(7,)))
    assert target.installs()


def test_t30_no_key_that_signs_images_is_ever_loaded_by_the_server(attack):
    """In the server's source one file loads a private key, and it refuses those that aren't a director's."""
    row = attack("T30", "server source: who loads private keys, who signs")
    loaders, signers = set(), set()
    for path in (ROOT / "server" / "pawl_server").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call):
                name = getattr(node.func, "attr", getattr(node.func, "id", ""))
                if "private_key" in name or name == "derive_private_key":
                    loaders.add(path.name)
                if name == "sign":
                    signers.add(path.name)
    row.failed(
        loaders <= {"signing.py", "audit.py"} and "signing.py" in loaders,
        True,
        "director (and audit) keys only",
    )
    assert signers <= {"signing.py", "audit.py"}
    row.pure()
