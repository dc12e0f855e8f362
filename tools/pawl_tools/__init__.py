"""The `pawl` command and the library under it: keys, packing, signing, verifying, provisioning, the demo."""
