"""Spans of item indexes, the ranges an edge's queue holds, and that queue.

A span ``(lo, hi)`` is the indexes lo..hi-1 of one body. A spans tuple is sorted, and its spans
neither touch nor overlap. All of it is arithmetic: no body is ever opened here.
"""

from __future__ import annotations

import heapq
from collections import deque
from typing import TYPE_CHECKING

import msgspec

from pipeline_runner.queues.broker.paged_out import PagedOut

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

Span = tuple[int, int]
Spans = tuple[Span, ...]
_FEW = 4  # cuts, each of which may go over all that is left


def size(spans: Spans) -> int:
    """Return how many indexes ``spans`` hold."""
    if len(spans) == 1:  # nearly always
        return spans[0][1] - spans[0][0]
    return sum(hi - lo for lo, hi in spans)


def union(first: Spans, second: Spans) -> Spans:
    """Return the indexes of either, merged where they touch."""
    merged: list[Span] = []
    for lo, hi in sorted(first + second):
        if merged and lo <= merged[-1][1]:
            merged[-1] = (merged[-1][0], max(hi, merged[-1][1]))
        else:
            merged.append((lo, hi))
    return tuple(merged)


def intersect(first: Spans, second: Spans) -> Spans:
    """Return the indexes that both hold, each once even if a peer named it twice."""
    found = [
        (max(lo, other_lo), min(hi, other_hi))
        for lo, hi in first
        for other_lo, other_hi in second
        if max(lo, other_lo) < min(hi, other_hi)
    ]
    return union(tuple(found), ())


def subtract(spans: Spans, taken: Spans) -> Spans:
    """Return the indexes of ``spans`` that are not in ``taken``."""
    if len(taken) > _FEW:
        return _subtract_many(spans, sorted(taken))
    left = list(spans)
    for cut_lo, cut_hi in taken:
        pieces: list[Span] = []
        for lo, hi in left:
            if cut_hi <= lo or hi <= cut_lo:
                pieces.append((lo, hi))
                continue
            if lo < cut_lo:
                pieces.append((lo, cut_lo))
            if cut_hi < hi:
                pieces.append((cut_hi, hi))
        left = pieces
    return tuple(left)


def _subtract_many(spans: Spans, cuts: Sequence[Span]) -> Spans:
    """Do so in one pass over both: of a lease a thousand indexes may have failed."""
    left: list[Span] = []
    first = 0
    for lo, hi in spans:
        while first < len(cuts) and cuts[first][1] <= lo:
            first += 1
        start, place = lo, first
        while place < len(cuts) and cuts[place][0] < hi:
            if start < cuts[place][0]:
                left.append((start, cuts[place][0]))
            start = max(start, cuts[place][1])
            place += 1
        if start < hi:
            left.append((start, hi))
    return tuple(left)


def well_formed(spans: Spans) -> bool:
    """Whether ``spans`` is sorted, without empty, touching or overlapping members."""
    previous = -1
    for lo, hi in spans:
        if lo <= previous or hi <= lo:
            return False
        previous = hi
    return True


class Range(msgspec.Struct, gc=False):
    """Items lo..hi-1 of a body, waiting on an edge.

    ``attempts`` counts charged failures. A ``suspect`` was in a lease whose process died with
    several items unsettled: it runs alone, so that only a guilty item is ever charged. A retry
    rests until ``not_before``, on the shell's clock.
    """

    body: int
    lo: int
    hi: int
    attempts: int = 0
    suspect: bool = False
    not_before: float = 0.0


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
