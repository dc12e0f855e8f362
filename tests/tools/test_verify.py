"""`pawl verify`: the device's verifier on a bundle, its exit codes, and every single change to a release."""

import json
from collections import Counter

import pytest
from typer.testing import CliRunner

from pawl import cbor, codes, cose, suit
from pawl.errors import PawlError
from pawl.names import reason_name
from pawl_server.judges import Judges
from pawl_tools import keys, release, trust, verification
from pawl_tools.cli import app, main
from pawl_tools.errors import ToolError

NOBODY = verification.DeviceState(is_floor=True)


def run(*arguments):
    """Run the command in this process; return (exit code, stdout, stderr)."""
    result = CliRunner().invoke(app, ["verify", *map(str, arguments)])
    if isinstance(result.exception, ToolError):
        return 2, result.stdout, str(result.exception)
    return result.exit_code, result.stdout, result.stderr


def reason_of(raw, anchor, device=NOBODY):
    """Return the name of the reason with which a bundle is refused, or None."""
    try:
        verification.judge(raw, anchor, device)
    except PawlError as error:
        return reason_name(error.code)
    return None


@pytest.fixture(scope="module")
def anchor(workshop):
    return Judges(workshop.anchor_file.read_bytes(), workshop.folder / "disagreements")


def test_accepts_a_good_release(workshop):
    """Exit 0, and the release's facts."""
    code, out, _ = run(workshop.release(), "--trust", workshop.anchor_file, "--json")
    facts = json.loads(out)
    assert code == 0
    assert facts["accepted"] is True
    assert (facts["sequence"], facts["version"]) == (5, "1.0")


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        (["--installed-sequence", "4"], None),
        (["--installed-sequence", "5"], "sequence-reused"),
        (["--installed-sequence", "6"], "sequence-low"),
        (["--epoch", "1"], "epoch-low"),
        (["--epoch", "1", "--installed-sequence", "0"], "epoch-low"),
        (["--installed-sequence", str(1 << 32)], "epoch-low"),
        (["--vendor", "example.com", "--class", "unix-board"], None),
        (["--vendor", "example.org"], "vendor"),
        (["--vendor", "example.org", "--class", "unix-board"], "vendor"),
        (["--vendor", "example.com", "--class", "other-board"], "class"),
    ],
)
def test_judges_for_the_device_described(workshop, options, reason):
    """Sequence, epoch, vendor and class are compared with what the device has."""
    arguments = [workshop.release(), "--trust", workshop.anchor_file, *options]
    code, out, err = run(*arguments, "--json")
    assert code == (1 if reason else 0)
    assert json.loads(out).get("reason") == reason
    assert (reason or "") in err


@pytest.mark.parametrize(
    "arguments",
    [
        ["missing.pawl", "--trust", "{trust}"],
        ["{release}", "--trust", "missing.cbor"],
        ["{release}", "--trust", "{release}"],
        ["{release}", "--trust", "{trust}", "--installed-sequence", "many"],
        ["{release}", "--trust", "{trust}", "--installed-sequence", "-1"],
        ["{release}", "--trust", "{trust}", "--class", "unix-board"],
        ["{release}"],
        [],
    ],
)
def test_unusable_arguments_exit_with_2(workshop, arguments):
    """Whatever can't be judged is not called refused."""
    names = {"trust": workshop.anchor_file, "release": workshop.release()}
    assert run(*[argument.format(**names) for argument in arguments])[0] == 2


def test_the_command_itself_says_one_line(workshop, capsys, monkeypatch):
    """Unusable files end in one line on stderr and exit code 2, never a traceback."""
    monkeypatch.setattr("sys.argv", ["pawl", "verify", "missing.pawl", "--trust", str(workshop.anchor_file)])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 2
    assert capsys.readouterr().err == "pawl: cannot read missing.pawl: No such file or directory\n"


def test_refuses_other_signers(workshop, anchor):
    """Wrong key, surplus stranger, director's key: a release needs a release key, and nobody else's."""
    for by, reason in (
        (("stranger",), "unauthorised"),
        (("director",), "unauthorised"),
        (("root",), "unauthorised"),
        (("release", "stranger"), "surplus-signature"),
        (("release", "second"), None),
    ):
        assert reason_of(workshop.release("by.pawl", by=by).read_bytes(), anchor) == reason


def test_refuses_a_signature_twice(workshop, anchor):
    """One signer repeated is a byte string that nobody needed."""
    raw = workshop.release("by.pawl", by=("release", "release")).read_bytes()
    assert reason_of(raw, anchor) == "surplus-signature"


def test_refuses_a_payload_inside_a_signature(workshop, anchor):
    """A block that carries something in place of its detached payload is a place for bytes that nobody signed."""
    envelope = suit.Envelope(workshop.release("by.pawl", by=("release", "second")).read_bytes())
    block = cose.read_sign1(envelope.blocks[1])
    stuffed = [bytes(block.protected), {}, b"anything", bytes(block.signature)]
    blocks = [bytes(envelope.blocks[0]), cbor.encode(cbor.Tag(codes.TAG_COSE_SIGN1, stuffed))]
    wrapper = cbor.encode([bytes(envelope.digest_item), *sorted(blocks)])
    assert reason_of(rebuild(envelope, wrapper), anchor) == "surplus-signature"


