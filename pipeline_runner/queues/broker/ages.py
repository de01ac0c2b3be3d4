"""How old what is queued is, near enough, and without a word about any single body.

Bodies are numbered as they come: to know which number was next at some moments is to know between
which two of them a body was made.
"""

from __future__ import annotations

from bisect import bisect_right

_MOST = 256  # marks: where there are more, every other one of the older half goes


class Ages:
    """Remembers which body was next, and when; seconds are monotonic."""

    def __init__(self) -> None:
        self._nexts: list[int] = []
        self._times: list[float] = []

    def mark(self, next_body: int, now: float) -> None:
        """Note that ``next_body`` is the number of the next body now."""
        if self._nexts and self._nexts[-1] == next_body:
            return
        self._nexts.append(next_body)
        self._times.append(now)
        if len(self._nexts) > _MOST:
            half = _MOST // 2
            del self._nexts[1:half:2]
            del self._times[1:half:2]

    def age_s(self, body: int, now: float) -> float:
        """Return for how many seconds ``body`` has been there at least; 0 if it is new.

        Of one from before the first mark that is known: the time since then.
        """
        first = bisect_right(self._nexts, body)  # the first mark that knew it
        return now - self._times[first] if first < len(self._nexts) else 0.0
