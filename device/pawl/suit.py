"""SUIT (draft-ietf-suit-manifest-37): envelope, manifest, and a processor without I/O.

    envelope = Envelope(received)
    envelope.authenticate([install_set], verify)
    manifest = Manifest(envelope.manifest)
    for effect in steps(manifest, manifest.install, identity): ...

One component, `["app"]`; commands and parameters of the profile in
`docs/protocol.md`, manifest template. Everything else is refused by name
when the manifest is parsed, before anything runs. Nothing of the manifest is parsed before it is authentic.
"""

from collections import namedtuple

from pawl import cbor, codes
from pawl.compat import const, sha256
from pawl.errors import ManifestError
from pawl.ratchet import read_version

_VERSION = const(1)
_REP_POLICY_MAX = const(15)

# What a command asks of the world: the component's index and the parameters in force.
Effect = namedtuple("Effect", ("command", "component", "parameters"))

Image = namedtuple("Image", ("digest", "size", "uri"))


class Envelope:
    """The parts of an envelope: nothing in here is authentic until `authenticate` returned.

    A `bare` one, as devices receive it, holds authentication and manifest: any other member is refused when it is met.
    """

    def __init__(self, buf, *, bare=False):
        reader = cbor.Reader(buf)
        reader.tag(codes.TAG_SUIT_ENVELOPE)
        self.severed = {}
        self.payloads = {}
        authentication = None
        self.manifest = None
        for key in reader.keys():
            if key == codes.ENVELOPE_AUTHENTICATION:
                authentication = reader.bytes()
            elif key == codes.ENVELOPE_MANIFEST:
                self.manifest_item, self.manifest = _item(reader)
            elif bare:
                raise ManifestError(codes.REASON_UNSIGNED_BYTES, "more than authentication and manifest")
            else:
                self._read_member(reader, key)
        reader.end()
        if authentication is None or self.manifest is None:
            raise ManifestError(codes.REASON_ENVELOPE_ELEMENT, "authentication or manifest missing")
        self.authentication = authentication
        self._read_authentication(authentication)

    def _read_member(self, reader, key):
        if key in codes.SEVERABLE:
            self.severed[key] = _item(reader)[0]
        elif isinstance(key, str):
            self.payloads[key] = reader.bytes()
        else:
            raise ManifestError(codes.REASON_ENVELOPE_ELEMENT, "unknown envelope element")

    def _read_authentication(self, buf):
        reader = cbor.Reader(buf)
        count = reader.array() - 1
        if not 0 <= count <= codes.SIGNATURES_MAX:
            raise ManifestError(codes.REASON_UNAUTHORISED, "at most 8 signatures are allowed")
        self.digest_item = reader.bytes()
        self.digest = read_digest(self.digest_item)
        self.blocks = [reader.bytes() for _ in range(count)]
        reader.end()

    def authenticate(self, key_sets, verify):
        """Return the blocks that count, if the threshold of one of the sets signed the digest of this manifest.

        The digest is compared first: it costs less than a signature, and the manifest isn't parsed for it.
        """
        if not self.is_whole():
            raise ManifestError(codes.REASON_MANIFEST_DIGEST, "manifest is not the one that was signed")
        fault = None
        for key_set in key_sets:
            try:
                return key_set.require(self.blocks, self.digest_item, b"", verify)
            except ManifestError as error:
                fault = fault or error
        raise fault or ManifestError(codes.REASON_UNAUTHORISED, "no key set for this role")

    def is_whole(self):
        """Return whether the manifest is the one that the digest names, whoever signed it."""
        return sha256(self.manifest_item) == self.digest


def _item(reader):
    """Read a byte string; return it with its head (what SUIT digests cover) and without."""
    start = reader.pos
    content = reader.bytes()
    return reader.buf[start : reader.pos], content


def read_digest(buf):
    """Read a SUIT_Digest, which must be SHA-256; return its 32 bytes."""
    reader = cbor.Reader(buf)
    digest = _digest(reader)
    reader.end()
    return digest


