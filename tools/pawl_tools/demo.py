"""`pawl demo`: one device is updated over MQTT-TLS from version 1 to 2, then attacked three times.

Succeeds only if the device says, signed, that it runs version 2 booted and confirmed, and that it refused each attack
for the right reason. Everything is real: mosquitto, TLS, SQLite, and a MicroPython process that boots from its flash.
"""

import asyncio
import hashlib
import json
import shutil
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path

from pawl import bundle, codes, cose, messages, suit, topics, trust
from pawl.errors import ManifestError
from pawl.names import reason_code, reason_name
from pawl.ports.host.verifier import verify
from pawl_server.events import AssignmentSettled, Event, HelloReceived, ReportReceived
from pawl_server.mqtt.broker import BrokerError
from pawl_server.mqtt.link import LinkError
from pawl_tools import pack, toolchain
from pawl_tools.errors import ToolError
from pawl_tools.launcher import Device
from pawl_tools.site import Site, flipped, short

DEVICE = "bench-1"
STEP_TIMEOUT_S = 60.0
_ASSET_BYTES = 100_000
_BLINKY = Path(__file__).resolve().parents[2] / "examples" / "blinky"


@dataclass(kw_only=True)
class Attack:
    """One attempt: what it was, the reason that must come back, and the one that did."""

    name: str
    expected: str
    reason: str = "not refused"

    @property
    def is_refused(self) -> bool:
        """Whether the device refused it for the right reason."""
        return self.reason == self.expected


@dataclass(kw_only=True)
class Result:
    """What the demo found; `is_good` is its exit code."""

    booted: str = ""
    is_confirmed: bool = False
    is_unmoved: bool = False
    attacks: list[Attack] = field(default_factory=list)
    seconds: float = 0.0

    @property
    def is_good(self) -> bool:
        """Whether the device runs version 2, confirmed, and every attack was refused and changed nothing."""
        all_refused = len(self.attacks) == 3 and all(attack.is_refused for attack in self.attacks)
        return self.booted == "2" and self.is_confirmed and all_refused and self.is_unmoved


