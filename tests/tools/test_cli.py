"""The commands as a person types them: files they make, their modes, and what they say when they can't go on."""

import json
import stat
import subprocess
import sys
import time
from base64 import b64decode
from pathlib import Path

import pytest
from typer.testing import CliRunner

from pawl.ports.host import claim_code
from pawl_tools.cli import app
from pawl_tools.errors import ToolError

BLINKY = Path(__file__).resolve().parents[2] / "examples" / "blinky"


def pawl(*arguments):
    """Run a command that must succeed; return what it printed."""
    result = CliRunner().invoke(app, [str(argument) for argument in arguments], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.stdout


def fault(*arguments):
    """Run a command that must not succeed; return the line that `pawl` would print."""
    with pytest.raises(ToolError) as raised:
        CliRunner().invoke(app, [str(argument) for argument in arguments], catch_exceptions=False)
    return str(raised.value)


@pytest.fixture(scope="module")
def bench(tmp_path_factory):
    """A folder with keys, authority, anchor, and a signed release, made by the commands alone."""
    folder = tmp_path_factory.mktemp("bench")
    for name in ("root", "release", "director"):
        pawl("keys", "new", folder / name)
    pawl("ca", "new", folder / "ca")
    pawl(
        *("trust", "init", folder / "trust.cbor", "--root", folder / "root"),
        *("--release", folder / "release.pub", "--director", folder / "director.pub"),
        *("--ca", folder / "ca" / "ca.crt", "--server-name", "localhost"),
    )
    pawl("pack", BLINKY / "1", "-o", folder / "one.romfs")
    sign(folder, "one.pawl")
    return folder


def sign(folder, name, *, version="1.0", sequence=1):
    """Sign the packed image as a release."""
    pawl(
        *("release", "sign", folder / "one.romfs", "-o", folder / name, "--key", folder / "release"),
        *("--sequence", sequence, "--version", version, "--vendor", "example.com", "--class", "unix-board"),
    )
    return (folder / name).read_bytes()


def test_private_files_are_for_their_owner(bench):
    """Keys of all kinds have mode 0600."""
    for name in ("root", "release", "director", "ca/ca.key"):
        assert stat.S_IMODE((bench / name).stat().st_mode) == 0o600


def test_a_key_is_never_overwritten(bench):
    """Making a key under a name that is taken says so, and leaves the old one."""
    before = (bench / "root").read_bytes()
    assert "never overwritten" in fault("keys", "new", bench / "root")
    assert "never overwritten" in fault("ca", "new", bench / "ca")
    assert (bench / "root").read_bytes() == before


def test_same_folder_same_release(bench):
    """Packing and signing again gives the same bytes."""
    before = (bench / "one.romfs").read_bytes()
    pawl("pack", BLINKY / "1", "-o", bench / "again.romfs")
    assert (bench / "again.romfs").read_bytes() == before
    assert sign(bench, "again.pawl") == (bench / "one.pawl").read_bytes()


def test_images_hold_compiled_code_without_paths(bench):
    """What runs on a device names no folder of the machine it was packed on, and is no source."""
    image = (bench / "one.romfs").read_bytes()
    assert b"main.mpy" in image
    assert b"main.py" in image
    assert str(BLINKY).encode() not in image
    assert b"async def" not in image


def test_sign_judges_under_the_anchor_it_is_given(bench):
    """By a key that the anchor trusts: the same bytes as without; by another one: refused, nothing is written."""
    options = ("--sequence", 1, "--version", "1.0", "--vendor", "example.com", "--class", "unix-board")
    command = ("release", "sign", bench / "one.romfs", *options, "--trust", bench / "trust.cbor")
    pawl(*command, "-o", bench / "judged.pawl", "--key", bench / "release")
    assert (bench / "judged.pawl").read_bytes() == (bench / "one.pawl").read_bytes()
    said = fault(*command, "-o", bench / "foreign.pawl", "--key", bench / "director")
    assert "unauthorised" in said
    assert not (bench / "foreign.pawl").exists()


def test_signing_and_verifying_need_nothing_of_the_server():
    """Where the extra `server` isn't installed, both judges are there all the same."""
    program = "import sys, pawl_tools.read_back, pawl_tools.verification\nprint(*sys.modules)"
    ran = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    loaded = {name.split(".")[0] for name in ran.stdout.split()}
    assert "pawl_reader" in loaded
    assert not loaded & {"aiosqlite", "fastapi", "paho", "sqlalchemy", "uvicorn"}


def test_show_prints_what_was_signed(bench):
    """`show` of both files, as JSON."""
    release = json.loads(pawl("release", "show", bench / "one.pawl", "--json"))
    anchor = json.loads(pawl("trust", "show", bench / "trust.cbor", "--json"))
    assert (release["sequence"], release["version"], release["signatures"]) == (1, "1.0", 1)
    assert (anchor["version"], anchor["app-release"]) == (1, "1 of 1, 0 former sets may boot")


def provision(bench, folder, *more):
    """Return the arguments that provision a device."""
    return (
        *("provision", folder, "--device", "bench-1", "--trust", bench / "trust.cbor"),
        *("--release", bench / "one.pawl", "--ca", bench / "ca", "--broker", "localhost:8883"),
        *more,
    )


def test_provision_makes_a_device(bench, tmp_path):
    """A flash image for its owner's eyes, and an enrolment without a secret."""
    pawl(*provision(bench, tmp_path / "bench-1"))
    flash = tmp_path / "bench-1" / "flash.bin"
    enrolment = (tmp_path / "bench-1" / "enrolment.json").read_text()
    assert stat.S_IMODE(flash.stat().st_mode) == 0o600
    assert set(json.loads(enrolment)) == {"device", "partition", "vendor", "class", "report_key"}
    assert set(json.loads(enrolment)["report_key"]) == {"x", "y"}


def test_provision_prints_and_writes_the_claim_code(bench, tmp_path):
    """It holds the key of the enrolment file, for this device alone."""
    said = pawl(*provision(bench, tmp_path / "bench-1"))
    code = (tmp_path / "bench-1" / "claim-code.txt").read_text().strip()
    assert f"claim code: {code}\n" in said
    key = json.loads((tmp_path / "bench-1" / "enrolment.json").read_text())["report_key"]
    assert claim_code.read("bench-1", code) == (b64decode(key["x"]), b64decode(key["y"]))
    facts = json.loads(pawl(*provision(bench, tmp_path / "bench-2", "--json")))
    assert facts["claim_code"] == (tmp_path / "bench-2" / "claim-code.txt").read_text().strip()


def test_a_device_is_provisioned_once(bench, tmp_path):
    """A folder that exists is left alone."""
    (tmp_path / "bench-1").mkdir()
    assert "provisioned once" in fault(*provision(bench, tmp_path / "bench-1"))
    assert not list((tmp_path / "bench-1").iterdir())


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["keys", "new", "{folder}/x", "--algorithm", "rsa"], "esp256"),
        (["keys", "new", "{folder}/none/x"], "No such file"),
        (["pack", "{folder}", "-o", "{folder}/x"], "main.py"),
        (["pack", "{folder}/none", "-o", "{folder}/x"], "main.py"),
        (["trust", "show", "{folder}/one.pawl"], "not a valid trust anchor"),
        (["release", "show", "{folder}/trust.cbor"], "not a release"),
        (["release", "show", "{folder}/none"], "No such file"),
        (["device", "run", "{folder}"], "pawl provision"),
    ],
)
def test_faults_name_the_cause(bench, arguments, says):
    """One line that says what is wrong or what to do."""
    line = fault(*[argument.format(folder=bench) for argument in arguments])
    assert says in line
    assert "\n" not in line


