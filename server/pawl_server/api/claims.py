"""What a device says of itself in its hello: unsigned, for people to see, never to decide by."""

from typing import Any, Literal, Self

from pydantic import BaseModel

from pawl import codes
from pawl.index import b64u
from pawl.names import reason_name

_STATES = {getattr(codes, name): name[5:].lower() for name in dir(codes) if name.startswith("SLOT_")}


class SlotClaim(BaseModel):
    """A slot as the device describes it."""

    state: str
    release: str | None
    sequence: int | None


class FailedClaim(BaseModel):
    """A release that failed on the device, and how often it says it tried."""

    release: str
    attempts: int
    reason: str


class LogEntryView(BaseModel):
    """An entry of the device's log; `boot` and `uptime_s` say when, `detail` is a manifest digest where there is one."""

    boot: int
    uptime_s: int
    reason: str
    detail: str | None

    @classmethod
    def of(cls, entry: tuple[int, int, int, bytes | None]) -> Self:
        """Return the view of an entry of `pawl.heard.read_log`."""
        boot, uptime, code, detail = entry
        return cls(
            boot=boot, uptime_s=uptime, reason=reason_name(code), detail=b64u(detail) if detail else None
        )


class ClaimsView(BaseModel):
    """The last hello; `refusals` counts what the device refused since its reset, by reason."""

    signed: Literal[False] = False
    agent: str
    anchor_version: int
    anchor_digest: str
    time_floor_s: int
    slots: list[SlotClaim]
    failed: list[FailedClaim]
    refusals: dict[str, int]

    @classmethod
    def of(cls, hello: Any) -> Self:
        """Return the view of a `pawl.messages.Hello`."""
        return cls(
            agent=hello.agent[0],
            anchor_version=hello.anchor[0],
            anchor_digest=b64u(hello.anchor[1]),
            time_floor_s=hello.time_floor,
            slots=[_slot(*slot) for slot in hello.slots.get(codes.IMAGE_APP, [])],
            failed=[
                FailedClaim(release=b64u(digest), attempts=attempts, reason=reason_name(reason))
                for digest, attempts, reason in hello.failed
            ],
            refusals={reason_name(reason): count for reason, count in hello.refusals.items()},
        )


def _slot(state: int, digest: bytes | None, sequence: int | None) -> SlotClaim:
    return SlotClaim(state=_STATES[state], release=b64u(digest) if digest else None, sequence=sequence)
