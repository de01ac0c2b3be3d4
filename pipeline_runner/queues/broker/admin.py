"""What people change in a run's queues: dead letters go back or for good, an edge is emptied.

Each is one step like any other, seen once it is durable. A letter that is taken cannot be taken
again meanwhile, so however often it is asked for, its item comes back once.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from pipeline_runner.queues.broker.effects import Amended, Commit, Pending
from pipeline_runner.queues.broker.paged_out import DurableBacklog, PagedOut
from pipeline_runner.queues.broker.ranges import size, union
from pipeline_runner.queues.broker.transaction import Transaction, redriven, renamed

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from pipeline_runner.queues.broker.paged_out import DurableState
    from pipeline_runner.queues.broker.ranges import Range, Spans
    from pipeline_runner.queues.broker.stages import EdgeState
    from pipeline_runner.queues.broker.state import BrokerState
    from pipeline_runner.queues.broker.transaction import Letter, Redrive

_PIECE = 4096  # bodies that one step takes off an edge


class Admin:
    """Knows the dead letters of a run, and takes them and queued items out of it."""

    def __init__(self, state: BrokerState, durable: DurableState | None) -> None:
        self._state = state
        self._letters = dict(durable.dead) if durable is not None else {}  # number -> stage
        self._closing: dict[int, str] = {}  # on their way
        self._purging: dict[int, _Purge] = {}  # by request
        self._unparking: dict[int, _Unpark] = {}  # likewise

    def dead_lettered(self, letters: Iterable[Letter]) -> None:
        """Note durable letters."""
        for letter in letters:
            self._letters[letter.letter] = letter.stage

    def close(
        self,
        request: int,
        letters: Mapping[int, Redrive | None],
        earlier: Sequence[Redrive] = (),
    ) -> tuple[int, ...]:
        """Start to close letters, their items revived where one is given; return which.

        ``earlier`` are items of earlier runs, whose letters are not this run's to close.
        """
        taken = tuple(number for number in letters if number in self._letters)
        if taken or earlier:
            for number in taken:
                self._closing[number] = self._letters.pop(number)
            back = [revival for n in taken if (revival := letters[n]) is not None]
            back += renamed(earlier, self._state.next_body)
            self._state.next_body += len(earlier)
            bodies = redriven(back, self._state.next_body)
            self._state.next_body += len(bodies)
            step = Transaction(redriven=bodies, closed=list(taken))
            self._state.effects.append(Commit(Pending(step, request=request)))
        return taken

    def purge(self, request: int, edge: str) -> int:
        """Start to empty an edge; return how many items were on it that nobody holds."""
        state = self._state.edges[edge]
        items = state.queue.queued
        if items:
            taken, tail = state.queue.clear(), state.queue.tail
            state.queue.tail = PagedOut()
            purge = self._purging[request] = _Purge(state, tail)
            self._purge(request, purge, taken)
        return items

    def purge_parked(self, request: int, edge: str) -> int:
        """Start to delete what is parked of an edge; return how many items that is."""
        unpark = self._unparking[request] = _Unpark(edge, self._state.parked.pop(edge))
        self._unpark(request, unpark)
        return unpark.backlog.items

    def _unpark(self, request: int, unpark: _Unpark) -> None:
        past = self._state.window.past
        assert past is not None, "what is parked was read from there"
        numbers = unpark.backlog.numbers[unpark.gone : unpark.gone + _PIECE]
        step = Transaction()
        for body, ranges in past.read(unpark.edge, numbers, 0):
            step.consumed.append((unpark.edge, body.id, tuple((r.lo, r.hi) for r in ranges)))
        self._state.effects.append(Commit(Pending(step, request=request)))

    def _unparked(self, request: int, unpark: _Unpark, step: Transaction) -> bool:
        """Take in that a piece of it is gone; return whether that was the last."""
        unpark.gone += _PIECE
        unpark.items_gone += sum(size(spans) for _edge, _body, spans in step.consumed)
        if unpark.gone < len(unpark.backlog.numbers):
            self._unpark(request, unpark)
            return False
        del self._unparking[request]
        return True

    def _purge(self, request: int, purge: _Purge, taken: list[Range]) -> None:
        """Take ``taken`` off an edge, and then the rest of what it held."""
        purge.taken = taken
        by_body: dict[int, Spans] = {}
        for item in taken:
            self._state.took(purge.edge, item)
            by_body[item.body] = union(by_body.get(item.body, ()), ((item.lo, item.hi),))
        name = purge.edge.spec.name
        step = Transaction(consumed=[(name, body, spans) for body, spans in by_body.items()])
        self._state.effects.append(Commit(Pending(step, request=request)))

    def committed(self, pending: Pending) -> None:
        """Let a durable change be seen."""
        state, step = self._state, pending.step
        unpark = self._unparking.get(pending.request)
        if unpark is not None:
            if self._unparked(pending.request, unpark, step):
                state.effects.append(Amended(pending.request, ok=True))
            return
        reopened: dict[str, None] = {}
        for edge, body, spans in step.consumed:
            state.gone(edge, body, size(spans))
        purge = self._purging.get(pending.request)
        if purge is not None and purge.tail:
            numbers = purge.tail.first(_PIECE)
            taken = state.window.take(purge.edge, numbers)
            purge.tail.drop(len(numbers), sum(item.hi - item.lo for item in taken))
            self._purge(pending.request, purge, taken)
            return
        self._purging.pop(pending.request, None)
        for edge, again in step.redriven:
            state.publish_again(edge, again)
            reopened |= self._reopen(state.edges[edge].spec.target)
        for number in step.closed:
            stage = state.stages.get(self._closing.pop(number))
            if stage is not None:
                stage.dead -= 1
        closed = tuple(step.closed)
        state.effects.append(
            Amended(pending.request, ok=True, closed=closed, reopened=(*reopened,))
        )

    def refused(self, pending: Pending) -> None:
        """Undo a change that could not be made durable."""
        state, step = self._state, pending.step
        purge = self._purging.pop(pending.request, None)
        if purge is not None:
            edge = purge.edge
            for item in purge.taken:
                body = state.bodies[item.body]
                edge.queue.push(item)
                edge.bytes += body.size * (item.hi - item.lo) / body.n
            edge.queue.tail.join(purge.tail)
            state.dirty[edge.spec.target] = None
        unpark = self._unparking.pop(pending.request, None)
        if unpark is not None:
            state.parked[unpark.edge] = unpark.left()
        for number in step.closed:
            self._letters[number] = self._closing.pop(number)
        state.effects.append(Amended(pending.request, ok=False))

    def _reopen(self, stage: str) -> dict[str, None]:
        """Take back the end of a stage, and of all that can get items from it."""
        reopened: dict[str, None] = {}
        ahead = [stage]
        while ahead:
            state = self._state.stages[ahead.pop()]
            if state.finished:
                state.finished = False
                reopened[state.spec.name] = None
                ahead += [self._state.edges[edge].spec.target for edge in state.spec.outputs]
        return reopened


@dataclass(slots=True)
class _Purge:
    """An edge that is being emptied: what the step on its way takes, and what is to follow."""

    edge: EdgeState
    tail: PagedOut
    taken: list[Range] = field(default_factory=list)


@dataclass(slots=True)
class _Unpark:
    """What is parked of an edge, while it is deleted: so many of its bodies and items are gone."""

    edge: str
    backlog: DurableBacklog
    gone: int = 0
    items_gone: int = 0

    def left(self) -> DurableBacklog:
        """Return what could not be deleted."""
        items = self.backlog.items - self.items_gone
        share = items / max(1, self.backlog.items)
        return DurableBacklog(
            self.backlog.numbers[self.gone :], items, self.backlog.size_bytes * share
        )
