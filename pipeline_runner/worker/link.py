"""A worker's line to the head: its ledger over a socket, and a wake-up for signals and threads."""

from __future__ import annotations

import contextlib
import os
import random
import select
import signal
import threading
import time
from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from msgspec.structs import replace

from pipeline_runner.errors import NoHead
from pipeline_runner.queues.client import Ledger, in_band
from pipeline_runner.queues.codec import decode
from pipeline_runner.queues.messages import (
    Done,
    Empty,
    End,
    Granted,
    Return,
    Settled,
)
from pipeline_runner.worker.places import Places
from pipeline_runner.worker.reunion import Renaming, adopt, adopt_nothing, hail
from pipeline_runner.worker.salvage import Broken, salvage

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from types import FrameType

    from pipeline_runner.queues.arena import Arena
    from pipeline_runner.queues.client import Owed
    from pipeline_runner.queues.connect import Wire
    from pipeline_runner.queues.messages import (
        Advance,
        Claim,
        Cursor,
        Failure,
        Message,
        Output,
        Session,
        Stage,
    )
    from pipeline_runner.worker.job import Job
    from pipeline_runner.worker.page import Page

# Of the peer's end alone: what it says is for others to read. Not every system has the first.
_HUNG_UP = getattr(select, "POLLRDHUP", 0) | select.POLLHUP


@dataclass(frozen=True, slots=True)
class Grant:
    """A lease that arrived, and its body's bytes unless they were in hand."""

    lease: Granted
    data: bytes | memoryview
    arena: Arena | None = None  # where they lie, if not here

    @property
    def is_whole(self) -> bool:
        """Whether its bytes, read by now, were not another's by then: its lease would be lost."""
        return self.arena is None or self.arena.is_whole(self.lease.at)


class TornError(Exception):
    """A lease was lost while its body was read: what it gives is for nobody."""


