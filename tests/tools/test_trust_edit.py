"""`pawl trust add-key|rotate|bar|renew`, and what no device would take: refused before a file is written."""

import base64
import shutil
import time
from dataclasses import replace

import pytest
from trust_office import fault, pawl, rotate, run

from pawl import cbor, codes
from pawl_tools import keys, trust, trust_draft


def test_add_key_makes_the_next_version(office, anchor_1, tmp_path):
    """What the former set let through still passes: no boot set is spent on it."""
    second = tmp_path / "2.cbor"
    said = pawl("add-key", anchor_1, office.public("second"), "--role", "release", "-o", second)
    assert f"app-release: key {office.name('second')} added" in said
    assert "app-release: threshold 1 of 1 becomes 1 of 2" in said
    draft = trust_draft.open_draft(second.read_bytes())
    assert (draft.anchor.version, draft.blocks) == (2, [])
    assert draft.anchor.role(codes.ROLE_APP_RELEASE)[1] == []


def test_a_higher_threshold_keeps_the_former_set_for_boot(office, anchor_1, tmp_path):
    """One signature no longer installs, and still boots."""
    second = tmp_path / "2.cbor"
    said = pawl(
        *("add-key", anchor_1, office.public("second"), "--role", "release", "--threshold", 2, "-o", second)
    )
    assert "no longer install; they still boot where they were confirmed" in said
    install_set, boot_sets = trust_draft.open_draft(second.read_bytes()).anchor.role(codes.ROLE_APP_RELEASE)
    assert (install_set.threshold, [one.threshold for one in boot_sets]) == (2, [1])


def test_editing_a_draft_drops_its_signatures(office, anchor_1, tmp_path):
    """The version stays, signatures fall away, and it is said."""
    second = tmp_path / "2.cbor"
    pawl("renew", anchor_1, "-o", second, "--days", 30)
    office.sign(second, "ana")
    said = pawl("add-key", second, office.public("online"), "--role", "director", "-o", second)
    assert "draft of version 2" in said and "the draft's 1 signatures fall away" in said
    assert "the time floor of every device is reset to the issue time" in said
    draft = trust_draft.open_draft(second.read_bytes())
    assert (draft.anchor.version, draft.blocks, len(draft.anchor.directors)) == (2, [], 2)
    assert draft.anchor.expiry - draft.anchor.issued == 30 * 86400


def test_a_version_in_use_is_not_overwritten(office, anchor_1):
    """Signers compare with it."""
    before = anchor_1.read_bytes()
    assert "choose another -o" in fault("renew", anchor_1, "-o", anchor_1)
    assert anchor_1.read_bytes() == before


def test_a_new_role(office, anchor_1, tmp_path):
    """Recovery keys come later than version 1."""
    second = tmp_path / "2.cbor"
    said = pawl("add-key", anchor_1, office.public("recovery"), "--role", "recovery", "-o", second)
    assert f"app-recovery: new role, 1 of {{{office.name('recovery')}}} may sign" in said


def test_boot_sets_are_dropped_by_name_only(office, anchor_1, tmp_path):
    """Five rotations fill four boot sets; the sixth set is refused until one is named, and dropping it is told."""
    path = tmp_path / "draft"
    shutil.copy(anchor_1, path)
    names = ["release"]
    for number in range(4):
        keys.new(tmp_path / f"key{number}", "esp256")
        office.sign(path, "ana", "ben")
        following = tmp_path / f"draft{number}"
        add = tmp_path / f"key{number}.pub"
        rotate(path, following, "release", "--remove", current_key(path), "--add", add)
        names.append(add)
        path = following
    boot_sets = trust_draft.open_draft(path.read_bytes()).anchor.role(codes.ROLE_APP_RELEASE)[1]
    assert len(boot_sets) == 4
    assert keys.short_name(boot_sets[3].keys[0]) == office.name("release")

    more = ("--role", "release", "--remove", current_key(path), "--add", office.public("second"))
    said = fault("rotate", path, *more, "-o", tmp_path / "last", code=1)
    assert "app-release would have 5 boot sets, 4 are the most" in said
    assert f"4 stops releases that only 1 of {{{office.name('release')}}} signed; 4 is the oldest" in said
    assert not (tmp_path / "last").exists()
    assert "none of number 5" in fault("rotate", path, *more, "--drop-boot-set", 5, "-o", tmp_path / "last")
    said = pawl("rotate", path, *more, "--drop-boot-set", 4, "-o", tmp_path / "last")
    assert (
        f"boot set 1 of {{{office.name('release')}}} dropped: releases that only it signed STOP BOOTING"
        in said
    )


