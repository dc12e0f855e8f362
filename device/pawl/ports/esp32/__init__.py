"""The ESP32: flash is one partition that MicroPython maps into memory, the network is Wi-Fi."""
