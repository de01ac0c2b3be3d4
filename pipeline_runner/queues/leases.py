"""Who holds what: leases, the workers that hold them, and the sources' cursors."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from pipeline_runner.queues.messages import Claim, Cursor
from pipeline_runner.queues.ranges import size

if TYPE_CHECKING:
    from pipeline_runner.queues.effects import Pending
    from pipeline_runner.queues.ranges import Spans
    from pipeline_runner.queues.transaction import Body


@dataclass(slots=True)
class Lease:
    """A range in a worker's hands. An index is live until it settles; settling until durable.

    A source's lease has no edge; its one live index stands for the leave to emit.
    """

    token: int
    worker: WorkerRecord
    edge: str
    body: int
    live: Spans
    attempts: int = 0
    suspect: bool = False
    settling: int = 0
    credit: int = 0  # a source's: the items it may emit
    staged: dict[int, tuple[tuple[str, ...], Body]] = field(default_factory=dict)

    @property
    def items(self) -> int:
        """Live items."""
        return size(self.live)


@dataclass(slots=True)
class WorkerRecord:
    """A worker process as the head knows it; ``session`` changes with each connection."""

    id: str
    stage: str
    index: int
    host: str
    pid: int
    session: int
    release: str = ""
    leases: dict[int, Lease] = field(default_factory=dict)
    parked: Claim | None = None
    parked_until: float | None = None
    told_end: bool = False
    emits_large: bool = False  # its last outputs were worth a place in shared memory

    def holds_nothing(self) -> bool:
        """Whether every index it was given is at least settling."""
        return not any(lease.live for lease in self.leases.values())

    def holds_suspect(self) -> bool:
        """Whether an item that has to run alone is in its hands."""
        return any(lease.suspect and lease.live for lease in self.leases.values())


@dataclass(slots=True)
class SourceState:
    """One process's share of a source: its durable cursor, and the sequence already promised."""

    cursor: Cursor = field(default_factory=Cursor)
    seq: int = 0  # of the last settle read, durable or not
    ended: bool = False  # its last settle was read, durable or not
    lease: int = 0
    failures: int = 0  # in a row, without progress
    not_before: float = 0.0
    steps: deque[Pending] = field(default_factory=deque)  # only the first is with the disk

    def start(self) -> Pending:
        """Return the first step, to be made durable."""
        pending = self.steps[0]
        if pending.gives_up:
            stage, index, _cursor = pending.step.source or ("", 0, self.cursor)
            ended = Cursor(self.cursor.seq + 1, self.cursor.count, self.cursor.mark, finished=True)
            pending.step.source = stage, index, ended
        return pending
