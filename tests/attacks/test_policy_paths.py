"""No way around the one policy: T50."""

import ast
from pathlib import Path

import factory
import pytest
from support import new_clock
from target import Target, TargetBoard

from pawl import codes, installer, messages, policy

DEVICE = Path(__file__).resolve().parents[2] / "device" / "pawl"

# What moves a slot or the ratchet, and the only functions that may: (file, function).
MOVERS = {
    "mark_pending": {("installer.py", "finish")},
    "mark_written": {("installer.py", "finish")},
    "mark_confirmed": {("bootloader.py", "confirm")},
    "mark_trial": {("bootloader.py", "_perform")},
    "begin": {("installer.py", "take_slot")},
    "write_block": {("download.py", "write")},
    "take_slot": {("agent.py", "_download")},
    "fetch_blocks": {("agent.py", "_download")},
    "finish": {("agent.py", "_install")},
    # What the slots and the floor say, a successor that was judged, or what was just confirmed.
    "advance": {
        ("bootloader.py", "confirm"),
        ("bootloader.py", "_restore_ratchet"),
        ("anchors.py", "_advance"),
    },
    "_advance": {("anchors.py", "accept"), ("anchors.py", "_finished")},
    "confirm": {("agent.py", "_confirm"), ("bootloader.py", "_perform")},
    # Of anchors, of offers, and of when a job may begin.
    "accept": {("walk.py", "take"), ("agent.py", "_take")},
    "successor": {("anchors.py", "accept"), ("anchors.py", "_follows")},
    "mark_failed": {("bootloader.py", name) for name in ("_perform", "_give_up", "confirm")},
    "withdraw": {("slots.py", "begin"), ("installer.py", "withdraw_pending")},
    "withdraw_pending": {("agent.py", "_take"), ("agent.py", "_reboot")},
    "provision": {("storage.py", "provision")},
    "Job": {("agent.py", "_download")},
}


def calls():
    """Yield (called name, file, calling function) of the device's whole source."""
    for path in sorted(DEVICE.rglob("*.py")):
        tree = ast.parse(path.read_text())
        for function in ast.walk(tree):
            if isinstance(function, (ast.FunctionDef, ast.AsyncFunctionDef)):
                for node in ast.walk(function):
                    if isinstance(node, ast.Call):
                        yield (
                            getattr(node.func, "attr", getattr(node.func, "id", "")),
                            path.name,
                            function.name,
                        )


def test_t50_who_may_move_a_slot_or_the_ratchet(attack):
    """Each function that moves state has the callers named here; another one is a new path to be judged."""
    row = attack("T50", f"bypass: callers of {len(MOVERS)} functions that move state")
    found = {name: set() for name in MOVERS}
    for name, file, function in calls():
        if name in found:
            found[name].add((file, function))
    # A nested function's call is met in the one around it too.
    found["write_block"].discard(("download.py", "_writer"))
    row.failed(
        {name: found[name] - MOVERS[name] for name in MOVERS if found[name] - MOVERS[name]},
        {},
        "(no other caller)",
    )
    assert all(found.values()), "a name in the list that nobody calls any more"
    row.pure()


def users_of(name):
    """Return the functions of the TLS module that name something of `tls`."""
    tree = ast.parse((DEVICE / "ports" / "tls.py").read_text())
    return {
        function.name
        for function in ast.walk(tree)
        if isinstance(function, (ast.FunctionDef, ast.AsyncFunctionDef))
        for node in ast.walk(function)
        if isinstance(node, ast.Attribute) and node.attr == name
    }


FORBIDDEN_WORDS = (
    "environ",
    "getenv",
    "insecure",
    "skip_verify",
    "no_verify",
    "CERT_NONE",
    "CERT_OPTIONAL",
    "__debug__",
    "DEBUG",
)


def test_t50_no_switch_turns_a_check_off(attack):
    """No environment variable, debug flag or lax TLS mode in what runs on devices; one verify mode, and it is required."""
    row = attack("T50", "bypass: switches in the device's source")
    hits = []
    for path in sorted(DEVICE.rglob("*.py")):
        names = {
            getattr(node, "id", getattr(node, "attr", "")) for node in ast.walk(ast.parse(path.read_text()))
        }
        hits += [(path.name, word) for word in FORBIDDEN_WORDS if word in names]
    row.failed(hits, [("tls.py", "CERT_NONE")], "(none but the anchor session)")
    assert users_of("CERT_NONE") == {"anchor_context"}
    assert users_of("CERT_REQUIRED") == {"context"}
    row.pure()


def every_way(raw, accepted=3):
    """Yield (way, device) for each way that leads to an install: the release's bytes are already everywhere."""
    for way in ("fresh", "held image", "cut download", "recovery agent", "unwell", "trial failed"):
        target = Target()
        target.publish(factory.release(sequence=accepted, version=(accepted,)))
        assert target.installs()
        target.run()
        target.publish(raw)
        prepare(target, way, raw)
        target.broker.up.clear()
        yield way, target


