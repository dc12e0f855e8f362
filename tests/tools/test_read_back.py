"""What `pawl release sign` and `pawl verify` do with the second judge."""

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519

from pawl_server.judges import Judges
from pawl_tools import read_back, release
from pawl_tools.errors import ToolError
from pawl_tools.keys import PrivateSigner

STATEMENT = release.Statement(sequence=3, version=(1, 0), vendor=bytes(16), device_class=bytes(16))


def signers():
    """Return a P-256 and an Ed25519 key."""
    return [
        PrivateSigner(ec.generate_private_key(ec.SECP256R1())),
        PrivateSigner(ed25519.Ed25519PrivateKey.generate()),
    ]


def test_a_release_is_judged_under_the_keys_that_signed(tmp_path):
    """Without an anchor every signer must be found in it, by both judges."""
    both = signers()
    raw = release.build(b"image" * 999, STATEMENT, both)
    read_back.read_back(raw, read_back.anchor_of(both), tmp_path)
    with pytest.raises(ToolError, match="unauthorised"):
        read_back.read_back(release.build(b"image", STATEMENT, both[:1]), read_back.anchor_of(both), tmp_path)


def test_a_key_given_twice_is_refused(tmp_path):
    """Two signatures of one key: no bundle holds them."""
    [first, _] = signers()
    raw = release.build(b"image", STATEMENT, [first, first])
    with pytest.raises(ToolError, match="surplus-signature"):
        read_back.read_back(raw, read_back.anchor_of([first, first]), tmp_path)


def test_a_disagreement_names_the_case(tmp_path):
    """Whoever signs is told to use the release nowhere, and where the case is."""
    both = signers()
    raw = release.build(b"image", STATEMENT, both)
    judges = Judges(read_back.anchor_of(both), tmp_path / "cases")
    judges._anchor_file = read_back.anchor_of(both[:1])
    with pytest.raises(Exception, match="second reader") as caught:
        judges.open(raw)
    told = str(read_back.alarm(caught.value))
    assert "nowhere" in told
    assert str(tmp_path / "cases") in told


def test_an_anchor_that_is_none_is_refused(tmp_path):
    """By name, before any release is judged."""
    with pytest.raises(ToolError, match="not a valid trust anchor"):
        read_back.judges_of(b"\x80", tmp_path)
