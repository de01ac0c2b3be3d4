"""What is compared with what, at which size, and the bar of each."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from benchmarks.measure import DICTS, NAPS, PACED, Measured, Runner
from benchmarks.ours import Ours
from benchmarks.pairs import in_turns
from benchmarks.peers.bare_pickle import BarePickle
from benchmarks.peers.manager import MANAGER_UNIX, MANAGERS
from benchmarks.peers.mp_queue import QUEUES
from benchmarks.peers.plain_loop import PlainLoop
from benchmarks.peers.zmq_push import PUSHES
from benchmarks.stages import PACE_PER_S
from benchmarks.table import Bar, Row

if TYPE_CHECKING:
    from collections.abc import Callable

    from benchmarks.pairs import Pair

PEERS = {peer.name: peer for peer in (*MANAGERS, *QUEUES, *PUSHES)}
NAP_WORKERS = 8

# By (durability, peer), in items a second of ours over theirs.
INTS_BARS = {
    ("memory", "manager-tcp"): Bar(340),
    ("memory", "manager-tcp-lists"): Bar(1.0),
    ("memory", "manager-unix-lists"): Bar(1.0),
    ("fsync", "manager-tcp-lists"): Bar(0.5),
    ("fsync", "manager-unix-lists"): Bar(0.5),
}


@dataclass(frozen=True, slots=True)
class Reading:
    """One number taken of a run, in ``unit``, and the bar for ours over theirs."""

    what: str
    unit: str
    number: Callable[[Measured], float]
    bar: Bar | None = None
    theirs_times: float = 1.0


@dataclass(frozen=True, slots=True)
class Comparison:
    """Two runners, how many items (ours, theirs) each runs, and what is read of their runs."""

    ours: Runner
    peer: Runner
    items: tuple[int, int]
    readings: tuple[Reading, ...]

    def rows(self, pairs: int, told: Callable[[int, Pair], None]) -> list[Row]:
        """Run ``pairs`` pairs and return a row for each reading. Raises TrialError."""
        measured = tuple(in_turns(self.ours, self.peer, self.items, pairs, told))
        return [
            Row(
                what=reading.what,
                peer=self.peer.name,
                unit=reading.unit,
                ours=tuple(reading.number(ours) for ours, _ in measured),
                theirs=tuple(reading.number(theirs) for _, theirs in measured),
                pairs=measured,
                bar=reading.bar,
                theirs_times=reading.theirs_times,
            )
            for reading in self.readings
        ]


def ints(items: int, durability: str, peers: list[str]) -> list[Comparison]:
    """Compare ``items`` ints a run with each of ``peers``; slow ones run fewer items."""
    return [
        Comparison(
            ours=Ours(durability=durability),
            peer=PEERS[name],
            items=(items, min(items, PEERS[name].items)),
            readings=(
                Reading(
                    f"ints, {durability}",
                    "items/s",
                    lambda run: run.rate,
                    INTS_BARS.get((durability, name)),
                ),
            ),
        )
        for name in peers
    ]


def dicts(items: int) -> list[Comparison]:
    """Compare dicts of five keys with pyzmq as written, and with the CPU of pickling alone."""
    push = replace(PEERS["zmq-ipc"], flow=DICTS)
    bare = BarePickle()
    return [
        Comparison(
            ours=Ours(DICTS),
            peer=push,
            items=(items, min(items, push.items)),
            readings=(Reading("dicts", "items/s", lambda run: run.rate, Bar(2.5)),),
        ),
        Comparison(
            ours=Ours(DICTS),
            peer=bare,
            items=(items, min(items, bare.items)),
            readings=(Reading("dicts, CPU", "us", lambda run: run.cpu_us, Bar(1.5, at_most=True)),),
        ),
    ]


def paced(seconds: int) -> list[Comparison]:
    """Compare delays over three hops at a steady pace, after one second that is not counted."""
    items = (seconds + 1) * PACE_PER_S

    def delay(percent: int, bar: Bar | None) -> Reading:
        return Reading(
            f"paced {PACE_PER_S}/s, p{percent}",
            "ms",
            lambda run: run.delay_ms(percent, skip=PACE_PER_S),
            bar,
        )

    return [
        Comparison(
            ours=Ours(PACED),
            peer=replace(MANAGER_UNIX, flow=PACED),
            items=(items, items),
            readings=(delay(50, Bar(0.8, at_most=True)), delay(99, None)),
        )
    ]


def naps(items: int) -> list[Comparison]:
    """Compare a sleeping stage in eight workers with eight times a plain loop."""
    return [
        Comparison(
            ours=Ours(NAPS, processes={"Nap": NAP_WORKERS}),
            peer=PlainLoop(),
            items=(items, max(items // NAP_WORKERS, 1)),
            readings=(
                Reading(
                    f"sleeping stage, {NAP_WORKERS} workers",
                    "items/s",
                    lambda run: run.rate,
                    Bar(0.97),
                    theirs_times=NAP_WORKERS,
                ),
            ),
        )
    ]
