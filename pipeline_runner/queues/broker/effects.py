"""What the broker decided, for its shell to carry out in order."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import msgspec

if TYPE_CHECKING:
    from pipeline_runner.queues.broker.leases import Lease, WorkerRecord
    from pipeline_runner.queues.broker.ranges import Spans
    from pipeline_runner.queues.broker.transaction import Transaction
    from pipeline_runner.wire.messages import Adopted, Empty, End, Granted, Session, Settled


class Pending(msgspec.Struct, eq=False):
    """A transaction on its way to being durable, and whom to tell."""

    step: Transaction
    worker: WorkerRecord | None = None
    session: int = 0
    seq: int = 0  # 0: nobody waits for an answer
    settling: list[tuple[Lease, Spans]] = []
    retryable: bool = False  # a charge: kept and tried again when the commit fails
    gives_up: bool = False  # ends a source where its durable cursor is by then
    request: int = 0  # the head's own: an ``Amended`` answers it
    void: bool = False  # answered already: what it built on failed, and it fails after that


class Send(msgspec.Struct):
    """Send ``message``, with ``data`` behind it, to the worker's connection."""

    session: int
    message: Session | Granted | Empty | End | Settled | Adopted
    data: bytes | memoryview | None = None


class Commit(msgspec.Struct):
    """Make it durable, then call ``committed`` or ``refused``. Commits keep their order."""

    pending: Pending


@dataclass(slots=True)
class Failed:
    """An attempt failed and the item will be tried again."""

    stage: str
    item_id: str
    attempt: int
    attempts: int
    error: str
    retry_s: float


@dataclass(slots=True)
class Finished:
    """A stage has nothing left and nothing can come."""

    stage: str


@dataclass(slots=True)
class Stopped:
    """A stage with ``on_failure = "stop"`` had a failure for good: sources are paused."""

    stage: str
    error: str


@dataclass(slots=True)
class Amended:
    """What the head asked for is durable, or cannot be now; these stages have work again."""

    request: int
    ok: bool
    closed: tuple[int, ...] = ()
    reopened: tuple[str, ...] = ()


Effect = Send | Commit | Failed | Finished | Stopped | Amended
