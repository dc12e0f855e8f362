"""The device's MQTT client and TLS adapter, in MicroPython, against a real mosquitto."""

import asyncio
import os
import signal
import socket
import subprocess
import threading
from pathlib import Path

import pytest
from line_bridge import LineBridge

from pawl import codes
from pawl_server.mqtt.link import MqttLink
from pawl_tools.pki import Identity, create_authority, issue

ROOT = Path(__file__).resolve().parents[2]
MICROPYTHON = ROOT / "build" / "micropython" / "micropython"
PROGRAM = Path(__file__).with_name("mqtt_device.py")
HEAP = "512k"
TIMEOUT_S = 60
BLOCKS = 48


def _start(scenario, port, folder, *, name="updates.example", way="socket"):
    environment = dict(os.environ, MICROPYPATH=f"{ROOT / 'device'}:.frozen")
    command = [MICROPYTHON, "-X", f"heapsize={HEAP}", PROGRAM, scenario, str(port), name, folder, way]
    return subprocess.Popen(
        command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )


def _run(scenario, port, folder, **rest):
    with _start(scenario, port, folder, **rest) as process:
        output, _ = process.communicate(timeout=TIMEOUT_S)
    return output.strip()


def _flash(folder: Path, device: Identity, *authorities: Identity) -> Path:
    """Write what a device keeps: its certificate and key, and the authorities that it trusts."""
    folder.mkdir()
    device.write_der(folder, "device")
    for number, authority in enumerate(authorities):
        (folder / f"ca{number}.der").write_bytes(authority.certificate_der())
    return folder


@pytest.fixture
def device_folder(bench, tmp_path):
    """A provisioned device, bench-1, whose second authority is the right one."""
    return _flash(tmp_path / "device", bench.device("bench-1"), create_authority("Old"), bench.fleet)


async def _publish_blocks(bench):
    async def ignore(batch):
        raise AssertionError(batch)

    link = MqttLink(bench.link_settings("worker"), ignore)
    await link.start()
    for number in range(BLOCKS):
        await link.publish(f"pawl/b/i/0/{number}", bytes((number,)) * 4096, retain=True)
    await link.publish("pawl/b/i/0/9000", bytes(40000), retain=True)
    await link.publish("pawl/d/7/bench-2/offer", b"secret", retain=True)
    await link.stop()


def _received(bench, run):
    """Return what the server gets while `run` runs, and what that returned; blocks are published before."""

    async def scenario():
        got = []

        async def keep(batch):
            got.extend((message.topic, len(message.payload)) for message in batch)

        await _publish_blocks(bench)
        link = MqttLink(bench.link_settings(), keep)
        await link.start(["pawl/d/+/+/up/#"])
        output = await asyncio.to_thread(run)
        await asyncio.sleep(0.3)
        await link.stop()
        return got, output

    return asyncio.run(scenario())


def test_a_device_fetches_retained_blocks_in_windows_and_publishes(bench, device_folder, record_property):
    """Mutual TLS, 48 blocks of 4 KiB in windows of 8, messages acknowledged; another device's topic is not published."""
    with bench.broker():
        port = bench.settings.device_port
        got, output = _received(bench, lambda: _run("download", port, device_folder))
    record_property("device", output)
    assert output.startswith(f"blocks {BLOCKS} largest 4096 ms "), output
    assert got == [("pawl/d/7/bench-1/up/hello", 5), ("pawl/d/7/bench-1/up/report", 4096)]


def test_another_devices_offer_does_not_arrive(bench, device_folder):
    """The broker of 2.0 grants the subscription and delivers nothing; one that refuses it gives `link-denied`."""
    with bench.broker():
        _, output = _received(bench, lambda: _run("denied", bench.settings.device_port, device_folder))
    assert output in (f"refused {code}\nreceived 0" for code in (0, codes.REASON_LINK_DENIED)), output


def test_a_message_beyond_the_buffer_is_counted_and_passed_over(bench, device_folder):
    """40 000 bytes for a buffer of 8192, over TLS: the link and the other messages don't suffer."""
    with bench.broker():
        got, output = _received(bench, lambda: _run("oversized", bench.settings.device_port, device_folder))
    assert output == "oversized 1 blocks 1", output
    assert ("pawl/d/7/bench-1/up/hello", 5) in got


def test_a_server_that_is_not_trusted_is_refused(bench, device_folder, tmp_path):
    """Another authority, another server's name, a certificate of ours that the server doesn't know: `link-tls`."""
    device = bench.device("bench-3")
    other = create_authority("Pawl devices")
    wrong_ca = _flash(tmp_path / "wrong-ca", device, other)
    stranger = _flash(tmp_path / "stranger", issue(other, "bench-1", days=1), bench.fleet)
    with bench.broker():
        port = bench.settings.device_port
        rows = (
            (_run("download", port, wrong_ca), "isn't in the trust anchor, or memory ran out"),
            (_run("download", port, device_folder, name="evil.example"), "check the server name"),
            (_run("download", port, stranger), "it may not know our certificate"),
        )
    for output, words in rows:
        assert output.startswith(f"error {codes.REASON_LINK_TLS} ") and words in output, output


