"""The unix port as a board: flash is a file, reset is an exit code, the launcher is power supply and watchdog."""
