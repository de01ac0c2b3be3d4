"""One transaction of the protocol as statements: what ``Durable.apply`` does, done to a file."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pipeline_runner.queues.journal.schema import body_sum, row_sum
from pipeline_runner.queues.ranges import Range, size, subtract
from pipeline_runner.queues.transaction import Sequences

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterable, Mapping

    from pipeline_runner.queues.messages import Cursor
    from pipeline_runner.queues.ranges import Spans
    from pipeline_runner.queues.transaction import Body, Letter, Transaction


class Writer:
    """Writes steps between :meth:`begin` and a COMMIT. ``items`` counts what all ranges hold."""

    def __init__(
        self,
        sql: sqlite3.Connection,
        *,
        run: str,
        epoch: int,
        next_body: int,
        items: int,
        cursors: Mapping[tuple[str, int], Cursor],
    ) -> None:
        self._sql = sql
        self._sequences = Sequences(cursors)
        self._run = run
        self._epoch = epoch
        self._next_body = self._durable_next_body = next_body
        self._items = self._durable_items = items

    def begin(self) -> None:
        """Open a transaction. Raises sqlite3.Error, as all of these do."""
        self._sql.execute("BEGIN IMMEDIATE")

    def seal(self) -> None:
        """Write the sums that make the transaction whole; COMMIT is next."""
        row = (self._run, self._epoch, self._next_body, self._items)
        self._sql.execute(
            "UPDATE state SET run = ?, epoch = ?, next_body = ?, items = ?, crc = ?",
            (*row, row_sum(*row)),
        )

    def committed(self) -> None:
        """Record that what was sealed is durable."""
        self._sequences.committed()
        self._durable_next_body, self._durable_items = self._next_body, self._items

    def rolled_back(self) -> None:
        """Record that it is not."""
        self._sequences.rolled_back()
        self._next_body, self._items = self._durable_next_body, self._durable_items

    def write(self, step: Transaction) -> bool:
        """Write one step; False, and nothing is written, if what it builds on is not there."""
        if not self._sequences.take(step):
            return False
        for edge, number, spans in step.consumed:
            self._remove(edge, number, spans)
        for requeue in step.requeued:
            item = requeue.range
            self._remove(requeue.edge, item.body, ((item.lo, item.hi),))
            self._insert(requeue.edge, (item,))
        for letter in step.letters:
            if letter.edge:
                self._remove(letter.edge, letter.body, ((letter.index, letter.index + 1),))
            self.letter(letter)
        for edges, body in step.produced:
            self.body(body)
            for name in edges:
                self._insert(name, (Range(body.id, 0, body.n),))
        if step.source is not None:
            self.cursor(*step.source)
        for body in {revival.body.id: revival.body for revival in step.revived}.values():
            self.body(body)
        for revival in step.revived:
            one = Range(revival.body.id, revival.index, revival.index + 1)
            self._insert(revival.edge, (one,))
        self._sql.executemany(
            "DELETE FROM letter WHERE number = ?", [(number,) for number in step.closed]
        )
        touched = {number for _edge, number, _spans in step.consumed}
        touched.update(letter.body for letter in step.letters)
        self._sql.executemany(
            "DELETE FROM body WHERE id = ?1 AND NOT EXISTS (SELECT 1 FROM range WHERE body = ?1)",
            [(number,) for number in touched],
        )
        return True

    def body(self, body: Body) -> None:
        """Write a body."""
        self._next_body = max(self._next_body, body.id + 1)
        self._sql.execute(
            "INSERT OR REPLACE INTO body VALUES (?, ?, ?, ?, ?)",
            (body.id, body.n, body.release, body_sum(body), body.data),
        )

    def ranges(self, edge: str, items: Iterable[Range]) -> None:
        """Write ranges of one edge."""
        self._insert(edge, items)

    def cursor(self, stage: str, share: int, cursor: Cursor) -> None:
        """Write how far one process of a source is."""
        row = (stage, share, cursor.seq, cursor.count, cursor.mark, int(cursor.finished))
        self._sql.execute(
            "INSERT OR REPLACE INTO cursor VALUES (?, ?, ?, ?, ?, ?, ?)", (*row, row_sum(*row))
        )

    def letter(self, letter: Letter) -> None:
        """Write that an item became a dead letter; the letter itself is a file."""
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

    def shares(self, counts: Mapping[str, int]) -> None:
        """Write over how many processes each source is spread: all have to finish."""
        self._sql.execute("DELETE FROM share")
        self._sql.executemany(
            "INSERT INTO share VALUES (?, ?, ?)",
            [(stage, count, row_sum(stage, count)) for stage, count in counts.items()],
        )

    def _insert(self, edge: str, items: Iterable[Range]) -> None:
        rows = []
        for item in items:
            row = (item.body, edge, item.lo, item.hi, item.attempts, int(item.suspect))
            rows.append((*row, row_sum(*row)))
            self._items += item.hi - item.lo
        self._sql.executemany("INSERT INTO range VALUES (?, ?, ?, ?, ?, ?, ?)", rows)

    def _remove(self, edge: str, body: int, spans: Spans) -> None:
        if len(spans) == 1:  # mostly a range goes whole, as it came
            gone = self._sql.execute(
                "DELETE FROM range WHERE body = ? AND edge = ? AND lo = ? AND hi = ?",
                (body, edge, *spans[0]),
            )
            if gone.rowcount:
                self._items -= size(spans)
                return
        here = self._sql.execute(
            "SELECT lo, hi, attempts, suspect FROM range WHERE body = ? AND edge = ?", (body, edge)
        ).fetchall()
        for lo, hi, attempts, suspect in here:
            left = subtract(((lo, hi),), spans)
            if left == ((lo, hi),):
                continue
            self._sql.execute(
                "DELETE FROM range WHERE body = ? AND edge = ? AND lo = ?", (body, edge, lo)
            )
            self._items -= hi - lo
            self._insert(edge, [Range(body, a, b, attempts, bool(suspect)) for a, b in left])
