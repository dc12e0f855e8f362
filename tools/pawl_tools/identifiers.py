"""Vendor and class identifiers as people write them; the server reads them the same way."""

from pawl_server.domain.identifiers import class_id, vendor_id

__all__ = ["class_id", "vendor_id"]
