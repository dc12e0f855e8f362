"""The only SQLAlchemy: what the server keeps, in one database."""

from pawl_server.store.fence import FencedError
from pawl_server.store.leases import LeaseLostError
from pawl_server.store.schema import SchemaError
from pawl_server.store.store import MAIN_WORKER, Store
from pawl_server.store.transaction import ConflictError, Queued, Transaction

__all__ = [
    "MAIN_WORKER",
    "ConflictError",
    "FencedError",
    "LeaseLostError",
    "Queued",
    "SchemaError",
    "Store",
    "Transaction",
]
