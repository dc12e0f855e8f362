"""Print a board's layout.py as a C header: each integer constant NAME becomes LAYOUT_NAME.

    layout_header.py ../virt_rv32/layout.py > layout.h

The linker script takes its numbers from the same header, so values carry no C suffix.
"""

import runpy
import sys


def main(path):
    """Print the header of the layout at `path`."""
    for name, value in runpy.run_path(path).items():
        if name.isupper() and isinstance(value, int):
            sys.stdout.write(f"#define LAYOUT_{name} {value:#x}\n")


main(sys.argv[1])
