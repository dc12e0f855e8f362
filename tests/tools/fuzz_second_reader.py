"""Judges many releases that are almost right by both judges, and says where they differ.

    python tests/tools/fuzz_second_reader.py --count 100000 --seed 1 --jobs 2

Printed: how many were judged how by both, the device's reasons, and each disagreement's seed and number; its bytes are
kept in the folder of `--keep`. Exit code 1 if there was one.
"""

import argparse
import logging
import sys
import tempfile
from collections import Counter
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

from almost_releases import make_case

from pawl.errors import ManifestError, TrustError
from pawl.names import reason_name
from pawl_reader import read
from pawl_server.judges import DisagreementError, Judges


@dataclass
class Tally:
    """What came of many cases."""

    pairs: Counter = field(default_factory=Counter)
    reasons: Counter = field(default_factory=Counter)
    disagreements: list = field(default_factory=list)

    def add(self, other):
        self.pairs += other.pairs
        self.reasons += other.reasons
        self.disagreements += other.disagreements


def run(seed, numbers, keep):
    """Judge cases; return the tally."""
    tally = Tally()
    for number in numbers:
        case = make_case(seed, number)
        device, reader, reason = judge(case, keep)
        tally.pairs[device, reader] += 1
        tally.reasons[reason] += 1
        if reason.startswith("DISAGREE"):
            tally.disagreements.append(f"{case.how}: {reason}")
    return tally


def judge(case, keep):
    """Return what device and reader made of a case, and the device's reason."""
    try:
        judges = Judges(case.anchor, keep)
    except TrustError as error:
        # No judge is built on an anchor that the device refuses: the reader must refuse it as well.
        verdict = read(case.raw, case.anchor)
        said = "DISAGREE: accepted under a refused anchor: " if verdict.accepted else "anchor: "
        return "refused", "accepted" if verdict.accepted else "refused", said + reason_name(error.code)
    try:
        judges.open(case.raw)
    except ManifestError as error:
        return "refused", "refused", reason_name(error.code)
    except DisagreementError as error:
        words = ["accepted" if verdict.accepted else "refused" for verdict in (error.device, error.reader)]
        return *words, f"DISAGREE: {error}"
    except Exception as error:  # noqa: BLE001  # a verifier that crashes is the worst disagreement
        return "crashed", "?", f"DISAGREE: {error!r}"
    return "accepted", "accepted", "ok"


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--count", type=int, default=100_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--jobs", type=int, default=1)
    parser.add_argument("--keep", type=Path, default=Path(tempfile.gettempdir()) / "pawl-disagreements")
    args = parser.parse_args()
    logging.disable()
    slices = [range(first, args.count, args.jobs) for first in range(args.jobs)]
    total = Tally()
    with ProcessPoolExecutor(args.jobs) as pool:
        for tally in pool.map(run, *zip(*[(args.seed, one, args.keep) for one in slices], strict=True)):
            total.add(tally)
    print("device / reader")
    for (device, reader), count in total.pairs.most_common():
        print(f"{count:9}  {device} / {reader}")
    print("the device's reasons")
    for reason, count in total.reasons.most_common():
        if not reason.startswith("DISAGREE"):
            print(f"{count:9}  {reason}")
    print(f"{len(total.disagreements)} disagreements of {args.count}, seed {args.seed}")
    print("\n".join(total.disagreements[:200]))
    return 1 if total.disagreements else 0


if __name__ == "__main__":
    sys.exit(main())
