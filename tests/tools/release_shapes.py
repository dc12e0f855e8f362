"""Releases of every shape of the profile: trees that are open to change until they are signed."""

from base64 import urlsafe_b64encode
from dataclasses import dataclass, field, replace
from hashlib import sha256

import cbor2
from mutations import Map, Tag, Wrapped, encode
from release_keys import RECOVERY, RELEASE

from pawl_tools.release import deflate

VENDOR, CLASS = bytes(range(16)), bytes(range(16, 32))
SMALL = bytes(n * n % 251 for n in range(90))
LARGE = b"".join(b"line %d of what compresses well\n" % n for n in range(260))[: 2 * 4096 + 17]
DATA = bytes(n * 7 % 253 for n in range(4096))


def b64u(raw):
    return urlsafe_b64encode(raw).decode().rstrip("=")


def sequence(*items):
    """Return a command sequence as a tree."""
    return Wrapped([list(items)])


def parameters(**values):
    """Return (20, map) of parameters by name."""
    numbers = {
        "vendor": 1,
        "device_class": 2,
        "digest": 3,
        "slot": 5,
        "size": 14,
        "uri": 21,
        "priority": 27,
        "version": 28,
    }
    return 20, Map(sorted([numbers[name], value] for name, value in values.items()))


@dataclass
class Part:
    """An image, its index as a tree, and the payloads of its variants by number."""

    image: bytes
    index: list = field(default_factory=list)
    payloads: dict = field(default_factory=dict)

    def __post_init__(self):
        blocks = [self.image[at : at + 4096] for at in range(0, len(self.image), 4096)]
        self.index = self.index or [
            1,
            len(self.image),
            4096,
            [[0, None, len(self.image), None, _digests(blocks)]],
        ]

    def deflated(self):
        """Add the deflated variant."""
        blocks = [deflate(self.image[at : at + 4096]) for at in range(0, len(self.image), 4096)]
        return self.with_blocks(blocks)

    def with_blocks(self, blocks):
        """Add a variant of encoding 1 whose blocks are these, rightly bound whatever they inflate to."""
        lengths = b"".join(len(block).to_bytes(2) for block in blocks)
        self.payloads[len(self.index[3])] = b"".join(blocks)
        self.index[3].append([1, None, sum(map(len, blocks)), lengths, _digests(blocks)])
        return self

    @property
    def name(self):
        return b64u(sha256(encode(self.index)).digest())

    @property
    def uri(self):
        return "pawl:" + self.name

    @property
    def matched(self):
        """Return digest and size as parameters."""
        return {"digest": Wrapped([[-16, sha256(self.image).digest()]]), "size": len(self.image)}

    def members(self):
        payloads = {f"#p:{self.name}:{number}": payload for number, payload in self.payloads.items()}
        return {self.uri: self.image, "#i:" + self.name: encode(self.index)} | payloads


def _digests(blocks):
    return b"".join(sha256(block).digest() for block in blocks)


@dataclass
class Release:
    """What a bundle is made of, each piece open to change until `bundle` signs it."""

    parts: list
    components: list
    shared: list
    install: list
    validate: list
    invoke: list
    threshold: int = 1
    signers: tuple = (RELEASE[0],)
    extra: dict = field(default_factory=dict)
    elements: dict = field(default_factory=dict)

    def manifest(self):
        """Return the manifest as a tree."""
        common = Wrapped([Map([[2, [[name] for name in self.components]], [4, sequence(*self.shared)]])])
        version = Wrapped([[1, 4, 2]])
        elements = {1: 1, 2: 5, 3: common, 6: version, 7: sequence(*self.validate), 9: sequence(*self.invoke)}
        elements |= {20: sequence(*self.install)} | self.elements
        return Map([[key, elements[key]] for key in sorted(elements)])

    def members(self):
        members = dict(self.extra)
        for part in self.parts:
            members |= part.members()
        return members


def authentication(manifest, signers):
    """Return the authentication wrapper of a manifest as a tree."""
    item = cbor2.dumps([-16, sha256(cbor2.dumps(manifest)).digest()])
    return [item, *sorted(encode(signer.block(item)) for signer in signers)]


def envelope(wrapper, manifest, members):
    """Return the bundle; `wrapper` is a tree, members are put in order."""
    pairs = [[key, members[key]] for key in sorted(members, key=cbor2.dumps)]
    return Tag(107, [Map([[2, Wrapped([wrapper])], [3, manifest], *pairs])])


def bundle(release):
    """Return the bytes of a release that nothing is wrong with."""
    manifest = encode(release.manifest())
    return encode(envelope(authentication(manifest, release.signers), manifest, release.members()))


def app(image=SMALL):
    """Return a release of one image."""
    part = Part(image)
    return Release(
        parts=[part],
        components=[b"app"],
        shared=[*parameters(vendor=VENDOR, device_class=CLASS, **part.matched), 1, 2, 2, 2],
        install=[*parameters(uri=part.uri), 21, 2, 3, 2],
        validate=[3, 2],
        invoke=[23, 2],
    )


def app_deflated():
    """Return a release whose image has three blocks, in two variants."""
    release = app()
    part = Part(LARGE).deflated()
    release.parts = [part]
    release.shared[1] = parameters(vendor=VENDOR, device_class=CLASS, **part.matched)[1]
    release.install[1] = parameters(uri=part.uri)[1]
    return release


