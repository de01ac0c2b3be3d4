"""A worker's claims and settles: its ledger over a line to the head."""

from __future__ import annotations

import contextlib
import signal
import threading
from collections import deque
from typing import TYPE_CHECKING, Any

from msgspec.structs import replace

from pipeline_runner.wire.messages import (
    MOST_ITEM,
    Empty,
    End,
    Granted,
    Return,
    Settle,
    Settled,
)
from pipeline_runner.worker.loops.failures import in_pieces
from pipeline_runner.worker.session.connection import HeadConnection
from pipeline_runner.worker.session.grants import Grant, InHand, with_bodies
from pipeline_runner.worker.session.ledger import Ledger, in_band
from pipeline_runner.worker.session.output_slots import OutputSlots
from pipeline_runner.worker.session.readopt import TokenMap, adopt, adopt_nothing, handshake

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from types import FrameType

    from pipeline_runner.wire.client.connection import Wire
    from pipeline_runner.wire.messages import Claim, Cursor, Failure, Session, Stage
    from pipeline_runner.wire.shm.arena import Arena
    from pipeline_runner.worker.job import Job
    from pipeline_runner.worker.page import Page
    from pipeline_runner.worker.session.ledger import Owed


class WorkerSession:
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
        self.line = HeadConnection(wire, holds=holds)
        self.cursor = cursor  # a source's, as the head has it
        self.grants: deque[Grant] = deque()
        self.in_hand = InHand()
        self.claiming = False
        self.ended = False
        self.stopping = False
        self.on_stop: Callable[[FrameType], None] | None = None  # may raise where it was called
        self.on_settled: Callable[[], None] | None = None  # called once, for the first settle
        self.refused = False  # a source's settle was: go on from ``cursor``
        self.hints: tuple[int, ...] = ()
        self.most_item = MOST_ITEM
        self.ledger = ledger
        self.places = OutputSlots(arena)
        self._tokens = TokenMap()
        self._unsent: deque[Owed] = deque()  # a source's settles that need a new lease
        self._promised = cursor.seq  # a source's, of the last settle
        self._last_claim: Claim | None = None
        self._emptied = False

    @staticmethod
    def open(job: Job, page: Page) -> WorkerSession:
        """Connect and say HELLO. Raises NoHead, EOFError or OSError when there is no head.

        With ``job.hold_s`` it can outlive its head: see :mod:`.failover`.
        """
        wire, session, arena = handshake(job)
        link = WorkerSession(wire, session.cursor, Ledger(session.run), arena, holds=job.hold_s > 0)
        link.on_settled = page.settled
        link.most_item = session.most_item
        return link

    def stop_on(self, number: signal.Signals) -> None:
        """Stop claiming when this signal comes: finish, settle, leave. For the main thread."""
        signal.set_wakeup_fd(self.line.wake_write, warn_on_full_buffer=False)
        signal.signal(number, lambda _number, frame: self.stop(frame))

    def stop(self, frame: FrameType | None = None) -> None:
        """Ask the loops to end after the item at hand; ``frame`` is where the signal found us."""
        self.stopping = True
        if self.on_stop is not None and frame is not None:
            self.on_stop(frame)

    def claim(self, want: int, wait_s: float | None = None, *, most: int = 0) -> None:
        """Ask for up to ``want`` items, or ``most`` of a long queue; one claim at a time."""
        with self.lock:
            self.line.send(self.new_claim(want, wait_s, most=most))

    def new_claim(self, want: int, wait_s: float | None = None, *, most: int = 0) -> Claim:
        """Return a claim to go with a settle."""
        self.claiming, self._emptied = True, False
        # The body that will be at hand when the answer's turn comes.
        have = self.grants[-1].lease.body if self.grants else self.in_hand.body
        self._last_claim = self.ledger.claim(want, have=have, wait_s=wait_s, most=most)
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
        self.line.wait()
        self.pump()

    def pump(self) -> None:
        """Take in all that has arrived, without waiting. Raises EOFError when the head is gone."""
        with self.lock:
            for message, data in self.line.arrived():
                self._take_in(message, data)

    def holds(self, token: int) -> bool:
        """Whether anything is left of a lease in our hands."""
        return self._tokens.token(token) in self.ledger.holdings

    def _take_in(self, message: Any, data: bytes | memoryview) -> None:
        match message:
            case Granted():
                self.ledger.granted(message)
                self.claiming = False
                self.hints = message.hints or self.hints
                if message.place:
                    self.places.add(message.place)
                if self._unsent:
                    self._send_again(message.token)
                elif message.at:
                    self.grants.append(self._grant(message))
                else:
                    self.grants.append(Grant(message, data))
            case Settled(ok=True):
                self.ledger.settled(message)
            case Settled():
                self._refused(message)
            case Empty():
                self.claiming, self._emptied = False, True
            case End():
                self.claiming, self.ended = False, True

    def _grant(self, lease: Granted) -> Grant:
        arena = self.places.arena
        assert arena is not None
        return Grant(lease, arena.view(lease.at, lease.size), arena)

    def _refused(self, answer: Settled) -> None:
        """Keep the places of a refused settle for other outputs; a source goes back."""
        owed = self.ledger.owed.get(answer.seq)
        if owed is not None:
            self.places.take_back(owed.settle.outputs)
        cursor = self.ledger.settled(answer)
        if cursor is not None:
            self._go_back(cursor)

    def settle(self, settle: Settle, data: Sequence[bytes | memoryview] = ()) -> None:
        """Send what was done. It is ours to keep until the head has acknowledged it."""
        with self.lock:
            if self._tokens:
                settle = self._tokens.settle(settle)
                tokens = {one.token for one in settle.done} | {one.token for one in settle.failed}
                if not tokens <= self.ledger.holdings.keys():
                    self._drop(settle, tokens)
                    return
            if settle.advance is not None:
                self._promised = settle.advance.next.seq
            # Sent before it is noted: whoever works on it next is woken so much sooner. The lock
            # keeps the next head out until both are done.
            self.line.send(settle, in_band(settle.outputs, data) if data else ())
            self.ledger.owe(settle, data)
            if self.on_settled is not None and not self.line.is_down:
                self.on_settled()
                self.on_settled = None

    def settle_failed(self, failed: Sequence[Failure], claim: Claim | None = None) -> None:
        """Send what failed, and nothing that was done."""
        *before, last = in_pieces(failed)
        for piece in before:
            self.settle(Settle(self.ledger.next_seq(), (), failed=tuple(piece)))
        self.settle(Settle(self.ledger.next_seq(), (), failed=tuple(last), claim=claim))

    def _drop(self, settle: Settle, tokens: set[int]) -> None:
        """Drop results of which some belong to others by now; the rest is for others too."""
        for token in tokens & self.ledger.holdings.keys():
            self.line.send(Return(token))
            self.ledger.returned(token)
        if settle.claim is not None:
            self.line.send(settle.claim)
        self.places.take_back(settle.outputs)

    def stage(self, message: Stage, data: bytes | memoryview) -> None:
        """Send outputs ahead of their settle."""
        with self.lock:
            if self._tokens:
                message = replace(message, token=self._tokens.token(message.token))
            self.line.send(message, [data])

    def give_back(self, *, suspect: bool = False) -> None:
        """Return everything in hand, uncharged."""
        with self.lock:
            for token in tuple(self.ledger.holdings):
                self.line.send(Return(token, None, suspect))
                self.ledger.returned(token)
            self.grants.clear()

    def finish(self) -> None:
        """Wait until every settle is answered, then hang up."""
        self.stopping = False
        while self.ledger.owed:
            self.wait()
        self.line.hang_up()

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
        self.line.send(again.settle, again.parts)

    def reunite(
        self, wire: Wire, session: Session, arena: Arena | None, *, is_source: bool
    ) -> TokenMap:
        """Go on with the next head, and return what became of each token.

        The caller holds the lock. Raises EOFError or OSError when that head is gone too.
        """
        ledger = self.ledger
        self.places = OutputSlots(arena)  # the old ones end with the ADOPT that follows
        if is_source:
            before = dict.fromkeys(ledger.holdings, 0)
            unsent = adopt_nothing(wire, ledger, session.cursor, self._promised)
            self._tokens.add(before)
            self._unsent.clear()
            if unsent is None:
                self._go_back(session.cursor)
            else:
                self._unsent = unsent
        else:
            self._tokens.add(adopt(wire, ledger))
        if session.run != ledger.run:
            ledger.run, self.in_hand.body = session.run, 0
        self._keep_grants(wire)
        self.line.renew(wire)
        claim = self._last_claim
        if claim is not None and (self.claiming or (is_source and not self._is_done())):
            self.line.send(self.new_claim(claim.want, claim.wait_s))
        return self._tokens

    def _is_done(self) -> bool:
        """Whether a source has nothing more to claim for."""
        return self.ended or (self.stopping and not self._unsent)

    def _keep_grants(self, wire: Wire) -> None:
        """Keep the leases not begun that were adopted, if their bodies are at hand."""
        for grant in self.grants:
            grant.lease = self._tokens.lease(grant.lease)
        held = [grant for grant in self.grants if grant.lease.token in self.ledger.holdings]
        kept = with_bodies(held, self.in_hand.body)
        for grant in held:
            if grant not in kept:
                with contextlib.suppress(OSError):
                    wire.send(Return(grant.lease.token))
                self.ledger.returned(grant.lease.token)
        self.grants = deque(kept)
