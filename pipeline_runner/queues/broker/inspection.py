"""What lies in a run's queues, for a person to look at: counts, and the first items still encoded.

Nothing is taken and nothing decoded.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from itertools import islice
from typing import TYPE_CHECKING, Any

from pipeline_runner.queues.broker.transaction import item_id
from pipeline_runner.wire.repack import name_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from pipeline_runner.queues.broker.ages import Ages
    from pipeline_runner.queues.broker.ranges import Range
    from pipeline_runner.queues.broker.state import BrokerState
    from pipeline_runner.queues.broker.transaction import Body, PagedBody

_FIRST = 1000  # ranges of an edge among which its oldest is
MOST_BYTES = 32 * 1024**2  # of bodies of one look; the first goes whatever its size


@dataclass(frozen=True, slots=True)
class Backlog:
    """One edge. ``queued`` includes ``waiting``, the failed items that rest until their retry.

    The oldest that is queued has been on its edge for ``oldest_s`` at least; None if that is not
    known, or nothing is queued. A ``parked`` one is of an edge that the file has no more.
    """

    name: str
    queued: int
    leased: int
    waiting: int
    size_bytes: int
    oldest_s: float | None = None
    parked: bool = False

    def as_json(self) -> dict[str, Any]:
        """Return plain data."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class Seen:
    """One item of an edge: ``place`` is its index in the body ``body``."""

    item_id: str
    body: int
    place: int
    attempts: int
    alone: bool  # it runs alone, because a process died with it among others


def backlogs(state: BrokerState, ages: Ages, now: float) -> list[Backlog]:
    """Return every edge's backlog, in file order, and behind them what is parked."""
    parked = [
        Backlog(name, one.items, 0, 0, int(one.size_bytes), parked=True)
        for name, one in state.parked.items()
    ]
    return [
        Backlog(
            name,
            edge.queue.queued,
            edge.remaining - edge.queue.queued,
            edge.queue.waiting_items,
            max(0, int(edge.bytes)),
            _oldest_s(edge.queue, ages, now),
        )
        for name, edge in state.edges.items()
    ] + parked


def first(state: BrokerState, edge: str, most: int) -> tuple[list[Seen], dict[int, bytes]]:
    """Return up to ``most`` items of ``edge``, next first, and the bodies they are in."""
    bodies: dict[int, bytes] = {}
    size = 0
    seen: list[Seen] = []
    for body, item in _ranges(state, edge, most):
        if body.id not in bodies:
            size += body.size
            if bodies and size > MOST_BYTES:
                break
            bodies[body.id] = bytes(body.data)
        for place in range(item.lo, min(item.hi, item.lo + most - len(seen))):
            name = item_id(state.run, edge, *name_of(bodies[body.id], item.body, place))
            seen.append(Seen(name, item.body, place, item.attempts, item.suspect))
        if len(seen) >= most:
            break
    return seen, bodies


def _oldest_s(queue: Iterable[Range], ages: Ages, now: float) -> float | None:
    # Not quite in the order they came: what was given back stands behind what came since.
    bodies = [item.body for item in islice(queue, _FIRST)]
    return ages.age_s(min(bodies), now) if bodies else None


def _ranges(state: BrokerState, edge: str, most: int) -> Iterator[tuple[Body | PagedBody, Range]]:
    past = state.window.past
    if edge in state.parked:
        numbers: Sequence[int] = state.parked[edge].numbers[:most]
    else:
        queue = state.edges[edge].queue
        for item in queue:
            yield state.bodies[item.body], item
        numbers = queue.tail.first(most)
    if past is not None:
        for body, ranges in past.read(edge, numbers, 0):
            for item in ranges:
                yield body, item
