"""Vectors that others made, by both judges: every published envelope as a release, every CBOR item as input."""

import json
import os
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from cryptography.hazmat.primitives.serialization import load_pem_public_key
from mutations import Map
from release_keys import DIRECTOR, ROOT, anchor_file, anchor_tree

from pawl import cbor
from pawl.errors import ManifestError
from pawl.names import reason_name
from pawl_reader import strict
from pawl_server.judges import Judges

VECTORS = Path(os.environ.get("PAWL_VECTORS", Path(__file__).resolve().parents[2] / "../shared/vectors"))
pytestmark = pytest.mark.skipif(not VECTORS.exists(), reason=f"no vectors in {VECTORS} (PAWL_VECTORS)")


def anchor_of_examples(algorithm):
    """Return an anchor whose release key is that of the examples, declared for an algorithm."""
    pem = (VECTORS / "suit-manifest" / "example-public-key.pem").read_bytes()
    point = load_pem_public_key(pem).public_numbers()
    x, y = point.x.to_bytes(32), point.y.to_bytes(32)
    key = Map([[1, 2], [3, algorithm], [-1, 1], [-2, x], [-3, y]])
    keys = [ROOT.cose(), DIRECTOR.cose(), key]
    elements = dict(anchor_tree(1).pairs) | {5: keys, 8: Map([[1, [[1, [2]], []]]])}
    return anchor_file(Map([list(pair) for pair in elements.items()]))


@pytest.mark.parametrize("algorithm", [-7, -9])
def test_published_envelopes_are_refused_alike(algorithm, tmp_path):
    """All 18: those whose signature counts for their manifest, the others before that is read."""
    judges = Judges(anchor_of_examples(algorithm), tmp_path)
    paths = sorted((VECTORS / "suit-manifest").glob("*signed.hex"))
    paths += sorted((VECTORS / "suit-firmware-encryption").glob("*.signed"))
    reasons = []
    for path in paths:
        with pytest.raises(ManifestError) as caught:
            judges.open(bytes.fromhex("".join(path.read_text().split())))
        reasons.append(reason_name(caught.value.code))
    assert len(reasons) == 18
    assert reasons.count("component") == {-7: 7, -9: 1}[algorithm]
    assert "ok" not in reasons


def test_cbor_is_read_alike():
    """Every item of RFC 8949, appendices A and F: the same are taken, none of those that are not well-formed."""
    good = [
        bytes.fromhex(one["hex"]) for one in json.loads((VECTORS / "cbor" / "appendix_a.json").read_text())
    ]
    bad = json.loads((VECTORS / "cbor" / "rfc8949_appendix_f_not_well_formed.json").read_text())["vectors"]
    bad = [bytes.fromhex(one["hex"]) for one in bad]
    taken = [raw for raw in good + bad if by_device(raw)]
    assert taken == [raw for raw in good + bad if by_reader(raw)]
    assert (len(good), len(bad), len(taken)) == (82, 94, 37)
    assert not [raw for raw in bad if raw in taken]


def by_device(raw):
    """Return whether the device's CBOR reader takes one item."""
    try:
        reader = cbor.Reader(raw)
        reader.value()
        reader.end()
    except ManifestError:
        return False
    return True


def by_reader(raw):
    """Return whether the second reader takes it."""
    try:
        strict.decode(raw)
    except strict.RefusedError:
        return False
    return True
