"""The only SQLAlchemy: what the server keeps, in one database."""

from pawl_server.store.fence import FencedError
from pawl_server.store.schema import SchemaError
from pawl_server.store.store import Store
from pawl_server.store.transaction import ConflictError, Queued, Transaction

__all__ = ["ConflictError", "FencedError", "Queued", "SchemaError", "Store", "Transaction"]