def _digest(reader):
    reader.array(2)
    if reader.int() != codes.ALG_SHA256:
        raise ManifestError(codes.REASON_ALGORITHM, "digest algorithm is not SHA-256")
    return reader.bytes_of(32)


class Manifest:
    """A parsed and scanned manifest: every command in it is one that this device implements.

    Sequences are lists of (command, argument); `image` is the one image it installs.
    """

    def __init__(self, buf):
        self.uri = None
        self.text_digest = None
        reader = cbor.Reader(buf)
        seen = set()
        for key in reader.keys():
            if key not in _ELEMENTS:
                raise ManifestError(codes.REASON_MANIFEST_ELEMENT, "manifest element " + str(key))
            seen.add(key)
            _ELEMENTS[key](self, reader)
        reader.end()
        for key in _REQUIRED:
            if key not in seen:
                raise ManifestError(codes.REASON_MANIFEST_ELEMENT, "missing element " + str(key))
        self.image = _image(self.shared + self.install)

    def _version(self, reader):
        if reader.uint() != _VERSION:
            raise ManifestError(codes.REASON_MANIFEST_VERSION, "manifest version is not 1")

    def _sequence_number(self, reader):
        self.sequence_number = reader.uint()

    def _common(self, reader):
        inner = cbor.Reader(reader.bytes())
        components = None
        shared = None
        for key in inner.keys():
            if key == codes.COMMON_COMPONENTS:
                components = _components(inner)
            elif key == codes.COMMON_SHARED_SEQUENCE:
                shared = _sequence(inner, _SHARED)
            else:
                raise ManifestError(codes.REASON_MANIFEST_ELEMENT, "element of common " + str(key))
        inner.end()
        if components is None or shared is None:
            raise ManifestError(codes.REASON_MANIFEST_ELEMENT, "components or shared sequence missing")
        self.components = components
        self.shared = shared

    def _reference_uri(self, reader):
        self.uri = reader.text()

    def _set_version(self, reader):
        inner = cbor.Reader(reader.bytes())
        self.version = read_version(inner)
        inner.end()

    def _validate(self, reader):
        self.validate = _sequence(reader, _VALIDATE)

    def _invoke(self, reader):
        self.invoke = _sequence(reader, _INVOKE)

    def _install(self, reader):
        if reader.peek() == cbor.ARRAY:
            raise ManifestError(codes.REASON_MANIFEST_ELEMENT, "install is severed")
        self.install = _sequence(reader, _INSTALL)

    def _text(self, reader):
        self.text_digest = _digest(reader)


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

# Per sequence: the commands it may hold, those it must hold so that it proves what it is for, and the parameters it
# may set. Digest and size are set once, before every sequence: what is fetched is what is validated at boot.
_SHARED = (
    (codes.COMMAND_OVERRIDE_PARAMETERS, codes.COMMAND_VENDOR, codes.COMMAND_CLASS),
    (codes.COMMAND_VENDOR, codes.COMMAND_CLASS),
    (
        codes.PARAMETER_VENDOR,
        codes.PARAMETER_CLASS,
        codes.PARAMETER_IMAGE_DIGEST,
        codes.PARAMETER_IMAGE_SIZE,
    ),
)
_INSTALL = (
    (codes.COMMAND_OVERRIDE_PARAMETERS, codes.COMMAND_FETCH, codes.COMMAND_IMAGE_MATCH),
    (codes.COMMAND_FETCH, codes.COMMAND_IMAGE_MATCH),
    (codes.PARAMETER_URI,),
)
_VALIDATE = ((codes.COMMAND_IMAGE_MATCH,), (codes.COMMAND_IMAGE_MATCH,), ())
_INVOKE = ((codes.COMMAND_INVOKE,), (codes.COMMAND_INVOKE,), ())


def _components(reader):
    count = reader.array()
    components = []
    for _ in range(count):
        components.append(tuple([bytes(reader.bytes()) for _ in range(reader.array())]))
    if components != [(b"app",)]:
        raise ManifestError(codes.REASON_COMPONENT, 'the only component is ["app"]')
    return components


