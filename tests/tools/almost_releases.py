"""Ways to make a release or an anchor almost right, and to sign it all the same."""

import random
from dataclasses import dataclass
from hashlib import sha256

import cbor2
import generated_releases
import mutations
import near_misses
from mutations import Map, encode
from release_keys import DIRECTOR, FORMER, RECOVERY, RELEASE, ROOT, STRANGER, anchor_file, anchor_tree
from release_shapes import SHAPES, authentication, bundle, envelope

from pawl_tools.release import deflate


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


def make_manifest(seed, number):
    """Return the bytes of a manifest that is almost right, half of them from the grammar."""
    rng = random.Random(f"manifest/{seed}/{number}")
    is_generated = rng.random() < 0.5
    release = generated_releases.generated(rng) if is_generated else rng.choice(SHAPES)()
    if not is_generated or rng.random() < 0.4:
        near_misses.edit(rng, release)
    return encode(release.manifest())


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


def near_miss(rng, release):
    """An edit that knows the profile, then signed."""
    near_misses.edit(rng, release)
    return bundle(release)


def generated_manifest(rng, _):
    """A manifest from the grammar, signed; edited now and then."""
    release = generated_releases.generated(rng)
    if rng.random() < 0.3:
        near_misses.edit(rng, release)
    return bundle(release)


_WAYS = [
    *[near_miss] * 8,
    *[generated_manifest] * 4,
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
