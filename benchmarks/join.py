"""Measure how a host joins: ``python -m benchmarks.join [--only ROW,...] [--write]``.

Hosts are network namespaces on a bridge, with real heads and real ``runner join``; it takes root.
The pipeline is a small one: a source that gives an item every 10 ms, a stage that only the joined
host may run, and a sink at the head. ``--write`` keeps the figures and writes docs/benchmarks.md.
"""

from __future__ import annotations

import argparse
import datetime as dt
import signal
import subprocess
import sys
import time
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from statistics import median
from typing import TYPE_CHECKING, Any

import psutil

from benchmarks.page import page
from benchmarks.report import KEPT, PAGE, ROOT, _keep, _kept
from benchmarks.speed import machine
from pipeline_runner.cluster.identity import Identity
from pipeline_runner.cluster.packets import PORT
from tests.e2e.kit import chain, stage, until
from tests.hosts.lan import lan
from tests.hosts.site import FUNCTIONS, Site, site
from tests.hosts.tap import UDP, tap

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

JOINS = 20
FLOOD = 10_000  # packets a second
SILENT = 500  # connections
TICKS = '''

def ticks():
    """An item every 10 ms until the gate ``end`` opens."""
    number = 0
    while not gate("end"):
        yield number
        number += 1
        time.sleep(0.01)
'''


@dataclass(frozen=True)
class Row:
    """One figure: ``value`` and its ``bar``, at most, in ``unit``; ``how`` it came about."""

    what: str
    value: float
    unit: str
    bar: float
    how: str

    @property
    def is_reached(self) -> bool:
        """Whether it is within its bar."""
        return self.value <= self.bar


@contextmanager
def idle_head() -> Iterator[Site]:
    """Give a head on ``desk`` whose work waits for ``pi``."""
    with lan("desk", "pi", "rig") as made, site(made, "desk") as up:
        document = stage("ticks", "functions:ticks") + stage("keep", "functions:keep")
        document += stage("work", "functions:work", 'constraints = ["host == pi"]')
        up.write(document + chain("ticks", "work", "keep"), functions=FUNCTIONS + TICKS)
        up.open_gate("fast")
        up.up()
        yield up


@dataclass(frozen=True)
class Times:
    """Of one join, in seconds: its first ask to authenticated, its start to its first item."""

    from_ask_s: float
    to_item_s: float


def join_once(up: Site) -> Times:
    """Join from ``pi``, wait for the first item that it does, leave."""
    host = up.lan["pi"]
    kept = len(up.notes("keep"))
    with tap(up.lan, host) as heard:
        began = time.monotonic()
        joined = up.join(host)
        while "found" not in joined.said:  # it says so once both sides have proved the key
            time.sleep(0.001)
        here = time.monotonic()
        until(lambda: len(up.notes("keep")) > kept, "an item is through")
        first = up.notes("keep")[kept][-1]
        asked = heard.udp_from(host.address, PORT)[0].at_s
    joined.popen.send_signal(signal.SIGINT)
    joined.ended()
    until(lambda: not up.state("pi"), "it has left")
    return Times(here - asked, first - began)


def joins() -> list[Row]:
    """Time joins of a quiet network."""
    with idle_head() as up:
        times = [join_once(up) for _ in range(JOINS)]
    ask, first = [each.from_ask_s * 1e3 for each in times], [each.to_item_s for each in times]
    how = f"median of {JOINS}, from its first ask to `found`; the slowest {max(ask):.0f} ms"
    item = f"median of {JOINS}, from the start of the process; the slowest {max(first):.2f} s"
    return [
        Row("`runner join` to authenticated", median(ask), "ms", 100, how),
        Row("`runner join` to its first item settled", median(first), "s", 2, item),
    ]


def idle(seconds: float = 95) -> list[Row]:
    """Count what a head with nothing to do says on its network."""
    with idle_head() as up:
        until(lambda: up.run.stage("ticks").get("out", 0) > 0, "it is under way")
        time.sleep(2)  # its first announcements are over
        with tap(up.lan, up.head) as heard:
            time.sleep(seconds)
        said = [packet for packet in heard.packets if packet.source == up.head.address]
    datagrams = sum(packet.protocol == UDP for packet in said)
    value = len(said) * 30 / seconds
    how = f"{datagrams} datagrams and {len(said) - datagrams} others in {seconds:g} s"
    return [Row("an idle head, packets in 30 s", value, "", 1, how)]


