"""What provisioning wrote once: who this device is, how it reaches its broker, and where its trust began."""

from pawl import cbor, records
from pawl.errors import StorageError
from pawl.codes import REASON_RECORD_LOST
from pawl.compat import sha256

_MAGIC = b"PWID"
_FIELDS = (
    "device",  # id, [a-z0-9][a-z0-9-]{0,62}
    "vendor",  # 16 bytes
    "class_id",  # 16 bytes
    "certificate",  # DER, for TLS
    "tls_key",  # DER, for TLS
    "host",  # of the broker
    "port",
    "server_name",  # that the broker's certificate must carry
    "report_key",  # P-256 secret, 32 bytes: signs reports
    "anchor_file",  # the anchor the device was provisioned with
    "floor",  # {image: sequence number}: the provisioned ratchet
)


class Identity:
    """The provisioned record; its fields are those of `_FIELDS`."""

    def __init__(self, values):
        for name in _FIELDS:
            setattr(self, name, values[name])
        self.partition = partition_of(self.device)

    @property
    def ids(self):
        """Return (vendor, class), as SUIT's conditions compare them."""
        return self.vendor, self.class_id


def partition_of(device):
    """Return the topic partition of a device id: the first byte of its SHA-256, mod 64."""
    return sha256(device.encode())[0] % 64


def write(region, values):
    """Provision: write the record from a dict with exactly the fields."""
    body = cbor.encode([values[name] for name in _FIELDS])
    records.replace(region, _MAGIC, body)


def load(region):
    """Return the Identity, or raise StorageError: without it a device cannot start."""
    body = records.load(region, _MAGIC)
    if body is None:
        raise StorageError(REASON_RECORD_LOST, "not provisioned, or the identity record is damaged")
    values = cbor.decode(body)
    plain = [bytes(value) if isinstance(value, memoryview) else value for value in values]
    return Identity(dict(zip(_FIELDS, plain)))
