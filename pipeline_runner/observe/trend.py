"""How queues move: the growth of each edge over the last seconds, from snapshots alone."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pipeline_runner.observe.snapshot import Snapshot, StageView

WINDOW_S = 5.0


class Trend:
    """Remembers the backlog of each edge over a window of seconds of the run's own time."""

    def __init__(self, window_s: float = WINDOW_S) -> None:
        self._window_s = window_s
        self._seen: deque[tuple[float, dict[str, int]]] = deque()

    def add(self, snapshot: Snapshot) -> None:
        """Take one more snapshot; those older than the window are forgotten."""
        self._seen.append((snapshot.up_s, {edge.name: edge.queued for edge in snapshot.edges}))
        while len(self._seen) > 2 and snapshot.up_s - self._seen[1][0] >= self._window_s:
            self._seen.popleft()

    def growth(self, edge: str) -> float:
        """Return by how many items a second the backlog of ``edge`` grows (negative: shrinks).

        Zero until two snapshots at least a second apart have been seen.
        """
        if len(self._seen) < 2:
            return 0.0
        (then_s, then), (now_s, now) = self._seen[0], self._seen[-1]
        if now_s - then_s < 1.0:
            return 0.0
        return (now.get(edge, 0) - then.get(edge, 0)) / (now_s - then_s)


def queued_for(snapshot: Snapshot, stage: str) -> int:
    """Return how many items wait in the edges into ``stage``."""
    return sum(edge.queued for edge in snapshot.edges if edge.to == stage)


def fill(snapshot: Snapshot, stage: str) -> float:
    """Return how full the fullest edge into ``stage`` is, 0..1: it holds its producer back."""
    return max(
        (
            edge.queued_bytes / edge.capacity_bytes
            if edge.capacity_bytes
            else edge.queued / max(1, edge.capacity)
            for edge in snapshot.edges
            if edge.to == stage
        ),
        default=0.0,
    )


def stage_growth(snapshot: Snapshot, trend: Trend, stage: str) -> float:
    """Return by how many items a second the backlog of ``stage`` grows."""
    return sum(trend.growth(edge.name) for edge in snapshot.edges if edge.to == stage)


def eta_s(snapshot: Snapshot, trend: Trend, stage: StageView) -> float | None:
    """Return the seconds until the backlog of ``stage`` is gone at its present pace.

    Infinity for a backlog that grows; None where nobody can tell: a source, which has no
    backlog, and a backlog that stands still because its queue is full.
    """
    if stage.kind == "source":
        return None
    backlog = queued_for(snapshot, stage.name)
    if backlog == 0:
        return 0.0
    if not _fed(snapshot, stage.name):
        return backlog / stage.in_rate if stage.in_rate > 0 else None
    growth = stage_growth(snapshot, trend, stage.name)
    # A twentieth of the throughput is noise: batches settle in steps.
    if abs(growth) <= 0.05 * stage.in_rate:
        return None
    return float("inf") if growth > 0 else backlog / -growth


def _fed(snapshot: Snapshot, stage: str) -> bool:
    """Whether anything may still come: a stage before it has not finished."""
    before = {edge.from_ for edge in snapshot.edges if edge.to == stage}
    return any(each.state != "finished" for each in snapshot.stages if each.name in before)
