"""What of a backlog stays where it is durable: an edge has its beginning, and numbers of the rest.

Eight bytes a body, whatever it holds: a million queued bodies are no more than that to a head.
"""

from __future__ import annotations

from array import array
from bisect import bisect_left
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from pipeline_runner.queues.broker.counters import Counters
    from pipeline_runner.queues.broker.ranges import Range
    from pipeline_runner.queues.broker.transaction import Body, PagedBody
    from pipeline_runner.wire.messages import Cursor


@dataclass(frozen=True, slots=True)
class DurableBacklog:
    """What lies on an edge: the numbers of its bodies, ascending, and what they hold of it."""

    numbers: array[int]
    items: int
    size_bytes: float


class DurableState(Protocol):
    """What is durable. Its bulk is read in pieces, when somebody wants it."""

    @property
    def cursors(self) -> Mapping[tuple[str, int], Cursor]:
        """How far each process of a source was when this was opened."""

    @property
    def dead(self) -> Mapping[int, str]:
        """The stage of each dead letter, by its number, as of then."""

    @property
    def tally(self) -> Counters:
        """What had gone through by then."""

    @property
    def next_body(self) -> int:
        """The first number that no body has had, as of then."""

    @property
    def next_letter(self) -> int:
        """The first number that no dead letter has had, as of then."""

    def backlogs(self) -> Mapping[str, DurableBacklog]:
        """Return what lay on each edge that held something; the numbers are the caller's now."""

    def read(
        self, edge: str, numbers: Sequence[int], room_bytes: int
    ) -> Iterable[tuple[Body | PagedBody, list[Range]]]:
        """Return bodies and what ``edge`` holds of each, in the order of ``numbers``.

        Those that ``room_bytes`` are used up for stay where they are. Raises OSError or
        sqlite3.Error where they cannot be read.
        """

    def put(self, body: Body) -> PagedBody:
        """Return a stand-in for a durable body."""


class PagedOut:
    """The bodies of one edge that are not in memory: their numbers, ascending, and a sum."""

    __slots__ = ("_numbers", "_start", "items")

    def __init__(self, numbers: array[int] | None = None, items: int = 0) -> None:
        self._numbers = array("q") if numbers is None else numbers
        self._start = 0
        self.items = items

    def __len__(self) -> int:
        return len(self._numbers) - self._start

    def __iter__(self) -> Iterator[int]:
        return iter(self._numbers[self._start :])

    @property
    def last(self) -> int:
        """The highest number; there has to be one."""
        return self._numbers[-1]

    def add(self, number: int, items: int) -> None:
        """Add a body whose number is higher than all the others'."""
        self._numbers.append(number)
        self.items += items

    def first(self, most: int) -> Sequence[int]:
        """Return the lowest numbers."""
        return self._numbers[self._start : self._start + most]

    def drop(self, count: int, items: int) -> None:
        """Forget the ``count`` lowest numbers; their bodies hold ``items``."""
        self._start += count
        self.items -= items
        if self._start * 2 > len(self._numbers):  # else each piece would move all behind it
            del self._numbers[: self._start]
            self._start = 0

    def pick(self, number: int) -> bool:
        """Forget one number and return whether it was here; ``items`` is the caller's to mend."""
        place = bisect_left(self._numbers, number, self._start)
        if place == len(self._numbers) or self._numbers[place] != number:
            return False
        del self._numbers[place]
        return True

    def join(self, other: PagedOut) -> None:
        """Take over what another one has."""
        self._numbers = array("q", sorted((*self, *other)))
        self._start = 0
        self.items += other.items