def _sequence(outer, rule):
    """Parse a command sequence; refuse what its rule doesn't allow or doesn't find."""
    allowed, required, parameters = rule
    reader = cbor.Reader(outer.bytes())
    count = reader.array()
    if count % 2:
        raise cbor.malformed("command sequence of odd length")
    commands = []
    for _ in range(count // 2):
        command = reader.int()
        if command not in allowed:
            raise ManifestError(codes.REASON_COMMAND, "command " + str(command))
        commands.append((command, _argument(reader, command, parameters)))
    reader.end()
    for command in required:
        if command not in [pair[0] for pair in commands]:
            raise ManifestError(codes.REASON_COMMAND, "missing command " + str(command))
    return commands


def _argument(reader, command, parameters):
    if command == codes.COMMAND_OVERRIDE_PARAMETERS:
        return {key: _parameter(reader, key, parameters) for key in reader.keys()}
    policy = reader.uint()
    if policy > _REP_POLICY_MAX:
        raise cbor.malformed("reporting policy out of range")
    return policy


def _parameter(reader, key, allowed):
    if key not in allowed:
        raise ManifestError(codes.REASON_PARAMETER, "parameter " + str(key))
    if key in (codes.PARAMETER_VENDOR, codes.PARAMETER_CLASS):
        return reader.bytes_of(16)
    if key == codes.PARAMETER_IMAGE_DIGEST:
        return read_digest(reader.bytes())
    if key == codes.PARAMETER_IMAGE_SIZE:
        return reader.uint()
    return reader.text()


def _image(commands):
    """Return the image that the sequences describe; with one component the last setting is the one in force."""
    parameters = _merged(commands)
    for key in _IMAGE_PARAMETERS:
        if key not in parameters:
            raise ManifestError(codes.REASON_PARAMETER, "missing parameter " + str(key))
    return Image(*[parameters[key] for key in _IMAGE_PARAMETERS])


_IMAGE_PARAMETERS = (codes.PARAMETER_IMAGE_DIGEST, codes.PARAMETER_IMAGE_SIZE, codes.PARAMETER_URI)


def _merged(commands):
    parameters = {}
    for command, argument in commands:
        if command == codes.COMMAND_OVERRIDE_PARAMETERS:
            parameters.update(argument)
    return parameters


def identity_of(manifest):
    """Return the (vendor, class) identifiers, 16 bytes each, that the shared sequence asks for."""
    parameters = _merged(manifest.shared)
    return parameters.get(codes.PARAMETER_VENDOR), parameters.get(codes.PARAMETER_CLASS)


def steps(manifest, sequence, identity):
    """Run the shared sequence, then `sequence`; yield each Effect and expect what came of it.

    Conditions on the device are decided here. A fetch or an invocation is answered with anything, an
    image match with its truth: False ends the run with ManifestError (suit-manifest §6.4).
    """
    parameters = {}
    for command, argument in manifest.shared + sequence:
        if command == codes.COMMAND_OVERRIDE_PARAMETERS:
            parameters.update(argument)
        elif command in _CONDITIONS:
            _require_identity(command, parameters, identity)
        else:
            answer = yield Effect(command, 0, parameters)
            if command == codes.COMMAND_IMAGE_MATCH and answer is not True:
                raise ManifestError(codes.REASON_IMAGE_DIGEST, "image is not the one that was signed")


# Condition on the device: the parameter it compares, its place in the identity, the reason when it differs.
_CONDITIONS = {
    codes.COMMAND_VENDOR: (codes.PARAMETER_VENDOR, 0, codes.REASON_VENDOR),
    codes.COMMAND_CLASS: (codes.PARAMETER_CLASS, 1, codes.REASON_CLASS),
}


def _require_identity(command, parameters, identity):
    parameter, place, reason = _CONDITIONS[command]
    if parameter not in parameters or parameters[parameter] != identity[place]:
        raise ManifestError(reason, "made for another device")


def execute(manifest, sequence, identity, perform):
    """Drive `steps` with a plain function `perform(effect) -> answer`."""
    run = steps(manifest, sequence, identity)
    try:
        effect = next(run)
        while True:
            effect = run.send(perform(effect))
    except StopIteration:
        return
