"""From the director's choice to a signed message in the outbox, with the rows that belong to it."""

from dataclasses import dataclass
from typing import Protocol

from pawl import topics
from pawl_server.domain import director
from pawl_server.domain.changes import Changes, Outgoing
from pawl_server.domain.director import AnchorReference
from pawl_server.domain.fleet import Assignment, Device
from pawl_server.events import OfferMade
from pawl_server.signing import Signer


class Authority(Protocol):
    """What offers are made under; both change when an anchor is imported."""

    @property
    def reference(self) -> AnchorReference:
        """The newest anchor."""

    @property
    def signer(self) -> Signer:
        """The key that the newest anchor names as a director."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OfferDesk:
    """Makes offers under the newest anchor; whoever lets a device or its assignment change comes here."""

    authority: Authority

    def serve(
        self,
        changes: Changes,
        device: Device,
        assignment: Assignment | None,
        now_s: int,
        *,
        spread_s: int = 0,
    ) -> OfferMade | None:
        """Put device, assignment and, if a nonce is open, the next offer into the changes."""
        issued = director.make_offer(device, assignment, self.authority.reference, now_s, spread_s)
        changes.devices[device.name] = issued.device if issued else device
        current = issued.assignment if issued else assignment
        if current is not None:
            changes.keep_assignment(current)
        if issued is None:
            return None
        offer = issued.offer
        changes.offers[device.name] = Outgoing(
            topic=topics.offer(device.partition, device.name),
            payload=self.authority.signer.sign_offer(offer),
            device=device.name,
        )
        return OfferMade(device=device.name, number=offer.number, action=offer.action, release=offer.digest)
