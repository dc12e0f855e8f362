"""A device that was off while its broker's authority was replaced finds its way back, with nothing replaced (T33)."""

import asyncio
import time

import pytest
from test_update import Rig

from pawl import codes, topics
from pawl_server.events import HelloReceived
from pawl_tools import pki, toolchain, trust
from pawl_tools.demo.applications import blinky
from pawl_tools.site import HOST, RELEASE_KEYS, SERVER_NAME_TLS


@pytest.fixture
def rig(tmp_path):
    return Rig(tmp_path)


def next_anchor(site, version, ca):
    """Return the site's anchor of a version that names this authority."""
    first = trust.load(site.anchor_file)
    plan = trust.Plan(
        version=version,
        issued=first.issued,
        expiry=first.expiry,
        root=trust.KeySet(threshold=1, keys=[site.signers["root"].key]),
        directors=[site.signers["director"].key],
        roles={
            codes.ROLE_APP_RELEASE: trust.KeySet(
                threshold=2, keys=[site.signers[name].key for name in RELEASE_KEYS]
            )
        },
        ca=[ca.certificate_der()],
        server_names=[SERVER_NAME_TLS],
    )
    return trust.build(plan, [site.signers["root"]])


def replace_authority(site):
    """Give the broker a certificate of a new authority; return the authority."""
    ca = pki.create_authority("New devices")
    tls = site.folder / "tls"
    for suffix in ("crt", "key"):
        (tls / f"broker-devices.{suffix}").unlink()
    pki.issue(ca, SERVER_NAME_TLS, server_names=(SERVER_NAME_TLS, HOST), days=30).write_pem(
        tls, "broker-devices"
    )
    return ca


def test_a_replaced_authority_is_learnt_without_tls(rig):
    """TLS fails, an anchor session brings versions 2 and 3, the device connects again and is updated."""
    programs = toolchain.find()
    hellos = []

    async def walk(rig):
        site = rig.site
        await asyncio.to_thread(rig.device.power_off)
        await asyncio.to_thread(site.broker.stop)
        ca = replace_authority(site)
        await asyncio.to_thread(site.broker.start)
        files = [next_anchor(site, 2, site.device_ca), next_anchor(site, 3, ca)]
        await site.publish_as_attacker([(topics.anchor(2 + at), file, True) for at, file in enumerate(files)])
        began = time.monotonic()
        rig.device.power_on()
        hellos.append(await rig.until(lambda event: isinstance(event, HelloReceived)))
        assert time.monotonic() - began < 30
        await rig.assign(blinky(2, programs), 2)
        assert (await rig.settled()).state == "succeeded"

    asyncio.run(rig.run(walk, blinky(1, programs)))
    console = "\n".join(rig.console)
    assert f"pawl: link {codes.REASON_LINK_TLS} " in console, console
    assert "anchor session" not in console, console  # it is only spoken of when it fails
    assert f"reason {codes.REASON_ANCHOR_ACCEPTED}" in console, console