def flood() -> list[Row]:
    """Join while rubbish with the right beginning comes in."""
    with idle_head() as up:
        tag = Identity(up.project.name, up.key.encode()).tag.hex()
        with _attack(up, "flood", PORT, FLOOD, tag) as attacker:
            busy, times = _cpu_while(up, lambda: [join_once(up) for _ in range(5)])
            assert attacker.stdout is not None
        counts = [int(line) for line in attacker.stdout]
    rate = (counts[-1] - counts[0]) / (len(counts) - 1)
    slowest = max(each.from_ask_s for each in times)
    how = f"{rate:,.0f} packets of 512 bytes a second, with the tag of its key; slowest of 5 joins"
    return [
        Row("a join under a flood", slowest, "s", 1, how),
        Row("the head meanwhile, of a core", busy * 100, "%", 40, "user and system time"),
    ]


def silent() -> list[Row]:
    """Join while connections that say nothing are held."""
    with idle_head() as up, _attack(up, "silent", _tcp_port(up), SILENT) as attacker:
        assert attacker.stdout is not None
        attacker.stdout.readline()
        busy, times = _cpu_while(up, lambda: [join_once(up) for _ in range(5)])
    slowest = max(each.from_ask_s for each in times)
    how = f"{SILENT} of them, each replaced when it is closed; slowest of 5 joins, the head "
    how += f"with all it does at {busy * 100:.0f} % of a core"
    return [Row("a join beside silent connections", slowest, "s", 1, how)]


ROWS: dict[str, Callable[[], list[Row]]] = {
    "joins": joins,
    "idle": idle,
    "flood": flood,
    "silent": silent,
}


@contextmanager
def _attack(up: Site, what: str, port: int, *rest: object) -> Iterator[subprocess.Popen[str]]:
    words = (what, up.head.address, str(port), *map(str, rest))
    attacker = subprocess.Popen(
        up.lan["rig"].command(sys.executable, "-m", "benchmarks.attackers", *words),
        cwd=ROOT,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        yield attacker
    finally:
        attacker.kill()
        attacker.wait()


def _cpu_while(up: Site, do: Callable[[], list[Times]]) -> tuple[float, list[Times]]:
    """Return what share of a core the head used while ``do()``, and what that gave."""
    head = psutil.Process(up.run.pid)
    began, before = time.monotonic(), sum(head.cpu_times()[:2])
    did = do()
    return (sum(head.cpu_times()[:2]) - before) / (time.monotonic() - began), did


def _tcp_port(up: Site) -> int:
    listed = up.head.run("ss", "-H", "-l", "-n", "--tcp").stdout.split()
    return int(next(word for word in listed if ":" in word).rpartition(":")[2])


def table(rows: list[dict[str, Any]]) -> str:
    """Return rows as aligned text."""
    lines = [
        (
            row["what"].replace("`", ""),
            f"{row['value']:.3g} {row['unit']}",
            f"<= {row['bar']:g} {row['unit']}",
            "yes" if row["is_reached"] else "NO",
            row["how"].replace("`", ""),
        )
        for row in rows
    ]
    widths = [max(len(line[i]) for line in lines) for i in range(4)]
    return "\n".join("  ".join((*map(str.ljust, line, widths), line[4])) for line in lines)


def main(arguments: list[str] | None = None) -> int:
    """Measure and print; 1 if a bar is missed."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.join", description=__doc__)
    parser.add_argument("--only", nargs="+", choices=ROWS, default=list(ROWS))
    parser.add_argument("--write", action="store_true", help="keep it, write docs/benchmarks.md")
    asked = parser.parse_args(arguments)
    kept = _kept(KEPT)
    told: dict[str, Any] = kept.setdefault("join", {"rows": {}})
    for name in asked.only:
        rows = [asdict(row) | {"is_reached": row.is_reached} for row in ROWS[name]()]
        print(table(rows), flush=True)
        told["rows"][name] = rows
    told["date"] = dt.datetime.now(dt.timezone.utc).date().isoformat()
    told["machine"] = machine()
    if asked.write:
        _keep(KEPT, kept)
        PAGE.write_text(page(kept))
        print(f"wrote {PAGE}", file=sys.stderr)
    return 0 if all(row["is_reached"] for name in asked.only for row in told["rows"][name]) else 1


if __name__ == "__main__":
    sys.exit(main())
