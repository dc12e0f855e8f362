"""`pawl trust sign|show|verify`: three people on three machines, each signing in turn; what is said of it."""

import base64
import json
import shutil

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from trust_office import PEOPLE, fault, pawl, rotate, run

from pawl import cbor, codes, cose
from pawl_tools import keys, trust, trust_draft


def test_three_people_on_three_machines(office, tmp_path):
    """Each adds a signature to the file that the one before sent; the last one completes it."""
    machines = [tmp_path / name for name in PEOPLE]
    for machine in machines:
        machine.mkdir()
    said = pawl(*office.init(machines[0] / "trust.cbor", "--threshold", "root=2"))
    assert "draft of version 1" in said and "signed by 0 of 2" in said
    one = pawl("sign", machines[0] / "trust.cbor", "--key", office.private("ana"))
    assert "draft of version 1" in one
    assert f"1 of 2 of version 1's root (missing: 1 of {office.name('ben')}, {office.name('cem')})" in one
    shutil.copy(machines[0] / "trust.cbor", machines[1])
    two = pawl("sign", machines[1] / "trust.cbor", "--key", office.private("ben"))
    assert two == f"{machines[1] / 'trust.cbor'}: version 1\n  signed by 2 of 2 of version 1's root\n"
    shutil.copy(machines[1] / "trust.cbor", machines[2])
    pawl("sign", machines[2] / "trust.cbor", "--key", office.private("cem"))
    assert trust.load((machines[2] / "trust.cbor").read_bytes()).version == 1
    assert len(trust_draft.open_draft((machines[2] / "trust.cbor").read_bytes()).blocks) == 3


def test_the_order_of_signers_gives_the_same_file(office, tmp_path):
    """Blocks are sorted; signing again changes nothing."""
    path = tmp_path / "draft"
    pawl(*office.init(path, "--threshold", "root=2"))
    for order, name in ((("ana", "ben"), "one"), (("ben", "ana", "ben", "ana"), "two")):
        shutil.copy(path, tmp_path / name)
        office.sign(tmp_path / name, *order)
    assert (tmp_path / "one").read_bytes() == (tmp_path / "two").read_bytes()


def test_one_person_alone_needs_one_command(office, tmp_path):
    """Private root keys sign at once; without a threshold for root all of them must."""
    path = tmp_path / "1.cbor"
    said = pawl(
        *("init", path, "--root", office.private("ana"), "--root", office.private("ben")),
        *("--release", office.public("release"), "--release", office.public("second"), "--threshold", 2),
        *("--recovery", office.public("recovery"), "--director", office.public("director")),
        *("--ca", office.folder / "ca.crt", "--server-name", "localhost"),
    )
    assert said.startswith(f"{path}: version 1\n")
    anchor = trust.load(path.read_bytes())
    assert (anchor.root.threshold, anchor.role(codes.ROLE_APP_RELEASE)[0].threshold) == (2, 2)
    assert anchor.role(codes.ROLE_APP_RECOVERY)[0].threshold == 1


def test_a_draft_is_never_shown_as_complete(office, tmp_path):
    """`show` exits 1 and says who is missing; `verify` refuses it as the version to start from."""
    path = tmp_path / "1.cbor"
    pawl(*office.init(path, "--threshold", "root=2"))
    ran = run("trust", "show", path, "--json")
    facts = json.loads(ran.out)
    assert ran.code == 1
    assert facts["accepted"] is False
    assert facts["verdict"] == "a draft: version 1's root has not signed it"
    assert facts["signed by"][0].startswith("0 of 2 of version 1's root (missing: 2 of ")
    assert "not a valid trust anchor" in fault("verify", path, "--from", path)
    office.sign(path, "ana")
    assert run("trust", "show", path).code == 1
    office.sign(path, "cem")
    shown = json.loads(pawl("show", path, "--json"))
    assert (shown["accepted"], shown["verdict"]) == (True, "complete")


def test_a_root_key_is_rotated_by_old_and_new(office, anchor_1, tmp_path):
    """The draft needs 2 of the former root and 2 of the new one; at each step it says who is missing."""
    second = tmp_path / "2.cbor"
    said = rotate(anchor_1, second, "root", "--remove", office.public("ana"), "--add", office.public("dan"))
    assert f"root: key {office.name('dan')} added" in said
    assert f"root: key {office.name('ana')} removed" in said
    assert "root: both must sign this version: 2 of {" in said
    assert "signed by 0 of 2 of version 1's root" in said and "0 of 2 of version 2's root" in said

    verify = ("verify", second, "--from", anchor_1)
    assert "anchor-invalid" in fault(*verify, code=1)
    office.sign(second, "dan", "cem")
    refused = fault(*verify, code=1)
    assert "anchor-unsigned (19)" in refused
    assert f"1 of 2 of version 1's root (missing: 1 of {office.name('ana')}, {office.name('ben')})" in refused
    assert "2 of 2 of version 2's root\n" in refused
    office.sign(second, "ana", former=anchor_1)
    assert "accepted: a device walks to version 2" in pawl(*verify)
    assert json.loads(pawl(*verify, "--json")) == {"accepted": True, "version": 2}


