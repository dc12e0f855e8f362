"""A fleet's keys, anchor, releases and devices for server tests: real signatures, no broker."""

import base64
import sys
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from release_factory import CLASS, VENDOR, KeyPair, make_anchor, make_keys

from pawl import codes, cose, messages, suit_report, topics
from pawl.identity import partition_of
from pawl.ports.host.verifier import verify
from pawl.ratchet import Release as ConfirmedRelease
from pawl_server.domain.fleet import Enrolment
from pawl_server.judges import Judges
from pawl_server.offering import OfferDesk
from pawl_server.repository import Repository
from pawl_server.store import Store
from pawl_server.trust_chain import TrustChain

NOW_S = 1_800_000_000
BUNDLE_MAX_BYTES = 1 << 20


@dataclass(frozen=True, kw_only=True)
class FakeFleetDevice:
    """What a device keeps and sends, without flash and network: its id, its report key, its messages."""

    name: str
    keys: KeyPair = field(default_factory=KeyPair)

    @property
    def enrolment(self):
        """Return what provisioning tells the server."""
        return Enrolment(
            device=self.name,
            vendor=VENDOR,
            class_id=CLASS,
            report_x=self.keys.key.x,
            report_y=self.keys.key.y,
        )

    def enrolment_file(self):
        """Return what provisioning writes for the server."""
        values = self.enrolment
        return {
            "device": values.device,
            "partition": partition_of(values.device),
            "vendor": values.vendor.hex(),
            "class": values.class_id.hex(),
            "report_key": {
                "x": base64.b64encode(values.report_x).decode(),
                "y": base64.b64encode(values.report_y).decode(),
            },
        }

    def topic(self, kind):
        """Return where it publishes."""
        return topics.up(partition_of(self.name), self.name, kind)

    @property
    def offer_topic(self):
        """Return where it is sent offers."""
        return topics.offer(partition_of(self.name), self.name)

    def hello(self, nonce, *, boots=1, running=codes.RUNNING_A, **changes):
        """Return a hello; `changes` are fields of `pawl.messages.Hello`."""
        hello = messages.Hello(
            nonce=nonce,
            agent=("pawl test", 1),
            anchor=(1, bytes(32)),
            ratchets={codes.IMAGE_APP: confirmed(None)},
            slots={codes.IMAGE_APP: [(codes.SLOT_CONFIRMED, None, None), (codes.SLOT_EMPTY, None, None)]},
            running=running,
            failed=[],
            ids=(VENDOR, CLASS),
            encodings=1,
            boots=boots,
            time_floor=0,
            refusals={},
        )
        return messages.write_hello(hello._replace(**changes))

    def report(self, event, *, digest=None, subject=None, keys=None, **changes):
        """Return a signed report that `digest` is confirmed and `subject` (by default the same) is what it speaks of.

        `changes` are fields of `pawl.messages.Report`.
        """
        named = subject or digest
        report = messages.Report(
            device=self.name,
            boots=1,
            number=1,
            accepted=None,
            ratchets={codes.IMAGE_APP: confirmed(digest)},
            running=codes.RUNNING_A,
            event=event,
            reason=codes.REASON_OK,
            suit_report=named and speaking_of(named, changes.get("reason", codes.REASON_OK)),
        )
        content = messages.write_report(report._replace(**changes))
        message = cose.to_be_signed(cose.protected_header(codes.ALG_ESP256), codes.AAD_REPORT, content)
        return cose.write_sign1(codes.ALG_ESP256, content, (keys or self.keys).sign(message), False)


def speaking_of(digest, reason):
    """Return the SUIT_Report on a release; having it already is success, as devices say."""
    result = codes.REASON_OK if reason == codes.REASON_ALREADY_INSTALLED else reason
    return suit_report.write(suit_report.SuitReport(digest, "", codes.RUNNING_A, result))


def confirmed(digest):
    """Return the ratchet of a device that confirmed this release, or was only provisioned."""
    if digest is None:
        return ConfirmedRelease(0, None, None, None)
    return ConfirmedRelease(2, digest, (1, 0, 0), (bytes(32), 10))


@dataclass(frozen=True, kw_only=True)
class Fleet:
    """Keys and anchor in a folder, and what the server makes of them; `told` is what its store told so far."""

    folder: Path
    keys: object
    anchor: object
    chain: TrustChain
    judges: Judges
    desk: OfferDesk
    repository: Repository
    store: Store
    told: list

    def opened_offer(self, payload):
        """Return the offer that a device of this fleet finds in a message."""
        return messages.open_offer(payload, self.anchor.directors, verify)


def make_fleet(folder):
    """Write anchor and director key; return what a server would load."""
    keys = make_keys()
    (folder / "anchor").write_bytes(make_anchor(keys))
    director = folder / "director.pem"
    director.touch(mode=0o600)
    director.write_bytes(keys.director.pem())
    judges = Judges((folder / "anchor").read_bytes(), folder / "disagreements")
    anchor = judges.anchor
    chain = TrustChain((folder / "anchor").read_bytes(), [director])
    told = []
    return Fleet(
        folder=folder,
        keys=keys,
        anchor=anchor,
        chain=chain,
        judges=judges,
        desk=OfferDesk(authority=chain),
        repository=Repository(folder / "releases", judges, bundle_max_bytes=BUNDLE_MAX_BYTES),
        store=Store(folder / "pawl.sqlite", told.extend, lambda: NOW_S),
        told=told,
    )


@asynccontextmanager
async def open_store(store):
    """Open a store as the process that writes it."""
    await store.open()
    try:
        await store.take_fence()
        yield store
    finally:
        await store.close()
