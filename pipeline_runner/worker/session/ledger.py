"""A worker's side of the protocol, without input or output: what it holds and what it still owes.

Every settle is kept, outputs and all, until it is acknowledged or refused. After a reconnect the
worker names everything it holds or owes; what it may keep it goes on with, the rest it drops.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
from msgspec.structs import replace

from pipeline_runner.queues.broker.ranges import size, subtract, union
from pipeline_runner.wire.messages import Adopt, Claim, Held, Settle

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pipeline_runner.queues.broker.ranges import Spans
    from pipeline_runner.wire.messages import Adopted, Cursor, Granted, Output, Settled, Token


class Holding(msgspec.Struct):
    """A lease in hand: the indexes of one body that are neither settled nor returned."""

    token: int
    edge: str
    body: int
    spans: Spans
    attempts: int = 0
    suspect: bool = False


class Owed(msgspec.Struct):
    """A settle without an answer yet, and what it took from each lease."""

    settle: Settle
    data: Sequence[bytes | memoryview]
    taken: list[Holding] = []

    @property
    def parts(self) -> list[bytes | memoryview]:
        """What travels behind the message: what does not lie in shared memory."""
        return in_band(self.settle.outputs, self.data)

    def fetch(self) -> None:
        """Copy what lies in shared memory: it goes another way from now on."""
        outputs = self.settle.outputs
        if any(output.at for output in outputs):
            self.settle = replace(
                self.settle, outputs=tuple(replace(output, at=0) for output in outputs)
            )
            self.data = [bytes(data) for data in self.data]


def in_band(
    outputs: Sequence[Output], data: Sequence[bytes | memoryview]
) -> list[bytes | memoryview]:
    """Return the bytes of those outputs that do not lie in shared memory."""
    if len(outputs) == 1:  # nearly always
        return [] if outputs[0].at else list(data)
    return [part for output, part in zip(outputs, data, strict=True) if not output.at]


class Ledger:
    """What one worker holds and owes, by token and by sequence number."""

    def __init__(self, run: str = "") -> None:
        self.run = run
        self.holdings: dict[Token, Holding] = {}
        self.owed: dict[int, Owed] = {}
        self.answered = 0  # settles
        self._seq = 0

    def next_seq(self) -> int:
        """Return a number for the next request."""
        self._seq += 1
        return self._seq

    def claim(
        self, want: int, *, have: int = 0, wait_s: float | None = None, most: int = 0
    ) -> Claim:
        """Return a claim for up to ``want`` items, or ``most`` where the queue is long."""
        self._seq += 1
        return Claim(self._seq, want, have, wait_s, most)

    def granted(self, lease: Granted) -> Holding:
        """Record a lease that arrived."""
        spans: Spans = ((lease.lo, lease.hi),)
        holding = Holding(lease.token, lease.edge, lease.body, spans, lease.attempts, lease.suspect)
        self.holdings[lease.token] = holding
        return holding

    def owe(self, settle: Settle, data: Sequence[bytes | memoryview] = ()) -> None:
        """Record a settle that is sent; it is owed until :meth:`settled` hears of it."""
        taken: dict[Token, Spans] = {}
        for one in settle.done:
            taken[one.token] = self.holdings[one.token].spans if one.spans is None else one.spans
        failed: dict[Token, list[tuple[int, int]]] = {}
        for failure in settle.failed:
            failed.setdefault(failure.token, []).append((failure.index, failure.index + 1))
        for token, ones in failed.items():
            taken[token] = union(taken.get(token, ()), tuple(ones))
        # One for each lease, however many ways its items went: each is adopted as one lease.
        self.owed[settle.seq] = Owed(
            settle, data, [self._take(token, spans) for token, spans in taken.items()]
        )

    def settled(self, answer: Settled) -> Cursor | None:
        """Record an acknowledgement, or a refusal whose outputs are dropped.

        Returns the durable cursor that came with a refusal, for a source to go on from: the head
        took all its leases, and it must settle nothing more before it has gone back there.
        """
        self.answered += 1
        owed = self.owed.pop(answer.seq, None)
        if answer.ok or owed is None:
            return None
        # A refused settle gave its indexes back whole: what is left of those leases stays ours.
        return answer.cursor

    def returned(self, token: Token, spans: Spans | None = None) -> None:
        """Record indexes that were given back."""
        holding = self.holdings[token]
        holding.spans = () if spans is None else subtract(holding.spans, spans)
        if not holding.spans:
            del self.holdings[token]

    def adopt(self) -> Adopt:
        """Return the list of everything held or owed, in the order :meth:`adopted` expects."""
        self.fetch()
        held = [_held(holding) for holding in self.holdings.values()]
        held += [_held(taken) for owed in self.owed.values() for taken in owed.taken]
        return Adopt(self.next_seq(), self.run, tuple(held))

    def fetch(self) -> None:
        """Copy what is owed out of shared memory: after ADOPT its places are another's."""
        for owed in self.owed.values():
            owed.fetch()

    def adopted(self, answer: Adopted) -> list[Owed]:
        """Take over the new leases; return the settles to send again, in order.

        A settle is sent again only if everything it took was adopted whole; what was adopted of
        any other is held, to be run again.
        """
        leases = iter(answer.leases)
        before, self.holdings = self.holdings, {}
        owed_before, self.owed = self.owed, {}
        for holding in before.values():
            self._hold(holding, *next(leases))
        again: list[Owed] = []
        for owed in owed_before.values():
            answers = [next(leases) for _taken in owed.taken]
            if owed.taken and all(
                size(spans) == size(taken.spans)
                for taken, (_token, spans) in zip(owed.taken, answers, strict=True)
            ):
                again.append(self._renamed(owed, [token for token, _spans in answers]))
            else:
                for taken, (token, spans) in zip(owed.taken, answers, strict=True):
                    self._hold(taken, token, spans)
        return again

    def again(self, owed: Owed, token: Token, claim: Claim | None) -> Owed:
        """Return a source's settle that was never answered, under a new lease and with a claim."""
        del self.owed[owed.settle.seq]
        del self.holdings[token]
        before = owed.settle
        settle = replace(
            before,
            seq=self.next_seq(),
            done=tuple(replace(done, token=token) for done in before.done),
            failed=tuple(replace(fault, token=token) for fault in before.failed),
            claim=claim,
        )
        renamed = self.owed[settle.seq] = Owed(settle, owed.data)
        return renamed

    def _hold(self, holding: Holding, token: Token, spans: Spans) -> None:
        if token and spans:
            self.holdings[token] = Holding(
                token, holding.edge, holding.body, spans, holding.attempts, holding.suspect
            )

    def _renamed(self, owed: Owed, tokens: list[Token]) -> Owed:
        now = {taken.token: token for taken, token in zip(owed.taken, tokens, strict=True)}
        before = owed.settle
        settle = replace(
            before,
            seq=self.next_seq(),
            done=tuple(replace(done, token=now[done.token]) for done in before.done),
            failed=tuple(replace(fault, token=now[fault.token]) for fault in before.failed),
            claim=None,
        )
        taken = [
            Holding(now[t.token], t.edge, t.body, t.spans, t.attempts, t.suspect)
            for t in owed.taken
        ]
        renamed = self.owed[settle.seq] = Owed(settle, owed.data, taken)
        return renamed

    def _take(self, token: Token, spans: Spans) -> Holding:
        holding = self.holdings[token]
        left = () if spans is holding.spans else subtract(holding.spans, spans)
        taken = Holding(token, holding.edge, holding.body, spans, holding.attempts, holding.suspect)
        holding.spans = left
        if not left:
            del self.holdings[token]
        return taken


def _held(holding: Holding) -> Held:
    return Held(holding.edge, holding.body, holding.spans, holding.attempts, holding.suspect)
