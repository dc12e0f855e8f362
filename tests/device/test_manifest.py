"""The profile's templates: each is taken and says per slot what it installs; each thing outside of them is refused by name."""

import factory
import templates
from support import refused
from templates import APP, CHECK, DATA, FETCH, OTHER, POLICY, RUNNING, placed, try_each, what, where

from pawl import cbor, codes, conditions, processor
from pawl.compat import sha256
from pawl.manifest import Manifest

IMAGE = factory.IMAGE
SHARED = (codes.MANIFEST_COMMON, codes.COMMON_SHARED_SEQUENCE)
INSTALL = (codes.MANIFEST_INSTALL,)
VALIDATE = (codes.MANIFEST_VALIDATE,)
INVOKE = (codes.MANIFEST_INVOKE,)
MALFORMED = codes.REASON_MALFORMED
COMMAND = codes.REASON_COMMAND
COMPONENT = codes.REASON_COMPONENT
PARAMETER = codes.REASON_PARAMETER


def parse(values):
    """Parse the manifest of plain values."""
    return Manifest(factory.manifest_bytes(values))


def told(manifest, slot):
    """Return (component, size) of what a manifest installs into a slot."""
    return [(image.component, image.size) for image in manifest.images(slot)]


def test_every_template_is_taken():
    """Role, components, and what each slot gets."""
    app, data, other = (b"app", len(IMAGE)), (b"data", len(DATA)), (b"app", len(OTHER))
    recovered = ((sha256(OTHER), len(OTHER)), (sha256(DATA), len(DATA)))
    release, recovery = codes.ROLE_APP_RELEASE, codes.ROLE_APP_RECOVERY
    for values, role, one, two, recovers in (
        (factory.manifest_values(), release, [app], [app], ()),
        (templates.with_data(), release, [app, data], [app, data], ()),
        (templates.recovery([OTHER]), recovery, [app], [app], recovered[:1]),
        (templates.recovery([OTHER, DATA]), recovery, [app], [app], recovered),
        (templates.recovery_with_data([OTHER, DATA]), recovery, [app, data], [app, data], recovered),
        (templates.address_bound((IMAGE, OTHER)), release, [app], [other], ()),
        (templates.address_bound_with_data((OTHER, IMAGE)), release, [other, data], [app, data], ()),
    ):
        manifest = parse(values)
        assert (manifest.role, manifest.recovers) == (role, recovers)
        assert (told(manifest, 0), told(manifest, 1)) == (one, two)
        assert manifest.slots() == [0, 1]
        assert manifest.identity == (factory.VENDOR, factory.CLASS)


def test_images_are_named_whole():
    """Component, digest, size and URI of each image, the application's first."""
    manifest = parse(templates.with_data())
    wanted = [(b"app", IMAGE), (b"data", DATA)]
    assert [tuple(image) for image in manifest.images(1)] == [
        (name, sha256(image), len(image), templates.uri(image)) for name, image in wanted
    ]


def test_a_manifest_may_fit_one_slot_only():
    """The other slot is refused as `component-slot`; a manifest that fits none is refused as a whole."""
    values = templates.address_bound((IMAGE, OTHER))
    values[codes.MANIFEST_INSTALL] = placed(1, where(OTHER)) + FETCH
    manifest = parse(values)
    assert manifest.slots() == [1]
    assert told(manifest, 1) == [(b"app", len(OTHER))]
    assert refused(manifest.images, 0) == codes.REASON_COMPONENT_SLOT
    for nowhere in (placed(2, where(OTHER)), try_each(placed(2, where(IMAGE)), placed(3, where(IMAGE)))):
        values[codes.MANIFEST_INSTALL] = nowhere + FETCH
        assert refused(parse, values) == codes.REASON_COMPONENT_SLOT


def test_reference_uri_and_text_are_read():
    """At most 255 bytes of URI; the text by its digest alone."""
    values = factory.manifest_values()
    values[codes.MANIFEST_REFERENCE_URI] = "https://example.com/" + "a" * 235
    values[codes.MANIFEST_TEXT] = (codes.ALG_SHA256, bytes(32))
    manifest = parse(values)
    assert (len(manifest.uri), manifest.text_digest) == (255, bytes(32))
    values[codes.MANIFEST_REFERENCE_URI] += "a"
    assert refused(parse, values) == codes.REASON_MANIFEST_ELEMENT
    values.pop(codes.MANIFEST_REFERENCE_URI)
    values[codes.MANIFEST_TEXT] = (-44, bytes(32))
    assert refused(parse, values) == codes.REASON_ALGORITHM
    for element in (5, 8, 14, 15, 16, 18, 24):
        values = factory.manifest_values()
        values[element] = b"\x80"
        assert refused(parse, values) == codes.REASON_MANIFEST_ELEMENT, element


