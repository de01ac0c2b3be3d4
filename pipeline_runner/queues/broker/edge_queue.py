"""The queue of one edge: ranges in order, retries that wait, and what is paged out behind them."""

from __future__ import annotations

import heapq
from collections import deque
from typing import TYPE_CHECKING

from pipeline_runner.queues.broker.paged_out import PagedOut
from pipeline_runner.queues.broker.ranges import Range, intersect, size, subtract, union

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pipeline_runner.queues.broker.ranges import Spans


class EdgeQueue:
    """The ranges of one edge that nobody holds: ready, suspect, or waiting for their retry.

    ``unread`` are those that workers of some releases could not decode, and these releases. Those
    of the ``tail`` come after all that are ready, and are not in memory yet.
    """

    __slots__ = (
        "_order",
        "ready",
        "ready_items",
        "suspects",
        "tail",
        "unread",
        "waiting",
        "waiting_items",
    )

    def __init__(self) -> None:
        self.ready: deque[Range] = deque()
        self.suspects: deque[Range] = deque()
        self.waiting: list[tuple[float, int, Range]] = []  # a heap by due time
        self.unread: list[tuple[Range, frozenset[str]]] = []
        self.ready_items = 0  # in ready and suspects
        self.waiting_items = 0
        self.tail = PagedOut()
        self._order = 0

    @property
    def queued(self) -> int:
        """Items here, whether they can be claimed now or later."""
        unread = sum(item.hi - item.lo for item, _releases in self.unread)
        return self.ready_items + self.waiting_items + unread + self.tail.items

    def push(self, item: Range, *, front: bool = False) -> None:
        """Queue ``item`` last, or first if it was here before."""
        lane = self.suspects if item.suspect else self.ready
        if front:
            lane.appendleft(item)
        else:
            lane.append(item)
        self.ready_items += item.hi - item.lo

    def push_later(self, item: Range, due: float) -> None:
        """Queue ``item`` so that it can be claimed from ``due`` on."""
        self._order += 1
        heapq.heappush(self.waiting, (due, self._order, item))
        self.waiting_items += item.hi - item.lo

    def pop(self, want: int, *, alone: bool) -> Range | None:
        """Take up to ``want`` items of one range; a suspect, one at a time, only if ``alone``."""
        lane = self.ready
        if self.suspects:
            # A worker that holds something gets nothing now: it would never come empty-handed
            # while it prefetches, and the suspects would starve.
            if not alone:
                return None
            lane, want = self.suspects, 1
        elif not lane:
            return None
        first = lane[0]
        if first.hi - first.lo <= want:
            lane.popleft()
            taken = first
        else:
            cut = first.lo + want
            taken = Range(first.body, first.lo, cut, first.attempts, first.suspect)
            first.lo = cut
        self.ready_items -= taken.hi - taken.lo
        return taken

    def pop_readable(self, release: str, *, alone: bool) -> tuple[Range, frozenset[str]] | None:
        """Take a range that others could not decode, and this release has not tried."""
        for place, (item, releases) in enumerate(self.unread):
            if release not in releases and (alone or not item.suspect):
                return self.unread.pop(place)
        return None

    def wake(self, now: float) -> bool:
        """Make due retries claimable; return whether there were any."""
        woke = False
        while self.waiting and self.waiting[0][0] <= now:
            item = heapq.heappop(self.waiting)[2]
            self.waiting_items -= item.hi - item.lo
            self.push(item)
            woke = True
        return woke

    def adopt(self, body: int, spans: Spans, attempts: int, *, suspect: bool) -> Spans:
        """Take the claimable indexes among ``spans`` whose attempts and suspicion are equal."""
        lane = self.suspects if suspect else self.ready
        taken: Spans = ()
        kept: deque[Range] = deque()
        for item in lane:
            whole: Spans = ((item.lo, item.hi),)
            hit = intersect(whole, spans) if item.body == body and item.attempts == attempts else ()
            if not hit:
                kept.append(item)
                continue
            taken = union(taken, hit)
            kept.extend(Range(body, lo, hi, attempts, suspect) for lo, hi in subtract(whole, hit))
        lane.clear()
        lane.extend(kept)
        self.ready_items -= size(taken)
        return taken

    def clear(self) -> list[Range]:
        """Take everything that is in memory, whenever it is due."""
        taken = list(self)
        for lane in (self.ready, self.suspects, self.waiting, self.unread):
            lane.clear()
        self.ready_items = self.waiting_items = 0
        return taken

    def __iter__(self) -> Iterator[Range]:
        yield from self.suspects
        yield from self.ready
        for _due, _order, item in self.waiting:
            yield item
        for item, _releases in self.unread:
            yield item
