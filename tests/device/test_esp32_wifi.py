"""The ESP32's Wi-Fi against a model of MicroPython's own API: the record, joining, and what is told when it can't."""

import asyncio

from esp32_model import Wlan
from support import new_region

from pawl import codes
from pawl.errors import TransportError
from pawl.ports import dates
from pawl.ports.esp32 import wifi
from pawl.ports.esp32.net import Path


def new_wifi_regions():
    """Return erased regions for both copies."""
    return [new_region(1), new_region(1)]


def test_the_wifi_record():
    """Both copies are written; either is enough; none is no network, and a board boots without."""
    regions = new_wifi_regions()
    assert wifi.load(regions) is None
    wanted = wifi.Network("Fabrik 3 \u00fc", "correct horse")
    wifi.write(regions, wanted)
    for region in regions:
        assert wifi.load(regions) == wanted
        region.erase()
    assert wifi.load(regions) is None


def test_wifi_names_and_keys_that_the_driver_would_cut_off():
    """32 bytes of name, 8 to 64 of key, or none for an open network."""
    regions = new_wifi_regions()
    for name, key in (("", "12345678"), ("\u00fc" * 17, "12345678"), ("net", "1234567"), ("net", "1" * 65)):
        try:
            wifi.write(regions, wifi.Network(name, key))
        except ValueError:
            continue
        raise AssertionError((name, key))
    wifi.write(regions, wifi.Network("\u00fc" * 16, ""))


def joined(station):
    """Return what joining says: None, or the fault's words."""
    try:
        asyncio.run(station.join(0.2))
    except TransportError as error:
        assert error.code == codes.REASON_LINK_LOST
        return error.detail
    return None


def test_wifi_is_joined_once():
    """The radio is turned on first; a second connection finds it joined; an open network has no key."""
    wlan = Wlan()
    station = wifi.Station(wlan, wifi.Network("net", ""))
    assert [joined(station) for _ in range(2)] == [None, None]
    assert wlan.calls == [("net", None)]


def test_wifi_says_what_is_wrong_and_begins_anew():
    """Each attempt names the driver's reason; when the cause is gone, the next one joins."""
    wlan = Wlan(201)
    station = wifi.Station(wlan, wifi.Network("net", "12345678"))
    for outcome, words in ((201, "no access point"), (202, "the key"), (Wlan.JOINING, "not joined in")):
        wlan.outcome = outcome
        assert words in joined(station)
    wlan.outcome = Wlan.JOINED
    assert joined(station) is None
    assert wlan.calls == [("net", "12345678")] * 4


def test_an_application_turned_the_radio_off():
    """Random numbers need it on; so does the network, which is joined again."""
    wlan = Wlan()
    station = wifi.Station(wlan, wifi.Network("net", "12345678"))
    assert joined(station) is None
    wlan.disconnect()
    wlan.active(False)
    assert len(station.random(20)) == 20
    assert wlan.is_active
    assert joined(station) is None
    assert len(wlan.calls) == 2


def test_without_a_wifi_record():
    """The next step is named, and the driver isn't asked."""
    wlan = Wlan()
    assert "provision" in joined(wifi.Station(wlan, None))
    assert wlan.calls == []


class Context:
    """What a port may set on a TLS context."""

    verify_callback = None


def test_dates_are_judged_by_the_floor():
    """Of a connection to a named server; in an anchor session nobody is judged. A certificate that can't be read has ended."""
    path = Path(wifi.Station(Wlan(), None))
    path.floor_s = 1795279500
    for server_name, is_judged in (("updates.example", True), (None, False)):
        context = Context()
        try:
            asyncio.run(path.open_stream(context, None, None, server_name))
        except TransportError as error:
            assert "provision" in error.detail
        assert (context.verify_callback is not None) == is_judged
        if is_judged:
            assert context.verify_callback(b"no certificate", 0) == dates.ENDED


def test_what_the_driver_refuses_is_a_fault_of_the_link():
    """Somebody else is joining already."""
    wlan = Wlan()
    wlan.active(True)
    wlan.connect("another", "12345678")
    wlan.outcome = Wlan.JOINING
    assert "Internal State" in joined(wifi.Station(wlan, wifi.Network("net", "12345678")))
