"""A broker on a desk: its workers, its disk and its answers in reach of a test's hands."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Any

from pipeline_runner.queues.broker.broker import Broker
from pipeline_runner.queues.broker.effects import Commit, Send
from pipeline_runner.queues.broker.pager import RANGES
from pipeline_runner.queues.broker.ranges import Range
from pipeline_runner.queues.broker.transaction import Body, Sequences
from pipeline_runner.wire.messages import (
    Adopt,
    Adopted,
    Advance,
    Claim,
    Cursor,
    Died,
    Done,
    Failure,
    Granted,
    Held,
    Hello,
    Output,
    Return,
    Session,
    Settle,
    Settled,
    Stage,
)
from tests.queues.durable import Durable
from tests.queues.shapes import graph

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pipeline_runner.queues.broker.effects import Effect, Pending
    from pipeline_runner.queues.broker.topology import Topology
    from pipeline_runner.wire.messages import Spans
    from pipeline_runner.worker.session.ledger import Ledger

RUN = "run-1"
CHAIN = (("s", "a"), ("a", "b"))


def stocked(**bodies: Sequence[int]) -> Durable:
    """A disk on which edges hold bodies of so many items: ``sa=[3, 2]`` is the edge "s->a"."""
    durable = Durable()
    for letters, sizes in bodies.items():
        edge = f"{letters[0]}->{letters[1]}"
        for n in sizes:
            body = Body(durable.next_body, n, b"x" * 10 * n)
            durable.bodies[body.id] = body
            durable.ranges[edge, body.id] = [Range(body.id, 0, n)]
            durable.next_body += 1
    return durable


class Desk:
    """Carries out what the broker decides; commits wait until :meth:`commit`."""

    def __init__(
        self,
        topology: Topology | None = None,
        durable: Durable | None = None,
        *,
        epoch: int = 1,
        closed_until: float | None = None,
        run: str = RUN,
        window: int = RANGES,
    ) -> None:
        self.topology = topology or graph(CHAIN)
        self.disk = durable or Durable()
        self._sequences = Sequences(self.disk.cursors)
        self.now = 1000.0
        self.waiting: deque[Pending] = deque()
        self.effects: list[Effect] = []
        self.seats: dict[int, Seat] = {}
        self._window = window
        self.broker = Broker(
            self.topology,
            run=run,
            epoch=epoch,
            durable=self.disk,
            closed_until=closed_until,
            window=window,
        )

    def worker(
        self, name: str, stage: str, index: int = 0, host: str = "north", *, release: str = ""
    ) -> Seat:
        """Let a worker say HELLO; an earlier connection of it is closed with that."""
        hello = Hello("worker", host, name, stage, index, 7, release=release)
        seat = Seat(self, name)
        seat.session = self.broker.hello(hello, self.now)
        self.seats[seat.session] = seat
        self.carry_out()
        return seat

    def carry_out(self) -> None:
        """Hand out answers, queue commits, keep the rest for the test to see."""
        while effects := self.broker.take():
            for effect in effects:
                if isinstance(effect, Send):
                    seat = self.seats.get(effect.session)
                    if seat is not None:
                        seat.heard.append(effect.message)
                        seat.data.append(effect.data)
                elif isinstance(effect, Commit):
                    self.waiting.append(effect.pending)
                else:
                    self.effects.append(effect)

    def commit(self, *, ok: bool = True) -> None:
        """Make the oldest step durable, or fail to, and tell the broker."""
        pending = self.waiting.popleft()
        if ok and self._sequences.take(pending.step):
            self._sequences.committed()
            self.disk.apply(pending.step, self.now)
            self.broker.committed(pending, self.now)
        else:
            self._sequences.rolled_back()
            self.broker.refused(pending, self.now)
        self.carry_out()

    def commit_all(self) -> None:
        """Make everything durable."""
        while self.waiting:
            self.commit()

    def died(
        self, name: str, running: int = 0, *, index: int = -1, cause: str = "signal 9"
    ) -> None:
        """An agent reports a death."""
        self.broker.died(Died(name, running, cause, index), self.now)
        self.carry_out()

    def releases(self, *named: str, cut: bool = False) -> None:
        """The head says which releases slots name, and whether a host is cut off."""
        self.broker.releases(named, self.now, cut=cut)
        self.carry_out()

    def lost(self, host: str) -> None:
        """A host was silent for too long."""
        self.broker.lost(host, self.now)
        self.carry_out()

    def wait(self, seconds: float) -> None:
        """Let time pass and whatever falls due happen."""
        self.now += seconds
        self.broker.tick(self.now)
        self.carry_out()

    def restart(self, *, closed_for: float | None = None) -> Desk:
        """A new head over what was durable."""
        until = None if closed_for is None else self.now + closed_for
        return Desk(
            self.topology,
            self.disk,
            epoch=self.broker.state.epoch + 1,
            closed_until=until,
            window=self._window,
        )

    def queued(self, edge: str) -> list[tuple[int, int, int]]:
        """(body, lo, hi) of what waits on an edge, as touching pieces are one."""
        found: list[tuple[int, int, int]] = []
        for r in sorted(self.broker.state.edges[edge].queue, key=lambda r: (r.body, r.lo)):
            if found and found[-1][0] == r.body and found[-1][2] == r.lo:
                found[-1] = (r.body, found[-1][1], r.hi)
            else:
                found.append((r.body, r.lo, r.hi))
        return found

    def attempts(self, edge: str) -> dict[int, int]:
        """Attempts by index of what waits on an edge, of one body."""
        return {
            index: r.attempts
            for r in self.broker.state.edges[edge].queue
            for index in range(r.lo, r.hi)
        }


class Seat:
    """One worker's connection."""

    def __init__(self, desk: Desk, name: str) -> None:
        self.desk, self.name = desk, name
        self.session = 0
        self.heard: list[Any] = []
        self.data: list[Any] = []
        self._seq = 0

    def last(self, kind: type) -> Any:
        """The newest message of a kind."""
        return next(message for message in reversed(self.heard) if isinstance(message, kind))

    def all(self, kind: type) -> list[Any]:
        """Every message of a kind."""
        return [message for message in self.heard if isinstance(message, kind)]

    def next_seq(self) -> int:
        self._seq += 1
        return self._seq

    def claim(self, want: int = 1, *, have: int = 0, wait_s: float | None = None) -> Any:
        """Claim; return the answer that came at once, or None if it waits."""
        before = len(self.heard)
        seq = self.next_seq()
        self.desk.broker.claim(self.session, Claim(seq, want, have, wait_s), self.desk.now)
        self.desk.carry_out()
        return next((m for m in self.heard[before:] if getattr(m, "seq", 0) == seq), None)

    def settle(
        self,
        *done: Done,
        out: Sequence[tuple[str, int]] = (),
        failed: Sequence[Failure] = (),
        advance: Advance | None = None,
        staged: Sequence[int] = (),
        claim: int = 0,
    ) -> int:
        """Settle; ``out`` is (edges separated by spaces, items) for each body. Return its seq."""
        seq = self.next_seq()
        outputs = tuple(Output(tuple(edges.split()), n, 10 * n) for edges, n in out)
        ahead = Claim(self.next_seq(), claim) if claim else None
        message = Settle(seq, tuple(done), outputs, tuple(staged), tuple(failed), advance, ahead)
        self.desk.broker.settle(
            self.session, message, [b"x" * o.size for o in outputs], self.desk.now
        )
        self.desk.carry_out()
        return seq

    def answer(self, seq: int) -> Settled | None:
        """What was said to settle ``seq``, or None so far."""
        return next((m for m in self.all(Settled) if m.seq == seq), None)

    def ok(self, seq: int) -> bool | None:
        """Whether settle ``seq`` was applied; None while nothing was said."""
        answer = self.answer(seq)
        return None if answer is None else answer.ok

    def stage(self, lease: Granted, key: int, edge: str, n: int) -> None:
        """Send outputs ahead of their settle."""
        message = Stage(lease.token, ((lease.lo, lease.hi),), key, Output((edge,), n, 10 * n))
        self.desk.broker.stage(self.session, message, b"x" * 10 * n)
        self.desk.carry_out()

    def give_back(self, token: int, spans: Spans | None = None, *, suspect: bool = False) -> None:
        """Return indexes."""
        self.desk.broker.return_(self.session, Return(token, spans, suspect), self.desk.now)
        self.desk.carry_out()

    def reconnect(self) -> Seat:
        """The same process on a new connection."""
        worker = self.desk.broker.state.workers[self.name]
        return self.desk.worker(self.name, worker.stage, worker.index, worker.host)

    def adopt(self, *held: Held, run: str = RUN) -> list[tuple[int, Spans]]:
        """Name everything held; return what each may keep."""
        self.desk.broker.adopt(self.session, Adopt(self.next_seq(), run, held), self.desk.now)
        self.desk.carry_out()
        return list(self.last(Adopted).leases)

    @property
    def cursor(self) -> Cursor:
        """The cursor that SESSION carried."""
        cursor: Cursor = self.last(Session).cursor
        return cursor

    @property
    def cursor_seq(self) -> int:
        """How many steps of this source were read, durable or not."""
        record = self.desk.broker.state.sessions[self.session]
        return self.desk.broker.state.stages[record.stage].source(record.index).seq

    def emit(self, lease: Granted, expected: int, n: int, *, finished: bool = False) -> int:
        """Settle a source's lease with ``n`` items on every edge, one step further."""
        stage = self.desk.broker.state.sessions[self.session].stage
        edges = " ".join(self.desk.topology.stages[stage].outputs)
        count = self.desk.broker.state.stages[stage].source(0).cursor.count + n
        after = Cursor(expected + 1, count, None, finished)
        out = [(edges, n)] if n else []
        return self.settle(Done(lease.token), out=out, advance=Advance(expected, after))


def held(lease: Granted, spans: Spans | None = None) -> Held:
    """What a worker says it holds of a lease."""
    whole = ((lease.lo, lease.hi),)
    return Held(lease.edge, lease.body, spans or whole, lease.attempts, lease.suspect)


def failure(
    lease: Granted,
    index: int,
    *,
    final: bool = False,
    item: bytes | None = None,
    cause: str = "raised",
) -> Failure:
    """One item's failure."""
    return Failure(lease.token, index, "ValueError: no", "Traceback", cause, final=final, item=item)


def owe(
    ledger: Ledger, *done: Done, data: Sequence[bytes | memoryview] = (), **parts: Any
) -> Settle:
    """Return a settle that ``ledger`` owes from now on, to be sent or lost."""
    settle = Settle(
        ledger.next_seq(),
        done,
        **{name: tuple(part) if isinstance(part, list) else part for name, part in parts.items()},
    )
    ledger.owe(settle, data)
    return settle
