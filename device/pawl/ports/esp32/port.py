"""What the agent asks of the ESP32: Wi-Fi, randomness of the radio, reset, and the watchdog of the chip."""

import machine

from pawl import p256
from pawl.ports.board import Board
from pawl.ports.esp32.net import Path


class Port(Board):
    """An ESP32; `watchdog` is a running machine.WDT."""

    def __init__(self, watchdog, station):
        self.path = Path(station)
        super().__init__(station.random, self.path.open_stream)
        self.watchdog = watchdog

    sign = staticmethod(p256.sign)

    def set_time(self, now_s):
        """Judge the dates of certificates by the time floor: the chip knows no time, and its mbedTLS compares none."""
        self.path.floor_s = now_s

    def reset(self):
        """Reset the chip."""
        machine.reset()

    def feed(self):
        """Feed the watchdog."""
        self.watchdog.feed()
