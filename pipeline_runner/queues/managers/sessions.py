"""Stock clients at the broker's edges: gets and puts that may have to wait.

A guest is a connection, known by a session number. It holds at most one item: a lease, settled at
its next request or when it leaves in good order, and given back when its line breaks. What it puts
is a body of one item; its put is answered once that is durable.
"""

from __future__ import annotations

import heapq
from collections import Counter, deque
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pipeline_runner.queues.broker.effects import Pending
from pipeline_runner.queues.broker.leases import WorkerRecord
from pipeline_runner.queues.broker.transaction import Body, Transaction
from pipeline_runner.wire.messages import Settled

if TYPE_CHECKING:
    from collections.abc import Callable

    from pipeline_runner.queues.broker.broker import Broker
    from pipeline_runner.queues.broker.effects import Send
    from pipeline_runner.queues.broker.leases import Lease
    from pipeline_runner.queues.broker.stages import EdgeState


_PUT, _SETTLE = 1, 2  # a guest's steps, by the number of their acknowledgement


@dataclass(frozen=True, slots=True)
class Item:
    """A get is answered: with item ``index`` of ``body``."""

    guest: int
    body: bytes
    index: int


@dataclass(frozen=True, slots=True)
class Stored:
    """A put is answered: its item is durable, or could not be made so."""

    guest: int
    ok: bool


@dataclass(frozen=True, slots=True)
class GaveUp:
    """A get found nothing, or a put no room, within its time."""

    guest: int
    getting: bool


@dataclass(frozen=True, slots=True)
class Idle:
    """A join is answered: all that was put is done with."""

    guest: int


@dataclass(frozen=True, slots=True)
class Shut:
    """A get or a put is answered: the queue was shut down."""

    guest: int
    getting: bool


Answer = Item | Stored | GaveUp | Idle | Shut


@dataclass(slots=True)
class _Waiting:
    guest: int
    edge: str
    body: bytes | None  # None: a get
    deadline: float | None


@dataclass(slots=True)
class _Hand:
    """The item a guest has not shown to be done with, and since when it has it."""

    lease: Lease
    since: float


