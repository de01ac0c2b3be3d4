"""A worker's line to the head: its ledger over a socket, and a wake-up for signals and threads."""

from __future__ import annotations

import contextlib
import os
import signal
import threading
from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pipeline_runner.queues.client import Ledger
from pipeline_runner.queues.codec import decode
from pipeline_runner.queues.connect import Wire
from pipeline_runner.queues.messages import (
    Done,
    Empty,
    End,
    Granted,
    Hello,
    Return,
    Session,
    Settled,
)
from pipeline_runner.worker.salvage import Broken, salvage

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pipeline_runner.queues.messages import Advance, Claim, Cursor, Failure, Output, Stage
    from pipeline_runner.worker.job import Job


@dataclass(frozen=True, slots=True)
class Grant:
    """A lease that arrived, and its body's bytes unless they were in hand."""

    lease: Granted
    data: bytes


class Link:
    """Claims and settles for one worker. Methods hold ``lock``: a flusher thread settles too."""

    def __init__(self, wire: Wire, cursor: Cursor, ledger: Ledger) -> None:
        self.lock = threading.RLock()
        self.cursor = cursor  # a source's, as the head has it
        self.grants: deque[Grant] = deque()
        self.claiming = False
        self.ended = False
        self.stopping = False
        self.left = False  # this is a forked child: see leave()
        self.refused = False  # a source's settle was: go on from ``cursor``
        self.hints: tuple[int, ...] = ()
        self.ledger = ledger
        self._wire = wire
        self._emptied = False
        self._body = 0
        self._data = b""
        self._items: list[Any] = []
        self._fresh_from = 0  # items from here on have not been handed to user code
        self._wake_read, self._wake_write = os.pipe()
        os.set_blocking(self._wake_read, False)
        os.set_blocking(self._wake_write, False)

    @staticmethod
    def open(job: Job) -> Link:
        """Connect and say HELLO. Raises NoHead or EOFError when there is no head."""
        wire = Wire.unix(job.socket)
        wire.send(Hello("worker", job.host, job.worker, job.stage, job.index, os.getpid()))
        session, _none = wire.receive()
        assert isinstance(session, Session)
        return Link(wire, session.cursor, Ledger(session.run))

    def stop_on(self, number: signal.Signals) -> None:
        """Stop claiming when this signal comes: finish, settle, leave. For the main thread."""
        signal.set_wakeup_fd(self._wake_write, warn_on_full_buffer=False)
        signal.signal(number, lambda _number, _frame: self.stop())

    def stop(self) -> None:
        """Ask the loops to end after the item at hand."""
        self.stopping = True

    def wake(self) -> None:
        """Wake the thread that waits for the head."""
        with contextlib.suppress(BlockingIOError):  # it is full of wake-ups already
            os.write(self._wake_write, b"\0")

    def claim(self, want: int, wait_s: float | None = None) -> None:
        """Ask for up to ``want`` items; one claim at a time."""
        with self.lock:
            self._wire.send(self.new_claim(want, wait_s))

    def new_claim(self, want: int, wait_s: float | None = None) -> Claim:
        """Return a claim to go with a settle."""
        self.claiming, self._emptied = True, False
        # The body that will be at hand when the answer's turn comes.
        have = self.grants[-1].lease.body if self.grants else self._body
        return self.ledger.claim(want, have=have, wait_s=wait_s)

    def next(self) -> Grant | None:
        """Wait for a lease; None when the stage ended, a stop was asked, or the wait ran out."""
        while not self.stopping:
            if self.grants:
                return self.grants.popleft()
            if self.ended or self._emptied:
                return None
            self.wait()
        return None

    def wait(self) -> None:
        """Wait until something arrives or somebody wakes us, and take it in."""
        if self._wire.wait(self._wake_read):
            os.read(self._wake_read, 4096)
        self.pump()

    def fileno(self) -> int:
        """Return the socket, for an event loop to watch."""
        return self._wire.sock.fileno()

    def wake_fileno(self) -> int:
        """Return the end of the wake-up pipe to watch."""
        return self._wake_read

    def pump(self) -> None:
        """Take in all that has arrived, without waiting. Raises EOFError when the head is gone."""
        with self.lock:
            for message, data in self._wire.receive_now():
                self._take_in(message, data)

    def _take_in(self, message: Any, data: bytes) -> None:
        match message:
            case Settled():
                cursor = self.ledger.settled(message)
                if not message.ok and cursor is not None:
                    self.cursor, self.refused = cursor, True
            case Granted():
                self.ledger.granted(message)
                self.claiming = False
                self.hints = message.hints or self.hints
                self.grants.append(Grant(message, data))
            case Empty():
                self.claiming, self._emptied = False, True
            case End():
                self.claiming, self.ended = False, True

    def settle(
        self,
        done: Sequence[Done],
        *,
        outputs: Sequence[Output] = (),
        data: Sequence[bytes] = (),
        staged: Sequence[int] = (),
        failed: Sequence[Failure] = (),
        advance: Advance | None = None,
        claim: Claim | None = None,
        items: int = 0,
        busy_s: float = 0.0,
    ) -> None:
        """Send what was done. It is ours to keep until the head has acknowledged it."""
        with self.lock:
            message = self.ledger.settle(
                done,
                outputs=outputs,
                data=data,
                staged=staged,
                failed=failed,
                advance=advance,
                claim=claim,
                items=items,
                busy_s=busy_s,
            )
            self._wire.send(message, data)

    def stage(self, message: Stage, data: bytes) -> None:
        """Send outputs ahead of their settle."""
        with self.lock:
            self._wire.send(message, [data])

    def give_back(self, *, suspect: bool = False) -> None:
        """Return everything in hand, uncharged."""
        with self.lock:
            for token in tuple(self.ledger.holdings):
                self._wire.send(Return(token, None, suspect))
                self.ledger.returned(token)
            self.grants.clear()

    def finish(self) -> None:
        """Wait until every settle is answered, then hang up."""
        self.stopping = False
        while self.ledger.owed:
            self.wait()
        self._wire.close()

    def leave(self) -> None:
        """Close this process's end of the socket: for a forked child, which is not the worker.

        The worker's own end stays open, and no child keeps it open beyond the worker's death.
        """
        self.left = True
        self._wire.close()

    def items(self, grant: Grant) -> list[Any]:
        """Return the items of the grant's whole body, none of them used before.

        Raises what unpickling raises.
        """
        lease = grant.lease
        if lease.body != self._body or grant.data:
            self._body, self._data = lease.body, grant.data
            self._fresh_from = lease.n  # nothing is decoded yet
        # User code may change an item in place: one that was handed out is decoded again.
        if lease.lo < self._fresh_from or len(self._items) != lease.n:
            self._items = []
            self._items = decode(self._data)
        self._fresh_from = lease.hi
        return self._items

    def salvage(self, grant: Grant, error: BaseException) -> list[Any]:
        """Return the items of a body that raised ``error``, each bad one as a ``Broken``."""
        try:
            return salvage(self._data)
        except BaseException:  # noqa: BLE001  (it is no pickle at all, or a truncated one)
            return [Broken(error)] * grant.lease.n
