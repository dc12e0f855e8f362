"""Who may sign: the role that the manifest's shape names, whoever else signed too."""

import factory
import templates
from factory import RELEASE, SECOND, STRANGER, verify
from support import refused
from templates import OTHER, RECOVERY

from pawl import authority, cbor, codes, suit, trust
from pawl.compat import sha256


def anchor(values=None):
    """Return the anchor of these values, which name both roles unless a test says otherwise."""
    return trust.load(factory.anchor_file(values or templates.anchor_values()), verify)


def judge(values, signers, by=None, was_confirmed=False):
    """Return the Authorised of a manifest's values, signed by these."""
    envelope = suit.Envelope(factory.envelope(values, signers))
    return authority.authorise(envelope, by or anchor(), was_confirmed, verify)


def test_the_shape_names_the_role():
    """A recovery needs the recovery set, all else the release set; the other role's signatures add nothing."""
    release, recovery = factory.manifest_values(), templates.recovery([OTHER])
    for values, signers, reason in (
        (release, (RELEASE,), None),
        (release, (RECOVERY,), codes.REASON_UNAUTHORISED),
        (release, (RECOVERY, RELEASE), None),
        (recovery, (RECOVERY,), None),
        (recovery, (RELEASE,), codes.REASON_UNAUTHORISED),
        (recovery, (RELEASE, SECOND), codes.REASON_UNAUTHORISED),
        (recovery, (RELEASE, RECOVERY), None),
        (recovery, (STRANGER,), codes.REASON_UNAUTHORISED),
        (recovery, (), codes.REASON_UNAUTHORISED),
    ):
        assert refused(judge, values, signers) == reason, signers


def test_signatures_of_two_roles_never_add_up():
    """Two of each are asked for; one of each is none."""
    values = templates.anchor_values()
    values[codes.ANCHOR_KEYS] = values[codes.ANCHOR_KEYS] + [factory.TestKey(108).encoded()]
    values[codes.ANCHOR_ROLES] = {
        codes.ROLE_APP_RELEASE: [[2, [2, 3]], []],
        codes.ROLE_APP_RECOVERY: [[2, [5, 6]], []],
    }
    by = anchor(values)
    for made in (factory.manifest_values(), templates.recovery([OTHER])):
        assert refused(judge, made, (RELEASE, RECOVERY), by) == codes.REASON_UNAUTHORISED
    assert refused(judge, factory.manifest_values(), (RELEASE, SECOND), by) is None


def test_only_signatures_of_the_role_are_kept():
    """What a device stores holds nothing that doesn't count."""
    for values, signer in ((factory.manifest_values(), RELEASE), (templates.recovery([OTHER]), RECOVERY)):
        authorised = judge(values, (RELEASE, RECOVERY, STRANGER))
        alone = suit.Envelope(factory.envelope(values, (signer,)))
        assert [bytes(block) for block in authorised.blocks] == [bytes(block) for block in alone.blocks]


def test_without_the_role_nobody_may_sign_for_it():
    """An anchor without a recovery role accepts no recovery, and none without a release role a release."""
    without = anchor(factory.anchor_values())
    assert refused(judge, templates.recovery([OTHER]), (RELEASE,), without) == codes.REASON_UNAUTHORISED
    values = templates.anchor_values()
    values[codes.ANCHOR_ROLES].pop(codes.ROLE_APP_RELEASE)
    alone = anchor(values)
    assert refused(judge, factory.manifest_values(), (RELEASE,), alone) == codes.REASON_UNAUTHORISED
    assert refused(judge, factory.manifest_values(), (RECOVERY,), alone) == codes.REASON_UNAUTHORISED
    assert refused(judge, templates.recovery([OTHER]), (RECOVERY,), alone) is None


def test_former_sets_count_for_what_was_confirmed():
    """Of the manifest's own role, and of no other."""
    values = templates.anchor_values()
    values[codes.ANCHOR_ROLES] = {
        codes.ROLE_APP_RELEASE: [[1, [3]], [[1, [2]]]],
        codes.ROLE_APP_RECOVERY: [[1, [5]], []],
    }
    by = anchor(values)
    release, recovery = factory.manifest_values(), templates.recovery([OTHER])
    assert refused(judge, release, (RELEASE,), by) == codes.REASON_UNAUTHORISED
    assert refused(judge, release, (RELEASE,), by, True) is None
    assert refused(judge, recovery, (RELEASE,), by, True) == codes.REASON_UNAUTHORISED


def test_barred_goes_first_and_nothing_unsigned_is_parsed():
    """A barred digest needs no signature to be refused; a manifest of nonsense is refused for its signature."""
    values = templates.anchor_values()
    values[codes.ANCHOR_BARRED] = [suit.Envelope(factory.envelope(factory.manifest_values())).digest]
    assert refused(judge, factory.manifest_values(), (), anchor(values)) == codes.REASON_BARRED
    digest = cbor.encode([codes.ALG_SHA256, sha256(cbor.encode(b"nonsense"))])
    for signer, reason in ((STRANGER, codes.REASON_UNAUTHORISED), (RELEASE, codes.REASON_MALFORMED)):
        wrapper = cbor.encode([digest, signer.sign(digest, b"", True)])
        envelope = suit.Envelope(factory.bundle.envelope_of(wrapper, b"nonsense"))
        assert refused(authority.authorise, envelope, anchor(), False, verify) == reason
