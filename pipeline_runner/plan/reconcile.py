"""From what a host should run and what it runs to what to start and stop."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


@dataclass(frozen=True, slots=True, order=True)
class Slot:
    """One worker's place: ``index`` is 0..n-1 of its stage, over all hosts."""

    stage: str
    index: int


@dataclass(frozen=True, slots=True)
class Running:
    """One process. ``spec`` is the fingerprint of what it was started with.

    ``since`` is when ``phase`` began, in seconds of the clock whose ``now`` is asked with.
    """

    slot: Slot
    pid: int
    spec: str
    phase: Literal["running", "draining"]
    since: float


@dataclass(frozen=True, slots=True)
class Start:
    """Start a worker for ``slot`` by the spec with this fingerprint."""

    slot: Slot
    spec: str


@dataclass(frozen=True, slots=True)
class Drain:
    """Ask a worker to finish its item and exit. ``reason`` completes "stopped: ..."."""

    pid: int
    reason: str


@dataclass(frozen=True, slots=True)
class Kill:
    """End a worker that was asked to drain and had its grace."""

    pid: int


Action = Start | Drain | Kill


def reconcile(
    desired: Mapping[Slot, str], actual: Sequence[Running], now: float, grace_s: float
) -> list[Action]:
    """Return what to do: first kills, then drains (newest index first), then starts.

    ``desired`` gives each slot its spec's fingerprint, and a worker of another is replaced. A
    slot is started when its old worker is gone, never beside it. Repeating the call while
    nothing changed repeats its answer, so a lost action is asked for again.
    """
    kills = [
        Kill(worker.pid)
        for worker in sorted(actual, key=lambda worker: worker.pid)
        if worker.phase == "draining" and now >= worker.since + grace_s
    ]
    drains: list[Drain] = []
    serving: set[Slot] = set()
    for worker in sorted(actual, key=lambda worker: (worker.slot, worker.since, worker.pid)):
        if worker.phase == "draining":
            continue
        if worker.slot not in desired:
            drains.append(Drain(worker.pid, "no longer planned here"))
        elif worker.spec != desired[worker.slot]:
            drains.append(Drain(worker.pid, "its settings or code changed"))
        elif worker.slot in serving:
            drains.append(Drain(worker.pid, "another worker has its place"))
        else:
            serving.add(worker.slot)
    drains.reverse()
    occupied = {worker.slot for worker in actual}
    starts = [Start(slot, desired[slot]) for slot in sorted(desired) if slot not in occupied]
    return [*kills, *drains, *starts]


def wake_at(actual: Sequence[Running], grace_s: float) -> float | None:
    """Return when the next grace runs out, None when no worker drains."""
    return min(
        (worker.since + grace_s for worker in actual if worker.phase == "draining"), default=None
    )
