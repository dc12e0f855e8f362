"""Both judges of releases: vectors made by others, releases that are almost right, and every case they once differed on."""

import base64
import json
import os
import sys
from hashlib import sha256
from pathlib import Path

import cbor2
import pytest

sys.path.insert(0, str(Path(__file__).parent))

import mutations
from almost_releases import make_case
from cryptography.hazmat.primitives.serialization import load_pem_public_key
from fuzz_second_reader import run
from mutations import Map, Tag, encode
from release_keys import DIRECTOR, RELEASE, ROOT, anchor_file, anchor_tree
from release_shapes import (
    LARGE,
    SHAPES,
    SMALL,
    Part,
    app,
    app_deflated,
    authentication,
    bundle,
    envelope,
    parameters,
)

from pawl import codes, cose, suit
from pawl.errors import ManifestError, PawlError, TrustError
from pawl.names import reason_name
from pawl.ports.host.verifier import verify
from pawl.trust import KeySet as DeviceKeySet
from pawl_reader import anchor as reader_anchor
from pawl_reader import bundle as reader_bundle
from pawl_reader import read, strict
from pawl_reader.anchor import Anchor, Key
from pawl_server.judges import CASES_MAX, DisagreementError, Judges, describe

VECTORS = Path(os.environ.get("PAWL_VECTORS", Path(__file__).resolve().parents[2] / "../shared/vectors"))
EXAMPLES = sorted((VECTORS / "suit-manifest").glob("*signed.hex")) or [None]
SIGN1 = sorted((VECTORS / "cose" / "sign1-tests").glob("*.json")) or [None]
CI_CASES = 2000


def vector(path):
    if path is None:
        pytest.skip(f"no vectors in {VECTORS} (PAWL_VECTORS)")
    return path.read_text()


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path and path.stem)
def test_published_envelopes_are_judged_alike(path):
    """Digest and signer of every published envelope, signed or not: both say the same, under either declaration of the key."""
    raw = bytes.fromhex("".join(vector(path).split()))
    point = load_pem_public_key((path.parent / "example-public-key.pem").read_bytes()).public_numbers()
    x, y = point.x.to_bytes(32), point.y.to_bytes(32)
    for algorithm in (codes.ALG_ES256, codes.ALG_ESP256):
        device = suit.Envelope(raw)
        is_signed = True
        try:
            device.authenticate([DeviceKeySet(1, [cose.Key(2, algorithm, 1, x, y)])], verify)
        except ManifestError:
            is_signed = False
        identity = (2, 1, x, y)
        members = strict.decode(raw).value
        try:
            digest, signers = reader_bundle._signed(members, Anchor([Key(identity, algorithm)], {}, []))
            assert digest == bytes(device.digest)
        except strict.RefusedError:
            signers = frozenset()
        assert (signers == {identity}) == is_signed
        assert is_signed == (algorithm == codes.ALG_ES256 and "unsigned" not in path.name)


@pytest.mark.parametrize("path", SIGN1, ids=lambda path: path and path.stem)
def test_cose_vectors_are_judged_alike(path):
    """COSE_Sign1 of others, as they are and cut to the profile (nothing unprotected, detached): both say the same."""
    case = json.loads(vector(path))
    key = case["input"]["sign0"]["key"]
    x, y = (b64(key[name]) for name in ("x", "y"))
    aad = bytes.fromhex(case["input"]["sign0"].get("external", ""))
    raw = bytes.fromhex(case["output"]["cbor"])
    item = cbor2.loads(raw)
    parts = item.value if isinstance(item, cbor2.CBORTag) else item
    content, cut = parts[2], [parts[0], {}, None, parts[3]]
    profile = cbor2.dumps(cut if item is parts else cbor2.CBORTag(item.tag, cut))
    verdicts = [both_on_block(block, content, aad, x, y) for block in (raw, profile)]
    assert all(device == reader for device, reader in verdicts)
    assert verdicts[0] == (False, False)  # attached, with a key id
    is_of_profile = item is not parts and cbor2.loads(parts[0] or b"\xa0") == {1: codes.ALG_ES256}
    assert verdicts[1][0] == (not case.get("fail", False) and is_of_profile)


def b64(text):
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def both_on_block(raw, content, aad, x, y):
    """Return whether device and reader take a block as a detached signature of this key."""
    try:
        block = cose.read_sign1(raw)
        key = cose.Key(2, codes.ALG_ES256, 1, x, y)
        device = block.payload is None and cose.signer(block, [key], content, aad, verify) is not None
    except ManifestError:
        device = False
    try:
        reader_anchor.signer_of(strict.decode(raw), content, [Key((2, 1, x, y), codes.ALG_ES256)], aad)
    except strict.RefusedError:
        return device, False
    return device, True


