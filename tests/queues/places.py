"""Every item is in exactly one place: the broker's books against the disk."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pipeline_runner.queues.broker.state import BrokerState
    from tests.queues.world import Disk

Place = tuple[str, int, int, bool]  # edge, body, attempts, suspect


class Broken(AssertionError):
    """An invariant does not hold."""


def mask(lo: int, hi: int) -> int:
    """The indexes lo..hi-1 as bits."""
    return (1 << hi) - (1 << lo)


def check_places(state: BrokerState, disk: Disk) -> None:
    """Raise Broken unless queues, leases and settles on their way hold what is durable, once."""
    places = _places(state, disk)
    durable: dict[Place, int] = {}
    totals: Counter[str] = Counter()
    for (name, body), ranges in disk.durable.ranges.items():
        for r in ranges:
            place = (name, body, r.attempts, r.suspect)
            durable[place] = durable.get(place, 0) | mask(r.lo, r.hi)
            totals[name] += r.hi - r.lo
    if places != durable:
        raise Broken(f"the broker has {places} and the disk {durable}")
    for name, edge in state.edges.items():
        if edge.remaining != totals[name]:
            raise Broken(f"{name} says {edge.remaining} remain, and {totals[name]} do")
    known = state.bodies.keys() | {n for edge in state.edges.values() for n in edge.queue.tail}
    if known != disk.durable.bodies.keys():
        raise Broken("the bodies of the broker are not those of the disk")


def _places(state: BrokerState, disk: Disk) -> dict[Place, int]:
    places: dict[Place, int] = {}

    def put(place: Place, lo: int, hi: int) -> None:
        bits, here = mask(lo, hi), places.get(place, 0)
        if bits & here:
            raise Broken(f"{place}:{lo}-{hi} is in two places")
        places[place] = bits | here

    for name, edge in state.edges.items():
        queued = 0
        for r in edge.queue:
            put((name, r.body, r.attempts, r.suspect), r.lo, r.hi)
            queued += r.hi - r.lo
        for number in edge.queue.tail:
            for r in disk.durable.ranges[name, number]:
                put((name, number, r.attempts, r.suspect), r.lo, r.hi)
                queued += r.hi - r.lo
        if edge.queue.tail and not edge.queue.ready:
            raise Broken(f"{name} has nothing ready before {list(edge.queue.tail)}")
        if queued != edge.queue.queued:
            raise Broken(f"{name} says {edge.queue.queued} are queued, and {queued} are")
    held = [(lease, lease.live) for lease in state.leases.values()]
    held += [one for pending in disk.waiting for one in pending.settling]
    for lease, spans in held:
        for lo, hi in spans if lease.edge else ():
            put((lease.edge, lease.body, lease.attempts, lease.suspect), lo, hi)
    return places
