"""The numbers that adapt: service times, how many items a body should hold, rate limits."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

WORK_S = 0.02  # how much work a body or a lease should be
LONG_WORK_S = 0.1  # and how much a lease may be, where a long queue is behind it
BACKLOG_SHARE = (
    32  # of a long queue, one body or lease is this part at most: the rest is for others
)
LONG_BODY_ITEMS = 64  # in a body for a long queue, whatever work that is: a claim takes a part,
LONG_BODY_BYTES = 16 * 1024  # and each worker that does is sent the whole
MOST_ITEMS = 8192  # in a body: past this, bigger ones no longer pay
BODY_BYTES = 1024**2  # what a body should hold at most, unless one item alone is larger
UNMEASURED_ITEMS = 64  # while the consumer has not told its pace yet
_BUCKETS_PER_OCTAVE = 4
_SHORTEST_S = 1e-8


@dataclass(slots=True)
class ServiceTimes:
    """How long an item takes in user code, in seconds: a moving mean and a histogram."""

    mean_s: float | None = None
    items: int = 0
    busy_s: float = 0.0
    _counts: dict[int, int] = field(default_factory=dict)
    _usual: float = 0.0  # items of a report

    def add(self, items: int, busy_s: float) -> None:
        """Record ``items`` calls that took ``busy_s`` together."""
        if items <= 0:
            return
        self.items += items
        self.busy_s += busy_s
        each = max(busy_s / items, _SHORTEST_S)
        # A few items say little: retries that fail once more would have the next bodies shrink.
        self._usual += (items - self._usual) * 0.2 if self._usual else items
        weight = 0.2 * min(1.0, items / self._usual)
        self.mean_s = each if self.mean_s is None else self.mean_s + (each - self.mean_s) * weight
        bucket = math.floor(math.log2(each / _SHORTEST_S) * _BUCKETS_PER_OCTAVE)
        self._counts[bucket] = self._counts.get(bucket, 0) + items

    def quantile(self, share: float) -> float | None:
        """Return the service time that ``share`` (0..1) of the items did not exceed."""
        target = share * sum(self._counts.values())
        seen = 0
        for bucket, count in sorted(self._counts.items()):
            seen += count
            if seen >= target:
                return float(_SHORTEST_S * 2 ** ((bucket + 0.5) / _BUCKETS_PER_OCTAVE))
        return None


def items_for(mean_s: float | None, most: int = MOST_ITEMS, work_s: float = WORK_S) -> int:
    """Return how many items make about ``work_s`` of work, between 1 and ``most``."""
    wanted = UNMEASURED_ITEMS if mean_s is None else int(work_s / max(mean_s, _SHORTEST_S))
    return max(1, min(wanted, most))


def with_backlog(wanted: int, most: int, queued: int) -> int:
    """Return how many of ``queued`` items to take at once: ``wanted``, or up to ``most``.

    What waits in a long queue waits longer than a larger piece takes, and each piece has its price.
    The pieces shrink with the queue, so that at its end no worker sits on what another could do.
    """
    return max(wanted, min(most, queued // BACKLOG_SHARE))


def grow(current: int, target: int) -> int:
    """Return the next size on the way to ``target``: up by doubling, down at once."""
    return min(target, current * 2)


@dataclass(slots=True)
class RateLimit:
    """A token bucket of ``rate`` items a second, holding at most a tenth of a second's worth."""

    rate: float
    tokens: float = 1.0
    filled_at: float | None = None

    def available(self, now: float) -> int:
        """Return how many items may start at ``now``, in whole items."""
        if self.filled_at is not None:
            burst = max(1.0, self.rate / 10)
            self.tokens = min(burst, self.tokens + (now - self.filled_at) * self.rate)
        self.filled_at = now
        return int(self.tokens + 1e-9)

    def spend(self, items: int) -> None:
        """Take ``items`` that :meth:`available` offered."""
        self.tokens -= items

    def refund(self, items: int) -> None:
        """Give back what was granted and not started."""
        self.tokens += items

    def due(self) -> float:
        """Return when the next item may start. Call :meth:`available` first."""
        assert self.filled_at is not None
        return self.filled_at + max(0.0, 1.0 - self.tokens) / self.rate
