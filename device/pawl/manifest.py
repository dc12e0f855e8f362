"""A SUIT manifest (draft-ietf-suit-manifest-37, update-management-14): parsed and scanned as a whole, or refused by name.

    manifest = Manifest(envelope.manifest)  # after envelope.authenticate
    for image in manifest.images(slot): ...

Elements, components and commands are those of the profile in `docs/protocol.md`, manifest template. Every command of
every branch is read, and both slots are walked, before any of it can run.
"""

from pawl import cbor, codes, commands, resolution, suit
from pawl.compat import const
from pawl.errors import ManifestError
from pawl.ratchet import read_version

_VERSION = const(1)
_URI_MAX_BYTES = const(255)

_APP = codes.COMPONENT_APP
_DATA = codes.COMPONENT_DATA
_RUNNING = codes.COMPONENT_RUNNING

# Which components a manifest may declare, and whose business that makes it.
_ROLES = (
    ((_APP,), codes.ROLE_APP_RELEASE),
    ((_APP, _DATA), codes.ROLE_APP_RELEASE),
    ((_APP, _RUNNING), codes.ROLE_APP_RECOVERY),
    ((_APP, _RUNNING, _DATA), codes.ROLE_APP_RECOVERY),
)


class Manifest:
    """A manifest of the profile; `role` is who must sign it, by its shape; sequences are as `commands.read` gives them.

    `components`: their names; `recovers`: (digest, size) of each image that it recovers from; `uri`: of its reference or
    None; `text_digest`: of the severed text or None; `identity`: (vendor, class) that it is made for, 16 bytes each.
    """

    def __init__(self, buf):
        self.components = ()
        self.uri = None
        self.text_digest = None
        reader = cbor.Reader(buf)
        seen = set()
        for key in reader.keys():
            if key not in _ELEMENTS:
                raise _element("manifest element " + str(key))
            seen.add(key)
            _ELEMENTS[key](self, reader)
        reader.end()
        for key in _REQUIRED:
            if key not in seen:
                raise _element("missing element " + str(key))
        found = resolution.resolve(self)
        self._images = found.images
        self.recovers = found.recovers
        self.identity = found.identity

    def images(self, slot):
        """Return the Images that it installs into slot A (0) or B (1), the application's first; raise if it fits only the other."""
        images = self._images[slot]
        if images is None:
            raise ManifestError(codes.REASON_COMPONENT_SLOT, "made for the other slot")
        return images

    def slots(self):
        """Return the slots that it fits."""
        return [slot for slot in (codes.RUNNING_A, codes.RUNNING_B) if self._images[slot] is not None]

    def _version(self, reader):
        if reader.uint() != _VERSION:
            raise ManifestError(codes.REASON_MANIFEST_VERSION, "manifest version is not 1")

    def _sequence_number(self, reader):
        self.sequence_number = reader.uint()

    def _common(self, reader):
        inner = cbor.Reader(reader.bytes())
        seen = []
        for key in inner.keys():
            seen.append(key)
            if key == codes.COMMON_COMPONENTS:
                self._read_components(inner)
            elif key == codes.COMMON_SHARED_SEQUENCE and len(seen) == 2:
                self.shared = commands.read(inner, commands.SHARED, self.components)
            else:
                raise _element("element of common " + str(key))
        inner.end()
        if len(seen) != 2:
            raise _element("components or shared sequence missing")

    def _read_components(self, reader):
        found = []
        for _ in range(reader.array()):
            reader.array(1)
            found.append(bytes(reader.bytes()))
        self.components = tuple(found)
        for components, role in _ROLES:
            if self.components == components:
                self.role = role
                return
        raise ManifestError(codes.REASON_COMPONENT, "components other than app, running, data, in this order")

    def _reference_uri(self, reader):
        self.uri = reader.text()
        if len(self.uri.encode()) > _URI_MAX_BYTES:
            raise _element("reference URI of more than 255 bytes")

    def _set_version(self, reader):
        inner = cbor.Reader(reader.bytes())
        self.version = read_version(inner)
        inner.end()

    def _sequence(self, reader, rule):
        if not self.components:
            raise _element("missing element 3")
        return commands.read(reader, rule, self.components)

    def _validate(self, reader):
        self.validate = self._sequence(reader, commands.VALIDATE)

    def _invoke(self, reader):
        self.invoke = self._sequence(reader, commands.INVOKE)

    def _install(self, reader):
        if reader.peek() == cbor.ARRAY:
            raise _element("install is severed")
        self.install = self._sequence(reader, commands.INSTALL)

    def _text(self, reader):
        self.text_digest = suit.digest_in(reader)


def _element(detail):
    return ManifestError(codes.REASON_MANIFEST_ELEMENT, detail)


# Keys ascend in the encoding, so the components are known before any sequence is read.
_ELEMENTS = {
    codes.MANIFEST_VERSION: Manifest._version,
    codes.MANIFEST_SEQUENCE_NUMBER: Manifest._sequence_number,
    codes.MANIFEST_COMMON: Manifest._common,
    codes.MANIFEST_REFERENCE_URI: Manifest._reference_uri,
    codes.MANIFEST_SET_VERSION: Manifest._set_version,
    codes.MANIFEST_VALIDATE: Manifest._validate,
    codes.MANIFEST_INVOKE: Manifest._invoke,
    codes.MANIFEST_INSTALL: Manifest._install,
    codes.MANIFEST_TEXT: Manifest._text,
}
_REQUIRED = (
    codes.MANIFEST_VERSION,
    codes.MANIFEST_SEQUENCE_NUMBER,
    codes.MANIFEST_COMMON,
    codes.MANIFEST_SET_VERSION,
    codes.MANIFEST_VALIDATE,
    codes.MANIFEST_INVOKE,
    codes.MANIFEST_INSTALL,
)
