"""Print what a long backlog costs a head: memory, the pace of claims, and the time to a restart.

A journal is filled as a head fills it, ``runner up`` goes on from there, and its sink notes when
the first items came: ten million integers in large bodies, and a million bodies of one item each.
The pace is compared with the same over a backlog that is nearly empty.
"""

from __future__ import annotations

import argparse
import os
import pickle
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from statistics import median

import psutil  # type: ignore[import-untyped, unused-ignore]

from benchmarks.measure import TrialError
from benchmarks.ours import command
from pipeline_runner.queues.broker.transaction import Body, Transaction
from pipeline_runner.queues.journal.recovery import open_journal

MOST_MIB, MOST_S, LEAST_PACE = 300, 5.0, 0.8  # the bars
DEADLINE_S = 60.0
FUNCTIONS = """\
import os
import time

_marks = os.path.join(os.environ["RUNNER_OUTPUT"], "marks")
_out = os.open(_marks, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
_left = _total = {items}


def source():
    yield from ()


def sink(item):
    global _left
    if _left in (_total, 1):
        os.write(_out, b"%d\\n" % time.monotonic_ns())
    _left -= 1
"""
PIPELINE = """\
[pipeline]
name = "backlog"
durability = "fsync"

[stages.source]
run = "functions:source"

[stages.sink]
run = "functions:sink"

[[edges]]
from = "source"
to = "sink"
"""


@dataclass(frozen=True, slots=True)
class Row:
    """A backlog: so many bodies of so many items; ``measured`` are the items whose pace counts."""

    name: str
    bodies: int
    each: int
    measured: int


@dataclass(frozen=True, slots=True)
class Seen:
    """What a head that goes on with a backlog takes."""

    restart_s: float  # from the start of the command to the first item at the sink
    restart_cpu_s: float  # of that, the head's processor
    items_per_s: float
    rss_mib: float  # the most until then
    cpu_us: float  # of the head, for each item after the first

    def line(self, pace: float, cpu: float) -> str:
        """Return it for a person, with its pace and its cost beside those of a short backlog."""
        return (
            f"head {self.rss_mib:.0f} MiB, first item after {self.restart_s:.2f} s "
            f"({self.restart_cpu_s:.2f} s of its processor), "
            f"{self.items_per_s:,.0f} items/s ({pace:.2f} of an empty one's) "
            f"at {self.cpu_us:.2f} us of the head's processor each ({cpu:.2f} of it)"
        )


ROWS = (
    Row("10,000,000 integers in bodies of 8,192", 1_221, 8_192, 6_000_000),
    Row("1,000,000 bodies of one item", 1_000_000, 1, 20_000),
)


def fill(state: Path, bodies: int, each: int) -> None:
    """Leave a journal with a backlog in the folder ``state``."""
    state.mkdir(mode=0o700, parents=True)
    opened = open_journal(state)
    opened.writer.begin()
    for number in range(1, bodies + 1):
        data = pickle.dumps(list(range(each)), protocol=5)
        opened.writer.write(Transaction(produced=[(("source->sink",), Body(number, each, data))]))
    opened.writer.seal()
    opened.sql.execute("COMMIT")
    opened.sql.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
    opened.close()


def go_on(row: Row, bodies: int) -> Seen:
    """Restart over ``bodies`` of ``row``, and stop once the measured items are through."""
    with tempfile.TemporaryDirectory(prefix="bench-backlog-") as name:
        root = Path(name)
        (root / "functions.py").write_text(FUNCTIONS.format(items=row.measured))
        (root / "pipeline.toml").write_text(PIPELINE)
        fill(root / ".runner" / "backlog", bodies, row.each)
        began = time.monotonic_ns()
        up = subprocess.Popen(
            [*command(), "up", "pipeline.toml", "--json", "--ui", "none", "--no-import"],
            cwd=root,
            env={**os.environ, "RUNNER_LOCAL": "1"},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
        )
        try:
            (first,) = _marks(root / "marks", up, 1)
            restart_cpu_s = _cpu_s(up.pid)
            _first, last = _marks(root / "marks", up, 2)
            cpu_s = _cpu_s(up.pid) - restart_cpu_s
            rss_mib = _highest_mib(up.pid)
        finally:
            _end(up)
    items = row.measured - 1
    return Seen(
        (first - began) / 1e9,
        restart_cpu_s,
        items / ((last - first) / 1e9),
        rss_mib,
        cpu_s / items * 1e6,
    )


def compare(row: Row, pairs: int) -> tuple[Seen, float, float]:
    """Return the median of the long backlog, and its pace and cost as shares of the short one's."""
    short = -(-row.measured // row.each) + 100
    seen: list[Seen] = []
    paces: list[float] = []
    costs: list[float] = []
    for _ in range(pairs):
        empty = go_on(row, short)
        seen.append(go_on(row, row.bodies))
        paces.append(seen[-1].items_per_s / empty.items_per_s)
        costs.append(seen[-1].cpu_us / empty.cpu_us)
    one = Seen(
        median(each.restart_s for each in seen),
        median(each.restart_cpu_s for each in seen),
        median(each.items_per_s for each in seen),
        median(each.rss_mib for each in seen),
        median(each.cpu_us for each in seen),
    )
    return one, median(paces), median(costs)


def _cpu_s(pid: int) -> float:
    """Return the processor time of a process, to the nanosecond: it may take less than a tick."""
    return time.clock_gettime(~pid << 3 | 2)  # what clock_getcpuclockid(3) makes of a pid on Linux


def _marks(path: Path, up: subprocess.Popen[bytes], count: int) -> list[int]:
    deadline = time.monotonic() + DEADLINE_S
    while time.monotonic() < deadline:
        marks = path.read_text().split() if path.exists() else []
        if len(marks) >= count:
            return [int(mark) for mark in marks[:count]]
        if up.poll() is not None:
            assert up.stderr is not None
            raise TrialError(f"it ended with {up.returncode}: {up.stderr.read().decode()[-500:]}")
        time.sleep(0.002)
    raise TrialError(f"not within {DEADLINE_S:g} s")


def _highest_mib(pid: int) -> float:
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmHWM"):
            return int(line.split()[1]) / 1024
    raise TrialError("the head is gone")


def _end(up: subprocess.Popen[bytes]) -> None:
    """Kill the head; all that it started ends with it, but what holds results for a journal."""
    started = psutil.Process(up.pid).children(recursive=True) if up.poll() is None else []
    up.kill()
    up.communicate()
    for each in started:
        if each.is_running():
            each.kill()


def main(arguments: list[str] | None = None) -> int:
    """Measure and print; 1 if a bar is missed."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.backlog", description=__doc__)
    parser.add_argument("--pairs", type=int, default=3)
    pairs = parser.parse_args(arguments).pairs
    met = True
    for row in ROWS:
        seen, pace, cost = compare(row, pairs)
        print(f"{row.name}: {seen.line(pace, cost)}", flush=True)
        met &= seen.rss_mib <= MOST_MIB and seen.restart_s <= MOST_S and pace >= LEAST_PACE
    print(
        f"medians of {pairs}; bars: {MOST_MIB} MiB, {MOST_S:g} s, {LEAST_PACE:g}: "
        + ("met" if met else "missed")
    )
    return 0 if met else 1


if __name__ == "__main__":
    sys.exit(main())