class Link:
    """Claims and settles for one worker. Methods hold ``lock``: a flusher thread settles too."""

    def __init__(
        self,
        wire: Wire,
        cursor: Cursor,
        ledger: Ledger,
        arena: Arena | None = None,
        *,
        holds: bool = False,
    ) -> None:
        self.lock = threading.RLock()
        self.cursor = cursor  # a source's, as the head has it
        self.grants: deque[Grant] = deque()
        self.claiming = False
        self.ended = False
        self.stopping = False
        self.on_stop: Callable[[FrameType], None] | None = None  # may raise where it was called
        self.left = False  # this is a forked child: see leave()
        self.refused = False  # a source's settle was: go on from ``cursor``
        self.hints: tuple[int, ...] = ()
        self.ledger = ledger
        self.places = Places(arena)
        self._wire = wire
        self._holds = holds  # what is here outlives the head
        self._closed = False
        self._down = False  # between two heads
        self._gone = False  # no head will come any more
        self._up = threading.Event()
        self._up.set()
        self._renaming = Renaming()
        self._unsent: deque[Owed] = deque()  # a source's settles that need a new lease
        self._promised = cursor.seq  # a source's, of the last settle
        self._last_claim: Claim | None = None
        self._emptied = False
        self._body = 0
        self._data: bytes | memoryview = b""
        self._items: list[Any] = []
        self._fresh_from = 0  # items from here on have not been handed to user code
        self._wake_read, self._wake_write = os.pipe()
        os.set_blocking(self._wake_read, False)
        os.set_blocking(self._wake_write, False)

    @staticmethod
    def open(job: Job, page: Page) -> Link:
        """Connect and say HELLO. Raises NoHead, EOFError or OSError when there is no head.

        With ``job.hold_s`` the link outlives its head, and goes on with the next one.
        """
        wire, session, arena = hail(job)
        link = Link(wire, session.cursor, Ledger(session.run), arena, holds=job.hold_s > 0)
        if job.hold_s:
            arguments = (job, page)
            threading.Thread(target=link.outlive, args=arguments, name="head", daemon=True).start()
        return link

    def stop_on(self, number: signal.Signals) -> None:
        """Stop claiming when this signal comes: finish, settle, leave. For the main thread."""
        signal.set_wakeup_fd(self._wake_write, warn_on_full_buffer=False)
        signal.signal(number, lambda _number, frame: self.stop(frame))

    def stop(self, frame: FrameType | None = None) -> None:
        """Ask the loops to end after the item at hand; ``frame`` is where the signal found us."""
        self.stopping = True
        if self.on_stop is not None and frame is not None:
            self.on_stop(frame)

    def wake(self) -> None:
        """Wake the thread that waits for the head."""
        with contextlib.suppress(BlockingIOError):  # it is full of wake-ups already
            os.write(self._wake_write, b"\0")

    def claim(self, want: int, wait_s: float | None = None) -> None:
        """Ask for up to ``want`` items; one claim at a time."""
        with self.lock:
            self._send(self.new_claim(want, wait_s))

    def new_claim(self, want: int, wait_s: float | None = None) -> Claim:
        """Return a claim to go with a settle."""
        self.claiming, self._emptied = True, False
        # The body that will be at hand when the answer's turn comes.
        have = self.grants[-1].lease.body if self.grants else self._body
        self._last_claim = self.ledger.claim(want, have=have, wait_s=wait_s)
        return self._last_claim

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
        if self._down:
            select.select([self._wake_read], [], [])
            os.read(self._wake_read, 4096)
        elif self._wire.wait(self._wake_read):
            os.read(self._wake_read, 4096)
        self.pump()

    def await_word(self) -> None:
        """Wait until the head may have said something; for a thread that only waits."""
        self._up.wait()
        poll = select.poll()
        poll.register(self._wire.sock, select.POLLIN)
        poll.poll()

    def fileno(self) -> int:
        """Return the socket, for an event loop to watch; -1 while there is no head."""
        return -1 if self._down else self._wire.sock.fileno()

    def wake_fileno(self) -> int:
        """Return the end of the wake-up pipe to watch."""
        return self._wake_read

    def pump(self) -> None:
        """Take in all that has arrived, without waiting. Raises EOFError when the head is gone."""
        with self.lock:
            if self._gone:
                raise EOFError("no head came back")
            if self._down:
                return
            try:
                arrived = self._wire.receive_now()
            except (EOFError, OSError):
                self._lost()
                return
            for message, data in arrived:
                self._take_in(message, data)

    def holds(self, token: int) -> bool:
        """Whether anything is left of a lease in our hands."""
        return self._renaming.token(token) in self.ledger.holdings

    def _send(self, message: Message, data: Sequence[bytes | memoryview] = ()) -> None:
        if self._gone:
            raise EOFError("no head came back")
        if self._down:
            return  # what matters is in the ledger, and goes to the next head
        try:
            self._wire.send(message, data)
        except OSError:
            self._lost()

    def _lost(self) -> None:
        """Wait for the next head, or pass the fault on."""
        if not self._holds:
            raise
        self._down = True
        self._up.clear()

    def _take_in(self, message: Any, data: bytes | memoryview) -> None:
        match message:
            case Settled():
                if not message.ok:
                    self._take_back(message.seq)
                cursor = self.ledger.settled(message)
                if not message.ok and cursor is not None:
                    self._go_back(cursor)
            case Granted():
                self.ledger.granted(message)
                self.claiming = False
                self.hints = message.hints or self.hints
                if message.place:
                    self.places.add(message.place)
                if self._unsent:
                    self._send_again(message.token)
                else:
                    self.grants.append(self._grant(message, data))
            case Empty():
                self.claiming, self._emptied = False, True
            case End():
                self.claiming, self.ended = False, True

    def _grant(self, lease: Granted, data: bytes | memoryview) -> Grant:
        if not lease.at:
            return Grant(lease, data)
        arena = self.places.arena
        assert arena is not None
        return Grant(lease, arena.view(lease.at, lease.size), arena)

    def _take_back(self, seq: int) -> None:
        """Keep the places of a settle that was refused for other outputs."""
        owed = self.ledger.owed.get(seq)
        for output in () if owed is None else owed.settle.outputs:
            if output.at:
                self.places.add(output.at)

    def settle(
        self,
        done: Sequence[Done],
        *,
        outputs: Sequence[Output] = (),
        data: Sequence[bytes | memoryview] = (),
        staged: Sequence[int] = (),
        failed: Sequence[Failure] = (),
        advance: Advance | None = None,
        claim: Claim | None = None,
        items: int = 0,
        busy_s: float = 0.0,
    ) -> None:
        """Send what was done. It is ours to keep until the head has acknowledged it."""
        with self.lock:
            if self._renaming:
                done = [self._renaming.done(one) for one in done]
                failed = [self._renaming.failure(one) for one in failed]
                tokens = {one.token for one in done} | {fault.token for fault in failed}
                if not tokens <= self.ledger.holdings.keys():
                    self._drop(tokens, claim)
                    for output in outputs:
                        if output.at:
                            self.places.add(output.at)
                    return
            if advance is not None:
                self._promised = advance.next.seq
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
            self._send(message, in_band(outputs, data))

    def stage(self, message: Stage, data: bytes | memoryview) -> None:
        """Send outputs ahead of their settle."""
        with self.lock:
            if self._renaming:
                message = replace(message, token=self._renaming.token(message.token))
            self._send(message, [data])

    def give_back(self, *, suspect: bool = False) -> None:
        """Return everything in hand, uncharged."""
        with self.lock:
            for token in tuple(self.ledger.holdings):
                self._send(Return(token, None, suspect))
                self.ledger.returned(token)
            self.grants.clear()

    def finish(self) -> None:
        """Wait until every settle is answered, then hang up."""
        self.stopping = False
        while self.ledger.owed:
            self.wait()
        self._closed = True
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
        if lease.body != self._body or (grant.data and not lease.at):
            self._fresh_from = lease.n  # nothing is decoded yet
            self._items = []
        if grant.data:
            self._body, self._data = lease.body, grant.data
        # User code may change an item in place: one that was handed out is decoded again.
        if lease.lo < self._fresh_from or len(self._items) != lease.n:
            self._items = []
            items = decode(self._data)
            if not grant.is_whole:
                raise TornError(f"body {lease.body} of {lease.edge} is no longer there")
            self._items = items
        self._fresh_from = lease.hi
        return self._items

    def salvage(self, grant: Grant, error: BaseException) -> list[Any]:
        """Return the items of a body that raised ``error``, each bad one as a ``Broken``."""
        if isinstance(error, TornError) or not grant.is_whole:
            return [Broken(error)] * grant.lease.n
        try:
            return salvage(self._data)
        except BaseException:  # noqa: BLE001  (it is no pickle at all, or a truncated one)
            return [Broken(error)] * grant.lease.n

    def _drop(self, tokens: set[int], claim: Claim | None) -> None:
        """Drop results of which some belong to others by now; the rest is for others too."""
        for token in tokens & self.ledger.holdings.keys():
            self._send(Return(token))
            self.ledger.returned(token)
        if claim is not None:
            self._send(claim)

    def _go_back(self, cursor: Cursor) -> None:
        """Have a source iterate again from where it is for certain."""
        self.cursor, self.refused = cursor, True
        self._promised = cursor.seq
        for owed in self._unsent:
            self.ledger.owed.pop(owed.settle.seq, None)
        self._unsent.clear()

    def _send_again(self, token: int) -> None:
        """Use a source's new lease for a settle that was never answered."""
        owed = self._unsent.popleft()
        assert owed.settle.advance is not None
        is_last = owed.settle.advance.next.finished
        again = self.ledger.again(owed, token, None if is_last else self.new_claim(1))
        self._send(again.settle, again.parts)

    def outlive(self, job: Job, page: Page) -> None:
        """For a thread of its own: whenever the head goes, look for the next one.

        User code may run for hours; only a thread can tell the next head in time what is held.
        """
        while True:
            poll = select.poll()
            poll.register(self._wire.sock, _HUNG_UP)
            poll.poll()
            while not self._down and not self._closed:
                self.pump()  # what came before the end counts
            if self._closed or not self._find_head(job, page):
                return

    def _find_head(self, job: Job, page: Page) -> bool:
        deadline = time.monotonic() + job.hold_s
        while time.monotonic() < deadline:
            try:
                wire, session, arena = hail(job)
                with self.lock:
                    self._reunite(wire, session, arena, is_source=job.kind == "source")
                    page.rename(self._renaming)
            except (NoHead, EOFError, OSError):
                # Not all at once: every worker of this host is looking.
                time.sleep(random.uniform(0.02, 0.2))  # noqa: S311
                continue
            self.wake()
            return True
        self._gone = True
        self._up.set()
        self.wake()
        return False

    def _reunite(
        self, wire: Wire, session: Session, arena: Arena | None, *, is_source: bool
    ) -> None:
        ledger = self.ledger
        self.places = Places(arena)  # the old ones end with the ADOPT that follows
        if is_source:
            before = dict.fromkeys(ledger.holdings, 0)
            unsent = adopt_nothing(wire, ledger, session.cursor, self._promised)
            self._renaming.add(before)
            self._unsent.clear()
            if unsent is None:
                self._go_back(session.cursor)
            else:
                self._unsent = unsent
        else:
            self._renaming.add(adopt(wire, ledger))
        if session.run != ledger.run:
            ledger.run, self._body = session.run, 0
        self._keep_grants(wire)
        self._previous, self._wire = self._wire, wire  # an event loop may still watch the old one
        self._down = False
        self._up.set()
        claim = self._last_claim
        if claim is not None and (self.claiming or (is_source and not self._is_done())):
            self._send(self.new_claim(claim.want, claim.wait_s))

    def _is_done(self) -> bool:
        """Whether a source has nothing more to claim for."""
        return self.ended or (self.stopping and not self._unsent)

    def _keep_grants(self, wire: Wire) -> None:
        """Keep the leases not begun that were adopted, if their bodies are at hand."""
        grants, self.grants = self.grants, deque()
        body = self._body
        for grant in grants:
            lease = self._renaming.lease(grant.lease)
            if lease.token not in self.ledger.holdings:
                continue
            if not grant.data and lease.body != body:  # it came with a lease that is lost
                with contextlib.suppress(OSError):
                    wire.send(Return(lease.token))
                self.ledger.returned(lease.token)
                continue
            body = lease.body
            self.grants.append(Grant(lease, grant.data, grant.arena))
