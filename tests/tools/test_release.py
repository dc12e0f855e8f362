"""Releases of every kind: made by the tools, taken by the device's verifier, and not changed in a single byte."""

import json

import pytest
from typer.testing import CliRunner

from pawl import bundle, cbor, codes, notes, suit
from pawl.compat import sha256
from pawl.errors import PawlError
from pawl.names import reason_name
from pawl_server.judges import Judges
from pawl_tools import release, statement, verification
from pawl_tools.cli import app
from pawl_tools.errors import ToolError

VENDOR = bytes(range(16))
CLASS = bytes(range(16, 32))
APP = b"application" * 40
OTHER = b"another one" * 50
DATA = bytes(n * 7 % 251 for n in range(900))
NOBODY = verification.DeviceState(is_floor=True)
TOLD = release.Notes(
    text={
        "en": {
            codes.TEXT_MANIFEST_DESCRIPTION: "Release 5",
            codes.TEXT_UPDATE_DESCRIPTION: "Blinks twice",
            (b"app",): {5: "The application"},
        }
    },
    attachments={"sbom.json": b'{"components": []}', "build.log": b"built"},
)
RECOVERED = ((sha256(OTHER), len(OTHER)), (sha256(DATA), len(DATA)))


def says(**changes):
    """Return a statement with changes."""
    fields = {"sequence": 5, "version": (1, 0), "vendor": VENDOR, "device_class": CLASS}
    return release.Statement(**{**fields, **changes})


@pytest.fixture(scope="module")
def judges(workshop, tmp_path_factory):
    return Judges(workshop.anchor_file.read_bytes(), tmp_path_factory.mktemp("disagreements"))


def make(workshop, payload, *, by="release", told=None, **changes):
    """Return a bundle signed by one of the workshop's keys."""
    return release.build(payload, says(**changes), [workshop.signers[by]], told)


KINDS = [
    (release.Payload(app=(APP,)), {}, ("app-release", ["app"])),
    (release.Payload(app=(APP,), data=DATA), {}, ("app-release", ["app", "data"])),
    (release.Payload(app=(APP, OTHER)), {}, ("app-release", ["app"])),
    (release.Payload(app=(APP, OTHER), data=DATA), {"told": TOLD}, ("app-release", ["app", "data"])),
    (release.Payload(app=(APP,)), {"told": TOLD, "reference_uri": "https://a/1"}, ("app-release", ["app"])),
    (release.Payload(app=(APP,)), {"recovers": RECOVERED[:1]}, ("app-recovery", ["app", "running"])),
    (
        release.Payload(app=(APP, OTHER), data=DATA),
        {"recovers": RECOVERED, "told": TOLD},
        ("app-recovery", ["app", "running", "data"]),
    ),
    (
        release.Payload(app=(APP,), data=DATA),
        {"only_if": (statement.VersionCondition(2, (1,)), statement.AuthorisationCondition(-1))},
        ("app-release", ["app", "data"]),
    ),
]


@pytest.mark.parametrize(("payload", "changes", "shape"), KINDS)
def test_every_kind_is_accepted_and_has_one_encoding(workshop, judges, payload, changes, shape):
    """The device's verifier takes it, signed by the role of its shape; read and written again it is the same."""
    role, components = shape
    by = "recovery" if role == "app-recovery" else "release"
    raw = make(workshop, payload, by=by, **changes)
    assert raw == make(workshop, payload, by=by, **changes)
    assert verification.judge(raw, judges, NOBODY).role == role
    opened = bundle.Bundle(suit.Envelope(raw))
    assert [name.decode() for name in opened.manifest.components] == components
    assert opened.manifest.recovers == changes.get("recovers", ())
    assert opened.manifest.uri == changes.get("reference_uri")
    assert rewritten(raw) == raw
    other = "release" if by == "recovery" else "recovery"
    assert reason_of(make(workshop, payload, by=other, **changes), judges) == "unauthorised"


