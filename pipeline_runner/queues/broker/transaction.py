"""A settle as one transaction, and what its parts are made of."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import msgspec

from pipeline_runner.wire.repack import gather, in_pieces

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from pipeline_runner.queues.broker.ranges import Range, Spans
    from pipeline_runner.wire.messages import Cursor


def item_id(run: str, edge: str, body: int, index: int) -> str:
    """Return an item's name: the same through every retry, and no other's in any run."""
    return f"{run}:{edge}:{body}:{index}"


class Body(msgspec.Struct, frozen=True, gc=False):
    """An encoded batch of ``n`` items. ``data`` is opaque."""

    id: int
    n: int
    data: bytes | memoryview
    release: str = ""
    at: int = 0  # the place in shared memory where they are; 0 for none

    @property
    def size(self) -> int:
        """Its bytes."""
        return len(self.data)


@dataclass(frozen=True, slots=True)
class PagedBody:
    """A body whose bytes are on disk alone. ``read`` fetches them by its number."""

    id: int
    n: int
    size: int
    release: str
    read: Callable[[int], bytes]

    @property
    def data(self) -> bytes:
        """Its bytes, fetched anew each time."""
        return self.read(self.id)


@dataclass(frozen=True, slots=True)
class Requeue:
    """Items that go back changed: charged, or suspect. ``wait_s`` is how long they rest first.

    What is ``unread`` goes back as it was, and not to workers of these releases.
    """

    edge: str
    range: Range
    wait_s: float = 0.0
    unread: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Retry:
    """Failed items that go back together: ``body`` is a new one of them, taken out of others.

    ``taken`` are the places they leave, all on ``edge``; there they rest for ``wait_s`` first.
    """

    edge: str
    body: Body
    taken: tuple[tuple[int, Spans], ...]
    attempts: int
    wait_s: float


@dataclass(frozen=True, slots=True)
class Letter:
    """An item that failed for good, with its pickle; None where that never existed.

    ``body`` and ``index`` are its name, ``held_in`` and ``place`` where it was queued. ``shown`` is
    what stands for an item without a pickle, ``made_by`` the release of the worker that made it.
    """

    letter: int
    run: str
    stage: str
    edge: str
    body: int
    index: int
    attempts: int
    host: str
    pid: int
    release: str
    cause: str
    error: str
    traceback: str
    item: bytes | None
    shown: str = ""
    made_by: str = ""
    held_in: int = 0
    place: int = 0

    @property
    def item_id(self) -> str:
        """The item's name through every retry; empty for a source, whose failure is no item's."""
        return item_id(self.run, self.edge, self.body, self.index) if self.edge else ""


@dataclass(frozen=True, slots=True)
class Redrive:
    """A dead letter's item, to go back on its edge under its old name as if it had never failed."""

    edge: str
    body: int
    index: int
    item: bytes
    release: str = ""


class Transaction(msgspec.Struct):
    """What one step changes, all or nothing. Empty parts change nothing."""

    consumed: list[tuple[str, int, Spans]] = []
    produced: list[tuple[tuple[str, ...], Body]] = []
    requeued: list[Requeue] = []
    letters: list[Letter] = []
    source: tuple[str, int, Cursor] | None = None
    builds_on: int = 0  # the sequence number that the source's durable cursor has to have by then
    retried: list[Retry] = []
    redriven: list[tuple[str, Body]] = []  # an edge, and a body of dead letters' items for it
    closed: list[int] = []  # letters that are none any more
    failed: list[tuple[str, bool]] = []  # the stage of each failed attempt; was its item dropped?


def redriven(revivals: Iterable[Redrive], first_body: int) -> list[tuple[str, Body]]:
    """Return bodies of dead letters' items, numbered from ``first_body``, each with its edge."""
    groups: dict[tuple[str, str], list[Redrive]] = {}
    for one in revivals:
        groups.setdefault((one.edge, one.release), []).append(one)
    bodies: list[tuple[str, Body]] = []
    for (edge, release), some in groups.items():
        for items in in_pieces([((one.body, one.index), one.item) for one in some]):
            number = first_body + len(bodies)
            bodies.append((edge, Body(number, len(items), gather(items), release)))
    return bodies


def renamed(revivals: Iterable[Redrive], first_body: int) -> list[Redrive]:
    """Return items of earlier runs as this one can name them: by numbers that no body has."""
    return [replace(one, body=first_body + i, index=0) for i, one in enumerate(revivals)]


class Sequences:
    """How far each process of a source is, in what is durable and in what is on its way there.

    Each step of a source builds on the one before: were one to fail and the next not, the items
    between their cursors would be skipped for good. So a store compares before it takes one.
    """

    def __init__(self, cursors: Mapping[tuple[str, int], Cursor]) -> None:
        self._durable = {share: cursor.seq for share, cursor in cursors.items()}
        self._ahead: dict[tuple[str, int], int] = {}

    def take(self, step: Transaction) -> bool:
        """Go on with ``step``; False if what it builds on is not there: it is to be refused."""
        if step.source is None:
            return True
        stage, index, cursor = step.source
        share = stage, index
        if self._ahead.get(share, self._durable.get(share, 0)) != step.builds_on:
            return False
        self._ahead[share] = cursor.seq
        return True

    def committed(self) -> None:
        """Record that what was taken is durable."""
        self._durable |= self._ahead
        self._ahead.clear()

    def rolled_back(self) -> None:
        """Record that it is not."""
        self._ahead.clear()