@pytest.mark.parametrize(
    ("option", "value", "says"),
    [
        ("--sequence", 1 << 32, "32 bits"),
        ("--version", "1.x", "not a version"),
        ("--version", "1.2.3.4.5.6.7", "1 to 6 numbers"),
        ("--key", "{bench}/release.pub", "not an unencrypted private key"),
        ("--key", "{bench}/none", "cannot read"),
    ],
)
def test_sign_refuses_what_no_device_would_take(bench, option, value, says):
    """Nothing is written when a number or key is unusable."""
    options = {
        "--key": bench / "release",
        "--sequence": 1,
        "--version": "1.0",
        option: str(value).format(bench=bench),
    }
    arguments = [item for pair in options.items() for item in pair]
    command = ["release", "sign", bench / "one.romfs", "-o", bench / "bad.pawl", *arguments]
    assert says in fault(*command, "--vendor", "example.com", "--class", "unix-board")
    assert not (bench / "bad.pawl").exists()


def test_a_syntax_error_is_named(tmp_path):
    """A program that doesn't compile ends in the compiler's own last line."""
    (tmp_path / "main.py").write_text("def broken(:\n")
    line = fault("pack", tmp_path, "-o", tmp_path / "x.romfs")
    assert "SyntaxError" in line
    assert not (tmp_path / "x.romfs").exists()