def test_enough_of_the_old_root_is_not_enough_of_the_new(office, anchor_1, tmp_path):
    """The other half: both former keys signed, one of the new root is missing."""
    second = tmp_path / "2.cbor"
    rotate(anchor_1, second, "root", "--remove", office.name("ana"), "--add", office.public("dan"))
    office.sign(second, "ana", "ben", former=anchor_1)
    ran = run("trust", "verify", second, "--from", anchor_1, "--json")
    told = json.loads(ran.out)
    assert ran.code == 1
    assert (told["accepted"], told["reason"], told["code"]) == (False, "anchor-unsigned", 19)
    assert [(one["version"], one["missing"]) for one in told["signed by"]] == [(1, 0), (2, 1)]
    shown = run("trust", "show", second, "--from", anchor_1)
    assert shown.code == 1 and "no device walks to it: anchor-unsigned" in shown.out


def test_who_may_sign(office, anchor_1, tmp_path):
    """A key of the former root only with the former version at hand; one of neither root never."""
    second = tmp_path / "2.cbor"
    rotate(anchor_1, second, "root", "--remove", office.name("ana"), "--add", office.public("dan"))
    before = second.read_bytes()
    sign = ("sign", second, "--key")
    assert "if it is in version 1's, give that file with --from" in fault(
        *sign, office.private("ana"), code=1
    )
    said = fault(*sign, office.private("release"), "--from", anchor_1, code=1)
    assert f"key {office.name('release')} is neither in version 1's root nor in version 2's" in said
    assert "not in version 1's root" in fault("sign", anchor_1, "--key", office.private("dan"), code=1)
    third = tmp_path / "3.cbor"
    pawl("renew", office.sign(shutil.copy(second, tmp_path / "full"), "dan", "ben"), "-o", third)
    assert "version 3 does not follow version 1" in fault(
        "sign", third, "--key", office.private("ben"), "--from", anchor_1, code=1
    )
    assert "private key" in fault(*sign, office.public("ben"))
    assert second.read_bytes() == before


def test_a_signer_reads_what_changes_before(office, anchor_1, tmp_path):
    """With --from the changes come before the signature; -o leaves the draft as it was."""
    second = tmp_path / "2.cbor"
    pawl("renew", anchor_1, "-o", second, "--server-name", "updates.example")
    before = second.read_bytes()
    said = pawl(
        *("sign", second, "--key", office.private("ana"), "--from", anchor_1),
        *("-o", tmp_path / "signed.cbor"),
    )
    assert said.startswith("version 2 changes\n  server name updates.example accepted\n")
    assert said.index("no longer accepted") < said.index("signed by 1 of 2 of version 1's root")
    assert second.read_bytes() == before != (tmp_path / "signed.cbor").read_bytes()


def test_what_becomes_of_releases(office, anchor_1, tmp_path):
    """Judged by the device's check: installs, boots, stopped; before and after."""
    second = tmp_path / "2.cbor"
    bundles = [
        office.release(tmp_path / "old.pawl", "release", sequence=1),
        office.release(tmp_path / "bad.pawl", "release", sequence=2),
        office.release(tmp_path / "new.pawl", "second", sequence=3),
        office.release(tmp_path / "both.pawl", "release", "second", sequence=4),
        office.release(tmp_path / "alien.pawl", "dan", sequence=5),
    ]
    rotate(
        anchor_1, second, "release", "--remove", office.public("release"), "--add", office.public("second")
    )
    pawl("bar", second, bundles[1], "-o", second)
    options = [part for bundle in bundles for part in ("--release", bundle)]
    ran = run("trust", "show", second, "--from", anchor_1, *options, "--json")
    fates = {
        one["file"].rsplit("/", 1)[1]: [
            (one[version]["installs"], one[version]["boots"]) for version in ("version 1", "version 2")
        ]
        for one in json.loads(ran.out)["releases"]
    }
    assert fates == {
        "old.pawl": [(True, True), (False, True)],
        "bad.pawl": [(True, True), (False, False)],
        "new.pawl": [(False, False), (True, True)],
        "both.pawl": [(True, True), (True, True)],
        "alien.pawl": [(False, False), (False, False)],
    }
    said = run("trust", "show", second, "--from", anchor_1, *options).out
    assert (
        "old.pawl  version 1: installs and boots; version 2: boots where it is confirmed, no install" in said
    )
    assert "bad.pawl  version 1: installs and boots; version 2: STOPPED (barred)" in said


