"""How long to wait before a worker that keeps dying at its start is started again."""

from __future__ import annotations

from dataclasses import dataclass

FIRST_S = 0.2
LONGEST_S = 10.0


@dataclass(slots=True)
class Backoff:
    """Deaths of one slot's workers before they could take work, in a row."""

    deaths: int = 0
    not_before: float = 0.0

    def died(self, now: float) -> float:
        """Record a death at ``now`` and return the seconds to wait: doubling, up to ten."""
        wait_s = min(FIRST_S * 2.0**self.deaths, LONGEST_S)
        self.deaths += 1
        self.not_before = now + wait_s
        return wait_s
