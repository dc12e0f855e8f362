"""What the broker is given of a release: every index and block that a device may fetch, the envelope last."""

from fleet_bench import make_fleet
from release_factory import make_release

from pawl import bundle, index, suit, topics
from pawl.compat import sha256
from pawl_server import publishing
from pawl_tools import release

APP, OTHER, DATA = (bytes(n * n * step % 251 for n in range(9000)) for step in (3, 5, 7))


def test_every_index_and_block_is_published(tmp_path):
    """Of both slots' images and of the data, each under its own index."""
    raw = make_release(make_fleet(tmp_path).keys, image=release.Payload(app=(APP, OTHER), data=DATA))
    opened = bundle.Bundle(suit.Envelope(raw))
    parts = {part.topic: part.payload for part in parts.parts_of(opened)}
    for image in (APP, OTHER, DATA):
        uri = next(content.uri for content in opened.contents if bytes(content.image) == image)
        listing = index.read(parts[topics.index(index.digest_of(uri))], uri, len(image))
        assert sha256(parts[topics.index(index.digest_of(uri))]) == index.digest_of(uri)
        for variant in listing.variants:
            blocks = [
                listing.decode(variant, n, parts[topics.block(index.digest_of(uri), variant.number, n)])
                for n in range(listing.blocks)
            ]
            assert b"".join(bytes(block) for block in blocks) == image
    assert list(parts)[-1] == topics.release(opened.envelope.digest)
    assert bytes(parts[topics.release(opened.envelope.digest)]) == opened.wire_envelope()