@pytest.mark.parametrize(
    ("name", "count"), [("ecdsa_secp256r1_sha256_p1363_test.json", 262), ("ed25519_test.json", 151)]
)
def test_wycheproof_is_judged_alike(name, count):
    """Every signature of Wycheproof, P-256 and Ed25519: the reader says what the vectors say."""
    path = VECTORS / "wycheproof" / name
    groups = json.loads(vector(path if path.exists() else None))["testGroups"]
    cases = [(reader_key(group["publicKey"]), case) for group in groups for case in group["tests"]]
    wrong = [
        case["tcId"]
        for key, case in cases
        if key.verifies(bytes.fromhex(case["msg"]), bytes.fromhex(case["sig"])) != (case["result"] == "valid")
    ]
    assert (len(cases), wrong) == (count, [])


def reader_key(public):
    if "pk" in public:
        return Key((1, 6, bytes.fromhex(public["pk"]), b""), codes.ALG_ED25519)
    point = bytes.fromhex(public["uncompressed"])
    return Key((2, 1, point[1:33], point[33:]), codes.ALG_ESP256)


@pytest.fixture
def judges(tmp_path):
    return Judges(anchor_file(anchor_tree(1)), tmp_path / "disagreements")


def refusal(judges, raw):
    """Return why both refuse; DisagreementError passes through."""
    with pytest.raises(PawlError) as caught:
        judges.open(raw)
    return reason_name(caught.value.code)


@pytest.mark.parametrize("shape", SHAPES, ids=lambda shape: shape.__name__)
def test_every_shape_is_accepted_by_both(shape, tmp_path):
    """Nothing is wrong with it, so that what follows is refused for its change alone."""
    release = shape()
    Judges(anchor_file(anchor_tree(release.threshold)), tmp_path).open(bundle(release))


def test_releases_that_are_almost_right_are_judged_alike(tmp_path):
    """Two thousand of them: no disagreement, and enough of them reach every depth."""
    tally = run("ci", range(CI_CASES), tmp_path)
    assert tally.disagreements == []
    assert tally.pairs["accepted", "accepted"] > CI_CASES // 20
    assert len(tally.reasons) >= 20


def test_a_case_can_be_made_again():
    """Seed and number are all that is needed to look at a case."""
    assert make_case("x", 7) == make_case("x", 7)
    assert len({make_case("x", number).raw for number in range(40)}) > 20


def with_variant(blocks, image=LARGE):
    """Return a bundle whose deflated variant has these blocks, rightly bound."""
    part = Part(image).with_blocks(blocks)
    release = app(image)
    release.parts = [part]
    release.install[1] = parameters(uri=part.uri)[1]
    return bundle(release)


def test_deflate_data_behind_its_end_is_refused(judges):
    """Once the device's verifier passed over it."""
    first, *rest = [mutations.deflate_all(LARGE[at : at + 4096]) for at in range(0, len(LARGE), 4096)]
    judges.open(with_variant([first, rest[0], LARGE[8192:]]))
    assert refusal(judges, with_variant([first + b"\0", rest[0], LARGE[8192:]])) == "block-digest"


def test_deflate_data_without_an_end_is_refused(judges):
    """Once the host's verifier took it, where a device did not."""
    compressor = mutations.zlib_compressor()
    unended = compressor.compress(LARGE[:4096]) + compressor.flush(mutations.SYNC_FLUSH)
    assert refusal(judges, with_variant([unended, LARGE[4096:8192], LARGE[8192:]])) == "block-digest"


def test_a_stored_block_that_is_not_the_images_is_refused(judges):
    """Once the device's verifier compared inflated blocks only: every device would have fetched it and failed."""
    assert refusal(judges, with_variant([LARGE[:4096], LARGE[4096:8192], bytes(17)])) == "block-digest"


def test_true_is_no_size(judges):
    """Once `true` passed as the payload size of an image of one byte."""
    part = Part(b"x")
    part.index[3][0][2] = True
    release = app(b"x")
    release.parts = [part]
    release.install[1] = parameters(uri=part.uri)[1]
    assert refusal(judges, bundle(release)) == "index-shape"


def test_true_is_no_curve():
    """Once `true` passed as the curve of a key."""
    tree = anchor_tree(1)
    keys = next(value for label, value in tree.pairs if label == 5)
    curve = next(pair for pair in keys[8].pairs if pair[0] == -1)
    curve[1] = True
    file = anchor_file(tree)
    assert not read(bundle(app()), file).accepted
    with pytest.raises(TrustError):
        Judges(file, Path("unused"))


