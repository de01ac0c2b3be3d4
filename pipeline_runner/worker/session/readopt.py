"""A worker whose head has gone: it keeps what it holds, looks for the next head, and goes on.

The next head gives new leases for what the worker may keep. The loops know their leases by the
tokens they were granted with, so a :class:`Renaming` leads from those to the ones of today.
"""

from __future__ import annotations

import os
from collections import deque
from contextlib import suppress
from typing import TYPE_CHECKING

from msgspec.structs import replace

from pipeline_runner.queues.broker.ranges import size
from pipeline_runner.wire.client.dial import open_wire
from pipeline_runner.wire.messages import Adopt, Adopted, Hello, Return, Session
from pipeline_runner.wire.shm.arena import Arena

if TYPE_CHECKING:
    from pipeline_runner.wire.client.connection import Wire
    from pipeline_runner.wire.messages import Cursor, Granted, Settle
    from pipeline_runner.worker.job import Job
    from pipeline_runner.worker.session.ledger import Ledger, Owed

PATIENCE_S = 10.0  # for a head that has accepted a connection and answers nothing


class TokenMap:
    """From the token of a lease as it was granted to its token today; 0 where it is lost."""

    def __init__(self) -> None:
        self._now: dict[int, int] = {}

    def __bool__(self) -> bool:
        return bool(self._now)

    def add(self, renamed: dict[int, int]) -> None:
        """Take in what became of today's tokens."""
        for first, token in self._now.items():
            self._now[first] = renamed.get(token, token)
        self._now.update(renamed)

    def token(self, token: int) -> int:
        """Return today's token."""
        return self._now.get(token, token)

    def settle(self, settle: Settle) -> Settle:
        """Return ``settle`` with today's tokens."""
        return replace(
            settle,
            done=tuple(replace(done, token=self.token(done.token)) for done in settle.done),
            failed=tuple(replace(one, token=self.token(one.token)) for one in settle.failed),
        )

    def lease(self, lease: Granted) -> Granted:
        """Return ``lease`` with today's token."""
        return replace(lease, token=self.token(lease.token))


def handshake(job: Job, *, shares: bool = True) -> tuple[Wire, Session, Arena | None]:
    """Connect and say HELLO; return the memory shared with the head too, if there is some.

    Raises NoHead, EOFError or OSError when there is no head.
    """
    wire = open_wire(job.door, PATIENCE_S)
    try:
        facts = {} if shares else {"shares": False}
        wire.send(
            Hello(
                "worker",
                job.host,
                job.worker,
                job.stage,
                job.index,
                os.getpid(),
                facts=facts,
                release=job.release,
            )
        )
        session, fd = wire.receive_first()
        assert isinstance(session, Session)
        try:
            arena = None if fd < 0 else Arena(fd, session.slots)
        except OSError:  # this process may not map so much: without it, then
            wire.close()
            return handshake(job, shares=False)
        finally:
            if fd >= 0:
                os.close(fd)  # the mapping keeps the memory
    except BaseException:
        wire.close()
        raise
    wire.set_timeout(None)
    return wire, session, arena


def adopt(wire: Wire, ledger: Ledger) -> dict[int, int]:
    """Name all that is held or owed, and send again what is owed and adopted whole.

    Returns what became of each token that was held. What was adopted in part is given back: to
    run it whole elsewhere is simpler than to run its rest here. Raises EOFError or OSError.
    """
    held = [(holding.token, size(holding.spans)) for holding in ledger.holdings.values()]
    answer = _ask(wire, ledger.adopt())
    again = ledger.adopted(answer)
    renamed: dict[int, int] = {}
    for (token, items), (new, spans) in zip(held, answer.leases, strict=False):
        renamed[token] = new if size(spans) == items else 0
    kept = set(renamed.values())
    parts = [token for token in ledger.holdings if token not in kept]
    for token in parts:
        ledger.returned(token)
    with suppress(OSError):  # it is gone again: what is owed goes to the one after it
        for token in parts:
            wire.send(Return(token))
        for owed in again:
            wire.send(owed.settle, owed.parts)
    return renamed


def adopt_nothing(wire: Wire, ledger: Ledger, cursor: Cursor, seq: int) -> deque[Owed] | None:
    """Say that a source holds nothing; return the settles to send again, each with a new lease.

    A source's lease is leave to emit, and that is not adopted. ``cursor`` is the durable one and
    ``seq`` that of the last settle that was sent. None: they do not fit together, so iterate
    again from ``cursor``.
    """
    ledger.fetch()
    _ask(wire, Adopt(ledger.next_seq(), ledger.run, ()))
    owed = list(ledger.owed.values())
    ledger.owed.clear()
    ledger.holdings.clear()
    waiting = deque(
        one for one in owed if one.settle.advance and one.settle.advance.next.seq > cursor.seq
    )
    if not waiting:
        return waiting if seq == cursor.seq else None
    first = waiting[0].settle.advance
    assert first is not None
    if first.expected != cursor.seq:
        return None
    for one in waiting:
        ledger.owed[one.settle.seq] = one
    return waiting


def _ask(wire: Wire, question: Adopt) -> Adopted:
    wire.set_timeout(PATIENCE_S)
    wire.send(question)
    answer, _none = wire.receive()
    assert isinstance(answer, Adopted)
    wire.set_timeout(None)
    return answer