def test_components_are_those_of_the_templates():
    """Their order and number are part of the manifest's shape."""
    values = templates.recovery_with_data([OTHER])
    for names in (
        (),
        (b"running",),
        (b"app", b"app"),
        (b"data", b"app"),
        (b"running", b"app"),
        (b"app", b"data", b"running"),
        (b"app", b"running", b"running"),
        (b"app", b"running", b"data", b"data"),
        (b"app", b"payload"),
        (b"firmware",),
        (b"app", b"firmware"),
    ):
        values[codes.MANIFEST_COMMON][codes.COMMON_COMPONENTS] = [[name] for name in names]
        assert refused(parse, values) == COMPONENT, names
    for item in ([b"app", b"x"], []):
        values[codes.MANIFEST_COMMON][codes.COMMON_COMPONENTS] = [item]
        assert refused(parse, values) == MALFORMED


def refusals_of(make, cases):
    """Assert that each change of a sequence of a template is refused by its reason."""
    for path, sequence, reason in cases:
        values = make()
        place = values
        for key in path[:-1]:
            place = place[key]
        assert place[path[-1]] != sequence
        place[path[-1]] = sequence
        assert refused(parse, values) == reason, (path, sequence)


def test_what_a_release_of_one_image_may_not_ask():
    """Commands out of place, parameters out of place, what is missing: also in a branch that is never taken."""
    good = [20, where(IMAGE)]
    odd = [20, {21: "pawl:x"}, 25, POLICY]
    refusals_of(
        factory.manifest_values,
        (
            (INSTALL, [12, 0] + good + FETCH, COMMAND),
            (INSTALL, good + FETCH + [32, cbor.encode(FETCH)], COMMAND),
            (INSTALL, good + [22, POLICY] + FETCH, COMMAND),
            (INSTALL, good + [14, POLICY] + FETCH, COMMAND),
            (INSTALL, good + FETCH + CHECK, COMMAND),
            (INSTALL, good + [23, POLICY] + FETCH, COMMAND),
            (INSTALL, good + [3, POLICY, 21, POLICY], COMMAND),
            (INSTALL, good + FETCH + [20, where(OTHER)] + FETCH, COMMAND),
            (INSTALL, [20, {12: False, 21: "x"}] + FETCH, PARAMETER),
            (INSTALL, [20, {13: True, 21: "x"}] + FETCH, PARAMETER),
            (INSTALL, [20, what(OTHER)] + good + FETCH, PARAMETER),
            (INSTALL, [28, POLICY] + good + FETCH, PARAMETER),
            (INSTALL, [27, POLICY] + good + FETCH, PARAMETER),
            (INSTALL, [5, POLICY] + good + FETCH, PARAMETER),
            (INSTALL, try_each(good) + FETCH, COMMAND),
            (INSTALL, try_each(good, good, good, good, good) + FETCH, COMMAND),
            (INSTALL, [15, [cbor.encode(good), None]] + FETCH, COMMAND),
            (INSTALL, try_each(good, []) + FETCH, COMMAND),
            (INSTALL, try_each(good, good + [3]) + FETCH, MALFORMED),
            (INSTALL, try_each(good, odd) + FETCH, COMMAND),
            (INSTALL, try_each(good, good + [21, POLICY]) + FETCH, COMMAND),
            (INSTALL, try_each(good, good + [3, POLICY]) + FETCH, COMMAND),
            (INSTALL, try_each(good, good + [99, POLICY]) + FETCH, COMMAND),
            (INSTALL, try_each(good, good + try_each(good, good)) + FETCH, COMMAND),
            (INSTALL, try_each(good, [20, {99: 1}]) + FETCH, PARAMETER),
            (INSTALL, try_each(good, good + [5, 16]) + FETCH, PARAMETER),
            (INSTALL, try_each(placed(0, where(IMAGE)), placed(1, {})) + FETCH, PARAMETER),
            (INSTALL, try_each(good + templates.version_asked(1, [1]), good[:0] + odd) + FETCH, COMMAND),
            (VALIDATE, try_each([3, POLICY], [3, POLICY]), COMMAND),
            (VALIDATE, [3, POLICY, 28, POLICY], COMMAND),
            (VALIDATE, [20, {}, 3, POLICY], COMMAND),
            (INVOKE, [], COMMAND),
            (INVOKE, [23, POLICY, 3, POLICY], COMMAND),
            (SHARED, templates.version_asked(1, [1]), PARAMETER),
            (SHARED, [3, POLICY], COMMAND),
            (SHARED, [20, templates.identity()] + CHECK, PARAMETER),
            (SHARED, [20, what(IMAGE)] + CHECK, PARAMETER),
            (SHARED, try_each([20, templates.identity()], [20, templates.identity()]) + CHECK, PARAMETER),
            (SHARED, try_each([20, what(IMAGE)] + CHECK, [20, what(IMAGE)] + CHECK), COMMAND),
        ),
    )


