"""Boards have no clock: the end of certificates and anchors is judged by the time floor, their beginning by nothing."""

import asyncio
import time
from datetime import UTC, datetime, timedelta

from power import Power

from pawl import codes
from pawl_tools import pki
from pawl_tools.site import HOST, SERVER_NAME_TLS

NAME = "bench-1"
_DAY_S = 86_400
_DAYS = 30
# The site's anchors hold for a year.
_ENDED_LAST_WEEK_S = 372 * _DAY_S


async def _give_broker_certificate(site, begins):
    """Give the broker a certificate for 30 days from then on, and restart it."""
    tls = site.folder / "tls"
    for name in ("broker-devices.crt", "broker-devices.key"):
        (tls / name).unlink()
    made = pki.issue(
        site.device_ca, SERVER_NAME_TLS, server_names=(SERVER_NAME_TLS, HOST), days=_DAYS, now=begins
    )
    made.write_pem(tls, "broker-devices")
    await asyncio.to_thread(site.broker.stop)
    await asyncio.to_thread(site.broker.start)


def test_certificates_are_judged_by_the_time_floor(play, workshop):
    """A certificate that has ended is refused, one whose time hasn't come yet isn't: a floor can't say that."""

    async def walk(rig):
        now = datetime.now(UTC)
        power = await Power.of(rig, NAME, rig.release(workshop.steady(1), 1))
        await _give_broker_certificate(rig.site, now - timedelta(days=2 * _DAYS))
        await power.on()
        refused = await power.printed(f"pawl: link {codes.REASON_LINK_TLS} ")
        assert "expired" in refused or "has ended" in refused, refused
        assert (await rig.site.server.device(NAME)).boots is None, (
            "it said hello to a broker that it must refuse"
        )

        await _give_broker_certificate(rig.site, now + timedelta(days=2 * _DAYS))
        await power.assign(rig.release(workshop.steady(2), 2))
        assert (await power.settled()).state == "succeeded"
        await power.end_on(power.wanted)

    play(walk)


def test_anchors_expire_by_the_time_floor(play, workshop):
    """An anchor that has ended refuses installs once two offers a day apart said so, and not by one offer alone."""

    async def walk(rig):
        factory, release = (rig.release(workshop.steady(version), version) for version in (1, 2))
        once, twice = [await Power.of(rig, name, factory) for name in ("once", "twice")]
        offset, content = twice.judge.offered_a_day_ago(twice.board.read_flash(), int(time.time()) - _DAY_S)
        twice.board.write_flash(content, offset)
        for power in (once, twice):
            await power.on()
            await power.assign(release)
        assert (await once.settled()).state == "succeeded"
        refused = await twice.settled()
        assert (refused.state, refused.reason) == ("failed", codes.REASON_ANCHOR_EXPIRED)
        await once.end_on(once.wanted)
        await twice.end_on(twice.judge.know(factory))

    play(walk, anchor_age_s=_ENDED_LAST_WEEK_S)
