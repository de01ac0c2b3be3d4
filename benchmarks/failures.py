"""Print what failures cost: the rate of a pipeline in which items fail for good, and the disk.

Small dicts go through a stage that raises at some of them, at both of their two attempts, and a
sink counts the others. The rate is that of the good items, beside the same pipeline without a
failure, in turns; the state folder is looked at once the run has ended.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from benchmarks.measure import TrialError
from benchmarks.ours import command

LEAST_RATE, MOST_MIB = 0.4, 40  # the bars: of the rate without failures; of 10 million items
DEADLINE_S = 900.0
FUNCTIONS = """\
import os
import time

_marks = os.path.join(os.environ["RUNNER_OUTPUT"], "marks")
N, EVERY = {items}, {every}
GOOD = N - (N // EVERY if EVERY else 0)


def mark():
    with open(_marks, "a") as file:
        file.write(f"{{time.monotonic_ns()}}\\n")


def rows():
    for n in range(1, N + 1):
        yield {{"n": n, "name": f"item-{{n}}", "price": n / 7, "tags": "a,b,c", "left": N - n}}


def work(row):
    if EVERY and row["n"] % EVERY == 0:
        raise ValueError(f"no price for {{row['n']}}")
    return row


class Count:
    def __init__(self):
        self.count = 0
        self.awaited = 1

    def __call__(self, row):
        self.count += 1
        if self.count == self.awaited:
            mark()
            self.awaited = GOOD
"""
PIPELINE = """\
[pipeline]
name = "failures"
durability = "{durability}"

[stages.rows]
run = "functions:rows"

[stages.work]
run = "functions:work"
processes = 1
retry = {{ attempts = 2 }}

[stages.count]
run = "functions:Count"

[[edges]]
from = "rows"
to = "work"

[[edges]]
from = "work"
to = "count"
"""


@dataclass(frozen=True, slots=True)
class Seen:
    """One run: good items a second, and what it left on disk."""

    per_s: float
    cpu_us: float  # of all processes, for each item
    state_mib: float


def run(items: int, every: int, durability: str) -> Seen:
    """Run ``items`` of which each ``every``-th fails; 0 for none. Raises TrialError."""
    with tempfile.TemporaryDirectory(prefix="bench-failures-") as name:
        root = Path(name)
        (root / "functions.py").write_text(FUNCTIONS.format(items=items, every=every))
        (root / "pipeline.toml").write_text(PIPELINE.format(durability=durability))
        before = os.times()
        up = subprocess.run(
            [*command(), "up", "pipeline.toml", "--json", "--ui", "none", "--no-import"],
            cwd=root,
            env={**os.environ, "RUNNER_LOCAL": "1"},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=DEADLINE_S,
            check=False,
        )
        after = os.times()
        bad = items // every if every else 0
        if up.returncode != (1 if bad else 0):
            raise TrialError(f"it ended with {up.returncode}: {up.stderr.decode()[-500:]}")
        first, last = map(int, (root / "marks").read_text().split())
        state = root / ".runner"
        _check(up.stdout, bad)
        size = sum(path.stat().st_size for path in state.rglob("*") if path.is_file())
    cpu_s = after.children_user + after.children_system
    cpu_s -= before.children_user + before.children_system
    good = items - bad
    return Seen((good - 1) / ((last - first) / 1e9), cpu_s / items * 1e6, size / 1024**2)


def _check(snapshot: bytes, bad: int) -> None:
    dead = json.loads(snapshot)["dead_letters"]
    if dead != bad:
        raise TrialError(f"{dead:,} dead letters, not {bad:,}")


def main(arguments: list[str] | None = None) -> int:
    """Measure and print; 1 if a bar is missed."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.failures", description=__doc__)
    parser.add_argument("--items", type=int, default=1_000_000)
    parser.add_argument("--every", type=int, default=100, help="one in so many fails")
    parser.add_argument("--durability", choices=("memory", "relaxed", "fsync"), default="fsync")
    parser.add_argument("--pairs", type=int, default=3)
    asked = parser.parse_args(arguments)
    rates, costs, left = [], [], []
    for number in range(asked.pairs):
        none = run(asked.items, 0, asked.durability)
        some = run(asked.items, asked.every, asked.durability)
        rates.append(some.per_s / none.per_s)
        costs.append(some.cpu_us / none.cpu_us)
        left.append(some.state_mib)
        print(
            f"pair {number + 1}: {none.per_s:,.0f} items/s at {none.cpu_us:.2f} us without "
            f"failures, {some.per_s:,.0f} at {some.cpu_us:.2f} with; {some.state_mib:.1f} MiB left",
            file=sys.stderr,
            flush=True,
        )
    rate, mib = median(rates), max(left)
    is_met = rate >= LEAST_RATE and mib <= MOST_MIB
    print(
        f"{asked.items:,} dicts of five keys, one in {asked.every:,} fails twice, "
        f"{asked.durability}: {rate:.2f} of the rate without failures (bar {LEAST_RATE:g}), "
        f"{median(costs):.2f} of its processor time, state {mib:.1f} MiB (bar {MOST_MIB}): "
        + ("met" if is_met else "missed")
    )
    return 0 if is_met else 1


if __name__ == "__main__":
    sys.exit(main())
