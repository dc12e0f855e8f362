"""Manifests by both judges: generated ones, and every kind about which the two once differed."""

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from fuzz_second_reader import run_manifests
from mutations import Map, Wrapped
from release_keys import anchor_file, anchor_tree
from release_shapes import (
    DATA,
    LARGE,
    SMALL,
    Part,
    address_bound,
    app,
    app_and_data,
    bundle,
    conditional,
    parameters,
    recovery,
    sequence,
)

from pawl.errors import ManifestError
from pawl.names import reason_name
from pawl_server.judges import Judges

CI_MANIFESTS = 3000
FETCH = [21, 2, 3, 2]
AT_LEAST_1 = [*parameters(version=Wrapped([[2, [1]]])), 28, 2]
BELOW_3 = [*parameters(version=Wrapped([[5, [3]]])), 28, 2]


@pytest.fixture
def judge(tmp_path):
    """Return a function that says what both judges say: None or the device's reason; DisagreementError passes through."""
    judges = Judges(anchor_file(anchor_tree(1)), tmp_path / "disagreements")

    def judge(release):
        try:
            judges.open(bundle(release))
        except ManifestError as error:
            return reason_name(error.code)
        return None

    return judge


def test_generated_manifests_are_judged_alike(tmp_path):
    """Three thousand, from the grammar and from the shapes, edited: no disagreement, and many are accepted."""
    tally = run_manifests("ci", range(CI_MANIFESTS), tmp_path)
    assert tally.disagreements == []
    assert tally.pairs["accepted", "accepted"] > CI_MANIFESTS // 8
    assert len(tally.reasons) >= 8


def test_what_is_asked_may_be_asked_with_two_values(judge):
    """`--only-if` twice: at least 1 and below 3. Once the reader refused it."""
    release = conditional()
    release.install[:0] = [*AT_LEAST_1, *BELOW_3]
    assert judge(release) is None


def test_a_condition_in_force_by_the_way_is_refused(judge):
    """Which version is asked for again depends on the branch."""
    release = app()
    release.install[:0] = [15, [sequence(*AT_LEAST_1), sequence(*BELOW_3)], 28, 2]
    assert judge(release) == "parameter"
    del release.install[2:4]
    assert judge(release) is None


def two_indexes():
    """Return a release of one image with a second index of it, and the URI of that."""
    release = app()
    other = Part(SMALL).deflated()
    release.parts.append(other)
    return release, other.uri


def test_images_that_differ_by_an_open_branch_are_refused(judge):
    """Once the reader took it, and told images that no device would agree about."""
    release, other = two_indexes()
    first = [*AT_LEAST_1, *parameters(uri=release.parts[0].uri)]
    release.install = [15, [sequence(*first), sequence(*parameters(uri=other))], *FETCH]
    assert judge(release) == "parameter"


@pytest.mark.parametrize("slot", [0, 1])
def test_what_a_failed_branch_set_is_not_built_upon(judge, slot):
    """On the other slot its URI stays in force by the draft, and is undone by others. Once the reader took it."""
    release, other = two_indexes()
    branches = [
        sequence(*parameters(uri=other), *parameters(slot=slot), 5, 2),
        sequence(*parameters(slot=1 - slot), 5, 2),
    ]
    release.install = [*parameters(uri=release.parts[0].uri), 15, branches, *FETCH]
    assert judge(release) == "parameter"


def test_a_branch_that_is_never_taken_is_read_all_the_same(judge):
    """It is for no slot, or follows one that can't fail; what it uses it must set. Once the reader passed over it."""
    uri = app().parts[0].uri
    for never in ([5, 2], [*parameters(uri=uri), 27, 2], [*parameters(slot=7), 5, 2, 28, 2]):
        release = app()
        release.install = [15, [sequence(*parameters(uri=uri)), sequence(*never)], *FETCH]
        assert judge(release) == "parameter"


def test_a_slot_that_is_set_but_not_asked_about_is_no_condition(judge):
    """Once the reader took the parameter alone for one."""
    release = app()
    release.install[1] = parameters(uri=release.parts[0].uri, slot=1)[1]
    assert judge(release) is None
    release.install[2:2] = [5, 2, *parameters(slot=0), 5, 2]
    assert judge(release) == "component-slot"


def test_an_image_is_matched_after_it_is_fetched(judge):
    """Once the reader was content with any order."""
    release = app()
    release.install[2:] = [3, 2, 21, 2]
    assert judge(release) == "command"
    release.install[2:] = [3, 2, 21, 2, 3, 2]
    assert judge(release) is None
    release.install[2:] = [21, 2, 3, 2, 21, 2]
    assert judge(release) == "command"


def test_a_uri_that_is_set_after_the_fetch_is_not_used(judge):
    """Once the reader named it instead of the one that was fetched."""
    release = app()
    release.install += parameters(uri="pawl:" + "A" * 43)
    assert judge(release) is None
    release.install += FETCH
    assert judge(release) == "command"


@pytest.mark.parametrize("extra", [[1, 2], [2, 2], [*parameters(vendor=bytes(16))], [23, 2], [3, 2], [21, 2]])
def test_data_has_no_identity(judge, extra):
    """Vendor and class are the application's: once the reader let data be asked as well."""
    release = app_and_data()
    release.shared += extra
    assert judge(release) in {"command", "parameter"}


def test_invoke_speaks_of_the_application_alone(judge):
    """Once the reader let it name data in passing."""
    release = app_and_data()
    release.invoke = [12, 1, 12, 0, 23, 2]
    assert judge(release) == "component"


@pytest.mark.parametrize(
    "inner", [[1, 2], [2, 2], [3, 2], [21, 2], [23, 2], [20, Map([[1, bytes(range(16))]])]]
)
@pytest.mark.parametrize("place", ["shared", "install"])
def test_a_branch_holds_settings_and_conditions_alone(judge, inner, place):
    """Identity, fetch and match stand outside of branches: once the reader let some in."""
    release = address_bound()
    items = getattr(release, place)
    items[items.index(15) + 1][1].held[0] += inner
    assert judge(release) in {"command", "parameter"}


@pytest.mark.parametrize("place", ["install", "branch"])
def test_what_runs_has_no_slot(judge, place):
    """Once the reader let a recovery ask which slot its subject is in."""
    release = recovery(DATA, LARGE)
    asked = [*parameters(slot=0), 5, 2]
    items = release.install[3][0].held[0] if place == "branch" else release.install
    items[2:2] = asked
    assert judge(release) in {"command", "parameter"}


def test_what_runs_is_one_image_on_every_way(judge):
    """Two try-eachs that must both hold; once the device compared the last branch alone."""
    release = recovery(DATA, SMALL)
    again = recovery(SMALL, SMALL)
    release.install[:0] = again.install[:4]
    assert judge(release) == "command"
    release = recovery(DATA, SMALL)
    release.install[4:4] = again.install[:4]
    assert judge(release) == "command"
    again.install[4:4] = recovery(SMALL, SMALL).install[:4]
    assert judge(again) is None


def test_many_choices_are_judged_alike(judge):
    """More ways through it than could be counted. Once the reader stopped at 64."""
    release = app()
    release.install[:0] = [15, [sequence(*AT_LEAST_1), sequence(*BELOW_3)]] * 40
    assert judge(release) is None
