"""A host as a port: the device's verifier with a library's signature primitive in place of big-int P-256."""
