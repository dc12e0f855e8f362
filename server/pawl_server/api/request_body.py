"""A request's body, read before the application sees it: hashed while it comes in, let go of while it is handed over."""

import hashlib
from collections import deque

from starlette.types import Message, Receive


class DisconnectedError(Exception):
    """The client went away before its request was here."""


class Body:
    """All of a body, within the gate's limit."""

    def __init__(self, chunks: deque[bytes], digest: bytes, receive: Receive) -> None:
        self.digest = digest
        self._chunks = chunks
        self._receive = receive
        self._is_over = False

    @classmethod
    async def read(cls, receive: Receive) -> "Body":
        """Return the body; DisconnectedError if it never came, HTTPException if it is larger than the gate lets through."""
        chunks: deque[bytes] = deque()
        digest = hashlib.sha256()
        while True:
            message = await receive()
            if message["type"] != "http.request":
                raise DisconnectedError
            chunk = message.get("body", b"")
            digest.update(chunk)
            chunks.append(chunk)
            if not message.get("more_body"):
                return cls(chunks, digest.digest(), receive)

    async def receive(self) -> Message:
        """Be the application's receive."""
        if self._is_over:
            return await self._receive()
        chunk = self._chunks.popleft()
        self._is_over = not self._chunks
        return {"type": "http.request", "body": chunk, "more_body": not self._is_over}
