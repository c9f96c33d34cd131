"""`make faults ROUNDS=1000 SEED=1`: the long form of the fault harness."""

from __future__ import annotations

import argparse
import os
import random
import shutil
import sys
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

from tests.faults import harness, histories, operations, power, removals
from tests.faults.playing import Planned, Tally, new_base, play_all, prepare

_HISTORIES_FOR_ONE_GRAPH = 3  # a round of a graph takes several times as long


def _graphs(options: argparse.Namespace, _: Path) -> Iterator[Planned]:
    count = options.rounds // (1 + _HISTORIES_FOR_ONE_GRAPH)
    for number in _numbers(options, count):
        name = f"--form graphs --seed {options.seed} --only {number}"
        yield Planned(name, partial(harness.play, harness.draw(options.seed, number)))


def _histories(options: argparse.Namespace, _: Path) -> Iterator[Planned]:
    count = options.rounds - options.rounds // (1 + _HISTORIES_FOR_ONE_GRAPH)
    has_hosts = histories.can_play_hosts()
    for number in _numbers(options, count):
        name = f"--form histories --seed {options.seed} --only {number}"
        history = histories.draw(options.seed, number, may_have_hosts=has_hosts)
        yield Planned(name, partial(histories.play, history))


def _numbers(options: argparse.Namespace, count: int) -> range:
    return range(count) if options.only is None else range(options.only, options.only + 1)


def _operations(options: argparse.Namespace, base: Path) -> Iterator[Planned]:
    for number, case in enumerate(operations.every_case(base)):
        if _is_chosen(number, options):
            yield Planned(str(case), partial(operations.play, case))


def _removals(options: argparse.Namespace, base: Path) -> Iterator[Planned]:
    for number, case in enumerate(removals.every_case(base)):
        if _is_chosen(number, options):
            yield Planned(str(case), partial(removals.play, case))


def _power(_: argparse.Namespace, __: Path) -> Iterator[Planned]:
    for case in power.EVERY_CASE:
        yield Planned(str(case), partial(power.play, case))


def _is_chosen(number: int, options: argparse.Namespace) -> bool:
    return (number + options.seed) % options.every == 0


FORMS: dict[str, Callable[[argparse.Namespace, Path], Iterator[Planned]]] = {
    "graphs": _graphs,
    "histories": _histories,
    "operations": _operations,
    "removals": _removals,
    "power": _power,
}


def main() -> int:
    """Play what the command line asks for; 1 when anything was wrong."""
    options = _options()
    print(f"--seed {options.seed} --rounds {options.rounds} --every {options.every}", flush=True)
    base = new_base()
    prepare(base)
    tallies = [_play(form, options, base / form) for form in options.form or FORMS]
    if not any(tally.wrong for tally in tallies):
        shutil.rmtree(base, ignore_errors=True)
    print(f"{sum(len(tally.wrong) for tally in tallies)} things wrong, seed {options.seed}")
    return 1 if any(tally.wrong or not tally.played for tally in tallies) else 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.faults", description=harness.__doc__)
    parser.add_argument(
        "--rounds", type=int, default=200, help="random rounds: graphs and histories"
    )
    parser.add_argument("--seed", type=int, default=random.randrange(10**6))
    parser.add_argument("--only", type=int, help="play this one round of the seed again")
    parser.add_argument("--form", action="append", choices=tuple(FORMS), help="default: all")
    parser.add_argument("--every", type=int, default=1, help="one of so many cases of a form")
    parser.add_argument("--seconds", type=float, default=float("inf"), help="of each form at most")
    return parser.parse_args()


def _play(form: str, options: argparse.Namespace, base: Path) -> Tally:
    base.mkdir(parents=True)
    if form == "power" and (reason := power.why_not(base)):
        print(f"== {form}: not played: {reason}")
        return Tally(played=1)
    started = time.monotonic()
    tally = play_all(
        FORMS[form](options, base),
        base,
        deadline_s=options.seconds,
        say=lambda text: print(text, flush=True),
    )
    load = os.getloadavg()[0]
    print(
        f"== {form}: {tally.played} played in {time.monotonic() - started:.0f} s (load {load:.0f})"
    )
    for name, count in sorted(tally.counts.items()):
        print(f"{count:8} {name}")
    print(f"{tally.played} {form}, {len(tally.wrong)} things wrong", flush=True)
    return tally


if __name__ == "__main__":
    sys.exit(main())
