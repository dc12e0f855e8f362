"""What the server does when its two judges of releases differ: nothing but raise the alarm."""

import asyncio
import json
from dataclasses import replace

import pytest
from fleet_bench import BUNDLE_MAX_BYTES, make_fleet, open_store
from release_factory import make_anchor, make_keys, make_release

from pawl_server.api import problems
from pawl_server.events import JudgesDisagreed
from pawl_server.judges import DisagreementError
from pawl_server.publishing import Publisher
from pawl_server.repository import Repository
from pawl_server.settings import PublishLimits

NOW_S = 1_750_000_000


@pytest.fixture
def fleet(tmp_path):
    return make_fleet(tmp_path)


def make_differ(judges):
    """Let the second reader read under an anchor of other keys: a fault as good as any other."""
    judges._anchor_file = make_anchor(make_keys())


def test_a_release_the_judges_differ_about_is_not_kept(fleet):
    """The import raises, the repository stays empty, and the case is kept."""
    make_differ(fleet.judges)
    with pytest.raises(DisagreementError):
        fleet.repository.add(make_release(fleet.keys))
    assert list((fleet.folder / "releases").iterdir()) == []
    assert len(list((fleet.folder / "disagreements").iterdir())) == 1


def test_a_release_the_judges_differ_about_is_not_published(fleet):
    """Imported in agreement, opened in disagreement: nothing is sent, and whoever watches is told."""
    release = fleet.repository.add(make_release(fleet.keys))
    make_differ(fleet.judges)
    sent = []

    async def publish(message):
        sent.append(message)

    async def scenario():
        async with open_store(fleet.store) as store:
            async with store.writing() as transaction:
                await transaction.add_release(replace(release, imported_at_s=NOW_S))
            repository = Repository(
                fleet.folder / "releases", fleet.judges, bundle_max_bytes=BUNDLE_MAX_BYTES
            )
            publisher = Publisher(store, repository, publish, lambda: NOW_S, PublishLimits(window=4))
            with pytest.raises(DisagreementError):
                await publisher.publish(release.digest)

    asyncio.run(scenario())
    assert sent == []
    [event] = fleet.told
    assert isinstance(event, JudgesDisagreed)
    assert event.case.startswith(str(fleet.folder / "disagreements"))


def test_a_disagreement_is_told_as_a_problem_of_its_own(fleet):
    """422, what both said, and what to do."""
    make_differ(fleet.judges)
    with pytest.raises(DisagreementError) as caught:
        fleet.repository.add(make_release(fleet.keys))
    response = problems._answer(None, caught.value)
    problem = json.loads(response.body)
    assert (problem["status"], problem["title"]) == (422, "judges disagree")
    assert "second reader: refused" in problem["detail"]
    assert problem["next"]
