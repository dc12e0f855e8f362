"""The interface keeps to its description: schemathesis asks it over HTTP, with what that allows and with what it doesn't."""

import asyncio
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from api_bench import open_api
from api_process import ApiProcess
from fleet_bench import FakeFleetDevice
from release_factory import make_anchor, make_release

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
SEED = 7
RUN_MAX_S = 500  # on a machine that has a lot else to do: it needs well under a minute of processor time


@pytest.fixture(scope="module")
def fleet(tmp_path_factory):
    """Return a folder with some devices, groups, releases and a rollout, and the token."""
    folder = tmp_path_factory.mktemp("fleet")
    return folder, asyncio.run(_prepare(folder))


async def _prepare(folder):
    async with open_api(folder) as api:
        digest = await api.prepare()
        for number in range(2, 6):
            device = FakeFleetDevice(name=f"bench-{number}")
            await api.ask("POST", "/enrolments", 201, json=device.enrolment_file())
        await api.ask("PATCH", "/devices/bench-1", json={"tags": {"site": "b1"}})
        await api.ask("PUT", "/groups/field", json={"filter": 'id like "bench-*"'})
        await api.ask("PUT", "/groups/field/pins/bench-2", 204)
        await api.ask("PUT", "/groups/field/exclusions/bench-3", 204)
        body = {"release": digest, "groups": ["canary"], "name": "spring"}
        await api.ask("POST", "/rollouts", 201, json=body)
        (folder / "release.txt").write_text(digest)
        (folder / "release").write_bytes(make_release(api.fleet.keys))
        (folder / "next-anchor").write_bytes(make_anchor(api.fleet.keys, version=2))
        return api.client.headers["Authorization"]


def _check(fleet, api, *options):
    """Return how schemathesis ended and what it says; it keeps its notes in the fleet's folder."""
    folder, token = fleet
    paths = (HERE, HERE.parent, ROOT / "device", ROOT / "server", ROOT / "tools")
    environment = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join(map(str, paths)),
        "SCHEMATHESIS_HOOKS": "schema_hooks",
        "PAWL_TEST_FOLDER": str(folder),
        "NO_PROXY": "*",
    }
    command = [sys.executable, "-m", "schemathesis.cli", f"--config-file={HERE / 'schemathesis.toml'}", "run"]
    command += [f"{api.address}/openapi.json", f"--header=Authorization: {token}", f"--seed={SEED}"]
    done = subprocess.run(
        [*command, "--no-shrink", "--warnings=off", "--request-timeout=30", *options],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        timeout=RUN_MAX_S,
        check=False,
    )
    return done.returncode, done.stdout + done.stderr


def test_nothing_is_found(fleet):
    """All operations, all checks, every phase; and the server logged no fault."""
    with ApiProcess(fleet[0], "--streams-end") as api:
        status, said = _check(fleet, api, "--max-examples=8", "--continue-on-failure", "--workers=4")
    assert status == 0, said
    selected, total, tested = re.search(r"Selected: (\d+)/(\d+)\s+Tested: (\d+)", said).groups()
    assert selected == total == tested
    assert "a request failed" not in api.errors.read_text()


def test_planted_faults_are_found(fleet):
    """A route that fails, and one that answers with a status that nobody was told of."""
    with ApiProcess(fleet[0], "--faults") as api:
        status, said = _check(fleet, api, "--include-path-regex=planted", "--phases=fuzzing")
    assert status == 1, said
    assert "GET /v1/planted/fault" in said and "Server error" in said
    assert "GET /v1/planted/undeclared" in said and "Undocumented status code" in said
