"""A host whose own verifier lies, and what it may not do with a release then: T31."""

import json
from dataclasses import replace

import pytest
from fleet_bench import NOW_S
from release_factory import make_anchor, make_keys, make_release
from served import serving
from test_server_attacks import import_reason

from pawl import codes, trust
from pawl.ports.host.verifier import verify
from pawl_server.events import JudgesDisagreed
from pawl_server.judges import DisagreementError
from pawl_server.publishing import Publisher
from pawl_server.settings import PublishLimits


def lie(judges, thief):
    """Let the device's verifier on this host go by the thief's anchor; the second reader reads the true one."""
    judges.anchor = trust.load(make_anchor(thief), verify)


def test_t31_a_lying_verifier_lets_a_strangers_release_in(attack, tmp_path):
    """The import asks the second reader, which shares no code with it: nothing is kept but the case."""
    row = attack("T31", "malware in the host's verifier: import of a stranger's release")
    with serving(tmp_path) as (server, target):
        thief = make_keys()
        raw = make_release(thief, sequence=2)
        before = target.snapshot()
        row.refused(import_reason(server, raw), codes.REASON_UNAUTHORISED, is_logged=False)
        assert not list((tmp_path / "disagreements").glob("*")), "both refuse: no disagreement"
        lie(server.fleet.judges, thief)
        with pytest.raises(DisagreementError) as caught:
            server.fleet.repository.add(raw)
        verdicts = json.loads((caught.value.case / "verdicts.json").read_text())
        found = verdicts["device"]["accepted"], verdicts["reader"]["accepted"]
        row.failed(found, (True, False), "judges disagree")
        assert list((tmp_path / "releases").iterdir()) == []
        row.unchanged(before, target.snapshot())


def test_t31_a_lying_verifier_changes_what_a_release_says(attack, tmp_path):
    """It accepts what is true and names no signer of it: a difference in any word is a disagreement."""
    row = attack("T31", "malware in the host's verifier: a true release told otherwise")
    with serving(tmp_path) as (server, target):
        before = target.snapshot()
        raw = make_release(server.fleet.keys, sequence=2)
        judges = server.fleet.judges
        keys = judges.anchor.keys
        judges.anchor.keys = keys[:-2] + keys[:2]  # it no longer knows who signed
        with pytest.raises(DisagreementError):
            server.fleet.repository.add(raw)
        judges.anchor.keys = keys
        row.failed(list((tmp_path / "releases").iterdir()), [], "judges disagree")
        server.fleet.repository.add(raw)
        row.unchanged(before, target.snapshot())


def test_t31_a_verifier_that_lies_later_publishes_nothing(attack, tmp_path):
    """Imported in agreement; malware comes afterwards and swaps the file: both judges are asked again at publish."""
    row = attack("T31", "malware in the host's verifier: another file at publish")
    with serving(tmp_path) as (server, target):
        thief = make_keys()
        fleet = server.fleet
        true = fleet.repository.add(make_release(fleet.keys, sequence=2))
        false = make_release(thief, sequence=2)
        before = target.snapshot()
        sent = []

        async def publish(message):
            sent.append(message)

        async def attempt():
            async with fleet.store.writing() as transaction:
                await transaction.add_release(replace(true, imported_at_s=NOW_S))
            publisher = Publisher(
                fleet.store, fleet.repository, publish, lambda: NOW_S, PublishLimits(window=4)
            )
            await publisher.publish(true.digest)

        (path,) = (tmp_path / "releases").iterdir()
        path.write_bytes(false)
        lie(fleet.judges, thief)
        with pytest.raises(DisagreementError):
            server.do(attempt())
        assert len([event for event in fleet.told if isinstance(event, JudgesDisagreed)]) == 1
        row.failed(sent, [], "judges disagree")
        row.unchanged(before, target.snapshot())
