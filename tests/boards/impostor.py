"""Whoever owns broker and director's key: offers that no server made, of releases that no judge saw.

impostor = await Impostor.of(rig, "bench-1")
impostor.release(image, 7, signers=["stranger"])
await impostor.send(impostor.offer(digest))
"""

import time

from pawl import bundle, codes, cose, messages, suit, topics, trust
from pawl.identity import partition_of
from pawl.ports.host.verifier import verify
from pawl_tools import release, template
from pawl_tools.site import CLASS, RELEASE_KEYS, RELEASE_THRESHOLD, VENDOR

SIGNERS = RELEASE_KEYS[:RELEASE_THRESHOLD]


class Impostor:
    """Speaks to one device, under the nonce that it has open; numbers of its offers only rise, unless told."""

    def __init__(self, rig, name, nonce, anchor_file):
        self.nonce = nonce
        self.site = rig.site
        self._name = name
        anchor = trust.load(anchor_file, verify)
        self.anchor = anchor.version, anchor.digest
        self._number = 1000

    @classmethod
    async def of(cls, rig, name, anchor_file=None):
        """Wait until a device has signed for an answered check-in: then it waits for offers."""
        await rig.until(
            lambda event: getattr(event, "event", "") in {"checked", "noticed"} and event.device == name
        )
        device = await rig.site.server.device(name)
        return cls(rig, name, device.nonce, anchor_file or rig.site.anchor_file)

    def offer(self, digest, signer="director", **changes):
        """Return a signed offer to install a release."""
        self._number += 1
        values = {
            "device": self._name,
            "nonce": self.nonce,
            "number": self._number,
            "time": int(time.time()),
            "anchor": self.anchor,
            "action": codes.OFFER_INSTALL,
            "digest": digest,
            "attempt": 1,
            "delay_s": None,
            **changes,
        }
        content = messages.write_offer(messages.Offer(**values))
        key = self.site.signers[signer]
        message = cose.to_be_signed(cose.protected_header(key.key.alg), codes.AAD_OFFER, content)
        return cose.write_sign1(key.key.alg, content, key.sign(message), is_detached=False)

    async def send(self, offer):
        """Put an offer on the device's topic."""
        await self.site.publish_as_attacker(
            [(topics.offer(partition_of(self._name), self._name), offer, False)]
        )

    async def retain(self, *messages_retained):
        """Put (topic, payload) on the broker, retained."""
        await self.site.publish_as_attacker([(topic, payload, True) for topic, payload in messages_retained])

    def envelope(self, image, sequence, signers=SIGNERS, **changes):
        """Return (digest, envelope) of a release as devices fetch it; whether it is a good one nobody asks."""
        told = {"version": (sequence & 0xFFFFFFFF,), "vendor": VENDOR, "device_class": CLASS, **changes}
        body = template.manifest(
            [template.Image(content=image, uri="pawl:" + 43 * "A")],
            None,
            release.Statement(sequence=sequence, **told),
            None,
        )
        wrapper = release.sign(body, [self.site.signers[name] for name in signers])
        raw = suit.envelope_of(wrapper, body)
        return suit.Envelope(raw).digest, raw

    def messages_of(self, raw):
        """Return (digest, [(topic, payload), ...]) of a whole release: envelope, index, then every block of each variant."""
        found = bundle.Bundle(suit.Envelope(raw))
        content = found.app()
        parts = [(topics.index(content.digest), bytes(content.index_bytes))]
        parts += [
            (topics.block(digest, variant.number, number), bytes(payload))
            for digest, variant, number, payload in found.blocks()
        ]
        digest = bytes(found.envelope.digest)
        return digest, [(topics.release(digest), found.wire_envelope()), *parts]