def blinky(version: int, programs: toolchain.Toolchain, flavour: int = 0) -> bytes:
    """Return the image of a version of blinky, with as much data beside its code as a real application has."""
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch) / "blinky"
        shutil.copytree(_BLINKY / str(version), folder)
        seed = f"{version}.{flavour}".encode()
        pages = (
            hashlib.sha256(seed + number.to_bytes(2)).hexdigest() for number in range(_ASSET_BYTES // 64)
        )
        (folder / "assets.txt").write_text("".join(pages))
        return pack.pack_application(folder, programs)


class Demo:
    """The walk through; `say` gets one line at a time."""

    def __init__(self, site: Site, say: Callable[[str, str], None]) -> None:
        self.site = site
        self.say = say
        self.result = Result()
        self.images = {version: blinky(version, site.toolchain) for version in (1, 2)}
        self.console: list[str] = []
        self._events: AsyncIterator[Event]

    async def run(self) -> Result:
        """Update, then attack."""
        started = time.monotonic()
        await self.site.start()
        self._events = self.site.server.events()
        try:
            async with self._device() as device:
                digest = await self._update()
                await self._attack_block()
                await self._attack_manifest()
                await self._attack_key()
                await self._look_again(device, digest)
        finally:
            await self.site.stop()
        self.result.seconds = round(time.monotonic() - started, 1)
        return self.result

    @asynccontextmanager
    async def _device(self) -> AsyncIterator[Device]:
        factory = self.site.release(self.images[1], 1, (1,))
        device = await self.site.provision(DEVICE, factory, self._on_console)
        self.say(DEVICE, f"provisioned with blinky 1, {len(self.images[1])} bytes, in slot A")
        device.power_on()
        try:
            yield device
        finally:
            await asyncio.to_thread(device.power_off)

    def _on_console(self, line: str) -> None:
        self.console.append(line)
        for version in ("1", "2"):
            if line.startswith(f"blinky {version}:"):
                self.result.booted = version

    async def _until(self, wanted: Callable[[Event], bool]) -> Event:
        """Return the first event that is wanted, or fail with what the device said last."""
        try:
            async with asyncio.timeout(STEP_TIMEOUT_S):
                while True:
                    event = await anext(self._events)
                    if wanted(event):
                        return event
        except TimeoutError:
            lines = "\n  ".join(self.console[-12:])
            raise ToolError(
                f"nothing came for {STEP_TIMEOUT_S:.0f} s; the device's console:\n  {lines}"
            ) from None

    async def _update(self) -> bytes:
        await self._until(lambda event: isinstance(event, HelloReceived))
        self.say(DEVICE, "said hello over MQTT-TLS, with a fresh nonce")
        raw = self.site.release(self.images[2], 2, (2,))
        digest = await self.site.server.import_release(raw)
        self.say(
            "server", f"imported blinky 2, release {short(digest)}: the device's own verifier accepted it"
        )
        await self.site.server.assign(DEVICE, digest)
        self.say("server", f"published its blocks and offered it to {DEVICE}, signed by the director")
        await self._until(lambda event: isinstance(event, HelloReceived))
        self.say(DEVICE, "downloaded, verified and wrote slot B, and restarted into it for a trial")
        settled = await self._until(lambda event: isinstance(event, AssignmentSettled))
        self.result.is_confirmed = isinstance(settled, AssignmentSettled) and settled.state == "succeeded"
        said = "runs blinky 2, confirmed it, raised its ratchet, and said so in a signed report"
        self.say(DEVICE, said if self.result.is_confirmed else f"did not confirm blinky 2: {settled}")
        return digest

    async def _attempt(
        self, name: str, expected: str, digest: bytes, spoil: Callable[[], Awaitable[None]]
    ) -> None:
        """Publish a release, let the attacker spoil it on the broker, offer it, and wait for the device's verdict."""
        await self.site.server.publish_release(digest)
        await spoil()
        await self.site.server.assign(DEVICE, digest)
        await self._await_refusal(Attack(name=name, expected=expected))

    async def _await_refusal(self, attack: Attack) -> None:
        report = await self._until(
            lambda event: isinstance(event, ReportReceived) and event.event == "refused"
        )
        if isinstance(report, ReportReceived):
            attack.reason = report.reason
        self.result.attacks.append(attack)
        self.say(
            "attack", f"{attack.name}: refused by {DEVICE}, {attack.reason} ({reason_code(attack.reason)})"
        )

    async def _next_release(self, sequence: int) -> bundle.Bundle:
        raw = self.site.release(blinky(2, self.site.toolchain, sequence), sequence, (sequence,))
        await self.site.server.import_release(raw)
        return bundle.open_bundle(raw, trust.load(self.site.anchor_file, verify), verify)

    async def _attack_block(self) -> None:
        release = await self._next_release(3)
        variant, number, payload = next(found for found in release.blocks() if found[0] is release.index.best)
        topic = topics.block(release.index_digest, variant.number, number)
        spoiled = flipped(bytes(payload), 100)
        await self._attempt(
            "one bit flipped in a block",
            "block-digest",
            release.envelope.digest,
            lambda: self.site.publish_as_attacker([(topic, spoiled, True)]),
        )

    async def _attack_manifest(self) -> None:
        release = await self._next_release(4)
        envelope = release.wire_envelope()
        spoiled = flipped(envelope, envelope.index(bytes(release.envelope.manifest)) + 20)
        topic = topics.release(release.envelope.digest)
        await self._attempt(
            "one bit flipped in the manifest",
            "manifest-digest",
            release.envelope.digest,
            lambda: self.site.publish_as_attacker([(topic, spoiled, True)]),
        )

    async def _attack_key(self) -> None:
        """Whoever owns broker, server and the director's key still can't sign a release."""
        raw = self.site.release(self.images[2], 5, (5,), ["stranger"])
        try:
            await self.site.server.import_release(raw)
        except ManifestError as error:
            self.say(
                "attack", f"a release by an unknown key: refused by the server, {reason_name(error.code)}"
            )
        anchor = trust.load(self.site.anchor_file, verify)
        forged = bundle.Bundle(suit.Envelope(raw))
        digest = forged.envelope.digest
        device = await self.site.server.device(DEVICE)
        if device is None or device.nonce is None:
            raise ToolError("the device has no open nonce: it should have said hello")
        offer = messages.Offer(
            DEVICE,
            device.nonce,
            device.next_number,
            int(time.time()),
            (anchor.version, anchor.digest),
            codes.OFFER_INSTALL,
            digest,
            1,
            None,
        )
        await self.site.publish_as_attacker(
            [
                (topics.release(digest), forged.wire_envelope(), True),
                (topics.offer(device.partition, DEVICE), self._sign_offer(offer), False),
            ]
        )
        await self._await_refusal(
            Attack(
                name="a release by an unknown key, offered with the stolen director key",
                expected="unauthorised",
            )
        )

    def _sign_offer(self, offer: messages.Offer) -> bytes:
        director = self.site.signers["director"]
        content = messages.write_offer(offer)
        protected = cose.protected_header(director.key.alg)
        signature = director.sign(cose.to_be_signed(protected, codes.AAD_OFFER, content))
        return cose.write_sign1(director.key.alg, content, signature, is_detached=False)

    async def _look_again(self, device: Device, digest: bytes) -> None:
        """Cut the power: what boots then is what the flash holds after all attacks."""
        self.result.booted = ""
        device.kill()
        await self._until(lambda event: isinstance(event, HelloReceived))
        seen = await self.site.server.device(DEVICE)
        is_same = seen is not None and seen.ratchet is not None and seen.ratchet.digest == digest
        self.result.is_unmoved = is_same and seen is not None and seen.running == codes.RUNNING_B
        state = "boots blinky 2 from slot B" if self.result.is_unmoved else "was moved by an attack"
        self.say(DEVICE, f"after a power cut: {state}")


def run(*, as_json: bool) -> bool:
    """Run the demo in a scratch folder; return whether everything went as it must."""
    started = time.monotonic()

    def say(who: str, text: str) -> None:
        if not as_json:
            print(f"{time.monotonic() - started:5.1f} s  {who:<8} {text}", flush=True)

    say("demo", "makes keys, certificates, trust anchor, broker and server in a scratch folder")
    with tempfile.TemporaryDirectory(prefix="pawl-demo-") as folder:
        try:
            site = Site(Path(folder), toolchain.find(), int(time.time()))
            result = asyncio.run(Demo(site, say).run())
        except (BrokerError, LinkError) as error:
            raise ToolError(str(error)) from None
    print(json.dumps({"ok": result.is_good, **asdict(result)}, indent=2) if as_json else _verdict(result))
    return result.is_good


def _verdict(result: Result) -> str:
    refused = sum(attack.is_refused for attack in result.attacks)
    return "\n".join(
        [
            "",
            f"{'all as it must be' if result.is_good else 'NOT as it must be'} after {result.seconds} s:",
            f"  version that runs     {result.booted or 'none'}",
            f"  booted and confirmed  {'yes' if result.is_confirmed and result.is_unmoved else 'no'}",
            f"  attacks refused       {refused} of {len(result.attacks)}",
        ]
    )
