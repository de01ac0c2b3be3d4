"""What a run gives, what its total must be, and what a runner is."""

from __future__ import annotations

from dataclasses import dataclass
from statistics import quantiles
from typing import Protocol


class TrialError(Exception):
    """A run did not finish, or its total is wrong: it has no number."""


@dataclass(frozen=True, slots=True)
class Flow:
    """Names in ``benchmarks.stages``: a source, what is between, and a sink class.

    ``size_bytes`` is the length of each blob, where the items are blobs.
    """

    source: str
    steps: tuple[str, ...]
    sink: str
    size_bytes: int = 0

    @property
    def names(self) -> tuple[str, ...]:
        """All its stages, in order."""
        return (self.source, *self.steps, self.sink)


INTS = Flow("generate", ("square", "subtract_1"), "Total")
DICTS = Flow("generate_dicts", ("square_dict", "subtract_1_dict"), "Dicts")
PACED = Flow("tick", ("square_stamped", "subtract_1_stamped"), "Delays")
BLOBS = Flow("generate_blobs", ("square_blob", "subtract_1_blob"), "Blobs")
NAPS = Flow("generate_for_naps", ("Nap",), "Total")


@dataclass(frozen=True, slots=True)
class Measured:
    """One run, its total already checked.

    ``seconds`` runs from the first of ``items`` leaving the source to the last in the sink;
    ``cpu_s`` is the processor time of all processes from just before until the sink's total is
    known, and ``peak_rss_bytes`` the most memory they held together, where one looked.
    """

    items: int
    seconds: float
    cpu_s: float
    total: int
    delays_s: tuple[float, ...] = ()
    peak_rss_bytes: int = 0

    @property
    def rate(self) -> float:
        """Items a second."""
        return self.items / self.seconds

    @property
    def cpu_us(self) -> float:
        """Processor time an item, in microseconds."""
        return self.cpu_s / self.items * 1e6

    def delay_ms(self, percent: int, skip: int = 0) -> float:
        """Return the ``percent``-th percentile (1..99) of delays past ``skip``, in ms."""
        return quantiles(self.delays_s[skip:], n=100)[percent - 1] * 1e3


class Runner(Protocol):
    """Something that runs a flow over processes."""

    @property
    def name(self) -> str:
        """What tables and ``--peers`` call it."""
        ...

    def run(self, n: int) -> Measured:
        """Run items 0..n and measure 1..n. Raises TrialError."""
        ...


def expected_total(n: int) -> int:
    """Return the sum of i * i - 1 over 0..n: what the sink must hold after ``n`` items."""
    return n * (n + 1) * (2 * n + 1) // 6 - (n + 1)
