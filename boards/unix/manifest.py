"""What is frozen into the unix board: nothing from micropython-lib, so a release archive is enough."""

include("$(MPY_DIR)/extmod/asyncio")  # noqa: F821 (the manifest tool provides these names)
module("stage0.py")  # noqa: F821
