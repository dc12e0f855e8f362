"""Access tokens: 32 random bytes, shown once; the store keeps their SHA-256 only.

token = await new_token(store, "ci", now_s)      # goes to its owner, and nowhere else
name = await name_of(store, token)
"""

import base64
import hashlib
import os

from pawl_server.domain.fleet import DEVICE_ID
from pawl_server.errors import InvalidError
from pawl_server.store import ConflictError, Store

TOKEN_BYTES = 32
TOKEN_MAX_CHARACTERS = 256
# Secret scanners find it by this.
_PREFIX = "pawl_"


async def new_token(store: Store, name: str, now_s: int) -> str:
    """Make and keep a token under a name of its own; ConflictError if that has one."""
    if not DEVICE_ID.fullmatch(name):
        raise InvalidError("name", f"{name!r} is no name: a-z, 0-9 and -, 63 at most, not - first")
    token = _PREFIX + base64.urlsafe_b64encode(os.urandom(TOKEN_BYTES)).rstrip(b"=").decode()
    async with store.writing() as transaction:
        if not await transaction.tokens.add(name, _digest(token), now_s):
            raise ConflictError(f"{name} has a token: choose another name")
    return token


async def name_of(store: Store, token: str) -> str | None:
    """Return whose token this is, or None."""
    if len(token) > TOKEN_MAX_CHARACTERS:
        return None
    async with store.reading() as transaction:
        return await transaction.tokens.name_of(_digest(token))


def _digest(token: str) -> bytes:
    # One round is enough: what is hashed has 256 random bits, and is no password.
    return hashlib.sha256(token.encode()).digest()
