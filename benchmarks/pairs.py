"""Two runners in turns, so that what the machine does meanwhile hits both."""

from __future__ import annotations

from dataclasses import dataclass
from statistics import median
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from benchmarks.measure import Measured, Runner

Pair = tuple["Measured", "Measured"]


@dataclass(frozen=True, slots=True)
class Spread:
    """The median of some numbers, and how far they lie apart."""

    median: float
    low: float
    high: float


def spread(numbers: list[float]) -> Spread:
    """Return the spread of at least one number."""
    return Spread(median(numbers), min(numbers), max(numbers))


def in_turns(
    ours: Runner,
    peer: Runner,
    items: tuple[int, int],
    pairs: int,
    told: Callable[[int, Pair], None] = lambda _number, _pair: None,
) -> list[Pair]:
    """Run ``pairs`` pairs of (ours, peer) at ``items`` (ours, peer), after a warm-up of a tenth.

    Every second pair starts with the peer, so that neither always runs on the warmer machine.
    Raises TrialError.
    """
    for runner, n in ((ours, items[0]), (peer, items[1])):
        runner.run(max(n // 10, 1))
    measured: list[Pair] = []
    for number in range(pairs):
        if number % 2:
            theirs = peer.run(items[1])
            pair = (ours.run(items[0]), theirs)
        else:
            pair = (ours.run(items[0]), peer.run(items[1]))
        measured.append(pair)
        told(number, pair)
    return measured
