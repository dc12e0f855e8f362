"""What schemathesis has to know of this interface: values of its formats, and fields that follow from others.

A generator can't know what a signature or a cursor is. So a request that the description allows gets real ones before it is
sent, and must be answered; requests that it doesn't allow are sent as they are generated.
"""

import base64
import itertools
import os
from pathlib import Path

import schemathesis
from cryptography.hazmat.primitives.asymmetric import ec
from hypothesis import strategies as st

from pawl.identity import partition_of

_FOLDER = Path(os.environ["PAWL_TEST_FOLDER"])
_RELEASE = (_FOLDER / "release.txt").read_text()
_FILES = {
    "/v1/releases": (_FOLDER / "release").read_bytes(),
    "/v1/anchors": (_FOLDER / "next-anchor").read_bytes(),
}
_FILTERS = (
    "late",
    'id like "bench-*"',
    'tag.site == "b1" and not flagged',
    'version < "2.0"',
    "not quarantined",
)
_ZONES = ("UTC", "Europe/Berlin", "America/New_York", "Asia/Kathmandu")
_numbers = itertools.count()

schemathesis.openapi.format("release", st.sampled_from([_RELEASE, _RELEASE[:6]]))
schemathesis.openapi.format("filter", st.sampled_from(_FILTERS))
schemathesis.openapi.format("timezone", st.sampled_from(_ZONES))
schemathesis.openapi.format("cursor", st.just(""))
schemathesis.openapi.format(
    "printable",
    st.text(st.characters(codec="utf-8", exclude_categories=("C", "Z")), min_size=1, max_size=128),
)


@schemathesis.hook
def before_call(_context, case, _kwargs):
    """Let a request that is allowed name what there is."""
    if case.meta is None or case.meta.generation.mode != schemathesis.GenerationMode.POSITIVE:
        return
    if "Idempotency-Key" in (case.headers or {}):
        # One that was used is refused, as it must be: a new request has a new one.
        case.headers["Idempotency-Key"] = f"key-{next(_numbers)}"
    if "after" in (case.query or {}) and not case.path.endswith("/stream"):
        case.query["after"] = ""
    if "filter" in (case.query or {}):
        case.query["filter"] = _FILTERS[next(_numbers) % len(_FILTERS)]
    if case.method == "POST" and case.path in _FILES:
        case.body = _FILES[case.path]
    if case.path == "/v1/enrolments" and isinstance(case.body, dict):
        case.body["partition"] = partition_of(case.body["device"])
        case.body["report_key"] = _point()


def _point():
    point = ec.generate_private_key(ec.SECP256R1()).public_key().public_numbers()
    return {
        name: base64.b64encode(one.to_bytes(32)).decode() for name, one in (("x", point.x), ("y", point.y))
    }
