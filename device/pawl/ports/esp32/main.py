"""First module of the ESP32 behind `_boot.py`: its flash, its Wi-Fi, its signature check, handed to the boot."""

import network
import vfs

from pawl import p256, startup
from pawl.flash import Region
from pawl.ports.esp32 import wifi
from pawl.ports.esp32.flash import PartitionFlash, find
from pawl.ports.esp32.port import Port


def run(watchdog, layout):
    """Boot what is in the partition of Pawl; returns only by a reset, or raises what only a reset helps against."""
    partition = find(vfs.rom_ioctl, layout)
    flash = PartitionFlash(partition, memoryview(partition), layout)
    wanted = wifi.load([Region(flash, *layout.REGIONS[name]) for name in wifi.REGIONS])
    station = wifi.Station(network.WLAN(network.WLAN.IF_STA), wanted)
    startup.run(Port(watchdog, station), flash, layout.REGIONS, p256.verify)
