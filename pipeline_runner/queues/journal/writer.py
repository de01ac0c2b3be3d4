"""One transaction of the protocol as statements: what its parts say, done to a file."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import msgspec

from pipeline_runner.queues.broker.ranges import Range, size, subtract, union
from pipeline_runner.queues.broker.transaction import Sequences
from pipeline_runner.queues.journal.schema import body_sum, range_sum, row_sum

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Callable, Iterable, Mapping

    from pipeline_runner.queues.broker.ranges import Spans
    from pipeline_runner.queues.broker.transaction import Body, Letter, Transaction
    from pipeline_runner.queues.journal.verify import Contents
    from pipeline_runner.wire.messages import Cursor

_encode = msgspec.msgpack.Encoder().encode
_Rest = tuple[int, int]  # until when, Unix time, and how long in all; milliseconds
_NO_REST: _Rest = (0, 0)
_ADD_BODY = "INSERT INTO body VALUES (?, ?, ?, ?, ?)"
_ADD_RANGE = "INSERT INTO range VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)"
_FORGET_SPENT = (
    "DELETE FROM body WHERE id = ?1 AND NOT EXISTS (SELECT 1 FROM range WHERE body = ?1)"
)


class Writer:
    """Writes steps between :meth:`begin` and a COMMIT, on top of what was ``found``."""

    def __init__(
        self, sql: sqlite3.Connection, found: Contents, clock: Callable[[], float] = time.time
    ) -> None:
        self._sql = sql
        self._clock = clock
        self._run = found.run
        self._epoch = found.epoch
        self._next_body = found.next_body
        self._next_letter = found.next_letter
        self._items = found.items  # of all ranges
        self._durable = (found.next_body, found.next_letter, found.items)
        self._tally = found.tally
        self._sequences = Sequences(found.cursors)
        self._edges = dict(found.edges)  # name -> number
        self._written: list[Transaction] = []  # since the last commit
        self._named: list[str] = []  # edges, since then

    def begin(self) -> None:
        """Open a transaction. Raises sqlite3.Error, as all of these do."""
        self._sql.execute("BEGIN IMMEDIATE")

    def seal(self) -> None:
        """Write the sums that make the transaction whole; COMMIT is next."""
        counters = self._next_body, self._next_letter, self._items
        row = (self._run, self._epoch, *counters, _encode(self._tally))
        self._sql.execute(
            "UPDATE state SET run = ?, epoch = ?, next_body = ?, next_letter = ?, items = ?, "
            "tally = ?, crc = ?",
            (*row, row_sum(*row)),
        )

    def committed(self) -> None:
        """Record that what was sealed is durable."""
        self._sequences.committed()
        self._durable = self._next_body, self._next_letter, self._items
        self._written.clear()
        self._named.clear()

    def rolled_back(self) -> None:
        """Record that it is not."""
        self._sequences.rolled_back()
        self._next_body, self._next_letter, self._items = self._durable
        for step in self._written:
            self._tally.add(step, -1)
        self._written.clear()
        for name in self._named:
            del self._edges[name]
        self._named.clear()

    def write(self, step: Transaction) -> bool:
        """Write one step; False, and nothing is written, if what it builds on is not there."""
        if not self._sequences.take(step):
            return False
        self._written.append(step)
        self._tally.add(step)
        leaving = _leaving(step)
        for (edge, number), spans in leaving.items():
            self._remove(edge, number, spans)
        for requeue in step.requeued:
            item = requeue.range
            self._remove(requeue.edge, item.body, ((item.lo, item.hi),))
            self._insert(requeue.edge, (item,), self._until(requeue.wait_s))
        for retry in step.retried:
            self._body(retry.body)
            again = Range(retry.body.id, 0, retry.body.n, retry.attempts)
            self._insert(retry.edge, (again,), self._until(retry.wait_s))
        for letter in step.letters:
            self._letter(letter)
        for edges, body in step.produced:
            self._body(body)
            for name in edges:
                self._insert(name, (Range(body.id, 0, body.n),))
        if step.source is not None:
            self._cursor(*step.source)
        for edge, body in step.redriven:
            self._body(body)
            self._insert(edge, (Range(body.id, 0, body.n),))
        if step.closed:
            numbers = [(number,) for number in step.closed]
            self._sql.executemany("DELETE FROM letter WHERE number = ?", numbers)
        for number in {number for _edge, number in leaving}:
            self._sql.execute(_FORGET_SPENT, (number,))
        return True

    def shares(self, counts: Mapping[str, int]) -> None:
        """Write over how many processes each source is spread: all have to finish."""
        self._sql.execute("DELETE FROM share")
        self._sql.executemany(
            "INSERT INTO share VALUES (?, ?, ?)",
            [(stage, count, row_sum(stage, count)) for stage, count in counts.items()],
        )

    def _body(self, body: Body) -> None:
        self._next_body = max(self._next_body, body.id + 1)
        total = body_sum(body.id, body.n, body.release, body.data)
        self._sql.execute(_ADD_BODY, (body.id, body.n, body.release, total, body.data))

    def _cursor(self, stage: str, share: int, cursor: Cursor) -> None:
        row = (stage, share, cursor.seq, cursor.count, cursor.mark, int(cursor.finished))
        self._sql.execute(
            "INSERT OR REPLACE INTO cursor VALUES (?, ?, ?, ?, ?, ?, ?)", (*row, row_sum(*row))
        )

    def _letter(self, letter: Letter) -> None:
        """Write that an item became a dead letter; the letter itself is a file."""
        self._next_letter = max(self._next_letter, letter.letter + 1)
        row = (
            letter.letter,
            letter.stage,
            letter.edge,
            letter.body,
            letter.index,
            letter.attempts,
        )
        self._sql.execute(
            "INSERT OR REPLACE INTO letter VALUES (?, ?, ?, ?, ?, ?, ?)", (*row, row_sum(*row))
        )

    def _until(self, wait_s: float) -> _Rest:
        if not wait_s:
            return _NO_REST
        return int((self._clock() + wait_s) * 1000), int(wait_s * 1000)

    def _edge(self, name: str) -> int:
        number = self._edges.get(name)
        if number is None:
            number = self._edges[name] = max(self._edges.values(), default=0) + 1
            self._named.append(name)
            row = (number, name)
            self._sql.execute("INSERT INTO edge VALUES (?, ?, ?)", (*row, row_sum(*row)))
        return number

    def _insert(self, edge: str, items: Iterable[Range], rest: _Rest = _NO_REST) -> None:
        number = self._edge(edge)
        for item in items:
            suspect = int(item.suspect)
            row = (item.body, number, item.lo, item.hi, item.attempts, suspect, *rest)
            self._sql.execute(_ADD_RANGE, (*row, range_sum(*row)))
            self._items += item.hi - item.lo

    def _remove(self, edge: str, body: int, spans: Spans) -> None:
        number = self._edge(edge)
        if len(spans) == 1:  # mostly a range goes whole, as it came
            gone = self._sql.execute(
                "DELETE FROM range WHERE body = ? AND edge = ? AND lo = ? AND hi = ?",
                (body, number, *spans[0]),
            )
            if gone.rowcount:
                self._items -= size(spans)
                return
        here = self._sql.execute(
            "SELECT lo, hi, attempts, suspect, due, rest FROM range WHERE body = ? AND edge = ?",
            (body, number),
        ).fetchall()
        for lo, hi, attempts, suspect, *rest in here:
            left = subtract(((lo, hi),), spans)
            if left == ((lo, hi),):
                continue
            self._sql.execute(
                "DELETE FROM range WHERE body = ? AND edge = ? AND lo = ?", (body, number, lo)
            )
            self._items -= hi - lo
            ranges = [Range(body, a, b, attempts, bool(suspect)) for a, b in left]
            self._insert(edge, ranges, (rest[0], rest[1]))


def _leaving(step: Transaction) -> dict[tuple[str, int], Spans]:
    """Return what leaves each body of each edge, whatever becomes of it: a row goes at once."""
    if not step.retried and not step.letters and len(step.consumed) == 1:  # nearly always
        edge, number, spans = step.consumed[0]
        return {(edge, number): spans}
    leaving: dict[tuple[str, int], Spans] = {}

    def leave(edge: str, number: int, spans: Spans) -> None:
        before = leaving.get((edge, number))
        leaving[edge, number] = spans if before is None else before + spans

    for edge, number, spans in step.consumed:
        leave(edge, number, spans)
    for retry in step.retried:
        for number, spans in retry.taken:
            leave(retry.edge, number, spans)
    for letter in step.letters:
        if letter.edge:
            leave(letter.edge, letter.held_in, ((letter.place, letter.place + 1),))
    return {key: union(spans, ()) if len(spans) > 1 else spans for key, spans in leaving.items()}