def prepare(target, way, raw):
    """Bring a device into the state of a way."""
    if way == "held image":
        target.board.put(0, raw)
    elif way == "cut download":
        slot = target.board.storage.slots[0]
        release = factory.bundle.Bundle(factory.bundle.suit.Envelope(raw))
        slot.begin(target.wanted, release.wire_envelope())
        slot.write_block(0, factory.index.cut(release.app().image)[0])
    elif way == "recovery agent":
        for name in ("image_a", "image_b"):
            target.board.flip(name, 5)
    elif way == "unwell":
        for _ in range(8):
            target.board.boot()
    elif way == "trial failed":
        slot = target.board.put(0, raw)
        slot.mark_pending()
        slot.mark_failed(codes.REASON_TRIALS)


@pytest.mark.parametrize(
    ("name", "raw", "reason"),
    [
        ("stranger's", lambda: factory.release(sequence=4, version=(4,), signers=(factory.STRANGER,)), 11),
        ("older", lambda: factory.release(sequence=2, version=(4,)), codes.REASON_SEQUENCE_LOW),
        ("lower version", lambda: factory.release(sequence=4, version=(2,)), codes.REASON_VERSION_LOW),
        ("epoch jump", lambda: factory.release(sequence=1025 << 32, version=(4,)), codes.REASON_EPOCH_JUMP),
    ],
    ids=["stranger", "older", "version", "epoch"],
)
def test_t50_every_way_to_an_install_asks_the_same_policy(attack, name, raw, reason):
    """Fresh, held, resumed, from the recovery agent, unwell, after a failure: refused for the same reason."""
    row = attack("T50", f"downgrade through other modes: {name} release, 6 ways in")
    for way, target in every_way(raw()):
        before = target.snapshot()
        target.run()
        assert not target.is_reset or way == "unwell", way
        refused = [one for one in target.agent.refusals if one != codes.REASON_OFFER_NONCE]
        row.refused(*refused, reason)
        if way == "trial failed":
            row.logged(codes.REASON_TRIALS)
        row.unchanged(before, target.snapshot())


def test_t50_the_policy_is_asked_again_before_pending(attack):
    """A job that was allowed at its start is judged again at its end: by the ratchet and the offer as they are then."""
    row = attack("T50", "bypass: ratchet raised, or offer gone, while a job runs")
    for change, reason in (("offer", codes.REASON_NO_OFFER), ("ratchet", codes.REASON_SEQUENCE_LOW)):
        target = Target()
        digest = target.publish(factory.release(sequence=2, version=(2,)))
        loader, _ = target.board.boot()
        raw = target.broker.retained[target.topics_of(digest)[0]]
        job = installer.Job(
            loader, codes.RUNNING_A, messages.Offer(*[None] * 6, digest, 1, None), raw, new_clock()
        )
        assert job.decide(has_offer=True).action == policy.INSTALL
        job.take_slot()
        for number, block in enumerate(factory.index.cut(factory.IMAGE)):
            job.slot.write_block(number * codes.BLOCK_BYTES, block)
        if change == "ratchet":
            loader.accepted = loader.accepted._replace(sequence=9)
        row.refused(job.finish(has_offer=change != "offer"), reason)
        assert job.slot.status().state == codes.SLOT_WRITTEN
        row.kept(target.snapshot().runs, "A", "slot B written, never pending")


def test_t50_a_written_slot_never_boots(attack):
    """What is only written, with a good signature and a higher number, is not tried; nor by copying its envelope alone."""
    row = attack("T50", "bypass: a signed, newer release put into the slot past the agent")
    target = Target()
    target.board.put(1, factory.release(sequence=2, version=(2,)))
    before = target.snapshot()
    row.failed(before.runs, "A", "(not pending)")
    target.run()
    row.unchanged(before, target.snapshot())


def test_t50_a_pending_mark_past_the_policy(attack):
    """Who can write marks still can't choose the release: boot judges signature, image, epoch, and what is barred."""
    row = attack("T50", "bypass: pending written to flash for releases that must not run")
    values = factory.anchor_values()
    barred = factory.release(sequence=3, version=(3,))
    values[codes.ANCHOR_BARRED] = [factory.bundle.suit.Envelope(barred).digest]
    for raw, reason in (
        (factory.release(sequence=2, signers=(factory.STRANGER,)), codes.REASON_UNAUTHORISED),
        (barred, codes.REASON_BARRED),
    ):
        target = Target(TargetBoard(anchor_values=values))
        before = target.snapshot()
        slot = target.board.put(1, raw)
        slot.mark_pending()
        loader = target.run()
        row.refused(loader.faults[0].reason, reason)
        digest = factory.bundle.suit.Envelope(raw).digest
        row.changed(before, target.snapshot(), "slot B: failed", slot_b=("failed", digest, 0, reason))
