"""Manifests of every template of the profile, and releases of them; as plain values, so that tests can bend them."""

import factory

from pawl import bundle, cbor, codes, index, notes
from pawl.compat import sha256

DATA = bytes([n * 3 & 255 for n in range(4500)])
OTHER = bytes([n * 11 & 255 for n in range(4200)])
RECOVERY = factory.TestKey(107)
POLICY = 2
APP, RUNNING = 0, 1
_BASE = factory.manifest_values


def anchor_values():
    """Return an anchor with a recovery role of one key, beside what factory's has."""
    values = factory.anchor_values()
    values[codes.ANCHOR_KEYS] = values[codes.ANCHOR_KEYS] + [RECOVERY.encoded()]
    values[codes.ANCHOR_ROLES][codes.ROLE_APP_RECOVERY] = [[1, [5]], []]
    return values


def uri(image):
    """Return the URI of an image whose index has the plain variant alone."""
    return index.uri_of(sha256(index.write(image)))


def what(image):
    """Return digest and size as parameters."""
    digest = cbor.encode([codes.ALG_SHA256, sha256(image)])
    return {codes.PARAMETER_IMAGE_DIGEST: digest, codes.PARAMETER_IMAGE_SIZE: len(image)}


def where(image):
    """Return the URI as a parameter."""
    return {codes.PARAMETER_URI: uri(image)}


def identity():
    """Return vendor and class as parameters."""
    return {codes.PARAMETER_VENDOR: factory.VENDOR, codes.PARAMETER_CLASS: factory.CLASS}


def joined(*maps):
    """Return one map of several."""
    whole = {}
    for one in maps:
        whole.update(one)
    return whole


def try_each(*branches):
    """Return the command with its branches, given as lists."""
    return [codes.COMMAND_TRY_EACH, [cbor.encode(branch) for branch in branches]]


FETCH = [21, POLICY, 3, POLICY]
CHECK = [1, POLICY, 2, POLICY]


def manifest(components, sequences, sequence=5, version=(1, 0)):
    """Return manifest values; `sequences` are shared, install, validate, invoke."""
    values = _BASE(sequence, version)
    shared, values[codes.MANIFEST_INSTALL], values[codes.MANIFEST_VALIDATE], values[codes.MANIFEST_INVOKE] = (
        sequences
    )
    names = [[name] for name in components]
    values[codes.MANIFEST_COMMON] = {
        codes.COMMON_COMPONENTS: names,
        codes.COMMON_SHARED_SEQUENCE: shared,
    }
    return values


def with_data(image=factory.IMAGE, data=DATA, sequence=5, version=(1, 0)):
    """Return a release of application and data."""
    return manifest(
        (b"app", b"data"),
        (
            [12, 0, 20, joined(identity(), what(image))] + CHECK + [12, 1, 20, what(data)],
            [12, 0, 20, where(image)] + FETCH + [12, 1, 20, where(data)] + FETCH,
            [12, 0, 3, POLICY, 12, 1, 3, POLICY],
            [12, 0, 23, POLICY],
        ),
        sequence,
        version,
    )


def recovering(images):
    """Return the part of install that asks what is running."""
    branches = [[12, RUNNING, 20, what(image), 3, POLICY] for image in images]
    return branches[0] if len(images) == 1 else [12, RUNNING] + try_each(*branches)


def recovery(images, image=factory.IMAGE, sequence=5, version=(1, 0)):
    """Return a recovery release from these images."""
    return manifest(
        (b"app", b"running"),
        (
            [12, 0, 20, joined(identity(), what(image))] + CHECK,
            recovering(images) + [12, 0, 20, where(image)] + FETCH,
            [12, 0, 3, POLICY],
            [12, 0, 23, POLICY],
        ),
        sequence,
        version,
    )


def recovery_with_data(images, image=factory.IMAGE, data=DATA):
    """Return a recovery release of application and data."""
    return manifest(
        (b"app", b"running", b"data"),
        (
            [12, 0, 20, joined(identity(), what(image))] + CHECK + [12, 2, 20, what(data)],
            recovering(images) + [12, 0, 20, where(image)] + FETCH + [12, 2, 20, where(data)] + FETCH,
            [12, 0, 3, POLICY, 12, 2, 3, POLICY],
            [12, 0, 23, POLICY],
        ),
    )


def placed(slot, parameters):
    """Return a branch for one slot."""
    return [20, joined({codes.PARAMETER_COMPONENT_SLOT: slot}, parameters), 5, POLICY]


def address_bound(images, sequence=5, version=(1, 0)):
    """Return a release with an image for each slot."""
    return manifest(
        (b"app",),
        (
            [20, identity()] + CHECK + try_each(*[placed(slot, what(images[slot])) for slot in (0, 1)]),
            try_each(*[placed(slot, where(images[slot])) for slot in (0, 1)]) + FETCH,
            [3, POLICY],
            [23, POLICY],
        ),
        sequence,
        version,
    )


def address_bound_with_data(images, data=DATA):
    """Return one with data too: every branch begins with its component."""
    return manifest(
        (b"app", b"data"),
        (
            [12, 0, 20, identity()]
            + CHECK
            + try_each(*[[12, 0] + placed(slot, what(images[slot])) for slot in (0, 1)])
            + [12, 1, 20, what(data)],
            [12, 0]
            + try_each(*[[12, 0] + placed(slot, where(images[slot])) for slot in (0, 1)])
            + FETCH
            + [12, 1, 20, where(data)]
            + FETCH,
            [12, 0, 3, POLICY, 12, 1, 3, POLICY],
            [12, 0, 23, POLICY],
        ),
    )


def asking(commands, sequence=5, version=(1, 0)):
    """Return a release whose install asks something first."""
    values = _BASE(sequence, version)
    values[codes.MANIFEST_INSTALL] = commands + values[codes.MANIFEST_INSTALL]
    return values


def version_asked(comparison, numbers):
    """Return the version condition."""
    return [20, {codes.PARAMETER_VERSION: cbor.encode([comparison, list(numbers)])}, 28, POLICY]


def authorisation_asked(priority):
    """Return the condition that somebody lets the update in."""
    return [20, {codes.PARAMETER_UPDATE_PRIORITY: priority}, 27, POLICY]


def release(values, images, signers=(factory.RELEASE,), text=None, attachments=None):
    """Return the bundle of a manifest's values, with what it installs and tells."""
    members = {}
    for image in images:
        listing = index.write(image)
        members[uri(image)] = image
        members["#i:" + index.b64u(sha256(listing))] = listing
    if text is not None:
        raw = notes.write(text, attachments or {})
        values[codes.MANIFEST_TEXT] = (codes.ALG_SHA256, sha256(cbor.encode(raw)))
        members[codes.MANIFEST_TEXT] = raw
        for content in (attachments or {}).values():
            members[notes.member_of(content)] = content
    raw = factory.manifest_bytes(values)
    return bundle.envelope_of(factory.authentication(raw, signers), raw, members)
