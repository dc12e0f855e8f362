"""Releases and anchors of every shape of the profile, and ways to make them almost right and sign them all the same."""

import random
from base64 import urlsafe_b64encode
from dataclasses import dataclass, field
from hashlib import sha256

import cbor2
import mutations
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256
from mutations import Map, Tag, Wrapped, encode

from pawl_tools.release import deflate

VENDOR, CLASS = bytes(range(16)), bytes(range(16, 32))
SMALL = bytes(n * n % 251 for n in range(90))
LARGE = b"".join(b"line %d of what compresses well\n" % n for n in range(260))[: 2 * 4096 + 17]
DATA = bytes(n * 7 % 253 for n in range(4096))


class SecretKey:
    """A key whose secret is a number: the same in every run; it signs without randomness."""

    def __init__(self, secret, algorithm=-9):
        self.algorithm = algorithm
        if algorithm == -19:
            self._private = ed25519.Ed25519PrivateKey.from_private_bytes(bytes([secret]) * 32)
            self.x, self.y = self._private.public_key().public_bytes_raw(), b""
        else:
            self._private = ec.derive_private_key(secret, ec.SECP256R1())
            point = self._private.public_key().public_numbers()
            self.x, self.y = point.x.to_bytes(32), point.y.to_bytes(32)

    def sign(self, message):
        if self.algorithm == -19:
            return self._private.sign(message)
        r, s = decode_dss_signature(
            self._private.sign(message, ec.ECDSA(SHA256(), deterministic_signing=True))
        )
        return r.to_bytes(32) + s.to_bytes(32)

    def cose(self, *, is_compressed=True):
        """Return the COSE key as a tree."""
        if self.algorithm == -19:
            return Map([[1, 1], [3, -19], [-1, 6], [-2, self.x]])
        y = bool(self.y[-1] & 1) if is_compressed else self.y
        return Map([[1, 2], [3, self.algorithm], [-1, 1], [-2, self.x], [-3, y]])

    def block(self, payload, aad=b"", /, **odd):
        """Return the COSE_Sign1 over a detached payload as a tree; `odd` replaces parts of it."""
        protected = odd.get("protected", cbor2.dumps({1: self.algorithm}))
        signature = self.sign(cbor2.dumps(["Signature1", protected, aad, payload]))
        return Tag(
            18,
            [
                [
                    protected,
                    odd.get("unprotected", Map([])),
                    odd.get("payload"),
                    odd.get("signature", signature),
                ]
            ],
        )


ROOT, DIRECTOR, STRANGER = SecretKey(101), SecretKey(102), SecretKey(103)
RELEASE = [SecretKey(110), SecretKey(111, -7), SecretKey(112, -19), SecretKey(113)]
RECOVERY = [SecretKey(120), SecretKey(121)]
FORMER = SecretKey(130)


def anchor_tree(threshold, *, with_recovery=True, barred=(), **odd):
    """Return the content of an anchor as a tree."""
    keys = [ROOT, DIRECTOR, *RELEASE, *RECOVERY, FORMER]
    roles = [[1, [[threshold, [2, 3, 4, 5]], [[1, [5, 8]]]]]]
    roles += [[2, [[1, [6, 7]], []]]] if with_recovery else []
    elements = {
        1: 1,
        2: 3,
        3: 1_700_000_000,
        4: 1_800_000_000,
        5: [key.cose(is_compressed=n % 3 != 0) for n, key in enumerate(keys)],
        6: [1, [0]],
        7: [1],
        8: Map(roles),
        9: sorted(barred),
        10: [b"certificate"],
        11: ["updates.example"],
    }
    return Map([[key, value] for key, value in (elements | odd).items()])


def anchor_file(tree, signers=(ROOT,)):
    """Return a signed anchor file; `tree` may be any tree."""
    content = encode(tree)
    return encode([content, [Wrapped([signer.block(content, b"pawl/anchor/1")]) for signer in signers]])


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
]


@dataclass(frozen=True)
class Case:
    """One bundle under one anchor, and how it was made."""

    raw: bytes
    anchor: bytes
    how: str


def make_case(seed, number):
    """Return an almost right release; the same seed and number give the same."""
    rng = random.Random(f"{seed}/{number}")
    release = rng.choice(SHAPES)()
    way = rng.choice(_WAYS)
    anchor = anchor_file(anchor_tree(release.threshold))
    made = way(rng, release)
    if isinstance(made, tuple):
        made, anchor = made
    return Case(made, anchor, f"{seed}/{number} {way.__name__}")


def any_bytes(rng, release):
    """The whole file is damaged, nothing is signed again."""
    return mutations.damage(rng, bundle(release))


def envelope_tree(rng, release):
    """Anything below the envelope, nothing is signed again."""
    return encode(mutations.mutate(rng, mutations.tree_of(bundle(release))))


def signed_manifest(rng, release):
    """The manifest is changed and signed by the right keys."""
    manifest = encode(mutations.mutate(rng, release.manifest()))
    return encode(envelope(authentication(manifest, release.signers), manifest, release.members()))


def signed_manifest_bytes(rng, release):
    """The manifest's bytes are damaged and signed by the right keys."""
    manifest = mutations.damage(rng, encode(release.manifest()))
    return encode(envelope(authentication(manifest, release.signers), manifest, release.members()))


def signed_index(rng, release):
    """An index is changed; its URI, members and the signed manifest follow it."""
    part = rng.choice(release.parts)
    before = part.uri
    part.index = mutations.mutate(rng, part.index)
    return _bundle_with(release, before, part.uri)


