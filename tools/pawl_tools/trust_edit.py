"""Edits of the trust anchor document: each takes the plan of a version and gives the plan of the next.

What stops releases is never done on the side: a former install set stays a boot set until a person names it.
"""

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace

from pawl import codes, cose
from pawl.names import role_name
from pawl_tools import trust_draft
from pawl_tools.errors import RefusedError, ToolError
from pawl_tools.keys import short_name
from pawl_tools.trust import KeySet, Plan, plan_of
from pawl_tools.trust_changes import date, is_covered, set_text
from pawl_tools.trust_draft import Draft

DAY_S = 86400
YEAR_DAYS = 365
BOOT_SETS_MAX = 4

_ROOT = "root"
_DIRECTOR = "director"
_IMAGE_ROLES = {
    "release": codes.ROLE_APP_RELEASE,
    "recovery": codes.ROLE_APP_RECOVERY,
    **{
        role_name(role): role
        for role in (
            codes.ROLE_APP_RELEASE,
            codes.ROLE_APP_RECOVERY,
            codes.ROLE_FIRMWARE_RELEASE,
            codes.ROLE_FIRMWARE_RECOVERY,
        )
    },
}


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyChange:
    """What happens to the keys of one role; a boot set is dropped by its number, 1 is the newest."""

    role: str
    remove: Sequence[str] = ()
    add: Sequence[cose.Key] = ()
    threshold: int | None = None
    drop_boot_sets: Sequence[int] = ()


def successor_plan(draft: Draft, days: int | None) -> Plan:
    """Return the plan to edit: version + 1 of an anchor that its root signed, the same version of a draft.

    Issued now; valid for `days`, else for as long as the draft is, else for a year.
    """
    anchor = draft.anchor
    now = int(time.time())
    if now < anchor.issued:
        said = date(anchor.issued)
        raise ToolError(f"version {anchor.version} was issued at {said}, after now: set this machine's clock")
    is_accepted = trust_draft.is_signed(draft)
    span = YEAR_DAYS * DAY_S if is_accepted else anchor.expiry - anchor.issued
    if days is not None:
        span = days_s(days)
    return replace(
        plan_of(anchor),
        version=anchor.version + 1 if is_accepted else anchor.version,
        issued=now,
        expiry=now + span,
    )


def days_s(days: int) -> int:
    """Return a number of days in seconds; ToolError unless it is 1 or more."""
    if days < 1:
        raise ToolError("--days is 1 or more: an expired anchor lets no device install")
    return days * DAY_S


def change_keys(plan: Plan, change: KeyChange) -> Plan:
    """Return the plan with the keys of a role added, removed, or counted by another threshold."""
    if change.role == _DIRECTOR:
        return _change_directors(plan, change)
    if change.role == _ROOT:
        _refuse_drop(change)
        return replace(plan, root=_changed(plan.root, change))
    if change.role not in _IMAGE_ROLES:
        raise ToolError(
            f"no role {change.role!r}: choose one of {', '.join((_ROOT, _DIRECTOR, *_IMAGE_ROLES))}"
        )
    return _change_image_role(plan, _IMAGE_ROLES[change.role], change)


def _change_directors(plan: Plan, change: KeyChange) -> Plan:
    _refuse_drop(change)
    if change.threshold is not None:
        raise ToolError("any one director key signs an offer: leave --threshold out")
    changed = _changed(KeySet(threshold=1, keys=plan.directors), change)
    return replace(plan, directors=changed.keys)


def _refuse_drop(change: KeyChange) -> None:
    if change.drop_boot_sets:
        raise ToolError("only image roles have boot sets: leave --drop-boot-set out")


def _change_image_role(plan: Plan, role: int, change: KeyChange) -> Plan:
    former = plan.roles.get(role)
    install_set = _changed(former or KeySet(threshold=1, keys=()), change)
    boot_sets = _without(list(plan.boot_sets.get(role, ())), change.drop_boot_sets, role)
    if former is not None and not any(is_covered(former, one) for one in (install_set, *boot_sets)):
        boot_sets.insert(0, former)
    if len(boot_sets) > BOOT_SETS_MAX:
        raise RefusedError(_too_many(role, boot_sets[1:]))
    return replace(
        plan, roles={**plan.roles, role: install_set}, boot_sets={**plan.boot_sets, role: tuple(boot_sets)}
    )


def _without(boot_sets: Sequence[KeySet], dropped: Sequence[int], role: int) -> list[KeySet]:
    for number in dropped:
        if not 1 <= number <= len(boot_sets):
            raise ToolError(
                f"{role_name(role)} has {len(boot_sets)} boot sets, none of number {number}: `pawl trust show` lists them"
            )
    return [one for number, one in enumerate(boot_sets, 1) if number not in dropped]


def _too_many(role: int, boot_sets: Sequence[KeySet]) -> str:
    choices = "; ".join(
        f"{number} stops releases that only {set_text(one)} signed" for number, one in enumerate(boot_sets, 1)
    )
    return (
        f"{role_name(role)} would have {len(boot_sets) + 1} boot sets, {BOOT_SETS_MAX} are the most: "
        f"name the one to drop with --drop-boot-set ({choices}; {len(boot_sets)} is the oldest)"
    )


def _changed(key_set: KeySet, change: KeyChange) -> KeySet:
    removed = [_find(key_set.keys, name, change.role) for name in change.remove]
    kept = [key for key in key_set.keys if key not in removed]
    for key in change.add:
        if any(key.identity == known.identity for known in kept):
            raise ToolError(f"key {short_name(key)} is in {change.role} already: it counts once")
    if not (*kept, *change.add):
        raise ToolError(f"{change.role} would have no key: give the one that takes its place with --add")
    threshold = key_set.threshold if change.threshold is None else change.threshold
    return KeySet(threshold=threshold, keys=(*kept, *change.add))


def _find(keys: Sequence[cose.Key], name: str, role: str) -> cose.Key:
    for key in keys:
        if short_name(key) == name:
            return key
    names = ", ".join(short_name(key) for key in keys)
    raise ToolError(f"key {name} is not in {role}, which has {names or 'no key'}")


def bar(plan: Plan, digests: Sequence[bytes], unbarred: Sequence[bytes]) -> Plan:
    """Return the plan with manifest digests barred, which no device installs or boots from then on."""
    for digest in unbarred:
        if digest not in plan.barred:
            raise ToolError("--unbar names a digest that is not barred: `pawl trust show` lists them")
    kept = [digest for digest in plan.barred if digest not in unbarred]
    return replace(plan, barred=sorted({*kept, *digests}))


def renew(plan: Plan, ca: Sequence[bytes], server_names: Sequence[str]) -> Plan:
    """Return the plan with new times; given CA certificates and server names replace all former ones."""
    return replace(plan, ca=ca or plan.ca, server_names=server_names or plan.server_names)