class ClientSessions:
    """Serves guests from the broker's books. ``present`` says whether a guest's line still is.

    Without ``discards`` no guest can throw away what others have queued.
    """

    def __init__(
        self, broker: Broker, present: Callable[[int], bool], *, discards: bool = False
    ) -> None:
        self._discards = discards
        self._broker = broker
        self._state = broker.state
        self._present = present
        self._hands: dict[int, _Hand] = {}
        self._settling: set[int] = set()
        self._waiting: dict[int, _Waiting] = {}
        self._getting: dict[str, deque[_Waiting]] = {}
        self._putting: dict[str, deque[_Waiting]] = {}
        self._unstored: dict[int, str] = {}  # the edges of puts that are not durable yet
        self._storing: Counter[str] = Counter()  # and how many there are for each edge
        self._joining: dict[int, str] = {}
        # For each edge: items that guests have got, less the calls of task_done; below 0 where
        # those came first. And the leases of what guests have got, as far as they are not gone.
        self._got: Counter[str] = Counter()
        self._leases: dict[str, set[Lease]] = {}
        self._shut: set[str] = set()
        self._deadlines: list[tuple[float, int]] = []
        self._answers: list[Answer] = []

    def take(self) -> list[Answer]:
        """Return the answers that have come up since the last call."""
        answers, self._answers = self._answers, []
        return answers

    def get(self, guest: int, edge: str, now: float, deadline: float | None) -> None:
        """Answer with an item of ``edge``, when there is one; GaveUp at ``deadline``."""
        self._ask(_Waiting(guest, edge, None, deadline), now)

    def put(self, guest: int, edge: str, body: bytes, now: float, deadline: float | None) -> None:
        """Store ``body``, one item, when ``edge`` has room; GaveUp at ``deadline``."""
        self._ask(_Waiting(guest, edge, body, deadline), now)

    def join(self, guest: int, edge: str) -> None:
        """Answer when every item that was put on ``edge`` is done with.

        What guests have got is when ``task_done`` was called as often, by whomever; what the
        edge's own stage took is once its results are durable.
        """
        self._joining[guest] = edge

    def task_done(self, edge: str) -> bool:
        """Count an item of ``edge`` as done with; False where all are.

        It settles nothing: that the guest asks for anything at all has settled what it held.
        """
        if self._unfinished(edge) <= 0:
            return False
        self._got[edge] -= 1
        return True

    def _unfinished(self, edge: str) -> int:
        """Return how many items of ``edge`` are not done with."""
        leases = self._leases.setdefault(edge, set())
        leases -= {lease for lease in leases if not lease.live and not lease.settling}
        beside = self._state.edges[edge].remaining - len(leases) + self._storing[edge]
        unfinished = beside + self._got[edge]
        if unfinished < 0:  # done with by a guest, and then taken by the edge's own stage too
            self._got[edge] -= unfinished
        return max(unfinished, 0)

    def shut_down(self, edge: str, now: float, *, immediate: bool) -> None:
        """Take no more puts for ``edge``, and answer gets only while something is queued.

        With ``immediate`` what is queued is thrown away. Raises ValueError where that is not a
        guest's to do. The stages of a pipeline go on with the edge as before.
        """
        if immediate and not self._discards:
            raise ValueError(
                f"the items of {edge!r} are a pipeline's, and no client's to throw away: "
                "`runner queue purge` does it"
            )
        self._shut.add(edge)
        if immediate:
            self._discard(self._state.edges[edge])
        for queue in (self._getting.get(edge), self._putting.get(edge)):
            while queue and (queue is not self._getting.get(edge) or not self.queued(edge)):
                waiting = queue.popleft()
                del self._waiting[waiting.guest]
                self._answers.append(Shut(waiting.guest, getting=waiting.body is None))
        self.serve(now)

    def is_shut(self, edge: str, *, getting: bool) -> bool:
        """Whether a put, or a get, finds the queue shut down."""
        return edge in self._shut and not (getting and self.queued(edge))

    def _discard(self, edge: EdgeState) -> None:
        """Consume everything that is queued, without an output."""
        name = edge.spec.name
        record = WorkerRecord("shutdown", edge.spec.target, 0, "", 0, 0)
        while (item := edge.queue.pop(edge.queue.queued, alone=False)) is not None:
            self._state.took(edge, item)
            lease = self._state.lease(record, name, item)
            live = lease.live
            self._state.settling(lease, live)
            step = Transaction(consumed=[(name, lease.body, live)])
            self._state.commit(Pending(step, record, 0, settling=[(lease, live)], retryable=True))

    def queued(self, edge: str) -> int:
        """Return how many items wait on ``edge``."""
        return self._state.edges[edge].queue.queued

    def full(self, edge: str) -> bool:
        """Whether a put would have to wait."""
        return self._room(self._state.edges[edge]) < 1

    def closed_for_good(self, edge: str) -> bool:
        """Whether the stage that takes from ``edge`` has finished: a put would never be taken."""
        return self._state.stages[self._state.edges[edge].spec.target].finished

    def holds(self, guest: int) -> bool:
        """Whether the guest got an item and has not asked for anything since."""
        return guest in self._hands

    def settling(self, guest: int) -> bool:
        """Whether what the guest was done with could still come back, were the head to crash."""
        return guest in self._settling

    def done(self, guest: int, now: float) -> None:
        """Settle what the guest holds: it asked for something else."""
        hand = self._hands.pop(guest, None)
        if hand is None:
            return
        lease, live = hand.lease, hand.lease.live
        # How long guests take tells the producer how large its bodies should be.
        self._state.stages[lease.worker.stage].service.add(1, now - hand.since)
        step = Transaction(consumed=[(lease.edge, lease.body, live)])
        # The guest has the item and will not return it: a commit that fails is tried again.
        pending = Pending(
            step, lease.worker, guest, _SETTLE, settling=[(lease, live)], retryable=True
        )
        self._settling.add(guest)
        self._state.settling(lease, live)
        self._state.commit(pending)

    def left(self, guest: int, now: float, *, in_order: bool) -> None:
        """Forget a guest; what it holds is settled if it left in good order, else given back."""
        waiting = self._waiting.pop(guest, None)
        if waiting is not None:
            self._queues(waiting)[waiting.edge].remove(waiting)
        self._joining.pop(guest, None)
        if in_order:
            self.done(guest, now)
        elif (hand := self._hands.pop(guest, None)) is not None:
            self._got[hand.lease.edge] -= self._got[hand.lease.edge] > 0
            self._state.give_back(hand.lease, hand.lease.live)

    def told(self, send: Send) -> None:
        """Hear from the broker that a step of a guest is durable, or that a put cannot be."""
        if isinstance(send.message, Settled) and send.message.seq == _SETTLE:
            self._settling.discard(send.session)
            return
        edge = self._unstored.pop(send.session, None)
        if edge is not None and isinstance(send.message, Settled):
            self._storing[edge] -= 1
            self._answers.append(Stored(send.session, send.message.ok))

    def serve(self, now: float) -> None:
        """Serve guests that wait, as far as items and room go."""
        for getting in tuple(self._getting.values()):
            while getting and self._grant(getting[0], now):
                self._served(getting)
        for putting in tuple(self._putting.values()):
            while putting and self._store(putting[0]):
                self._served(putting)
        for guest, edge in tuple(self._joining.items()):
            if not self._unfinished(edge):
                del self._joining[guest]
                self._answers.append(Idle(guest))
        if self._state.dirty:
            # Items went or came: stages that wait for room, or for items, are next.
            self._broker.tick(now)

    @property
    def wake_at(self) -> float | None:
        """When :meth:`tick` may have something to do, or None."""
        return self._deadlines[0][0] if self._deadlines else None

    def tick(self, now: float) -> None:
        """Answer those whose time is up."""
        while self._deadlines and self._deadlines[0][0] <= now:
            _due, guest = heapq.heappop(self._deadlines)
            waiting = self._waiting.get(guest)
            # The guest may have been served since, and wait for something else now.
            if waiting is None or waiting.deadline is None or waiting.deadline > now:
                continue
            del self._waiting[guest]
            self._queues(waiting)[waiting.edge].remove(waiting)
            self._answers.append(GaveUp(guest, getting=waiting.body is None))

    def _ask(self, ask: _Waiting, now: float) -> None:
        queue = self._queues(ask).setdefault(ask.edge, deque())
        if not queue and (self._grant(ask, now) if ask.body is None else self._store(ask)):
            return
        if ask.deadline is not None and ask.deadline <= now:
            self._answers.append(GaveUp(ask.guest, getting=ask.body is None))
            return
        queue.append(ask)
        self._waiting[ask.guest] = ask
        if ask.deadline is not None:
            heapq.heappush(self._deadlines, (ask.deadline, ask.guest))

    def _queues(self, ask: _Waiting) -> dict[str, deque[_Waiting]]:
        return self._getting if ask.body is None else self._putting

    def _served(self, queue: deque[_Waiting]) -> None:
        self._waiting.pop(queue.popleft().guest, None)

    def _grant(self, ask: _Waiting, now: float) -> bool:
        """Give the first item of the edge away; True too when the guest turns out to be gone."""
        edge = self._state.edges[ask.edge]
        if self._broker.adopting or not edge.queue.ready_items:
            return False
        if not self._present(ask.guest):
            return True
        item = edge.queue.pop(1, alone=True)
        assert item is not None
        self._state.took(edge, item)
        lease = self._state.lease(self._record(ask, edge), ask.edge, item)
        self._hands[ask.guest] = _Hand(lease, now)
        self._leases.setdefault(ask.edge, set()).add(lease)
        self._got[ask.edge] += 1
        body = self._state.bodies[item.body]
        self._answers.append(Item(ask.guest, bytes(body.data), item.lo))
        return True

    def _store(self, ask: _Waiting) -> bool:
        edge = self._state.edges[ask.edge]
        if self._room(edge) < 1:
            return False
        assert ask.body is not None
        if self._got[ask.edge] < 0:
            self._unfinished(ask.edge)  # what was done with before counts for nothing later
        body = Body(self._state.next_body, 1, ask.body)
        self._state.next_body += 1
        step = Transaction(produced=[((ask.edge,), body)])
        self._unstored[ask.guest] = ask.edge
        self._storing[ask.edge] += 1
        self._state.commit(Pending(step, self._record(ask, edge), ask.guest, _PUT))
        return True

    def _room(self, edge: EdgeState) -> int:
        return edge.room - self._storing[edge.spec.name]

    def _record(self, ask: _Waiting, edge: EdgeState) -> WorkerRecord:
        # Of the stage that takes from the edge: whoever gets is in its place.
        return WorkerRecord(f"guest-{ask.guest}", edge.spec.target, 0, "", 0, ask.guest)