def signed_payload(rng, release):
    """Blocks of a deflated variant are others, rightly bound: cut, longer, stored, of another block."""
    part = rng.choice(release.parts)
    before = part.uri
    plain = [part.image[at : at + 4096] for at in range(0, len(part.image), 4096)]
    blocks = [rng.choice((deflate, bytes))(block) for block in plain]
    for _ in range(rng.randrange(3)):
        at = rng.randrange(len(blocks))
        blocks[at] = rng.choice(
            (
                blocks[at][:-1],
                blocks[at] + b"\0",
                plain[at],
                mutations.damage(rng, blocks[at]),
                _open_ended(plain[at]),
                b"",
            )
        )
    part.with_blocks(blocks)
    if rng.random() < 0.3:
        part.index[3].reverse()
        part.payloads = (
            {0: part.payloads[len(part.index[3]) - 1]} if len(part.index[3]) == 2 else part.payloads
        )
    return _bundle_with(release, before, part.uri)


def _open_ended(block):
    """Return DEFLATE data that holds all of the block and no end."""
    compressor = mutations.zlib_compressor()
    return compressor.compress(block) + compressor.flush(mutations.SYNC_FLUSH)


def _bundle_with(release, before, after):
    manifest = encode(release.manifest()).replace(before.encode(), after.encode())
    return encode(envelope(authentication(manifest, release.signers), manifest, release.members()))


def other_image(rng, release):
    """Image, digest or size are others than what was signed."""
    part = rng.choice(release.parts)
    members = release.members()
    key = rng.choice([key for key in members if isinstance(key, str)])
    kind = rng.randrange(5)
    if kind == 0:
        members[key] = mutations.damage(rng, members[key])
    elif kind == 1:
        members[rng.choice(("x", "#p:" + part.name + ":1", "#i:x", 16, 20, "#a:x"))] = members[key]
    elif kind == 2:
        del members[key]
    elif kind == 3:
        members[key + rng.choice(("", "=", "x"))] = members.pop(key)
    else:
        other = rng.choice(list(members))
        members[key], members[other] = members[other], members[key]
    manifest = encode(release.manifest())
    return encode(envelope(authentication(manifest, release.signers), manifest, members))


def signatures(rng, release):
    """Who signed, how often, with which headers, in which order."""
    manifest = encode(release.manifest())
    item = cbor2.dumps([-16, sha256(cbor2.dumps(manifest)).digest()])
    item = rng.choice(
        (item, item, item, cbor2.dumps([-16, bytes(32)]), cbor2.dumps([-44, item[3:]]), item + b"\0")
    )
    everyone = [*RELEASE, *RELEASE, *RECOVERY, ROOT, DIRECTOR, FORMER, STRANGER]
    blocks = [
        encode(_odd_block(rng, rng.choice(everyone), item))
        for _ in range(rng.choice((0, 1, 1, 2, 2, 3, 8, 9)))
    ]
    if rng.random() < 0.5:
        blocks = sorted(set(blocks) | {encode(signer.block(item)) for signer in release.signers})
    if rng.random() < 0.2:
        blocks.append(rng.choice(blocks or [b""]))
    return encode(envelope([item, *blocks], manifest, release.members()))


def _odd_block(rng, key, item):
    if rng.random() < 0.6:
        return key.block(item)
    odd = rng.choice(
        (
            {"protected": cbor2.dumps({1: rng.choice((-7, -8, -9, -19, 0, True))})},
            {
                "protected": rng.choice(
                    (b"", b"\xa0", b"\xa1\x01\x38\x08", b"\xbf\x01\x28\xff", b"\xa2\x01\x28\x01\x28")
                )
            },
            {"protected": cbor2.dumps({1: key.algorithm, 4: b"kid"})},
            {"protected": encode(Map([[1, key.algorithm], [1, key.algorithm]]))},
            {"unprotected": Map([[1, key.algorithm]])},
            {"unprotected": rng.choice(([], None, Map([[4, b"kid"]])))},
            {"payload": rng.choice((item, b"", False))},
            {"signature": rng.choice((bytes(64), bytes(63), b"\xff" * 64, b"", None))},
        )
    )
    block = key.block(item, **odd)
    return mutations.mutate(rng, block) if rng.random() < 0.3 else block


def the_anchor(rng, release):
    """The anchor is changed and signed by its root, the bundle is good."""
    barred = [sha256(cbor2.dumps(encode(release.manifest()))).digest()] if rng.random() < 0.1 else []
    tree = anchor_tree(release.threshold, with_recovery=rng.random() < 0.9, barred=barred)
    signers = rng.choice(((ROOT,), (ROOT,), (ROOT,), (ROOT, STRANGER), (STRANGER,), ()))
    if rng.random() < 0.15:
        return bundle(release), mutations.damage(rng, anchor_file(tree, signers))
    if rng.random() < 0.15:
        file = mutations.tree_of(anchor_file(tree, signers))
        return bundle(release), encode(mutations.mutate(rng, file))
    return bundle(release), anchor_file(mutations.mutate(rng, tree), signers)


_WAYS = [
    any_bytes,
    envelope_tree,
    envelope_tree,
    *[signed_manifest] * 5,
    signed_manifest_bytes,
    signed_index,
    signed_index,
    signed_payload,
    other_image,
    signatures,
    the_anchor,
    the_anchor,
]
