"""Who holds what: leases, and the workers that hold them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from pipeline_runner.queues.broker.ranges import size

if TYPE_CHECKING:
    from pipeline_runner.queues.broker.ranges import Spans
    from pipeline_runner.queues.broker.transaction import Body
    from pipeline_runner.wire.messages import Claim


MOST_UNANSWERED = 8  # settles of one worker on their way to the disk, outputs and all


class Lease(msgspec.Struct, eq=False):
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
    unread: frozenset[str] = frozenset()  # releases whose workers could not decode it
    staged: dict[int, tuple[tuple[str, ...], Body]] = {}

    @property
    def items(self) -> int:
        """Live items."""
        return size(self.live)


class WorkerRecord(msgspec.Struct, eq=False):
    """A worker process as the head knows it; ``session`` changes with each connection."""

    id: str
    stage: str
    index: int
    host: str
    pid: int
    session: int
    release: str = ""
    leases: dict[int, Lease] = {}
    parked: Claim | None = None
    parked_until: float | None = None
    told_end: bool = False
    met_suspect: bool = False  # it may hold one
    shares: bool = True  # it has the memory that the head shares
    emits_large: bool = False  # its last outputs were worth a place in it
    unanswered: int = 0  # its settles that are not durable yet

    def holds_nothing(self) -> bool:
        """Whether every index it was given is at least settling."""
        return not any(lease.live for lease in self.leases.values())

    def holds_suspect(self) -> bool:
        """Whether an item that has to run alone is in its hands."""
        self.met_suspect = any(lease.suspect and lease.live for lease in self.leases.values())
        return self.met_suspect
