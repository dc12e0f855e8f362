"""What the agent asks of the ESP32: Wi-Fi, randomness of the radio, reset, and the watchdog of the chip."""

import machine
import os

from pawl import line
from pawl.ports.board import Board
from pawl.ports.esp32 import net


class Port(Board):
    """An ESP32; `watchdog` is a running machine.WDT. Its TLS compares no dates: the chip knows no time."""

    def __init__(self, watchdog, station):
        super().__init__()
        self.watchdog = watchdog
        self.station = station

    def random(self, count):
        """Return random bytes: the generator is fed by the radio, which is turned on for it."""
        self.station.power()
        return os.urandom(count)

    async def open_stream(self, context, identity, target, server_name):
        """Return a stream over TCP to the broker, or to the anchor listener on its host."""
        port = identity.port if target == line.BROKER else identity.anchor_port
        return await net.open_stream(self.station, context, identity.host, port, server_name)

    def reset(self):
        """Reset the chip."""
        machine.reset()

    def feed(self):
        """Feed the watchdog."""
        self.watchdog.feed()
