"""The attacker: owns network, broker, fleet server and the director's key. Signs offers, publishes what it likes."""

import time

from pawl import bundle, codes, cose, messages, suit, topics, trust
from pawl.ports.host.verifier import verify
from pawl_tools.errors import ToolError
from pawl_tools.site import Site

_AHEAD = 1000  # offer numbers that the server has not used yet


class Thief:
    """What somebody can do who stole everything but keys of root and release."""

    def __init__(self, site: Site) -> None:
        self._site = site
        self._anchor = trust.load(site.anchor_file, verify)

    async def offer(
        self, device: str, digest: bytes, *, to: str | None = None, nonce: bytes | None = None
    ) -> None:
        """Offer a release to a device, signed by the stolen key.

        `to` delivers it on another device's topic; `nonce` answers another one than the device's open one.
        """
        seen = await self._site.server.device(device)
        if seen is None or seen.nonce is None:
            raise ToolError(f"{device} has no open nonce: it should have said hello")
        target = await self._site.server.device(to or device)
        partition = target.partition if target else 0
        offer = messages.Offer(
            device=device,
            nonce=nonce or seen.nonce,
            number=seen.next_number + _AHEAD,
            time=int(time.time()),
            anchor=(self._anchor.version, self._anchor.digest),
            action=codes.OFFER_INSTALL,
            digest=digest,
            attempt=1,
            delay_s=None,
        )
        topic = topics.offer(partition, to or device)
        await self._site.publish_as_attacker([(topic, self._sign(offer), False)])

    def _sign(self, offer: messages.Offer) -> bytes:
        director = self._site.signers["director"]
        content = messages.write_offer(offer)
        protected = cose.protected_header(director.key.alg)
        signature = director.sign(cose.to_be_signed(protected, codes.AAD_OFFER, content))
        return cose.write_sign1(director.key.alg, content, signature, is_detached=False)

    async def publish(self, raw: bytes, *, spoil: str = "") -> bytes:
        """Put a release on the broker past the server, one bit flipped in its `manifest` or a `block`; return its digest."""
        release = bundle.Bundle(suit.Envelope(raw))
        envelope = release.wire_envelope()
        if spoil == "manifest":
            envelope = flipped(envelope, envelope.index(bytes(release.envelope.manifest)) + 20)
        contents = [
            (topics.release(release.envelope.digest), envelope, True),
            *((topics.index(part.digest), bytes(part.index_bytes), True) for part in release.contents),
        ]
        for listing, variant, number, payload in release.blocks():
            content = flipped(bytes(payload), 100) if spoil == "block" and number == 0 else bytes(payload)
            contents.append((topics.block(listing, variant.number, number), content, True))
        await self._site.publish_as_attacker(contents)
        return bytes(release.envelope.digest)


def flipped(content: bytes, place: int) -> bytes:
    """Return bytes with one bit of one byte flipped."""
    changed = bytearray(content)
    changed[place] ^= 1
    return bytes(changed)