def test_help_names_every_command():
    """`pawl --help` runs as a program and lists what there is."""
    ran = subprocess.run(
        [sys.executable, "-c", "from pawl_tools.cli import main; main()", "--help"],
        capture_output=True,
        text=True,
        check=True,
    )
    for command in (
        "keys",
        "ca",
        "trust",
        "pack",
        "release",
        "verify",
        "provision",
        "device",
        "demo",
        "group",
        "rollout",
        "server",
    ):
        assert command in ran.stdout


def many(bench, folder, *more):
    """Return the arguments that provision several devices."""
    return (
        *("provision", folder, "--trust", bench / "trust.cbor", "--release", bench / "one.pawl"),
        *("--ca", bench / "ca", "--broker", "localhost:8883", *more),
    )


def test_many_devices_at_once(bench, tmp_path):
    """From a count or a file: a folder each, with keys of their own."""
    said = pawl(*many(bench, tmp_path / "fleet", "--count", 3, "--prefix", "bench-"))
    assert "3 of 3 devices provisioned" in said
    (tmp_path / "ids.txt").write_text("left\n\n  right\r\n")
    pawl(*many(bench, tmp_path / "fleet", "--devices", tmp_path / "ids.txt"))
    folders = sorted(path.name for path in (tmp_path / "fleet").iterdir())
    assert folders == ["bench-1", "bench-2", "bench-3", "left", "right"]
    enrolments = [json.loads((tmp_path / "fleet" / one / "enrolment.json").read_text()) for one in folders]
    assert [one["device"] for one in enrolments] == folders
    assert len({one["report_key"]["x"] for one in enrolments}) == 5


def test_a_device_that_cannot_be_made_leaves_nothing_and_stops_no_other(bench, tmp_path):
    """Exit 1, its name and the cause; the others are whole."""
    (tmp_path / "bench-2").mkdir()
    arguments = many(bench, tmp_path, "--count", 3, "--prefix", "bench-")
    result = CliRunner().invoke(app, [str(one) for one in arguments], catch_exceptions=False)
    assert result.exit_code == 1
    assert "bench-2: not provisioned" in result.stderr and "2 of 3" in result.stdout
    assert sorted(path.name for path in tmp_path.rglob("*")) == sorted(
        ["bench-1", "bench-2", "bench-3", *["claim-code.txt", "enrolment.json", "flash.bin"] * 2]
    )


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ((), "one of --device"),
        (("--device", "a", "--count", 1), "one of --device"),
        (("--count", 0), "1 to 10000"),
        (("--count", 2, "--prefix", "No "), "no device id"),
        (("--devices", "{folder}/twice"), "listed twice"),
        (("--devices", "{folder}/none"), "No such file"),
        (("--devices", "{folder}/binary"), "no device id"),
    ],
)
def test_ids_are_looked_at_before_anything_is_made(bench, tmp_path, arguments, says):
    """One unusable id and there is no device at all."""
    (tmp_path / "twice").write_text("a\nb\na\n")
    (tmp_path / "binary").write_bytes(b"a\n\xff\x00\n")
    given = [str(argument).format(folder=tmp_path) for argument in arguments]
    assert says in fault(*many(bench, tmp_path / "fleet", *given))
    assert not (tmp_path / "fleet").exists()


