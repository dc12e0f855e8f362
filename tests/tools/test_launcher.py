"""The unix board's power supply."""

import threading

from pawl_tools import launcher, toolchain


class CutWhileStarting(launcher.Device):
    """Its power goes after it was decided to start a process, and before there is one."""

    def start_code(self, watchdog):
        cut = threading.Thread(target=self.power_off, daemon=True)
        cut.start()
        while self._is_powered:
            pass
        return "while True: pass"


def test_power_that_goes_while_a_process_starts_leaves_none(tmp_path):
    """The process that comes up too late is killed at once: nobody else would."""
    (tmp_path / "flash.bin").touch()
    device = CutWhileStarting(tmp_path, tmp_path / "agent", toolchain.find(), watchdog_timeout_s=20)
    device.power_on()
    device._thread.join(timeout=10)
    assert not device._thread.is_alive()
