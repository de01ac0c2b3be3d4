"""How long to wait before a worker that keeps dying is started again."""

from __future__ import annotations

from dataclasses import dataclass

FIRST_S = 0.2
LONGEST_S = 10.0
LONGEST_AT_WORK_S = 2.0  # each such death may be charged, and what waits is to become a letter


@dataclass(slots=True)
class Backoff:
    """Deaths of one slot's workers in a row, none of which had settled anything."""

    deaths: int = 0
    not_before: float = 0.0

    def died(self, now: float, *, took_work: bool = False) -> float:
        """Record a death at ``now`` and return the seconds to wait: doubling, up to ten.

        The first that took work is replaced at once, any further within two seconds.
        """
        doublings = self.deaths - took_work
        most_s = LONGEST_AT_WORK_S if took_work else LONGEST_S
        wait_s = min(FIRST_S * 2.0**doublings, most_s) if doublings >= 0 else 0.0
        self.deaths += 1
        self.not_before = now + wait_s
        return wait_s