def rewritten(raw):
    """Return a bundle as its parts give it again."""
    envelope = suit.Envelope(raw)
    members = {key: bytes(value) for key, value in envelope.payloads.items()}
    if codes.MANIFEST_TEXT in envelope.severed:
        opened = bundle.Bundle(envelope).notes
        members[codes.MANIFEST_TEXT] = notes.write(opened.text, opened.attachments)
    return bundle.envelope_of(envelope.authentication, envelope.manifest, members)


def reason_of(raw, judges):
    """Return the name of the reason with which a bundle is refused, or None."""
    try:
        verification.judge(raw, judges, NOBODY)
    except PawlError as error:
        return reason_name(error.code)
    return None


def test_the_images_of_a_release_are_where_its_manifest_says(workshop):
    """Slot A's and slot B's image, and the data of both."""
    opened = bundle.Bundle(suit.Envelope(make(workshop, release.Payload(app=(APP, OTHER), data=DATA))))
    for slot, image in enumerate((APP, OTHER)):
        found = [bytes(opened.content(one).image) for one in opened.manifest.images(slot)]
        assert found == [image, DATA]


def test_every_flipped_byte_is_refused(workshop, judges):
    """Of a bundle with text, data and attachments: each byte, in one bit and in all."""
    raw = bytearray(make(workshop, release.Payload(app=(APP,), data=DATA), told=TOLD))
    reasons = set()
    for place in range(len(raw)):
        for mask in (1 << place % 8, 0xFF):
            raw[place] ^= mask
            reasons.add(reason_of(bytes(raw), judges))
            raw[place] ^= mask
    assert None not in reasons
    assert reasons >= {
        "unauthorised",
        "manifest-digest",
        "index-digest",
        "block-digest",
        "severed-digest",
        "attachment",
    }


def test_text_is_bound_by_the_manifest(workshop, judges):
    """A manifest that was signed with text is no release without it, nor with another one."""
    raw = make(workshop, release.Payload(app=(APP,)), told=TOLD)
    envelope = suit.Envelope(raw)
    members = {key: bytes(value) for key, value in envelope.payloads.items()}
    text = bytes(cbor.Reader(envelope.severed[codes.MANIFEST_TEXT]).bytes())
    for change, reason in (
        ({codes.MANIFEST_TEXT: text}, None),
        ({}, "text"),
        ({codes.MANIFEST_TEXT: notes.write({"en": {1: "another"}}, {})}, "severed-digest"),
        ({codes.MANIFEST_TEXT: text, "#a:x": b""}, "unsigned-bytes"),
        ({codes.MANIFEST_TEXT: text, 20: b""}, "unsigned-bytes"),
    ):
        changed = bundle.envelope_of(envelope.authentication, envelope.manifest, members | change)
        assert reason_of(changed, judges) == reason


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: release.Payload(app=(b"",)), "the image is empty"),
        (lambda: release.Payload(app=(APP,), data=b""), "the image is empty"),
        (lambda: release.Payload(app=(APP,) * 3), "one for slot A and one for slot B"),
        (lambda: says(recovers=RECOVERED * 3), "at most 4 images"),
        (lambda: release.build(APP, says(reference_uri="a" * 256), []), "manifest-element"),
        (lambda: release.build(APP, says(reference_uri="a"), [], attached("a b")), "no attachment's name"),
        (lambda: release.build(APP, says(), [], attached("a" * 65)), "no attachment's name"),
        (lambda: statement.parse_condition("version"), "is no condition"),
        (lambda: statement.parse_condition("version>=one"), "is not a version"),
        (lambda: statement.parse_condition("authorised:soon"), "is no condition"),
    ],
)
def test_what_no_device_would_take_is_not_made(call, words):
    """The tool says so before anybody signs."""
    with pytest.raises(ToolError, match=words):
        call()


def attached(name):
    return release.Notes(attachments={name: b""})