def current_key(path):
    """Return the short name of the one release key of a file."""
    install_set = trust_draft.open_draft(path.read_bytes()).anchor.role(codes.ROLE_APP_RELEASE)[0]
    return keys.short_name(install_set.keys[0])


def test_a_dropped_boot_set_stops_its_releases(office, anchor_1, tmp_path):
    """A stolen release key: rotated, then its boot set dropped by name."""
    second = tmp_path / "2.cbor"
    bundle = office.release(tmp_path / "old.pawl", "release")
    rotate(
        anchor_1, second, "release", "--remove", office.public("release"), "--add", office.public("second")
    )
    rotate(second, second, "release", "--drop-boot-set", 1)
    said = run("trust", "show", second, "--from", anchor_1, "--release", bundle).out
    assert "no longer install; they STOP BOOTING" in said
    assert "version 2: STOPPED (unauthorised)" in said


@pytest.mark.parametrize(
    ("more", "says"),
    [
        (("--threshold", "root=0"), "choose a threshold from 1"),
        (("--threshold", "root=4"), "choose a threshold from 1"),
        (("--threshold", "2"), "choose a threshold from 1"),
        (("--threshold", "0"), "choose a threshold from 1"),
        (("--threshold", "two"), "is no threshold"),
        (("--threshold", "director=1"), "is no threshold"),
        (("--threshold", "recovery=2"), "--recovery"),
        (("--root", "{ana}"), "a key was given twice"),
        (("--release", "{ana}"), "every role needs keys of its own"),
        (("--recovery", "{release}"), "every role needs keys of its own"),
        (("--recovery", "{director}"), "every role needs keys of its own"),
        (("--director", "{dan}", "--director", "{online}"), "the director 1 or 2"),
        (("--server-name", "b", "--server-name", "c", "--server-name", "d", "--server-name", "e"), "1 to 4"),
        (("--days", "0"), "1 or more"),
    ],
)
def test_what_no_device_would_take_is_not_written(office, tmp_path, more, says):
    """Each with its cause and what to do; no file is left."""
    names = {path.stem: path for path in office.folder.glob("*.pub")}
    path = tmp_path / "1.cbor"
    assert says in fault(*office.init(path, *(part.format(**names) for part in more)))
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("add-key", "{1}", "{release}", "--role", "release"), "it counts once"),
        (("add-key", "{1}", "{ana}", "--role", "release"), "every role needs keys of its own"),
        (("add-key", "{1}", "{dan}", "--role", "boss"), "choose one of root, director, release"),
        (("add-key", "{1}", "{dan}", "--role", "director", "--threshold", "1"), "leave --threshold out"),
        (("add-key", "{1}", "{dan}", "--role", "root", "--threshold", "5"), "choose a threshold from 1"),
        (("add-key", "{1}", "{dan}", "{dan}", "--role", "root"), "a key was given twice"),
        (("rotate", "{1}", "--role", "release"), "nothing to rotate"),
        (("rotate", "{1}", "--role", "release", "--remove", "{release}"), "would have no key"),
        (("rotate", "{1}", "--role", "root", "--remove", "{dan}"), "is not in root, which has"),
        (("rotate", "{1}", "--role", "root", "--drop-boot-set", "1"), "only image roles have boot sets"),
        (("rotate", "{1}", "--role", "director", "--drop-boot-set", "1"), "only image roles"),
        (("rotate", "{1}", "--role", "release", "--threshold", "0"), "choose a threshold from 1"),
        (("bar", "{1}"), "nothing to bar"),
        (("bar", "{1}", "abc"), "neither a file nor a digest"),
        (("bar", "{1}", "{ana}"), "is not a release"),
        (("bar", "{1}", "--unbar", "A" * 43), "not barred"),
        (("renew", "{1}", "--days", "0"), "1 or more"),
        (("renew", "{1}", "--ca", "{ana}"), "not a certificate"),
        (("renew", "{ana}"), "not a valid trust anchor"),
    ],
)  # fmt: skip
def test_edits_that_are_refused(office, anchor_1, tmp_path, arguments, says):
    """Each with its cause and what to do; no draft is left."""
    names = {path.stem: path for path in office.folder.glob("*.pub")} | {"1": anchor_1}
    given = [anchor_1 if part == "{1}" else part.format(**names) for part in arguments]
    said = fault(*given, "-o", tmp_path / "2.cbor")
    assert says in said
    assert sorted(tmp_path.iterdir()) == [anchor_1]