def test_help_is_quick():
    """Nothing heavy is imported before a command runs: the best of three stays under 300 ms."""
    times = []
    for _ in range(3):
        started = time.monotonic()
        subprocess.run([Path(sys.executable).with_name("pawl"), "--help"], capture_output=True, check=True)
        times.append(time.monotonic() - started)
    assert min(times) < 0.3


def test_what_was_made_as_json(bench, tmp_path):
    """Commands that make files tell their names to a machine too."""
    made = json.loads(pawl("keys", "new", tmp_path / "key", "--json"))
    assert made == {"private": str(tmp_path / "key"), "public": str(tmp_path / "key.pub")}
    packed = json.loads(pawl("pack", BLINKY / "1", "-o", tmp_path / "x.romfs", "--json"))
    assert packed["bytes"] == (tmp_path / "x.romfs").stat().st_size
    authority = json.loads(pawl("ca", "new", tmp_path / "ca", "--json"))
    assert Path(authority["certificate"]).exists()


def test_the_install_policy_is_printed_from_its_table():
    """Rows 0 to 16 in order, each refusal with its reasons by name; as a table for people too."""
    rows = json.loads(pawl("policy", "--json"))
    assert [row["row"] for row in rows] == list(range(17))
    assert all(row["reasons"] for row in rows if row["decision"] == "refuse")
    assert rows[13]["reasons"] == ["quarantined", "quarantine-final"]
    lines = pawl("policy").splitlines()
    assert len(lines) == 18
    assert lines[-1].split() == ["16", "else", "install"]


def test_the_boot_table_is_printed_from_its_rows():
    """Rows 1 to 8 in order, as JSON and for people; the page is there too."""
    rows = json.loads(pawl("boot-table", "--json"))
    assert [row["row"] for row in rows] == list(range(1, 9))
    lines = pawl("boot-table").splitlines()
    assert len(lines) == 9
    assert lines[-1].split() == ["8", "else", "the", "agent", "alone"]
    assert pawl("boot-table", "--page").startswith("# Boot table\n")


def test_a_device_of_another_board(bench, tmp_path):
    """Its flash has that board's size, and it doesn't run here; an unknown board is refused before anything is made."""
    pawl(*provision(bench, tmp_path / "virt", "--board", "virt_rv32"))
    assert (tmp_path / "virt" / "flash.bin").stat().st_size == 32 * 1024 * 1024
    assert "another board than unix" in fault("device", "run", tmp_path / "virt")
    assert "unix, virt_rv32" in fault(*provision(bench, tmp_path / "none", "--board", "virt"))
    assert not (tmp_path / "none").exists()


def test_a_line_is_for_one_board(bench, tmp_path):
    """What can't work is said before anything is made; a device goes to the board that it was made for."""
    line = ("--line", "socket://127.0.0.1:1")
    assert "give its --device" in fault(*many(bench, tmp_path / "many", "--count", 2, *line))
    assert "powered on" in fault(*provision(bench, tmp_path / "one", *line))
    assert not list(tmp_path.iterdir())
    pawl(*provision(bench, tmp_path / "one"))
    assert "powered on" in fault("device", "write", tmp_path / "one", "--board", "unix", *line)
    assert "virt_rv32" in fault("device", "write", tmp_path / "one", "--board", "virt_rv32", *line)