def test_what_several_components_may_not_leave_out():
    """Every sequence and branch names its component; every image is fetched, matched, and matched again."""
    app = [12, 0, 20, where(IMAGE)]
    data = [12, 1, 20, where(DATA)]
    lost = [12, 0] + try_each([12, 0, 20, where(IMAGE)], [12, 1, 20, where(DATA)])
    refusals_of(
        templates.with_data,
        (
            (INSTALL, app[2:] + FETCH + data + FETCH, COMMAND),
            (INSTALL, app + FETCH, COMMAND),
            (INSTALL, app + FETCH + data, COMMAND),
            (INSTALL, app + FETCH + data + FETCH[:2], COMMAND),
            (INSTALL, app + FETCH + [12, 1] + FETCH, PARAMETER),
            (INSTALL, app + FETCH + [12, 2] + FETCH, COMPONENT),
            (INSTALL, app + FETCH + [12, True] + FETCH, MALFORMED),
            (INSTALL, [12, [0, 1]] + FETCH, MALFORMED),
            (INSTALL, lost + FETCH, COMMAND),
            (INSTALL, try_each(app, app) + FETCH + data + FETCH, COMMAND),
            (INSTALL, [12, 0] + try_each(app, app[2:]) + FETCH + data + FETCH, COMMAND),
            (VALIDATE, [12, 0, 3, POLICY], COMMAND),
            (VALIDATE, [3, POLICY, 12, 1, 3, POLICY], COMMAND),
            (INVOKE, [12, 1, 23, POLICY], COMPONENT),
            (INVOKE, [23, POLICY], COMMAND),
        ),
    )


def test_running_is_asked_about_in_install_and_nowhere_else():
    """It is never fetched or set outside, every branch asks about it, and no manifest only declares it."""
    ask = [12, RUNNING, 20, what(OTHER), 3, POLICY]
    rest = [12, APP, 20, where(IMAGE)] + FETCH
    shared = [12, 0, 20, templates.joined(templates.identity(), what(IMAGE))] + CHECK
    refusals_of(
        lambda: templates.recovery([OTHER, DATA]),
        (
            (INSTALL, rest, COMMAND),
            (INSTALL, [12, RUNNING, 3, POLICY] + rest, PARAMETER),
            (INSTALL, ask + [21, POLICY] + rest, COMMAND),
            (INSTALL, [12, RUNNING, 20, {21: "x"}] + rest, PARAMETER),
            (INSTALL, ask + [12, RUNNING, 20, what(DATA), 3, POLICY] + rest, COMMAND),
            (INSTALL, [12, 1] + try_each(ask, [12, RUNNING, 20, what(DATA)]) + rest, COMMAND),
            (INSTALL, [12, 1] + try_each(ask, ask[2:]) + rest, COMMAND),
            (INSTALL, [12, 1] + try_each(ask, [12, RUNNING, 3, POLICY]) + rest, PARAMETER),
            (SHARED, shared + [12, RUNNING, 20, what(OTHER)], COMPONENT),
            (VALIDATE, [12, 0, 3, POLICY, 12, RUNNING, 3, POLICY], COMPONENT),
            (INVOKE, [12, RUNNING, 23, POLICY], COMPONENT),
        ),
    )


def device(slot=0, version=None, image=None, is_authorised=conditions.nobody):
    """Return a device of the tests' kind."""
    return conditions.Device(factory.VENDOR, factory.CLASS, slot, version, image, is_authorised)


def outcome(values, on):
    """Run install on a device without acting; return None or the reason that stopped it."""
    manifest = parse(values)
    return refused(processor.execute, manifest, manifest.install, on, processor.rehearse)


def test_effects_name_their_component():
    """The world is asked component by component, with that component's parameters."""
    manifest = parse(templates.address_bound_with_data((IMAGE, OTHER)))
    seen = []

    def perform(effect):
        seen.append((effect.command, effect.component, effect.parameters[codes.PARAMETER_IMAGE_SIZE]))
        return True

    processor.execute(manifest, manifest.install, device(slot=1), perform)
    app, data = (b"app", len(OTHER)), (b"data", len(DATA))
    assert seen == [(21,) + app, (3,) + app, (21,) + data, (3,) + data]


