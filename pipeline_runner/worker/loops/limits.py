"""When a worker has had enough: a number of items, or a size in memory."""

from __future__ import annotations

import os
from pathlib import Path

_STATM = Path("/proc/self/statm")
_PAGE = os.sysconf("SC_PAGE_SIZE")


def resident_size(statm: Path = _STATM) -> int:
    """Return the resident size of a process in bytes; 0 where the system does not tell.

    Without what it shares: bodies in the memory of all workers are no leak of this one.
    """
    try:
        resident, shared = statm.read_text().split()[1:3]
        return (int(resident) - int(shared)) * _PAGE
    except OSError:
        return 0


class Limits:
    """Counts items and watches memory, so that a leaking process is replaced in good order."""

    def __init__(self, max_items: int | None, max_memory: int | None) -> None:
        self._left = max_items
        self._max_memory = max_memory
        self.reached = False

    @property
    def prefetches(self) -> bool:
        """Whether more may be claimed than is at hand: not when every item counts."""
        return self._left is None

    def cap(self, want: int) -> int:
        """Return how many of ``want`` items may be claimed."""
        return want if self._left is None else max(1, min(want, self._left))

    def count(self, items: int) -> None:
        """Record items that were called, and look at the memory."""
        if self._left is not None:
            self._left -= items
            self.reached = self._left <= 0
        if self._max_memory is not None and resident_size() > self._max_memory:
            self.reached = True
