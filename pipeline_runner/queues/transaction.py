"""A settle as one transaction, and what its parts are made of."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import msgspec

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from pipeline_runner.queues.messages import Cursor
    from pipeline_runner.queues.ranges import Range, Spans


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
class Shelved:
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
    """Items that go back changed: charged, or suspect. ``wait_s`` is how long they rest first."""

    edge: str
    range: Range
    wait_s: float = 0.0


@dataclass(frozen=True, slots=True)
class Letter:
    """An item that failed for good. ``data`` is its whole body, ``index`` its place there."""

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
    data: bytes | None
    payload: str = ""
    n: int = 0  # items in its body

    @property
    def item_id(self) -> str:
        """The item's name through every retry; empty for a source, whose failure is no item's."""
        return item_id(self.run, self.edge, self.body, self.index) if self.edge else ""


@dataclass(frozen=True, slots=True)
class Revival:
    """A dead letter's item, back on its edge under its old name, as if it had never failed."""

    edge: str
    body: Body
    index: int


class Transaction(msgspec.Struct):
    """What one step changes, all or nothing. Empty parts change nothing."""

    consumed: list[tuple[str, int, Spans]] = []
    produced: list[tuple[tuple[str, ...], Body]] = []
    requeued: list[Requeue] = []
    letters: list[Letter] = []
    source: tuple[str, int, Cursor] | None = None
    builds_on: int = 0  # the sequence number that the source's durable cursor has to have by then
    revived: list[Revival] = []
    closed: list[int] = []  # letters that are none any more
    failed: list[tuple[str, bool]] = []  # the stage of each failed attempt; was its item dropped?


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
