"""A fleet's people: keys by name, and the commands as each of them types them."""

from types import SimpleNamespace

from typer.testing import CliRunner

from pawl_tools import identifiers, keys, pki, release
from pawl_tools.cli import app
from pawl_tools.errors import ToolError

PEOPLE = ("ana", "ben", "cem")
VENDOR = identifiers.vendor_id("example.com")
CLASS = identifiers.class_id(VENDOR, "board")


def run(*arguments):
    """Run a command as a person types it; return its exit code, what it printed, and its faults."""
    result = CliRunner().invoke(app, [str(argument) for argument in arguments])
    if isinstance(result.exception, ToolError):
        return SimpleNamespace(
            code=result.exception.exit_code, out=result.stdout, fault=str(result.exception)
        )
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    return SimpleNamespace(code=result.exit_code, out=result.stdout, fault=result.stderr)


def pawl(*arguments):
    """Run a command that must succeed; return what it printed."""
    ran = run("trust", *arguments)
    assert ran.code == 0, ran.out + ran.fault
    return ran.out


def fault(*arguments, code=2):
    """Run a command that must fail with this exit code; return what it says."""
    ran = run("trust", *arguments)
    assert ran.code == code, ran.out + ran.fault
    return ran.fault


class Office:
    """Keys by name in one folder, each person's machine another, and releases of the keys."""

    def __init__(self, folder):
        self.folder = folder
        for name in (*PEOPLE, "dan", "release", "second", "third", "recovery", "director", "online"):
            keys.new(folder / name, "esp256")
        (folder / "ca.crt").write_bytes(pki.create_authority("one").certificate_pem())
        (folder / "other.crt").write_bytes(pki.create_authority("two").certificate_pem())

    def private(self, name):
        return self.folder / name

    def public(self, name):
        return self.folder / f"{name}.pub"

    def name(self, name):
        return keys.short_name(keys.load_public(self.public(name)))

    def init(self, out, *more, roots=PEOPLE):
        """Make version 1 of 2-of-3 root keys that are held elsewhere."""
        return (
            *("init", out, *(part for one in roots for part in ("--root", self.public(one)))),
            *("--release", self.public("release"), "--director", self.public("director")),
            *("--ca", self.folder / "ca.crt", "--server-name", "localhost", *more),
        )

    def release(self, path, *signers, sequence=1):
        statement = release.Statement(sequence=sequence, version=(1, 0), vendor=VENDOR, device_class=CLASS)
        signed = release.build(
            b"image" * 100, statement, [keys.FileSigner(self.private(one)) for one in signers]
        )
        path.write_bytes(signed)
        return path

    def sign(self, path, *people, former=None):
        for one in people:
            extra = () if former is None else ("--from", former)
            pawl("sign", path, "--key", self.private(one), *extra)
        return path


def rotate(anchor_1, out, role, *more):
    return pawl("rotate", anchor_1, "--role", role, "-o", out, *more)
