"""Boards with our own firmware: the C module `_board` gives flash, the serial line, entropy, reset and watchdog."""