def test_sixteen_digests_are_barred_and_no_more(office, anchor_1, tmp_path):
    """The seventeenth is refused with a way out."""
    digests = [base64.urlsafe_b64encode(bytes([n] * 32)).decode().rstrip("=") for n in range(17)]
    pawl("bar", anchor_1, *digests[:16], "-o", tmp_path / "2.cbor")
    assert "--unbar" in fault("bar", tmp_path / "2.cbor", digests[16], "-o", tmp_path / "3.cbor")
    pawl("bar", tmp_path / "2.cbor", digests[16], "--unbar", digests[0], "-o", tmp_path / "3.cbor")


def test_a_clock_that_is_behind_is_refused(office, anchor_1, tmp_path):
    """The issue time of a version never precedes that of the former one."""
    plan = trust.plan_of(trust.load(anchor_1.read_bytes()))
    later = replace(plan, issued=int(time.time()) + 1000)
    (tmp_path / "later").write_bytes(trust_draft.new(later).file())
    assert "set this machine's clock" in fault("renew", tmp_path / "later", "-o", tmp_path / "2.cbor")


def test_a_plan_comes_back_from_its_document(office, anchor_1, tmp_path):
    """What is not edited stays byte for byte."""
    rotate(
        anchor_1,
        tmp_path / "2",
        "release",
        "--remove",
        office.name("release"),
        "--add",
        office.public("third"),
    )
    draft = trust_draft.open_draft((tmp_path / "2").read_bytes())
    assert trust.content_of(trust.plan_of(draft.anchor)) == draft.content


def test_names_may_begin_with_a_dash(anchor_1, tmp_path):
    """Base64url does, once in 64: behind `--`, or as an option's value."""
    digest = base64.urlsafe_b64encode(b"\xf8" * 32).decode().rstrip("=")
    assert digest.startswith("-")
    pawl("bar", anchor_1, "-o", tmp_path / "2.cbor", "--", digest)
    assert trust_draft.open_draft((tmp_path / "2.cbor").read_bytes()).anchor.barred == [b"\xf8" * 32]
    pawl("bar", tmp_path / "2.cbor", "-o", tmp_path / "2.cbor", "--unbar", digest)
    said = fault("rotate", anchor_1, "--role", "root", "--remove", "-abc", "-o", tmp_path / "3.cbor")
    assert "key -abc is not in root" in said


def test_a_release_that_is_not_whole_is_not_barred(office, anchor_1, tmp_path):
    """Its digest names another manifest than it carries: barring it would stop what nobody looked at."""
    path = office.release(tmp_path / "x.pawl", "release")
    raw = path.read_bytes()
    version = raw.index(cbor.encode([1, 0]))
    path.write_bytes(raw[: version + 1] + b"\x02" + raw[version + 2 :])
    assert "not whole" in fault("bar", anchor_1, path, "-o", tmp_path / "2.cbor")