def test_refuses_missing_or_unprotected_algorithm(workshop, anchor):
    """The algorithm counts in the protected header only."""
    raw = workshop.release().read_bytes()
    envelope = suit.Envelope(raw)
    signer = workshop.signers["release"]
    for protected, unprotected in (
        (b"", {}),
        (b"", {codes.HEADER_ALG: codes.ALG_ESP256}),
        (cbor.encode({}), {}),
    ):
        digest = bytes(envelope.digest_item)
        signature = signer.sign(cose.to_be_signed(protected, b"", digest))
        block = cbor.encode(cbor.Tag(codes.TAG_COSE_SIGN1, [protected, unprotected, None, signature]))
        wrapper = cbor.encode([digest, block])
        changed = rebuild(envelope, wrapper)
        assert reason_of(changed, anchor) == "algorithm"


def rebuild(envelope, authentication, extra=None):
    """Return the bundle of an envelope with another authentication wrapper and extra members."""
    members = {key: bytes(value) for key, value in envelope.payloads.items()} | (extra or {})
    parts = {
        codes.ENVELOPE_AUTHENTICATION: bytes(authentication),
        codes.ENVELOPE_MANIFEST: bytes(envelope.manifest),
    }
    return cbor.encode(cbor.Tag(codes.TAG_SUIT_ENVELOPE, parts | members))


def test_refuses_members_that_nothing_calls_for(workshop, anchor):
    """A member that isn't bound by the manifest is a byte that nobody signed."""
    envelope = suit.Envelope(workshop.release().read_bytes())
    for extra in ({"#x": b""}, {20: b"\x80"}, {23: b"\xa0"}):
        assert reason_of(rebuild(envelope, envelope.authentication, extra), anchor) == "unsigned-bytes"


def test_every_flipped_byte_is_refused(workshop, anchor):
    """Each byte of a bundle of at most 8 KB, flipped in one bit and in all: refused, with a reason that fits."""
    raw = bytearray(workshop.release().read_bytes())
    assert len(raw) <= 8192
    reasons = Counter()
    for place in range(len(raw)):
        for mask in (1 << place % 8, 0xFF):
            raw[place] ^= mask
            reasons[reason_of(bytes(raw), anchor)] += 1
            raw[place] ^= mask
    assert None not in reasons
    payloads = suit.Envelope(bytes(raw)).payloads
    assert reasons["block-digest"] == 2 * sum(len(payloads[key]) for key in payloads if key[:3] != "#i:")
    assert set(reasons) <= {
        "malformed",
        "trailing-bytes",
        "envelope-element",
        "unauthorised",
        "algorithm",
        "manifest-digest",
        "payload-missing",
        "unsigned-bytes",
        "index-digest",
        "block-digest",
    }


def test_every_truncation_and_appended_bytes_are_refused(workshop, anchor):
    """No prefix of a release is a release, nor is one with something behind it (T12)."""
    raw = workshop.release().read_bytes()
    for size in range(len(raw)):
        assert reason_of(raw[:size], anchor) == "malformed"
    for tail in (b"\x00", b"\xff", raw):
        assert reason_of(raw + tail, anchor) == "trailing-bytes"


def test_reading_and_writing_again_gives_the_same_bytes(workshop):
    """A bundle has one encoding."""
    raw = workshop.release().read_bytes()
    envelope = suit.Envelope(raw)
    assert rebuild(envelope, envelope.authentication) == raw


def test_same_input_same_bytes(workshop):
    """Signing is deterministic: two people with the same key and image make the same file."""
    first = workshop.release("one.pawl").read_bytes()
    assert workshop.release("two.pawl").read_bytes() == first


def test_ed25519_signs_releases_too(workshop, tmp_path):
    """A key declared for Ed25519 counts on a verifier that knows it."""
    keys.new(tmp_path / "ed", "ed25519")
    signer = keys.FileSigner(tmp_path / "ed")
    plan = trust.Plan(
        version=1,
        issued=1,
        expiry=2,
        root=trust.KeySet(threshold=1, keys=[workshop.signers["root"].key]),
        directors=[workshop.signers["director"].key],
        roles={codes.ROLE_APP_RELEASE: trust.KeySet(threshold=1, keys=[signer.key])},
        ca=[b"certificate"],
        server_names=["localhost"],
    )
    anchor = Judges(trust.build(plan, [workshop.signers["root"]]), tmp_path / "disagreements")
    statement = release.Statement(sequence=1, version=(1,), vendor=bytes(16), device_class=bytes(16))
    raw = release.build(b"image", statement, [signer])
    assert reason_of(raw, anchor) is None
    assert reason_of(workshop.release().read_bytes(), anchor) == "unauthorised"
