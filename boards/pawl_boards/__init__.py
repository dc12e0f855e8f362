"""Boards as tests see them: emulated by QEMU or Renode, or real ones on a serial port. Host code, never flashed."""
