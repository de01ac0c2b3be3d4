"""Spans of item indexes, and the ranges that an edge's queue holds.

A span ``(lo, hi)`` is the indexes lo..hi-1 of one body. A spans tuple is sorted, and its spans
neither touch nor overlap. All of it is arithmetic: no body is ever opened here.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

if TYPE_CHECKING:
    from collections.abc import Sequence

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