def app_of_three_signers():
    """Return a release that each algorithm signed; the threshold is 2."""
    release = app()
    release.threshold, release.signers = 2, tuple(RELEASE[:3])
    release.elements = {4: "https://updates.example/release"}
    return release


def app_and_data():
    """Return a release of two components."""
    one, two = Part(SMALL), Part(DATA).deflated()
    return Release(
        parts=[one, two],
        components=[b"app", b"data"],
        shared=[
            12,
            0,
            *parameters(vendor=VENDOR, device_class=CLASS, **one.matched),
            1,
            2,
            2,
            2,
            12,
            1,
            *parameters(**two.matched),
        ],
        install=[12, 0, *parameters(uri=one.uri), 21, 2, 3, 2, 12, 1, *parameters(uri=two.uri), 21, 2, 3, 2],
        validate=[12, 0, 3, 2, 12, 1, 3, 2],
        invoke=[12, 0, 23, 2],
    )


def recovery(*replaced):
    """Return a recovery release for these images, by default one."""
    part = Part(SMALL)
    named = [[12, 1, *parameters(**Part(image).matched), 3, 2] for image in replaced or (DATA,)]
    choice = named[0] if len(named) == 1 else [12, 1, 15, [sequence(*one) for one in named]]
    return Release(
        parts=[part],
        components=[b"app", b"running"],
        shared=[12, 0, *parameters(vendor=VENDOR, device_class=CLASS, **part.matched), 1, 2, 2, 2],
        install=[*choice, 12, 0, *parameters(uri=part.uri), 21, 2, 3, 2],
        validate=[12, 0, 3, 2],
        invoke=[12, 0, 23, 2],
        signers=(RECOVERY[0],),
    )


def recovery_of_several():
    """Return a recovery release that names three images by try-each."""
    return recovery(DATA, LARGE, SMALL)


def address_bound():
    """Return a release with another image for each slot."""
    parts = [Part(SMALL), Part(LARGE).deflated()]
    matched = [sequence(*parameters(slot=slot, **part.matched), 5, 2) for slot, part in enumerate(parts)]
    fetched = [sequence(*parameters(slot=slot, uri=part.uri), 5, 2) for slot, part in enumerate(parts)]
    return Release(
        parts=parts,
        components=[b"app"],
        shared=[*parameters(vendor=VENDOR, device_class=CLASS), 1, 2, 2, 2, 15, matched],
        install=[15, fetched, 21, 2, 3, 2],
        validate=[3, 2],
        invoke=[23, 2],
    )


def conditional():
    """Return a release that asks for a version and an authorization."""
    release = app()
    release.install[:2] = [
        *parameters(uri=release.parts[0].uri, priority=3, version=Wrapped([[2, [1, 0]]])),
        28,
        2,
        27,
        2,
    ]
    return release


def described():
    """Return a release with a severed text and two attachments."""
    release = app()
    attached = {f"#a:{b64u(sha256(content).digest())}": content for content in (b"an SBOM", b"a provenance")}
    lines = "".join(
        f"{name} {member}\n" for name, member in zip(("provenance.json", "sbom.json"), attached, strict=True)
    )
    text = cbor2.dumps({"en": {1: "What it is"}, "x-pawl": {1: lines}})
    release.elements = {23: [-16, sha256(cbor2.dumps(text)).digest()]}
    release.extra = {23: text, **attached}
    return release


def everything():
    """Return a recovery release of address-bound application and data that asks for whatever can be asked."""
    one, other, data = Part(SMALL), Part(LARGE).deflated(), Part(DATA)
    slots = list(enumerate([(one, data), (other, one)]))
    release = recovery(DATA, LARGE)
    version = Wrapped([[4, [1, 9]]])
    asks = [12, 0, *parameters(version=version), 28, 2, *parameters(version=Wrapped([[2, [1, 0]]])), 28, 2]
    matched = [
        [12, 0, *parameters(slot=slot, **app.matched), 5, 2, 12, 2, *parameters(**data.matched)]
        for slot, (app, data) in slots
    ]
    fetched = [
        [12, 0, *parameters(slot=slot, uri=app.uri), 5, 2, 12, 2, *parameters(uri=data.uri)]
        for slot, (app, data) in slots
    ]
    return replace(
        release,
        parts=[one, other, data],
        components=[b"app", b"running", b"data"],
        shared=[
            *(12, 0, *parameters(vendor=VENDOR, device_class=CLASS), 1, 2, 2, 2),
            *(15, [sequence(*branch) for branch in matched]),
        ],
        install=[
            *release.install[:4],
            *asks,
            *(15, [sequence(*branch) for branch in fetched]),
            *(12, 0, 21, 2, 3, 2, 12, 2, 21, 2, 3, 2),
        ],
        validate=[12, 0, 3, 2, 12, 2, 3, 2],
        signers=(RECOVERY[1],),
        elements={4: "https://updates.example/recovery"},
    )


SHAPES = [
    app,
    app_deflated,
    app_of_three_signers,
    app_and_data,
    recovery,
    recovery_of_several,
    address_bound,
    conditional,
    described,
    everything,
]
