"""What provisioning wrote once: who this device is, how it reaches its broker, and where its trust began."""

from collections import namedtuple

from pawl import cbor, codes, records
from pawl.compat import const, sha256
from pawl.errors import StorageError

PARTITIONS = const(64)
_MAGIC = b"PWID"
_FIELDS = (
    "device",  # id, [a-z0-9][a-z0-9-]{0,62}
    "vendor",  # 16 bytes
    "class_id",  # 16 bytes
    "certificate",  # DER, for TLS
    "tls_key",  # DER, for TLS
    "host",  # of the broker
    "port",
    "report_key",  # P-256 secret, 32 bytes: signs reports
    "anchor_file",  # the anchor the device was provisioned with
    "floor",  # {image: sequence number}: the provisioned ratchet
    "anchor_port",  # of the anchor listener, on the same host
)

_ANCHOR_FILE = const(8)

# What was provisioned, and two facts that follow: `ids` is (vendor, class), as SUIT's conditions compare them. Without the
# anchor file: that is large, and asked for at boot only.
Identity = namedtuple("Identity", _FIELDS[:_ANCHOR_FILE] + _FIELDS[_ANCHOR_FILE + 1 :] + ("partition", "ids"))


def partition_of(device) -> int:
    """Return the topic partition of a device id: the first byte of its SHA-256, mod 64."""
    return sha256(device.encode())[0] % PARTITIONS


def write(regions, values):
    """Provision: write every copy of the record from a dict with exactly the fields."""
    body = cbor.encode([values[name] for name in _FIELDS])
    for region in regions:
        records.replace(region, _MAGIC, body)


def load(regions):
    """Return the Identity of the first copy that is whole, or raise StorageError: without it a device cannot start."""
    values = _read(regions)
    values.pop(_ANCHOR_FILE)
    return Identity(*(values + [partition_of(values[0]), (values[1], values[2])]))


def anchor_file(regions):
    """Return the anchor file that the device was provisioned with, or raise StorageError as `load` does."""
    return _read(regions)[_ANCHOR_FILE]


def _read(regions):
    for region in regions:
        body = records.load(region, _MAGIC)
        if body is not None:
            return _decode(body)
    raise StorageError(codes.REASON_RECORD_LOST, "not provisioned, or both identity records are damaged")


def _decode(body):
    reader = cbor.Reader(body)
    values = [_plain(reader.value()) for _ in range(reader.array(len(_FIELDS)))]
    reader.end()
    return values


def _plain(value):
    return bytes(value) if isinstance(value, memoryview) else value