def test_a_vendor_that_is_never_set_is_refused(judges):
    """Once a condition whose parameter nothing sets held on the host: any device would have refused it."""
    release = app()
    release.shared[1].pairs = [pair for pair in release.shared[1].pairs if pair[0] != codes.PARAMETER_VENDOR]
    assert refusal(judges, bundle(release)) in {"vendor", "parameter"}


@pytest.mark.parametrize("odd", [b"x", encode(Tag(24, [b"x"])), encode(Tag(107, [b"x"]))])
def test_what_is_no_signature_is_passed_over_in_an_anchor(odd):
    """A bad block doesn't spoil a met threshold; alone it meets none."""
    content = encode(anchor_tree(1))
    good = encode(ROOT.block(content, b"pawl/anchor/1"))
    for blocks, is_good in (([good, odd], True), ([odd, good], True), ([odd], False)):
        file = encode([content, blocks])
        assert read(bundle(app()), file).accepted is is_good
        if is_good:
            Judges(file, Path("unused")).open(bundle(app()))
        else:
            with pytest.raises(TrustError):
                Judges(file, Path("unused"))


def test_two_plain_variants_are_judged_alike(judges):
    """Once the reader looked for the second one's payload in the image itself."""
    part = Part(SMALL)
    part.index[3].append(list(part.index[3][0]))
    release = app()
    release.parts = [part]
    release.install[1] = parameters(uri=part.uri)[1]
    assert refusal(judges, bundle(release)) == "payload-missing"
    part.payloads[1] = SMALL
    judges.open(bundle(release))


def test_a_signature_of_another_role_is_refused(judges):
    """A director's signature beside the release's belongs to nobody who may sign this."""
    release = app()
    release.signers = (RELEASE[0], DIRECTOR)
    assert refusal(judges, bundle(release)) == "surplus-signature"


@pytest.mark.parametrize("token", mutations.TOKENS, ids=bytes.hex)
def test_lenient_cbor_is_refused_by_both(judges, token):
    """Each spelling that the library takes and the profile doesn't, in a manifest that the right key signed."""
    release = app()
    release.elements = {4: mutations.Token(token)}
    manifest = encode(release.manifest())
    raw = encode(envelope(authentication(manifest, release.signers), manifest, release.members()))
    assert refusal(judges, raw)


def test_keys_in_another_order_are_refused_by_both(judges):
    """Bytewise order of the encoded keys, in maps of all levels."""
    release = app_deflated()
    members = Map(list(reversed(release.manifest().pairs)))
    manifest = encode(members)
    assert refusal(
        judges, encode(envelope(authentication(manifest, release.signers), manifest, release.members()))
    )


def differing(tmp_path):
    """Return judges of which the reader is under another anchor than the device, so that they differ about a good release."""
    judges = Judges(anchor_file(anchor_tree(1)), tmp_path / "disagreements")
    judges._anchor_file = anchor_file(anchor_tree(2))
    return judges


def test_a_disagreement_is_raised_and_kept(tmp_path, caplog):
    """The case holds bundle, anchor and both verdicts; it is logged; the same case again takes no more room."""
    judges = differing(tmp_path)
    raw = bundle(app())
    for _ in range(2):
        with pytest.raises(DisagreementError, match=r"refused \(unsigned\)") as caught:
            judges.open(raw)
    [case] = (tmp_path / "disagreements").iterdir()
    assert caught.value.case == case
    assert (case / "release.pawl").read_bytes() == raw
    assert (case / "anchor").read_bytes() == judges._anchor_file
    verdicts = json.loads((case / "verdicts.json").read_text())
    assert (verdicts["device"]["accepted"], verdicts["reader"]["accepted"]) == (True, False)
    manifest = encode(app().manifest())
    assert verdicts["device"]["digest"] == sha256(cbor2.dumps(manifest)).hexdigest()
    assert "disagree" in caplog.text


def test_cases_do_not_fill_the_disk(tmp_path):
    """With a hundred of them kept, the alarm is raised all the same."""
    for number in range(CASES_MAX):
        (tmp_path / "disagreements" / str(number)).mkdir(parents=True)
    with pytest.raises(DisagreementError) as caught:
        differing(tmp_path).open(bundle(app()))
    assert caught.value.case is None
    assert len(list((tmp_path / "disagreements").iterdir())) == CASES_MAX


def test_a_release_told_otherwise_is_a_disagreement(tmp_path):
    """Two that accept but describe the release differently disagree, too."""
    judges = Judges(anchor_file(anchor_tree(1)), tmp_path)
    raw = bundle(app())
    opened = judges.open(raw)
    opened.manifest.sequence_number += 1
    assert describe(opened, judges.anchor) != read(raw, judges._anchor_file)
