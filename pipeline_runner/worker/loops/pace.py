"""How much to claim at once, from how long the calls take."""

from __future__ import annotations

from pipeline_runner.queues.broker.sizing import LONG_WORK_S, MOST_ITEMS, grow, items_for

PREFETCH_BELOW_S = 0.1  # a longer item must be free for a worker that could start it now
CHECK_ABOVE_S = 20e-6  # from here on, looking at the stop flag before each item costs nothing


class Pace:
    """A worker's own measure of its calls, in seconds an item."""

    def __init__(self) -> None:
        self.mean_s: float | None = None
        self.checks = True  # whether to look at the stop flag before each item
        self._want = 1
        self._items = 0
        self._busy_s = 0.0

    def add(self, items: int, busy_s: float) -> None:
        """Record calls that were made."""
        if items:
            each = busy_s / items
            # A few items say little: retries that fail once more would have the next claim shrink.
            weight = 0.3 * min(1.0, items / self._want)
            mean_s = each if self.mean_s is None else self.mean_s + (each - self.mean_s) * weight
            self.mean_s, self.checks = mean_s, mean_s > CHECK_ABOVE_S
            self._items += items
            self._busy_s += busy_s

    def report(self) -> tuple[int, float]:
        """Return and forget what was recorded since the last report."""
        report = self._items, self._busy_s
        self._items, self._busy_s = 0, 0.0
        return report

    def want(self) -> int:
        """Return how many items to claim now: one at first, then doubling."""
        if self.mean_s is not None:
            self._want = grow(self._want, items_for(self.mean_s, MOST_ITEMS))
        return self._want

    def most(self) -> int:
        """Return how many items may be claimed of a long queue; 0 while their time is unknown."""
        if self.mean_s is None:
            return 0
        return min(items_for(self.mean_s, MOST_ITEMS, LONG_WORK_S), self._want * 8)
