"""Stands for `pawl.ports.unix.main`: tells what is in use on the heap once the agent runs."""

import gc

from pawl.ports.unix import shipped
from pawl.ports.unix.port import Port


def run(flash_path, mapped, watchdog):
    """Boot as the shipped module does; print `bench: heap <bytes>` when the agent reaches a state."""
    log = Port.log

    def told(self, text):
        log(self, text)
        if text.startswith("state "):
            gc.collect()
            print("bench: heap", gc.mem_alloc())

    Port.log = told
    shipped.run(flash_path, mapped, watchdog)