def test_a_recovery_asks_what_the_ratchet_names():
    """Digest and size both; an image that flash holds besides counts for nothing; a repair isn't asked."""
    mismatch = codes.REASON_RECOVERY_NOT_FOR_THIS
    named = (sha256(OTHER), len(OTHER))
    for images in ([OTHER], [DATA, OTHER]):
        for image, expected in (
            (named, None),
            (conditions.ANY, None),
            (None, mismatch),
            ((sha256(OTHER), 1), mismatch),
            ((sha256(IMAGE), len(IMAGE)), mismatch),
        ):
            assert outcome(templates.recovery(images), device(image=image)) == expected


def test_version_condition():
    """Only as many numbers count as the manifest gives; an unknown version fits nothing."""
    low, equal, high = (1, 1, 9), (1, 2), (1, 3)
    for comparison, fitting in (
        (codes.VERSION_GREATER, (high,)),
        (codes.VERSION_GREATER_EQUAL, (equal, high)),
        (codes.VERSION_EQUAL, (equal,)),
        (codes.VERSION_LESSER_EQUAL, (low, equal)),
        (codes.VERSION_LESSER, (low,)),
    ):
        values = templates.asking(templates.version_asked(comparison, (1, 2)))
        for version in (low, equal, high):
            expected = None if version in fitting else codes.REASON_VERSION_CONDITION
            assert outcome(values, device(version=version)) == expected, (comparison, version)
        assert outcome(values, device()) == codes.REASON_VERSION_CONDITION
        assert outcome(values, device(version=conditions.ANY)) is None
    for version, wanted, expected in (
        ((1, 9), (1,), True),
        ((1,), (1, 0), True),
        ((1, 2, -1, 3), (1, 2), True),
        ((1, 2, -1, 3), (1, 2, 0), False),
    ):
        assert conditions.version_matches(version, (codes.VERSION_EQUAL, wanted)) is expected
    for raw in (b"\x82\x00\x81\x01", b"\x82\x06\x81\x01"):
        values = templates.asking([20, {codes.PARAMETER_VERSION: raw}, 28, POLICY])
        assert refused(parse, values) == PARAMETER


def test_update_authorised_is_asked_of_somebody():
    """With the priority; only True lets the update in."""
    values = templates.asking(templates.authorisation_asked(-3))
    asked = []

    def answer(value):
        return lambda priority: (asked.append(priority), value)[1]

    assert outcome(values, device()) == codes.REASON_UPDATE_AUTHORIZED
    assert outcome(values, device(is_authorised=answer(1))) == codes.REASON_UPDATE_AUTHORIZED
    assert outcome(values, device(is_authorised=answer(True))) is None
    assert asked == [-3, -3]


def test_the_first_branch_that_holds_counts():
    """When all failed for one reason that is told, else that no branch holds."""
    older = templates.version_asked(codes.VERSION_LESSER, (2,))
    newer = templates.version_asked(codes.VERSION_GREATER, (4,))
    asked = []

    def owner(priority):
        asked.append(priority)
        return priority == 7

    for branches, expected in (
        ((older, newer), codes.REASON_VERSION_CONDITION),
        ((older, templates.authorisation_asked(1)), codes.REASON_NO_BRANCH),
        ((older, templates.authorisation_asked(7)), None),
        ((templates.authorisation_asked(7), templates.authorisation_asked(8)), None),
    ):
        values = templates.asking(try_each(*branches))
        assert outcome(values, device(version=(3,), is_authorised=owner)) == expected
    assert asked == [1, 7, 7]


def test_nothing_builds_on_a_branch_that_may_not_be_taken():
    """What the way through decides is the slot's alone: else it would be one image here and another one there."""
    asked = templates.version_asked(codes.VERSION_GREATER, (1,))
    for first, second, expected in (
        ([20, where(IMAGE)] + asked, [20, where(OTHER)], PARAMETER),
        ([20, where(IMAGE)] + asked, asked, PARAMETER),
        ([20, where(IMAGE)] + asked, [20, where(IMAGE)], None),
        (placed(0, where(IMAGE)), placed(0, where(OTHER)), None),
    ):
        values = factory.manifest_values()
        values[codes.MANIFEST_INSTALL] = try_each(first, second) + FETCH
        assert refused(parse, values) == expected, (first, second)


def test_parameters_of_a_failed_branch_are_gone():
    """Another processor would still have them: a manifest that counts on either is refused."""
    values = factory.manifest_values()
    branches = ([20, where(OTHER)] + templates.placed(1, {}), templates.placed(0, {}))
    values[codes.MANIFEST_INSTALL] = [20, where(IMAGE)] + try_each(*branches) + FETCH
    assert refused(parse, values) == PARAMETER
