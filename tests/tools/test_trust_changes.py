"""What a change of keys means: sets compared by what they let through, and the words for it."""

import json
from itertools import combinations

from trust_office import run

from pawl import codes
from pawl_tools import keys, trust, trust_draft
from pawl_tools.trust import KeySet
from pawl_tools.trust_changes import changes, is_covered


def key_sets(known):
    """Return every set of some of the keys, with every threshold."""
    for size in range(1, len(known) + 1):
        for some in combinations(known, size):
            for threshold in range(1, size + 1):
                yield KeySet(threshold=threshold, keys=some)


def meets(signers, key_set):
    """Return whether these signers are enough for a set."""
    return sum(key in key_set.keys for key in signers) >= key_set.threshold


def test_a_set_covers_another_if_whatever_met_that_meets_it(office):
    """Against the definition, for every pair of sets of four keys."""
    known = [keys.load_public(office.public(name)) for name in ("ana", "ben", "cem", "dan")]
    found = set()
    for former in key_sets(known):
        for other in key_sets(known):
            enough = all(meets(some, other) for some in combinations(former.keys, former.threshold))
            assert is_covered(former, other) == enough
            found.add(enough)
    assert found == {True, False}


def words(office, old, new):
    """Return what is said of version 2 if the sets of the release role are (install set, boot sets) of key names."""
    anchors = []
    for version, (install, *boot) in enumerate((old, new), 1):
        sets = [
            KeySet(threshold=threshold, keys=[keys.load_public(office.public(name)) for name in names])
            for threshold, *names in (install, *boot)
        ]
        plan = trust.Plan(
            version=version,
            issued=1_700_000_000,
            expiry=1_800_000_000,
            root=KeySet(threshold=1, keys=[keys.load_public(office.public("dan"))]),
            directors=[keys.load_public(office.public("director"))],
            roles={codes.ROLE_APP_RELEASE: sets[0]},
            boot_sets={codes.ROLE_APP_RELEASE: sets[1:]},
            ca=[b"certificate"],
            server_names=["localhost"],
        )
        anchors.append(trust_draft.new(plan).anchor)
    said = "\n".join(changes(*anchors)[:-1])
    for name in ("ana", "ben", "cem"):
        said = said.replace(office.name(name), name)
    return said.replace("app-release: ", "")


def test_the_words_for_sets(office):
    """One row a kind of change: of the install set, its threshold, and boot sets."""
    ends = "no longer install; they still boot where they were confirmed"
    for old, new, said in (
        (((1, "ana"),), ((1, "ana"),), ""),
        (((1, "ana"),), ((1, "ana", "ben"),), "key ben added\nthreshold 1 of 1 becomes 1 of 2"),
        (((2, "ana", "ben"),), ((1, "ana", "ben"),), "threshold 2 of 2 becomes 1 of 2"),
        (
            ((2, "ana", "ben", "cem"),),
            ((1, "ana", "ben"),),
            "key cem removed\nthreshold 2 of 3 becomes 1 of 2",
        ),
        (
            ((1, "ana"),),
            ((1, "ben"), (1, "ana")),
            (
                "key ben added\nkey ana removed\n"
                f"releases that 1 of {{ana}} signed, but not 1 of {{ben}}, {ends}"
            ),
        ),
        (
            ((1, "ana"),),
            ((1, "ben"),),
            (
                "key ben added\nkey ana removed\n"
                "releases that 1 of {ana} signed, but not 1 of {ben}, no longer install; they STOP BOOTING"
            ),
        ),
        (
            ((1, "ana"), (1, "ben")),
            ((1, "ana"),),
            "boot set 1 of {ben} dropped: releases that only it signed STOP BOOTING",
        ),
        (((1, "ana"), (2, "ana", "ben")), ((1, "ana"), (1, "ana", "ben")), BOOT_SET_ADDED),
        (((1, "ana"), (1, "ben")), ((1, "ana", "ben"),), "key ben added\nthreshold 1 of 1 becomes 1 of 2"),
    ):
        assert words(office, old, new) == said


BOOT_SET_ADDED = "boot set 1 of {ana, ben} added: what it signed may boot once confirmed"


def test_the_next_version_alone_tells_half(office, anchor_1, tmp_path):
    """Without the former version nobody can say that its root signed; show says so."""
    path = tmp_path / "2.cbor"
    assert run("trust", "renew", anchor_1, "-o", path).code == 0
    office.sign(path, "ben", "cem")
    shown = json.loads(run("trust", "show", path, "--json").out)
    assert shown["verdict"] == "signed by its own root; --from says whether version 1's root signed too"
    said = run("trust", "sign", path, "--key", office.private("ana")).out
    assert "draft of version 2" in said and "version 1's root must sign too" in said
