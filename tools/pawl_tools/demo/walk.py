"""The demo's walk: provision, roll out in two groups with a power cut in between, attack, cut the power, look again."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from pawl_server.events import (
    AssignmentSettled,
    Event,
    HelloReceived,
    PhaseAsked,
    ReportReceived,
    RolloutChanged,
)
from pawl_server.rollouts import group_by_group
from pawl_tools.demo.applications import blinky, crashing
from pawl_tools.demo.fleet import Events, Watched
from pawl_tools.demo.result import DEVICES, Attack, Result
from pawl_tools.demo.screen import Screen
from pawl_tools.demo.thief import Thief
from pawl_tools.site import Site, short

RELEASE_SIGNERS = ("release-1", "release-2")
_RESUMES = "shop-1"


class Walk:
    """Everything in its order; `screen` shows it."""

    def __init__(self, site: Site, screen: Screen) -> None:
        self.site = site
        self.screen = screen
        self.result = Result()
        self.devices: dict[str, Watched] = {}
        self._thief = Thief(site)
        self._images = {version: blinky(version, site.toolchain) for version in (1, 2)}
        self._events: Events
        self._started = time.monotonic()

    @asynccontextmanager
    async def fleet(self) -> AsyncIterator[None]:
        """Broker, server and five powered devices, enrolled in their groups."""
        await self.site.start()
        self._events = Events(self.site.server.events(), self.devices)
        try:
            await self._provision()
            yield
        finally:
            await asyncio.gather(*[asyncio.to_thread(one.device.power_off) for one in self.devices.values()])
            await self.site.stop()

    async def _provision(self) -> None:
        self.screen.say(
            "demo", "keys (2 of 3 must sign a release), certificates, broker, server: made and started"
        )
        factory = self.site.release(self._images[1], 1, (1,), RELEASE_SIGNERS)
        for group, names in DEVICES.items():
            for name in names:
                watched = Watched(name, self.screen, asyncio.get_running_loop())
                watched.device = await self.site.provision(name, factory, watched.on_line)
                self.devices[name] = watched
            await self.site.server.groups.set_devices(group, names)
        waiting = set(self.devices)
        for watched in self.devices.values():
            watched.device.power_on()
        while waiting:
            event = await self._events.until(lambda event: isinstance(event, HelloReceived))
            waiting.discard(getattr(event, "device", ""))
        self.screen.say("demo", "5 devices run blinky 1 and said hello over MQTT-TLS")

    async def run(self) -> Result:
        """Update, attack, look again."""
        digest = await self._roll_out()
        await self._attack()
        await self._look_again(digest)
        self.result.seconds = round(time.monotonic() - self._started, 1)
        self.screen.summary(self.result)
        return self.result

    async def _roll_out(self) -> bytes:
        raw = self.site.release(self._images[2], 2, (2,), RELEASE_SIGNERS)
        digest = await self.site.server.import_release(raw)
        self.screen.say(
            "server", f"imported blinky 2 ({short(digest)}) after the device's own verifier accepted it"
        )
        self.devices[_RESUMES].kill_at(r"blocks 16/")
        await self.site.server.rollouts.create(group_by_group(digest, list(DEVICES)), name="blinky-2")
        while True:
            event = await self._events.until(lambda _: True)
            if isinstance(event, RolloutChanged) and event.state.value == "done":
                break
            self._note_progress(event)
        self.screen.say("server", "the rollout is done")
        self._note_resume()
        return digest

    def _note_progress(self, event: Event) -> None:
        if isinstance(event, PhaseAsked):
            group = list(DEVICES)[event.phase]
            if group == "production":
                self.result.is_ordered = sorted(self.result.succeeded) == sorted(DEVICES["canary"])
            self.screen.say("server", f"offers blinky 2 to group {group}: {event.devices} devices")
        elif isinstance(event, AssignmentSettled) and event.state.value == "succeeded":
            self.result.succeeded.append(event.device)
            self.screen.say(event.device, "runs blinky 2, confirmed, and says so in a signed report")

    def _note_resume(self) -> None:
        """The device that lost its power in mid-download told how many blocks it still had."""
        watched = self.devices[_RESUMES]
        before, after = "\n".join(watched.lines).partition("KILLED")[::2]
        held = [line for line in after.splitlines() if line.startswith("pawl: blocks")][:1]
        attack = Attack(name="power cut in mid-download", device=_RESUMES, expected="went on at block 16")
        if "blocks 16/" in before and held:
            attack.outcome = f"went on at block {held[0].split()[2].split('/')[0]}"
        self._note(attack)

    def _note(self, attack: Attack) -> None:
        self.result.attacks.append(attack)
        self.screen.say("attack", f"{attack.name}, on {attack.device}: {attack.outcome}")

    async def _attack(self) -> None:
        """Whoever owns broker, server and the director's key tries to get something else to run."""
        good = self.site.release(blinky(2, self.site.toolchain, 3), 3, (3,), RELEASE_SIGNERS)
        for name, device, raw, spoil, expected in (
            ("one bit flipped in the manifest", "canary-1", good, "manifest", "manifest-digest"),
            ("one bit flipped in a block", "canary-2", good, "block", "block-digest"),
            ("a release by unknown keys", "shop-1", self._signed(4, "stranger"), "", "unauthorised"),
            ("one signature too few", "shop-2", self._signed(4, "release-1"), "", "unauthorised"),
            ("the old release again", "shop-3", self._old(), "", "sequence-low"),
        ):
            digest = await self._thief.publish(raw, spoil=spoil)
            await self._thief.offer(device, digest)
            await self._await_refusal(Attack(name=name, device=device, expected=expected))
        await self._attack_with_a_foreign_offer(good)
        await self._attack_with_a_replayed_offer(good)
        await self._attack_with_a_crash()

    def _signed(self, sequence: int, *signers: str) -> bytes:
        return self.site.release(self._images[2], sequence, (sequence,), signers)

    def _old(self) -> bytes:
        return self.site.release(self._images[1], 1, (1,), RELEASE_SIGNERS)

    async def _await_refusal(self, attack: Attack) -> None:
        report = await self._events.until(
            lambda event: (
                isinstance(event, ReportReceived)
                and (event.device, event.event) == (attack.device, "refused")
            )
        )
        if isinstance(report, ReportReceived):
            attack.outcome = report.reason
        self._note(attack)

    async def _attack_with_a_foreign_offer(self, raw: bytes) -> None:
        """An offer that is good for one device does nothing to another (T08)."""
        digest = await self._thief.publish(raw)
        await self._thief.offer("canary-1", digest, to="shop-2")
        await self._await_console(
            Attack(name="an offer meant for another device", device="shop-2", expected="offer-device"), 61
        )

    async def _attack_with_a_replayed_offer(self, raw: bytes) -> None:
        """What answered an old nonce is dead after the next check-in."""
        digest = await self._thief.publish(raw)
        watched = self.devices["shop-3"]
        old = await self.site.server.device("shop-3")
        watched.device.kill()
        await self._events.until(lambda event: isinstance(event, HelloReceived) and event.device == "shop-3")
        await self._thief.offer("shop-3", digest, nonce=old.nonce if old else None)
        await self._await_console(
            Attack(name="an offer from before the last restart", device="shop-3", expected="offer-nonce"), 62
        )

    async def _await_console(self, attack: Attack, code: int) -> None:
        """A refused offer begins no job, so there is no report: the device counts it, and its console says so."""
        if await self.devices[attack.device].until_line(rf"^pawl: refused {code}$"):
            attack.outcome = attack.expected
        self._note(attack)

    async def _attack_with_a_crash(self) -> None:
        """A release that is signed as it must be and crashes: no attack on the keys, but on the release engineer's nerves."""
        raw = self.site.release(crashing(self.site.toolchain), 5, (5,), RELEASE_SIGNERS)
        digest = await self.site.server.import_release(raw)
        await self.site.server.assign("shop-3", digest)
        attack = Attack(
            name="a signed release that crashes", device="shop-3", expected="reverted after 3 trials"
        )
        settled = await self._events.until(
            lambda event: isinstance(event, AssignmentSettled) and event.device == "shop-3"
        )
        if isinstance(settled, AssignmentSettled) and settled.reason == "trials":
            crashes = self.devices["shop-3"].lines.count("pawl: application crashed")
            attack.outcome = f"reverted after {crashes} trials"
        self._note(attack)

    async def _look_again(self, digest: bytes) -> None:
        """Cut the power of all: what boots then is what the flash holds after all attacks."""
        self.screen.say("demo", "cuts the power of all devices")
        waiting = set(self.devices)
        for watched in self.devices.values():
            watched.version = ""
            watched.device.kill()
        while waiting:
            event = await self._events.until(lambda event: isinstance(event, HelloReceived))
            waiting.discard(getattr(event, "device", ""))
        for name, watched in self.devices.items():
            await watched.until_line(r"^blinky")
            seen = await self.site.server.device(name)
            is_same = seen is not None and seen.ratchet is not None and seen.ratchet.digest == digest
            if is_same and watched.version == "2":
                self.result.unmoved.append(name)
                self.screen.device(name, "boots blinky 2 again, confirmed")
