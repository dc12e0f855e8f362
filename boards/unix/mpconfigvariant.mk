# Pawl's variant of the unix port: what a device has, and `ffi` to map its flash file.

FROZEN_MANIFEST ?= $(VARIANT_DIR)/manifest.py

# Berkeley DB is a git submodule that release archives lack, and nothing here reads a btree.
MICROPY_PY_BTREE = 0

# The agent is one asyncio loop; a board without threads must be able to run it.
MICROPY_PY_THREAD = 0
