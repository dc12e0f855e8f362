"""Flash that loses power inside an operation: nothing, a part, or all of it happened, and nothing more until it is repaired."""

import random

from pawl.flash import MemoryFlash


class PowerCut(SystemExit):  # noqa: N818  # what happens, not an error; nothing in the device may catch it
    """The power went."""


class TornFlash(MemoryFlash):
    """Counts operations; the one that `cut` named is torn by its own random numbers."""

    def __init__(self, size, erase_bytes=4096, program_bytes=32):
        self.operations = 0
        self.is_dead = False
        self._left = None
        self._tear = random.Random(0)
        super().__init__(size, erase_bytes, program_bytes)

    def cut(self, after, seed):
        """Lose power inside the operation that follows `after` more."""
        self._left = after
        self._tear = random.Random(seed)

    def repair(self):
        """Switch on again; a cut that never came is called off. Returns whether there was one."""
        was_dead, self.is_dead, self._left = self.is_dead, False, None
        return was_dead

    def program(self, offset, data):
        """Program whole units, or a part of them and die."""
        if self._is_last():
            kept = bytearray(self.view(offset, len(data)))
            whole = self._tear.randrange(len(data) + 1)
            for place, byte in enumerate(data):
                fallen = byte if place < whole else byte | self._tear.randrange(256)
                kept[place] &= fallen
            super().program(offset, bytes(kept))
            raise PowerCut
        super().program(offset, data)

    def erase(self, offset):
        """Erase one sector, or a part of it and die."""
        if self._is_last():
            at = self._tear.randrange(self.erase_bytes + 1)
            kept = bytes(self.view(offset, self.erase_bytes))
            torn = b"\xff" * at + bytes(
                byte | self._tear.randrange(256) for byte in kept[at:]
            )
            self.store[offset : offset + self.erase_bytes] = torn
            raise PowerCut
        super().erase(offset)

    def _is_last(self):
        if self.is_dead:
            raise PowerCut
        self.operations += 1
        if self._left is None:
            return False
        self._left -= 1
        self.is_dead = self._left < 0
        return self.is_dead
