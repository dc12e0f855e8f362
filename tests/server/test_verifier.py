"""The host's signature primitive against vectors made by others, and against input that is no key or signature."""

import json
import os
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ed25519
from fleet_bench import KeyPair

from pawl import codes, cose
from pawl.names import event_name, reason_name
from pawl.ports.host.verifier import verify

VECTORS = Path(os.environ.get("PAWL_VECTORS", Path(__file__).resolve().parents[2] / "../shared/vectors"))


def _groups(name):
    path = VECTORS / "wycheproof" / name
    if not path.exists():
        pytest.skip(f"no {path}")
    return json.loads(path.read_text())["testGroups"]


def _p256(x, y, alg=codes.ALG_ESP256):
    return cose.Key(codes.KTY_EC2, alg, codes.CRV_P256, x, y)


def _ed25519(x, alg=codes.ALG_ED25519):
    return cose.Key(codes.KTY_OKP, alg, codes.CRV_ED25519, x, b"")


def _disagreements(groups, key_of):
    """Return how many cases there are, and the ids of those that are judged otherwise than Wycheproof says."""
    cases = [(key_of(group["publicKey"]), case) for group in groups for case in group["tests"]]
    wrong = [
        case["tcId"]
        for key, case in cases
        if verify(key, bytes.fromhex(case["msg"]), bytes.fromhex(case["sig"])) != (case["result"] == "valid")
    ]
    return len(cases), wrong


@pytest.mark.parametrize("alg", [codes.ALG_ESP256, codes.ALG_ES256])
def test_wycheproof_p256(alg):
    """All 262 cases of ECDSA on P-256 with SHA-256 and r || s signatures, under both names of the algorithm."""

    def key_of(public):
        point = bytes.fromhex(public["uncompressed"])
        return _p256(point[1:33], point[33:], alg)

    assert _disagreements(_groups("ecdsa_secp256r1_sha256_p1363_test.json"), key_of) == (262, [])


def test_wycheproof_ed25519():
    """All 151 cases of Ed25519."""
    groups = _groups("ed25519_test.json")
    assert _disagreements(groups, lambda public: _ed25519(bytes.fromhex(public["pk"]))) == (151, [])


@pytest.mark.parametrize("as_view", [bytes, memoryview])
def test_a_signature_of_the_key_verifies_from_any_buffer(as_view):
    """The device's readers hand over slices, not copies."""
    pair = KeyPair()
    assert verify(pair.key, as_view(b"message"), as_view(pair.sign(b"message")))
    assert not verify(pair.key, as_view(b"another"), as_view(pair.sign(b"message")))


ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551


@pytest.mark.parametrize(
    "signature",
    [
        b"",
        bytes(63),
        bytes(64),
        bytes(65),
        ORDER.to_bytes(32) + (1).to_bytes(32),
        (1).to_bytes(32) + ORDER.to_bytes(32),
        bytes(32) + (1).to_bytes(32),
        b"\xff" * 64,
        None,
        "text",
    ],
)
def test_no_signature_is_not_verified(signature):
    """Wrong lengths, values out of range and things that are no bytes are refused without an exception."""
    assert verify(KeyPair().key, b"message", signature) is False


@pytest.mark.parametrize(
    "coordinates",
    [
        (bytes(32), bytes(32)),
        (b"\xff" * 32, bytes(32)),
        (b"", b""),
        (bytes(31), bytes(33)),
        (None, None),
        (1, 2),
    ],
)
def test_no_key_is_not_verified(coordinates):
    """Points off the curve and things that are no coordinates verify nothing."""
    assert verify(_p256(*coordinates), b"message", KeyPair().sign(b"message")) is False


@pytest.mark.parametrize("x", [b"", bytes(31), b"\xff" * 32, None])
def test_no_ed25519_key_is_not_verified(x):
    """The same for the other curve."""
    assert verify(_ed25519(x), b"message", bytes(64)) is False


def test_t22_algorithm_confusion():
    """A key verifies by the algorithm it is declared for, and by no other."""
    pair = KeyPair()
    signature = pair.sign(b"message")
    other = ed25519.Ed25519PrivateKey.generate()
    wrong = [
        (_p256(pair.key.x, pair.key.y, codes.ALG_ED25519), signature),
        (_p256(pair.key.x, pair.key.y, 0), signature),
        (cose.Key(codes.KTY_OKP, codes.ALG_ESP256, codes.CRV_P256, pair.key.x, pair.key.y), signature),
        (_ed25519(other.public_key().public_bytes_raw(), codes.ALG_ESP256), other.sign(b"message")),
    ]
    assert [verify(key, b"message", made) for key, made in wrong] == [False] * 4
    assert verify(_ed25519(other.public_key().public_bytes_raw()), b"message", other.sign(b"message"))


def test_names_are_those_of_the_constants():
    """A code reads as its constant is spelt; one that is not known here keeps its number."""
    assert reason_name(codes.REASON_SEQUENCE_LOW) == "sequence-low"
    assert reason_name(codes.REASON_OK) == "ok"
    assert event_name(codes.EVENT_INSTALLED) == "installed"
    assert reason_name(999) == "reason-999" and event_name(999) == "event-999"


def test_no_two_reasons_share_a_number():
    """A number that two constants share would have lost one of their names."""
    for prefix, name_of in (("REASON_", reason_name), ("EVENT_", event_name)):
        constants = [name for name in dir(codes) if name.startswith(prefix)]
        assert len({name_of(getattr(codes, name)) for name in constants}) == len(constants)
