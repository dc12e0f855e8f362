"""What the agent asks of the ESP32: Wi-Fi, randomness of the radio, reset, and the watchdog of the chip."""

import machine

from pawl.ports.board import Board
from pawl.ports.esp32 import net


class Port(Board):
    """An ESP32; `watchdog` is a running machine.WDT. Its TLS compares no dates: the chip knows no time."""

    def __init__(self, watchdog, station):
        super().__init__(station.random, net.opener(station))
        self.watchdog = watchdog

    def reset(self):
        """Reset the chip."""
        machine.reset()

    def feed(self):
        """Feed the watchdog."""
        self.watchdog.feed()
