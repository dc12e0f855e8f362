"""What a release tells people: the severed text of a bundle (suit-manifest §8.4.4) and the attachments it lists.

A device never needs it. Attachments stand under the private-use language tag `x-pawl`, one line each, ascending by name:
`<name> #a:<base64url of its SHA-256>`. Refuses text of another shape (`text`), and an attachment that is missing or
another one (`attachment`).
"""

from pawl import cbor, codes
from pawl.compat import sha256
from pawl.errors import ManifestError
from pawl.index import b64u

ATTACHMENTS_TAG = "x-pawl"
_NAME_MAX = 64
_NAME = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-"


class Notes:
    """`text`: {language: {1: .., 2: .., component id: {5: .., ..}}} without attachments; `attachments`: {name: bytes}."""

    def __init__(self, text, attachments, members):
        self.text = text
        self.attachments = attachments
        self.members = members


def is_name(text):
    """Return whether an attachment may be called this."""
    return 1 <= len(text) <= _NAME_MAX and not [1 for sign in text if sign not in _NAME]


def member_of(content) -> str:
    """Return the key of the member that holds an attachment."""
    return "#a:" + b64u(sha256(content))


def write(text, attachments) -> bytes:
    """Return the encoded text that lists the attachments, {name: bytes}, too."""
    whole = dict(text)
    if attachments:
        lines = ["%s %s\n" % (name, member_of(attachments[name])) for name in sorted(attachments)]
        whole[ATTACHMENTS_TAG] = {codes.TEXT_MANIFEST_DESCRIPTION: "".join(lines)}
    return cbor.encode(whole)


def of(envelope, text_digest):
    """Return the Notes of an envelope whose manifest names its text by this digest; None if it names none."""
    severed = set(envelope.severed)
    if text_digest is None:
        if severed:
            raise ManifestError(
                codes.REASON_UNSIGNED_BYTES, "a severed member that the manifest does not name"
            )
        return None
    if codes.MANIFEST_TEXT not in severed:
        raise ManifestError(codes.REASON_TEXT, "the text that the manifest names is missing")
    if len(severed) > 1:
        raise ManifestError(codes.REASON_UNSIGNED_BYTES, "a severed member that the manifest does not name")
    item = envelope.severed[codes.MANIFEST_TEXT]
    if sha256(item) != text_digest:
        raise ManifestError(codes.REASON_SEVERED_DIGEST, "text is not the one that was signed")
    text = _read(cbor.Reader(item).bytes())
    listed = _listed(text.pop(ATTACHMENTS_TAG, None))
    attachments = {name: _attachment(envelope, listed[name]) for name in listed}
    return Notes(text, attachments, set(listed.values()))


def _wrong(detail):
    return ManifestError(codes.REASON_TEXT, detail)


def _read(raw):
    try:
        reader = cbor.Reader(raw)
        languages = {}
        for tag in reader.keys():
            if not isinstance(tag, str):
                raise _wrong("a language is named by text")
            languages[tag] = {key: _entry(reader, key) for key in reader.keys(_key)}
        reader.end()
    except ManifestError as error:
        raise _wrong(error.detail)
    if not languages:
        raise _wrong("text without a language")
    return languages


def _key(reader):
    """Read a number, or the id of a component."""
    if reader.peek() == cbor.ARRAY:
        return tuple([bytes(reader.bytes()) for _ in range(reader.array())])
    return reader.uint()


def _entry(reader, key):
    if not isinstance(key, tuple):
        return reader.text()
    entries = {}
    for number in reader.keys(cbor.Reader.uint):
        entries[number] = reader.text()
    return entries


def _listed(entries):
    """Return {name: member} of the attachments; there is one spelling of each list."""
    if entries is None:
        return {}
    if list(entries) != [codes.TEXT_MANIFEST_DESCRIPTION]:
        raise _wrong("attachments are listed in the first entry alone")
    listed = {}
    last = ""
    for line in _lines(entries[codes.TEXT_MANIFEST_DESCRIPTION]):
        name, _, member = line.partition(" ")
        if not is_name(name) or name <= last or member[:3] != "#a:":
            raise _wrong("attachments are not listed in order, one line each")
        listed[name] = member
        last = name
    return listed


def _lines(text):
    lines = text.split("\n")
    if len(lines) < 2 or lines.pop():
        raise _wrong("every line of the list of attachments has an end")
    return lines


def _attachment(envelope, member):
    content = envelope.payloads.get(member)
    if content is None or member_of(content) != member:
        raise ManifestError(codes.REASON_ATTACHMENT, "an attachment is missing or another one")
    return content
