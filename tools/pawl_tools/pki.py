"""Certificates for the device link: P-256 authorities, and the certificates they issue.

Refuses to be a public CA: no revocation, no intermediate authorities, no RSA. TLS protects the path and carries no
authority over updates, so these keys sign nothing that a device installs.

    fleet = create_authority("Pawl devices")
    device = issue(fleet, "bench-1", days=730)
    device.write_pem(folder, "bench-1")            # bench-1.crt, and bench-1.key for its owner's eyes only
"""

import ipaddress
import os
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from pawl_tools.errors import ToolError

AUTHORITY_DAYS = 3650
BACKDATED = timedelta(hours=1)  # clocks of both sides differ


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """A certificate with its private key."""

    key: ec.EllipticCurvePrivateKey
    certificate: x509.Certificate

    def certificate_pem(self) -> bytes:
        """Return the certificate as PEM."""
        return self.certificate.public_bytes(Encoding.PEM)

    def certificate_der(self) -> bytes:
        """Return the certificate as DER, the form that devices keep."""
        return self.certificate.public_bytes(Encoding.DER)

    def key_pem(self) -> bytes:
        """Return the private key as unencrypted PKCS #8 PEM."""
        return self.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())

    def key_der(self) -> bytes:
        """Return the private key as DER in SEC 1 form, the form that devices keep."""
        return self.key.private_bytes(Encoding.DER, PrivateFormat.TraditionalOpenSSL, NoEncryption())

    def write_pem(self, folder: Path, name: str) -> tuple[Path, Path]:
        """Write `name.crt` and `name.key` and return their paths; raises FileExistsError rather than replace a key."""
        return self._write(folder, name, self.certificate_pem(), self.key_pem())

    def write_der(self, folder: Path, name: str) -> tuple[Path, Path]:
        """Write `name.crt.der` and `name.key.der`, else as `write_pem`."""
        return self._write(folder, name, self.certificate_der(), self.key_der(), suffix=".der")

    def _write(
        self, folder: Path, name: str, certificate: bytes, key: bytes, *, suffix: str = ""
    ) -> tuple[Path, Path]:
        certificate_path, key_path = folder / f"{name}.crt{suffix}", folder / f"{name}.key{suffix}"
        write_private(key_path, key)
        certificate_path.write_bytes(certificate)
        return certificate_path, key_path


def write_private(path: Path, content: bytes) -> None:
    """Write a new file that only its owner can read; raises FileExistsError if the path exists."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)


def create_authority(name: str, *, days: int = AUTHORITY_DAYS) -> Identity:
    """Return a self-signed authority that may sign leaf certificates only."""
    key = ec.generate_private_key(ec.SECP256R1())
    builder = (
        _builder(_name(name), _name(name), key.public_key(), days)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_usage(is_authority=True), critical=True)
    )
    return Identity(key=key, certificate=builder.sign(key, hashes.SHA256()))


def issue(
    authority: Identity,
    common_name: str,
    *,
    server_names: tuple[str, ...] = (),
    days: int,
    now: datetime | None = None,
) -> Identity:
    """Return a certificate with a new key: a server's if it has server names (DNS or IP), else a client's.

    Its days begin now, or at another time.
    """
    key = ec.generate_private_key(ec.SECP256R1())
    issuer = authority.certificate.subject
    purpose = ExtendedKeyUsageOID.SERVER_AUTH if server_names else ExtendedKeyUsageOID.CLIENT_AUTH
    builder = (
        _builder(_name(common_name), issuer, key.public_key(), days, now)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_usage(is_authority=False), critical=True)
        .add_extension(x509.ExtendedKeyUsage([purpose]), critical=False)
        .add_extension(_authority_key(authority), critical=False)
    )
    if server_names:
        names = x509.SubjectAlternativeName([_general_name(name) for name in server_names])
        builder = builder.add_extension(names, critical=False)
    return Identity(key=key, certificate=builder.sign(authority.key, hashes.SHA256()))


def _builder(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePublicKey, days: int, now: datetime | None = None
) -> x509.CertificateBuilder:
    now = now or datetime.now(UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - BACKDATED)
        .not_valid_after(now + timedelta(days=days))
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
    )


def _usage(*, is_authority: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not is_authority,
        key_cert_sign=is_authority,
        crl_sign=is_authority,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


def _authority_key(authority: Identity) -> x509.AuthorityKeyIdentifier:
    identifier = authority.certificate.extensions.get_extension_for_class(x509.SubjectKeyIdentifier)
    return x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(identifier.value)


def _name(common_name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])


def _general_name(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)


def load_authority(certificate: Path, key: Path) -> Identity:
    """Return the authority in two PEM files."""
    try:
        private = load_pem_private_key(key.read_bytes(), password=None)
        loaded = x509.load_pem_x509_certificate(certificate.read_bytes())
    except OSError as error:
        raise ToolError(f"cannot read {error.filename}: {error.strerror}") from None
    except (ValueError, TypeError):
        raise ToolError(f"{certificate} and {key} are no authority: `pawl ca new` makes one") from None
    if not isinstance(private, ec.EllipticCurvePrivateKey):
        raise ToolError(f"{key} is not a P-256 key: `pawl ca new` makes one")
    return Identity(key=private, certificate=loaded)


def pem_to_der(pem: bytes) -> bytes:
    """Return the certificate in a PEM file as DER."""
    try:
        return x509.load_pem_x509_certificate(pem).public_bytes(Encoding.DER)
    except ValueError:
        raise ToolError("not a certificate in PEM: `pawl ca new` makes one") from None
