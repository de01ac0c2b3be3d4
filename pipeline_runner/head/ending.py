"""How a run ends, as a pure decision: finished, drained, out of patience, or stopped at once."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Step = Literal["go on", "stop workers", "leave"]


@dataclass(frozen=True, slots=True)
class EndFacts:
    """What decides about the end. Times are monotonic seconds."""

    finished: bool  # every stage has ended, and a worker of each has heard it
    draining_until: float | None  # a stop was asked: the backlog may drain so long
    stop_now: bool
    source_workers: int
    remaining: int  # items not gone
    workers: int
    keeps_backlog: bool = False  # what is queued outlives the head: nobody waits for it


def next_step(standing: EndFacts, now: float) -> Step:
    """Return what to do: stop the workers once nothing is left to do, leave once they are gone."""
    over = standing.finished or standing.stop_now
    if standing.draining_until is not None:
        drained = not standing.source_workers and not standing.remaining
        over = over or drained or standing.keeps_backlog or now >= standing.draining_until
    if not over:
        return "go on"
    return "leave" if not standing.workers else "stop workers"
