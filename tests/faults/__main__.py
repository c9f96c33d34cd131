"""`python -m tests.faults --rounds 200 --seed 1`: the long form of the fault harness."""

from __future__ import annotations

import argparse
import random
import sys

from tests.faults import harness


def main() -> int:
    """Play the rounds that the command line asks for; 1 when anything was wrong."""
    parser = argparse.ArgumentParser(prog="python -m tests.faults", description=harness.__doc__)
    parser.add_argument("--rounds", type=int, default=200)
    parser.add_argument("--seed", type=int, default=random.randrange(10**6))
    parser.add_argument("--only", type=int, help="play this one round of the seed again")
    parser.add_argument("--seconds", type=float, default=float("inf"), help="start none after")
    options = parser.parse_args()
    print(f"--seed {options.seed} --rounds {options.rounds}", flush=True)
    numbers = range(options.rounds)
    if options.only is not None:
        numbers = range(options.only, options.only + 1)
    played, wrong, counts = harness.run(
        options.seed,
        numbers,
        deadline_s=options.seconds,
        say=lambda text: print(text, flush=True),
    )
    for name, count in sorted(counts.items()):
        print(f"{count:8} {name}")
    print(f"{played} rounds, {len(wrong)} things wrong")
    return 1 if wrong or not played else 0


if __name__ == "__main__":
    sys.exit(main())
