"""What of an edge's queue is in memory: its beginning, read ahead from what is durable.

Past so many ranges, or past the memory there is, an edge only counts what it is given. Whoever
takes from its front makes room, and the next are read: so nobody who claims ever waits for more
than a piece, and the front is never empty while anything is behind it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    from pipeline_runner.queues.broker.paged_out import DurableState
    from pipeline_runner.queues.broker.ranges import Range
    from pipeline_runner.queues.broker.stages import EdgeState
    from pipeline_runner.queues.broker.state import BrokerState
    from pipeline_runner.queues.broker.transaction import Body, PagedBody

RANGES = 16_384  # of one edge in memory; more are hardly faster
_PIECE = 256  # bodies read at a time: a few milliseconds at most
_LOW = 64  # ranges left when the next piece is read
_LEAST_BYTES = 1024**2  # of a piece, where no memory is left; those beyond are read one by one
_MOST_BYTES = 4 * 1024**2


class Pager:
    """Moves bodies between ``past`` and the queues. Without one everything stays in memory."""

    def __init__(self, state: BrokerState, past: DurableState | None, ranges: int) -> None:
        self._state = state
        self.past = past
        self._ranges = ranges
        self._piece = max(1, min(_PIECE, ranges // 2))
        self._low = max(1, min(_LOW, ranges // 4))

    def is_past(self, edge: EdgeState, body: Body) -> bool:
        """Whether a body that is published on ``edge`` stays where it is durable."""
        if self.past is None:
            return False
        queue, state = edge.queue, self._state
        if queue.tail:
            return body.id > queue.tail.last  # else out of turn: there are few of those
        if len(queue.ready) >= self._ranges:
            return True
        return bool(queue.ready) and not state.fits(body)

    def read_ahead(self, edge: EdgeState) -> None:
        """Keep the front of the queue long enough for those who take from it."""
        queue = edge.queue
        while queue.tail and len(queue.ready) < self._low:
            numbers = queue.tail.first(self._piece)
            items = 0
            for body, ranges in self._read(edge, numbers):
                items += self._take_in(edge, body, ranges)
            queue.tail.drop(len(numbers), items)
        self._state.dirty[edge.spec.target] = None

    def fetch(self, edge: EdgeState, number: int) -> None:
        """Have in memory what ``edge`` holds of one body, for somebody names an item of it."""
        if edge.queue.tail.pick(number):
            for body, ranges in self._read(edge, (number,)):
                edge.queue.tail.items -= self._take_in(edge, body, ranges, front=True)

    def take(self, edge: EdgeState, numbers: Iterable[int]) -> list[Range]:
        """Return what ``edge`` holds of bodies that are in its tail no more."""
        assert self.past is not None
        taken: list[Range] = []
        for body, ranges in self.past.read(edge.spec.name, tuple(numbers), 0):
            self._state.hold(body, sum(r.hi - r.lo for r in ranges))
            taken += ranges
        return taken

    def _read(
        self, edge: EdgeState, numbers: Iterable[int]
    ) -> Iterable[tuple[Body | PagedBody, list[Range]]]:
        assert self.past is not None
        room = max(_LEAST_BYTES, min(_MOST_BYTES, self._state.room_bytes))
        return self.past.read(edge.spec.name, tuple(numbers), room)

    def _take_in(
        self, edge: EdgeState, body: Body | PagedBody, ranges: list[Range], *, front: bool = False
    ) -> int:
        items = 0
        for item in ranges:
            items += item.hi - item.lo
            if item.not_before:
                edge.queue.push_later(item, item.not_before)
                self._state.alarm(item.not_before)
            else:
                edge.queue.push(item, front=front)
        self._state.hold(body, items)
        return items
