"""One family against this runner: kind after kind, everybody in turns, round after round."""

from __future__ import annotations

import sys
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Protocol

from benchmarks.measure import BLOBS, DICTS, INTS, PACED, Flow, Measured
from benchmarks.stages import PACE_PER_S

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

PACED_S = 2.0
SKIPPED = PACE_PER_S // 2  # the first half second of a steady pace, while everybody warms up
TRUSTED_S = 0.3  # how long a warm-up must take to tell a rate
BYTES_AT_MOST = 1 << 30  # of blobs in one run: queues without bounds hold them all


class FlowRunner(Protocol):
    """A runner that can be given another flow; a frozen dataclass."""

    @property
    def name(self) -> str:
        """What tables call it."""
        ...

    @property
    def flow(self) -> Flow:
        """What it runs."""
        ...

    def run(self, n: int) -> Measured:
        """Run items 0..n and measure 1..n. Raises TrialError."""
        ...


@dataclass(frozen=True, slots=True)
class Kind:
    """What goes through the stages; ``start`` items are a fast runner's first warm-up.

    ``lists``: also packed by hand, where a peer offers it. ``share``: of a family's time.
    """

    name: str
    flow: Flow
    start: int
    lists: bool = False
    share: int = 1


KINDS = {
    kind.name: kind
    for kind in (
        Kind("ints", INTS, start=100_000, lists=True, share=2),
        Kind("dicts", DICTS, start=20_000),
        Kind("1 KiB", replace(BLOBS, size_bytes=1 << 10), start=500),
        Kind("64 KiB", replace(BLOBS, size_bytes=1 << 16), start=100),
        Kind("1 MiB", replace(BLOBS, size_bytes=1 << 20), start=20),
        Kind("paced", PACED, start=0),
    )
}


def against(
    ours: FlowRunner,
    peers: Sequence[FlowRunner],
    kind: Kind,
    pairs: int,
    seconds: float,
    in_time: Callable[[], bool] = lambda: True,
) -> list[dict[str, Any]]:
    """Return a cell, as plain data, for each peer: its runs, and ours of the same rounds.

    There are up to ``pairs`` rounds, and no further one from when ``in_time()`` is false.
    ``seconds`` is about how long a run measures. A peer that fails has the reason in its cell;
    if ours fails, all have.
    """
    field = [ours, *(peer for peer in peers if kind.lists or _batch(peer) == 1)]
    runners: dict[str, FlowRunner] = {
        each.name: replace(each, flow=kind.flow)  # type: ignore[type-var]
        for each in field
    }
    failed: dict[str, str] = {}
    items: dict[str, int] = {}
    runs: dict[str, list[Measured]] = {name: [] for name in runners}
    for name, runner in runners.items():
        with _noted(failed, name):
            items[name] = fitting(runner, kind, seconds)
    for number in range(pairs):
        if number and not in_time():
            break
        # Backwards in every second round, so that nobody always follows the same neighbour.
        for name in _turned(runners, number):
            if name not in failed and ours.name not in failed:
                with _noted(failed, name):
                    runs[name].append(runners[name].run(items[name]))
    return [
        {
            "kind": kind.name,
            "peer": name,
            "packed": _batch(runners[name]) > 1,
            "size_bytes": kind.flow.size_bytes,
            "failed": failed.get(ours.name) or failed.get(name),
            "ours": [facts(run) for run in runs[ours.name]],
            "theirs": [facts(run) for run in runs[name]],
        }
        for name in runners
        if name != ours.name
    ]


def fitting(runner: FlowRunner, kind: Kind, seconds: float) -> int:
    """Return how many items take about ``seconds``, from warm-up runs. Raises TrialError."""
    if kind.flow == PACED:
        return int(PACED_S * PACE_PER_S) + SKIPPED
    most = BYTES_AT_MOST // kind.flow.size_bytes if kind.flow.size_bytes else 1 << 40
    # A slow peer says how few items keep it busy for seconds; a tenth of a second is a start.
    n = max(1, min(kind.start, getattr(runner, "items", kind.start * 20) // 20))
    while True:
        took_s = runner.run(n).seconds
        if took_s >= TRUSTED_S or n == most:
            return max(1, min(most, int(n * seconds / took_s)))
        n = min(most, int(n * min(50.0, 1.5 * TRUSTED_S / took_s)) + 1)


def facts(run: Measured) -> dict[str, float]:
    """Return a run as plain data, with its percentiles in place of every delay."""
    kept = {
        name: getattr(run, name)
        for name in ("items", "seconds", "cpu_s", "total", "peak_rss_bytes")
    }
    if run.delays_s:
        kept |= {f"p{percent}_ms": run.delay_ms(percent, skip=SKIPPED) for percent in (50, 99)}
    return kept


def _batch(runner: FlowRunner) -> int:
    return getattr(runner, "batch", 1)


def _turned(names: Iterable[str], number: int) -> list[str]:
    order = list(names)
    return order[::-1] if number % 2 else order


@contextmanager
def _noted(failed: dict[str, str], name: str) -> Iterator[None]:
    """Note why ``name`` has no number, and let the others go on."""
    try:
        yield
    except Exception as fault:
        failed[name] = f"{type(fault).__name__}: {fault}"[:500]
        print(f"{name}: {failed[name]}", file=sys.stderr)
