"""The durable state that transactions build, as a model in memory.

It is what the simulator crashes and recovers, and what a journal on disk has to equal.
"""

from __future__ import annotations

from array import array
from typing import TYPE_CHECKING

from pipeline_runner.queues.broker.counters import Counters
from pipeline_runner.queues.broker.paged_out import DurableBacklog
from pipeline_runner.queues.broker.ranges import Range, subtract
from pipeline_runner.queues.broker.transaction import PagedBody

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from pipeline_runner.queues.broker.ranges import Spans
    from pipeline_runner.queues.broker.transaction import Body, Letter, Transaction
    from pipeline_runner.wire.messages import Cursor


class Durable:
    """Bodies, the ranges of each edge, cursors and counters, as transactions left them."""

    def __init__(self) -> None:
        self.bodies: dict[int, Body] = {}
        self.ranges: dict[tuple[str, int], list[Range]] = {}  # by edge and body
        self.cursors: dict[tuple[str, int], Cursor] = {}
        self.letters: list[Letter] = []
        self.next_body = 1
        self.next_letter = 1
        self.tally = Counters()
        self.pieces = 0  # that were read

    @property
    def dead(self) -> dict[int, str]:
        return {letter.letter: letter.stage for letter in self.letters}

    def backlogs(self) -> dict[str, DurableBacklog]:
        found: dict[str, DurableBacklog] = {}
        for (edge, number), ranges in sorted(self.ranges.items()):
            body = self.bodies[number]
            items = sum(r.hi - r.lo for r in ranges)
            backlog = found.get(edge, DurableBacklog(array("q"), 0, 0.0))
            found[edge] = DurableBacklog(
                array("q", (*backlog.numbers, number)),
                backlog.items + items,
                backlog.size_bytes + body.size * items / body.n,
            )
        return found

    def read(
        self, edge: str, numbers: Sequence[int], room_bytes: int
    ) -> Iterator[tuple[Body | PagedBody, list[Range]]]:
        self.pieces += 1
        for number in numbers:
            body = self.bodies[number]
            room_bytes -= body.size
            yield (
                body if room_bytes >= 0 else self.put(body),
                [
                    Range(r.body, r.lo, r.hi, r.attempts, r.suspect, r.not_before)
                    for r in self.ranges[edge, number]
                ],
            )

    def put(self, body: Body) -> PagedBody:
        return PagedBody(
            body.id, body.n, body.size, body.release, lambda n: bytes(self.bodies[n].data)
        )

    def apply(self, step: Transaction, now: float = 0.0) -> None:
        """Apply one transaction whole, at ``now``."""
        self.tally.add(step)
        for edge, number, spans in step.consumed:
            self._remove(edge, number, spans)
        for requeue in step.requeued:
            item = requeue.range
            self._remove(requeue.edge, item.body, ((item.lo, item.hi),))
            self.ranges.setdefault((requeue.edge, item.body), []).append(
                Range(
                    item.body,
                    item.lo,
                    item.hi,
                    item.attempts,
                    item.suspect,
                    now + requeue.wait_s if requeue.wait_s else 0.0,
                )
            )
        for retry in step.retried:
            for number, spans in retry.taken:
                self._remove(retry.edge, number, spans)
            body = retry.body
            self.next_body = max(self.next_body, body.id + 1)
            self.bodies[body.id] = body
            due = now + retry.wait_s if retry.wait_s else 0.0
            self.ranges[retry.edge, body.id] = [
                Range(body.id, 0, body.n, retry.attempts, suspect=False, not_before=due)
            ]
        for letter in step.letters:
            if letter.edge:
                self._remove(letter.edge, letter.held_in, ((letter.place, letter.place + 1),))
            self.letters.append(letter)
            self.next_letter = max(self.next_letter, letter.letter + 1)
        for edges, body in step.produced:
            self.next_body = max(self.next_body, body.id + 1)
            self.bodies[body.id] = body
            for name in edges:
                self.ranges[name, body.id] = [Range(body.id, 0, body.n)]
        if step.source is not None:
            stage, index, cursor = step.source
            self.cursors[stage, index] = cursor
        for edge, body in step.redriven:
            self.next_body = max(self.next_body, body.id + 1)
            self.bodies[body.id] = body
            self.ranges[edge, body.id] = [Range(body.id, 0, body.n)]
        if step.closed:
            closed = set(step.closed)
            self.letters = [letter for letter in self.letters if letter.letter not in closed]
        self._forget_spent_bodies(step)

    def _remove(self, edge: str, body: int, spans: Spans) -> None:
        left: list[Range] = []
        for item in self.ranges.get((edge, body), ()):
            left.extend(
                Range(body, lo, hi, item.attempts, item.suspect, item.not_before)
                for lo, hi in subtract(((item.lo, item.hi),), spans)
            )
        if left:
            self.ranges[edge, body] = left
        else:
            self.ranges.pop((edge, body), None)

    def _forget_spent_bodies(self, step: Transaction) -> None:
        touched = {body for _edge, body, _spans in step.consumed}
        touched.update(letter.held_in for letter in step.letters)
        touched.update(number for retry in step.retried for number, _spans in retry.taken)
        for body in touched:
            if not any(key[1] == body for key in self.ranges):
                self.bodies.pop(body, None)
