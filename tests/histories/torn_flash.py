"""Flash that loses power inside an operation: nothing, a part, or all of it happened, and nothing more until it is repaired.

Whoever watches it is told of every operation: what the device does to its flash is seen here, whatever it says.
"""

import random

from pawl.flash import MemoryFlash


class PowerCut(SystemExit):  # what happens, not an error; nothing in the device may catch it
    """The power went."""


class TornFlash(MemoryFlash):
    """Counts operations; the one that `cut` named is torn by its own random numbers.

    `watch(offset, data)` is called after each program that was kept whole, with data None before each erase.
    """

    def __init__(self, size, erase_bytes=4096, program_bytes=32):
        self.watch = None
        self.is_dead = False
        self.cuts = 0
        self._armed = []
        self._tear = random.Random(0)
        super().__init__(size, erase_bytes, program_bytes)

    def cut(self, after, seed, span=None):
        """Lose power inside the operation that follows `after` more in this span of flash; cuts come one after the other."""
        self._armed.append([after, random.Random(seed), span or (0, len(self.store))])

    def call_off(self):
        """Forget the cuts that have not come."""
        self._armed = []

    def repair(self):
        """Switch on again; return whether there was a cut."""
        was_dead, self.is_dead = self.is_dead, False
        return was_dead

    def program(self, offset, data):
        """Program whole units, or a part of them and die."""
        is_last = self._is_last(offset)
        super().program(offset, self._torn(offset, data) if is_last else data)
        if self.watch and self.view(offset, len(data)) == data:
            self.watch(offset, bytes(data))
        if is_last:
            raise PowerCut

    def _torn(self, offset, data):
        """Return what is programmed of the data: whole bytes first, of the others some bits."""
        kept = bytearray(self.view(offset, len(data)))
        whole = self._tear.randrange(len(data) + 1)
        for place, byte in enumerate(data):
            kept[place] &= byte if place < whole else byte | self._tear.randrange(256)
        return bytes(kept)

    def erase(self, offset):
        """Erase one sector, or a part of it and die."""
        is_last = self._is_last(offset)
        if self.watch:
            self.watch(offset, None)
        if not is_last:
            return super().erase(offset)
        at = self._tear.randrange(self.erase_bytes + 1)
        kept = self.view(offset + at, self.erase_bytes - at)
        torn = bytes(byte | self._tear.randrange(256) for byte in kept)
        self.store[offset : offset + self.erase_bytes] = b"\xff" * at + torn
        raise PowerCut

    def _is_last(self, offset):
        if self.is_dead:
            raise PowerCut
        if not self._armed:
            return False
        start, size = self._armed[0][2]
        if not start <= offset < start + size:
            return False
        self._armed[0][0] -= 1
        self.is_dead = self._armed[0][0] < 0
        if self.is_dead:
            self._tear = self._armed.pop(0)[1]
            self.cuts += 1
        return self.is_dead
