"""The director of a history: honest, silent, or lying in one of the ways that its key, or somebody else's, allows."""

from typing import NamedTuple

import factory
from model import digest_of
from signing import signer

from pawl import codes, messages

STRANGER = 106
# What a thief of the director's key may say, besides `wanted` being whatever was ever signed.
LIES = ("attempt", "hold", "none", "future", "newer-anchor")
# What no device may follow: each must be counted.
FORGERIES = ("stranger", "device", "nonce", "fork-anchor", "former-key", "replay")


class Given(NamedTuple):
    """An install that was asked for; `key` is the number of the signer."""

    digest: bytes
    attempt: int
    key: int


class Director:
    """Answers hellos; `given` is what devices were asked to install since their boot, `made` every offer ever made."""

    def __init__(self, chain):
        self.chain = chain
        self.wanted = None
        self.lie = None
        self.number = 0  # that a lie is told with
        self.given = []
        self.made = []
        self.former = []  # numbers of keys that were replaced
        self.latest_s = 0  # the highest time told
        self.told = 0  # how often the lie was told
        self.is_silent = False

    @property
    def key(self):
        """Return the number of the key that the newest anchor names."""
        return self.chain.head.directors[0]

    def answer(self, hello, now_s):
        """Return the offer for a hello, or None."""
        if self.is_silent:
            return None
        if self.lie == "replay":
            self.told += bool(self.made)
            return self.made[self.number % len(self.made)] if self.made else None
        values = self._honest(hello, now_s)
        key = self._bend(values)
        self.told += self.lie is not None
        self.latest_s = max(self.latest_s, values["time"])
        if values["action"] == codes.OFFER_INSTALL:
            self.given.append(Given(values["digest"], values["attempt"], key))
        content = messages.write_offer(messages.Offer(**values))
        raw = signer(key).sign(content, codes.AAD_OFFER, False)
        self.made.append(raw)
        return raw

    def _honest(self, hello, now_s):
        failed = {entry[0]: entry[1] for entry in hello.failed}
        head = self.chain.head
        return {
            "device": "bench-1",
            "nonce": hello.nonce,
            "number": 0,
            "time": factory.ISSUED + 10 + int(now_s),
            "anchor": (head.version, digest_of(head)),
            "action": codes.OFFER_INSTALL if self.wanted else codes.OFFER_NONE,
            "digest": self.wanted,
            "attempt": failed.get(self.wanted, 0) + 1 if self.wanted else None,
            "delay_s": None,
        }

    def _bend(self, values):
        """Change an offer as the lie says; return the number of the key that signs it."""
        head = self.chain.head
        changes = {
            "attempt": {"attempt": self.number + 1 if self.wanted else None},
            "hold": {"action": codes.OFFER_HOLD, "digest": None, "attempt": None},
            "none": {"action": codes.OFFER_NONE, "digest": None, "attempt": None},
            "future": {"time": head.expiry + 1000 + values["time"] - factory.ISSUED},
            "newer-anchor": {"anchor": (head.version + 1, bytes(32))},
            "fork-anchor": {
                "anchor": (head.version, bytes(32)),
                "action": codes.OFFER_INSTALL,
                "digest": self.wanted or bytes(32),
                "attempt": 1,
            },
            "device": {"device": "bench-2"},
            "nonce": {"nonce": bytes(16)},
        }
        values.update(changes.get(self.lie, {}))
        if self.lie == "stranger":
            return STRANGER
        return self.former[-1] if self.lie == "former-key" and self.former else self.key