def test_a_certificate_that_has_ended_by_the_time_floor(bench, device_folder):
    """Judged by the device where its TLS compares no dates: a floor before the end changes nothing, one behind it is told."""
    with bench.broker():
        port = bench.settings.device_port
        _, output = _received(bench, lambda: _run("download", port, device_folder, way="0"))
        refused = _run("download", port, device_folder, way=str(1 << 33))
    assert output.startswith(f"blocks {BLOCKS} "), output
    words = "a certificate has ended by the time floor: renew it"
    assert refused == f"error {codes.REASON_LINK_TLS} {words}"


def test_unusable_certificates_are_named_before_connecting(bench, tmp_path):
    """Bytes that are no certificate, or no key: `link-tls`, and nothing is sent."""
    folder = _flash(tmp_path / "device", bench.device("bench-1"), bench.fleet)
    (folder / "ca0.der").write_bytes(b"no certificate")
    assert _run("download", 1, folder) == f"error {codes.REASON_LINK_TLS} invalid cert: DER expected, P-256"


def test_no_server_at_all(device_folder):
    """Nobody listens: `link-lost`, with the likely cause."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
        output = _run("download", port, device_folder)
    assert output.startswith(f"error {codes.REASON_LINK_LOST} connection refused"), output


def test_over_a_serial_line(bench, device_folder, record_property):
    """The same download and publications, TLS running over frames and credit in place of a socket."""
    with bench.broker(), LineBridge(bench.settings.device_port) as bridge:
        got, output = _received(bench, lambda: _run("download", bridge.port, device_folder, way="line"))
    record_property("device", output)
    assert output.startswith(f"blocks {BLOCKS} largest 4096 ms "), output
    assert got == [("pawl/d/7/bench-1/up/hello", 5), ("pawl/d/7/bench-1/up/report", 4096)]


def test_faults_over_a_serial_line(bench, device_folder, tmp_path):
    """TLS that isn't trusted is named as over a socket; a server that can't be reached as the bridge says it."""
    wrong_ca = _flash(tmp_path / "wrong-ca", bench.device("bench-3"), create_authority("Pawl devices"))
    stranger = _flash(tmp_path / "stranger", issue(create_authority("x"), "bench-1", days=1), bench.fleet)
    port = bench.settings.device_port
    tls, lost = codes.REASON_LINK_TLS, codes.REASON_LINK_LOST
    with bench.broker():
        rows = [
            (port, wrong_ca, tls, "isn't in the trust anchor, or memory ran out"),
            (port, stranger, tls, "it may not know our certificate"),
        ]
        outputs = [_run_over_line(row) for row in rows]
    rows.append((1, device_folder, lost, "the bridge can't reach the server"))
    outputs.append(_run_over_line(rows[-1]))
    for output, (_, _, code, words) in zip(outputs, rows, strict=True):
        assert output.startswith(f"error {code} ") and words in output, output


def _run_over_line(row):
    with LineBridge(row[0]) as bridge:
        return _run("download", bridge.port, row[1], way="line")


def test_a_broker_that_dies_behind_a_serial_line(bench, device_folder):
    """The bridge's goodbye ends the device's reader with `link-lost`."""
    with (
        bench.broker() as broker,
        LineBridge(bench.settings.device_port) as bridge,
        _start("until_lost", bridge.port, device_folder, way="line") as process,
    ):
        assert process.stdout.readline() == "connected\n"
        os.kill(broker.pid, signal.SIGKILL)
        output, _ = process.communicate(timeout=TIMEOUT_S)
    assert output.startswith(f"error {codes.REASON_LINK_LOST} "), output


def _serve_once(answer):
    """Listen, answer one connection with these bytes (None: never), and return (port, thread)."""
    listener = socket.create_server(("127.0.0.1", 0))

    def serve():
        with listener, listener.accept()[0] as connection:
            connection.settimeout(TIMEOUT_S)
            connection.recv(4096)
            connection.sendall(answer)

    thread = threading.Thread(target=serve)
    thread.start()
    return listener.getsockname()[1], thread


def test_a_port_that_does_not_speak_tls(device_folder):
    """Plain text, or an end in mid-handshake: `link-tls`."""
    for answer in (b"HTTP/1.1 400 Bad Request\r\n\r\n", b""):
        port, thread = _serve_once(answer)
        output = _run("download", port, device_folder)
        thread.join()
        assert output.startswith(f"error {codes.REASON_LINK_TLS} "), output


def test_a_broker_that_dies_is_a_lost_link(bench, device_folder):
    """The broker is killed: the device's reader ends with `link-lost`."""
    with (
        bench.broker() as broker,
        _start("until_lost", bench.settings.device_port, device_folder) as process,
    ):
        assert process.stdout.readline() == "connected\n"
        os.kill(broker.pid, signal.SIGKILL)
        output, _ = process.communicate(timeout=TIMEOUT_S)
    assert output.startswith(f"error {codes.REASON_LINK_LOST} "), output
