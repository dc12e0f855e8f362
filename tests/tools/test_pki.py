"""Certificates of the device link."""

import stat
from datetime import UTC, datetime, timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import load_der_private_key, load_pem_private_key
from cryptography.x509.oid import ExtendedKeyUsageOID
from cryptography.x509.verification import PolicyBuilder, Store, VerificationError

from pawl_tools.pki import Identity, create_authority, issue, write_private


def _extension(identity: Identity, kind):
    return identity.certificate.extensions.get_extension_for_class(kind)


def test_a_client_certificate_verifies_under_its_authority_only():
    """A device's certificate is a client's, of its own authority, and of no other."""
    fleet, other = create_authority("Pawl devices"), create_authority("Somebody else")
    device = issue(fleet, "bench-1", days=30)
    device.certificate.verify_directly_issued_by(fleet.certificate)
    assert device.certificate.subject.rfc4514_string() == "CN=bench-1"
    assert list(_extension(device, x509.ExtendedKeyUsage).value) == [ExtendedKeyUsageOID.CLIENT_AUTH]
    with pytest.raises(ValueError, match="Issuer"):
        device.certificate.verify_directly_issued_by(other.certificate)


def test_a_server_certificate_verifies_for_its_names_only():
    """An independent X.509 verifier accepts the chain for the names asked for, and no others."""
    authority = create_authority("Pawl server")
    server = issue(authority, "updates.example", server_names=("updates.example", "127.0.0.1"), days=30)
    builder = PolicyBuilder().store(Store([authority.certificate]))
    builder.build_server_verifier(x509.DNSName("updates.example")).verify(server.certificate, [])
    with pytest.raises(VerificationError):
        builder.build_server_verifier(x509.DNSName("other.example")).verify(server.certificate, [])
    names = _extension(server, x509.SubjectAlternativeName).value
    assert [str(address) for address in names.get_values_for_type(x509.IPAddress)] == ["127.0.0.1"]


def test_an_authority_signs_leaves_only():
    """No path below the authority: it can't make another authority, and it isn't a client or server itself."""
    authority = create_authority("Pawl devices")
    constraints = _extension(authority, x509.BasicConstraints)
    assert constraints.critical and constraints.value == x509.BasicConstraints(ca=True, path_length=0)
    usage = _extension(authority, x509.KeyUsage).value
    assert usage.key_cert_sign and not usage.digital_signature


def test_a_leaf_is_no_authority():
    """A device can't issue certificates with its own."""
    leaf = issue(create_authority("Pawl devices"), "bench-1", days=30)
    assert not _extension(leaf, x509.BasicConstraints).value.ca
    assert not _extension(leaf, x509.KeyUsage).value.key_cert_sign


def test_validity_begins_before_now_and_lasts_as_long_as_asked():
    """A clock that runs slow still accepts a fresh certificate."""
    leaf = issue(create_authority("Pawl devices"), "bench-1", days=30).certificate
    now = datetime.now(UTC)
    assert leaf.not_valid_before_utc < now - timedelta(minutes=50)
    assert timedelta(days=29) < leaf.not_valid_after_utc - now <= timedelta(days=30)


def test_files_hold_the_pair_and_the_key_is_private(tmp_path):
    """Both forms read back; the keys can be read by their owner only."""
    device = issue(create_authority("Pawl devices"), "bench-1", days=30)
    rows = (
        (
            device.write_pem,
            lambda path: load_pem_private_key(path.read_bytes(), None),
            x509.load_pem_x509_certificate,
        ),
        (
            device.write_der,
            lambda path: load_der_private_key(path.read_bytes(), None),
            x509.load_der_x509_certificate,
        ),
    )
    for write, read_key, read_certificate in rows:
        certificate_path, key_path = write(tmp_path, "bench-1")
        key = read_key(key_path)
        assert isinstance(key, ec.EllipticCurvePrivateKey) and isinstance(key.curve, ec.SECP256R1)
        assert key.public_key() == read_certificate(certificate_path.read_bytes()).public_key()
        assert stat.S_IMODE(key_path.stat().st_mode) == 0o600


def test_a_key_is_never_replaced(tmp_path):
    """Writing over an existing key is refused, and the key stays."""
    path = tmp_path / "bench-1.key"
    write_private(path, b"first")
    with pytest.raises(FileExistsError):
        write_private(path, b"second")
    assert path.read_bytes() == b"first"
