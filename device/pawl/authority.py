"""Who may sign an envelope: the role that its manifest's shape names, and no other.

A manifest that declares `["running"]` is a recovery and needs the recovery set; any other one needs the release set.
Signatures of different roles never add up, and nothing of a manifest is parsed before some role's threshold signed it.
Installer, bootloader and bundles all ask here.
"""

from collections import namedtuple

from pawl import codes
from pawl.errors import ManifestError
from pawl.manifest import Manifest

_ROLES = (codes.ROLE_APP_RELEASE, codes.ROLE_APP_RECOVERY)

# manifest: parsed; blocks: the signatures that count, and no others
Authorised = namedtuple("Authorised", ("manifest", "blocks"))


def authorise(envelope, anchor, was_confirmed, verify):
    """Return an Authorised, if the anchor's threshold for the manifest's role signed the envelope.

    `was_confirmed`: this device confirmed the release once, so that former install sets count too (ADR 3).

    Raises:
        ManifestError: barred, not signed by the role that it needs, or a manifest outside of the profile.
    """
    if envelope.digest in anchor.barred:
        raise ManifestError(codes.REASON_BARRED, "barred by the anchor")
    role, blocks = _met(envelope, anchor, was_confirmed, verify)
    manifest = Manifest(envelope.manifest)
    if manifest.role != role:
        blocks = _require(envelope, anchor, manifest.role, was_confirmed, verify)
    return Authorised(manifest, blocks)


def _met(envelope, anchor, was_confirmed, verify):
    """Return the first role whose threshold signed, and the blocks that count."""
    fault = None
    for role in _ROLES:
        try:
            return role, _require(envelope, anchor, role, was_confirmed, verify)
        except ManifestError as error:
            fault = fault or error
    raise fault or ManifestError(codes.REASON_UNAUTHORISED, "no role")


def _require(envelope, anchor, role, was_confirmed, verify):
    install_set, boot_sets = anchor.role(role)
    return envelope.authenticate([install_set] + (boot_sets if was_confirmed else []), verify)