def test_conditions_are_read():
    """Each comparison, and a priority."""
    for text, expected in (
        ("version>1.2", statement.VersionCondition(codes.VERSION_GREATER, (1, 2))),
        ("version>=1", statement.VersionCondition(codes.VERSION_GREATER_EQUAL, (1,))),
        ("version=1", statement.VersionCondition(codes.VERSION_EQUAL, (1,))),
        ("version<=1", statement.VersionCondition(codes.VERSION_LESSER_EQUAL, (1,))),
        ("version<1.0", statement.VersionCondition(codes.VERSION_LESSER, (1, 0))),
        ("authorised:-7", statement.AuthorisationCondition(-7)),
    ):
        assert statement.parse_condition(text) == expected


@pytest.fixture
def folder(workshop, tmp_path):
    """A folder with images and notes."""
    for name, content in (("app", APP), ("other", OTHER), ("data", DATA)):
        (tmp_path / name).write_bytes(content)
    told = tmp_path / "notes"
    (told / "attachments").mkdir(parents=True)
    (told / "description.txt").write_text("Release 5\n")
    (told / "update.txt").write_text("Blinks twice\n")
    (told / "reference-uri.txt").write_text("https://updates.example/5\n")
    (told / "attachments" / "sbom.json").write_bytes(b"{}")
    return tmp_path


def pawl(*arguments):
    """Run a command; return what it printed."""
    result = CliRunner().invoke(app, [str(argument) for argument in arguments], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.stdout


def command(workshop, folder, verb, key, *more):
    """Run `release sign` or `release recover`; return the release's path."""
    out = folder / f"{verb}.pawl"
    pawl(
        *("release", verb, folder / "app", "-o", out, "--key", workshop.folder / key, "--sequence", 5),
        *("--version", "1.0", "--vendor", "example.com", "--class", "unix-board", *more),
    )
    return out


def test_sign_and_show(workshop, folder):
    """Options and notes end in the release, and `show` tells them."""
    more = ("--data", folder / "data", "--image-b", folder / "other", "--notes", folder / "notes")
    out = command(
        workshop, folder, "sign", "release", *more, "--only-if", "version>=1", "--only-if", "authorised:2"
    )
    shown = json.loads(pawl("release", "show", out, "--json"))
    assert (shown["role"], shown["components"]) == (("app-release", ["app", "data"]))
    images = [(line.split()[0], line.split(" slot ")[1]) for line in shown["images"]]
    assert images == [("app", "A"), ("data", "A and B"), ("app", "B")]
    assert shown["text"] == ["en description: Release 5", "en update: Blinks twice"]
    assert (shown["attachments"], shown["reference uri"]) == (
        ["sbom.json (2 bytes)"],
        "https://updates.example/5",
    )
    assert shown["recovers"] == []
    assert "sbom.json" in pawl("release", "show", out)
    assert json.loads(pawl("verify", out, "--trust", workshop.anchor_file, "--json"))["role"] == "app-release"


def test_recover_names_the_images_of_releases(workshop, folder):
    """What it recovers from is read from the releases, both slots' images."""
    bad = command(workshop, folder, "sign", "release", "--image-b", folder / "other")
    out = command(workshop, folder, "recover", "recovery", "--recovers", bad, "--recovers", bad)
    shown = json.loads(pawl("release", "show", out, "--json"))
    assert shown["role"] == "app-recovery"
    assert [line.split("(")[1] for line in shown["recovers"]] == [
        f"{len(APP)} bytes)",
        f"{len(OTHER)} bytes)",
    ]
    facts = json.loads(pawl("verify", out, "--trust", workshop.anchor_file, "--json"))
    assert facts["role"] == "app-recovery"


def test_notes_leave_nothing_out_in_silence(workshop, folder):
    """A file that would not be in the release is an error."""
    (folder / "notes" / "sbom.json").write_text("{}")
    with pytest.raises(ToolError, match=r"sbom.json is no part of a release's notes"):
        command(workshop, folder, "sign", "release", "--notes", folder / "notes")
    with pytest.raises(ToolError, match="cannot read the notes"):
        command(workshop, folder, "sign", "release", "--notes", folder / "none")
