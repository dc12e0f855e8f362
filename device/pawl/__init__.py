"""Pawl on the device: verify, install, boot and report, with no trust in the path.

Runs unchanged on MicroPython 1.25+ and CPython 3.11+.
"""

__version__ = "0.1.0"