def test_show_tells_every_kind_of_change(office, anchor_1, tmp_path):
    """Keys, CA, names, expiry, director and barred digests: one line each."""
    second = tmp_path / "2.cbor"
    digest = base64.urlsafe_b64encode(bytes(32)).decode().rstrip("=")
    rotate(
        anchor_1, second, "director", "--remove", office.name("director"), "--add", office.public("online")
    )
    pawl("bar", second, digest, "-o", second)
    pawl(
        "renew", second, "-o", second, "--ca", office.folder / "other.crt", "--server-name", "b", "--days", 9
    )
    changes = json.loads(run("trust", "show", second, "--from", anchor_1, "--json").out)["changes"]
    words = [" ".join(line.split()[:1]) for line in changes]
    assert words == ["director:"] * 3 + ["release", "CA", "CA", "server", "server", "expires"]
    assert f"director: key {office.name('director')} removed: its offers are refused" in changes
    assert f"release {digest} barred: it stops everywhere" in changes
    assert "server name localhost no longer accepted" in changes
    pawl("bar", second, "--unbar", digest, "-o", tmp_path / "3.cbor")
    assert trust_draft.open_draft((tmp_path / "3.cbor").read_bytes()).anchor.barred == []


def test_a_chain_is_verified_step_by_step(office, anchor_1, tmp_path):
    """1 to 3; with a gap, or out of order, the step that fails is named."""
    second, third = tmp_path / "2.cbor", tmp_path / "3.cbor"
    pawl("renew", anchor_1, "-o", second)
    office.sign(second, "ana", "ben")
    pawl("renew", second, "-o", third)
    office.sign(third, "ben", "cem")
    assert "version 3" in pawl("verify", second, third, "--from", anchor_1)
    said = fault("verify", third, "--from", anchor_1, code=1)
    assert "anchor-version (110): version 3 does not follow" in said
    assert "anchor-version" in fault("verify", second, third, second, "--from", anchor_1, code=1)
    assert "anchor-version" in fault("verify", anchor_1, "--from", anchor_1, code=1)
    assert "cannot read" in fault("verify", tmp_path / "none", "--from", anchor_1)
    assert "not a valid trust anchor" in fault("verify", second, "--from", office.public("ana"))
    assert "anchor-invalid" in fault("verify", office.public("ana"), "--from", anchor_1, code=1)


def test_no_more_than_sixteen_signatures(office, tmp_path):
    """A draft that strangers filled up is told to be made anew."""
    path = tmp_path / "1.cbor"
    pawl(*office.init(path, "--threshold", "root=2"))
    draft = trust_draft.open_draft(path.read_bytes())
    block = trust.block_of(keys.FileSigner(office.private("dan")), draft.content)
    blocks = [block[:-1] + bytes([n]) for n in range(16)]
    path.write_bytes(trust.file_of(draft.content, blocks))
    assert "16 signatures are the most" in fault("sign", path, "--key", office.private("ana"))


class Randomised:
    """A signer whose signatures differ each time, as those of an HSM do."""

    def __init__(self, path):
        self.private = load_pem_private_key(path.read_bytes(), None)
        self.key = keys.cose_key(self.private.public_key())

    def sign(self, message):
        r, s = decode_dss_signature(self.private.sign(message, ec.ECDSA(hashes.SHA256())))
        return r.to_bytes(32, "big") + s.to_bytes(32, "big")


def test_a_key_that_signs_otherwise_each_time_signs_once(office, tmp_path):
    """One block a key, whoever holds it."""
    pawl(*office.init(tmp_path / "1.cbor", "--threshold", "root=2"))
    draft = trust_draft.open_draft((tmp_path / "1.cbor").read_bytes())
    signer = Randomised(office.private("ana"))
    once = trust_draft.sign(draft, signer, None)
    assert len(once.blocks) == 1
    assert trust_draft.sign(once, signer, None).blocks == once.blocks


def test_what_no_device_counts_is_not_counted(office, tmp_path):
    """A signature that carries the document, and one that is no signature."""
    pawl(*office.init(tmp_path / "1.cbor", "--threshold", "root=2"))
    draft = trust_draft.open_draft((tmp_path / "1.cbor").read_bytes())
    signer = keys.FileSigner(office.private("ana"))
    signature = signer.sign(
        cose.to_be_signed(cose.protected_header(signer.key.alg), codes.AAD_ANCHOR, draft.content)
    )
    attached = cose.write_sign1(signer.key.alg, draft.content, signature, is_detached=False)
    detached = cose.write_sign1(signer.key.alg, draft.content, signature, is_detached=True)
    rubbish = cbor.encode(cbor.Tag(codes.TAG_COSE_SIGN1, []))
    for blocks, signed in (([attached, rubbish], 0), ([attached, rubbish, detached], 1)):
        odd = trust_draft.open_draft(trust.file_of(draft.content, blocks))
        assert len(trust_draft.standings(odd, None)[0].signed) == signed
