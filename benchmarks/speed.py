"""Print how fast this runner is as ratios to its peers: ``python -m benchmarks.speed``."""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.comparisons import PEERS, dicts, ints, naps, paced
from benchmarks.measure import TrialError
from benchmarks.table import table

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

    from benchmarks.comparisons import Comparison
    from benchmarks.pairs import Pair
    from benchmarks.table import Row

KINDS = ("ints", "dicts", "paced", "sleep")


def main(arguments: list[str] | None = None) -> int:
    """Run what is asked for and print the table; 1 if a run failed or a bar was missed."""
    asked = _parser().parse_args(arguments)
    rows: list[Row] = []
    failed: list[str] = []
    for comparison in _comparisons(asked):
        try:
            rows += comparison.rows(asked.pairs, _announcer(comparison.peer.name))
        except TrialError as fault:
            failed.append(f"{comparison.peer.name}: {fault}")
            print(f"no number against {failed[-1]}", file=sys.stderr)
    print(machine())
    print(f"median (lowest-highest) of {asked.pairs} interleaved pairs, after a warm-up round\n")
    if rows:
        print(table(rows))
    if asked.json:
        facts = {"machine": machine(), "pairs": asked.pairs, "failed": failed}
        asked.json.write_text(json.dumps({**facts, "rows": [row.as_json() for row in rows]}))
    missed = [row for row in rows if row.bar and not row.bar.reached(row.ratio.median)]
    return 1 if failed or missed else 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.speed", description=__doc__)
    add = parser.add_argument
    add("--pairs", type=_at_least_1, default=5, help="pairs of runs a ratio is the median of")
    add("--only", type=_names_of(KINDS), default=list(KINDS), help=",".join(KINDS))
    add("--peers", type=_names_of(PEERS), default=list(PEERS), help=",".join(PEERS))
    add("--items", type=_at_least_1, default=4_000_000, help="ints a run")
    add("--dicts", type=_at_least_1, default=1_000_000, help="dicts a run")
    add("--seconds", type=_at_least_1, default=5, help="of items at a steady pace")
    add("--naps", type=_at_least_1, default=2_400, help="items through the sleeping stage")
    add("--durability", choices=("memory", "relaxed", "fsync"), default="memory")
    add("--json", type=Path, metavar="FILE", help="keep every run as JSON")
    return parser


def _comparisons(asked: argparse.Namespace) -> list[Comparison]:
    comparisons: list[Comparison] = []
    if "ints" in asked.only:
        comparisons += ints(asked.items, asked.durability, asked.peers)
    if "dicts" in asked.only:
        comparisons += dicts(asked.dicts)
    if "paced" in asked.only:
        comparisons += paced(asked.seconds)
    if "sleep" in asked.only:
        comparisons += naps(asked.naps)
    return comparisons


def _at_least_1(text: str) -> int:
    number = int(text.replace(",", "_"))
    if number < 1:
        raise ValueError(text)
    return number


def _names_of(known: Collection[str]) -> Callable[[str], list[str]]:
    def names(text: str) -> list[str]:
        given = text.split(",")
        if unknown := [name for name in given if name not in known]:
            raise argparse.ArgumentTypeError(f"{unknown[0]!r} is none of {', '.join(known)}")
        return given

    return names


def _announcer(peer: str) -> Callable[[int, Pair], None]:
    def tell(number: int, pair: Pair) -> None:
        ours, theirs = (f"{run.rate:,.0f}" for run in pair)
        print(f"pair {number + 1}: ours {ours}, {peer} {theirs} items/s", file=sys.stderr)

    return tell


def machine() -> str:
    """Return what the figures were measured on."""
    cores = len(os.sched_getaffinity(0))
    system = f"{platform.system()} {platform.release()} {platform.machine()}"
    return f"Python {platform.python_version()}, {cores} cores, {system}"


if __name__ == "__main__":
    sys.exit(main())
