"""One folder a port: the only code that touches hardware, sockets or clocks."""
