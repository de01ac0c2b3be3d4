"""A run as its journal has it: what was found on opening it, and its bulk in pieces when wanted."""

from __future__ import annotations

import sqlite3
import time
from typing import TYPE_CHECKING, Any

from pipeline_runner.queues.broker.ranges import Range
from pipeline_runner.queues.broker.transaction import Body, PagedBody
from pipeline_runner.queues.journal.schema import are_ranges, body_sum

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from pipeline_runner.queues.broker.counters import Counters
    from pipeline_runner.queues.broker.paged_out import DurableBacklog
    from pipeline_runner.queues.broker.ranges import Span, Spans
    from pipeline_runner.queues.journal.verify import Contents
    from pipeline_runner.wire.messages import Cursor

_MOST_NAMED = 256  # bodies of one statement


class JournalReader:
    """Reads over a connection of its own: the writer's may be at work in another thread."""

    def __init__(self, path: Path, found: Contents) -> None:
        self._path = path
        self._found = found
        self._sql: sqlite3.Connection | None = None

    @property
    def cursors(self) -> Mapping[tuple[str, int], Cursor]:
        """How far each process of a source was when the journal was opened."""
        return self._found.cursors

    @property
    def dead(self) -> Mapping[int, str]:
        """The stage of each dead letter, by its number, as of then."""
        return self._found.dead

    @property
    def next_body(self) -> int:
        """The first number that no body has had, as of then."""
        return self._found.next_body

    @property
    def next_letter(self) -> int:
        """The first number that no dead letter has had, as of then."""
        return self._found.next_letter

    @property
    def tally(self) -> Counters:
        """What had gone through by then."""
        return self._found.tally

    def backlogs(self) -> Mapping[str, DurableBacklog]:
        """Return what lay on each edge then, those the file has no more included."""
        return self._found.backlogs

    def read(
        self, edge: str, numbers: Sequence[int], room_bytes: int
    ) -> Iterator[tuple[Body | PagedBody, list[Range]]]:
        """Return bodies and what ``edge`` holds of each; see ``Past``. Raises sqlite3.Error."""
        for start in range(0, len(numbers), _MOST_NAMED):
            piece = numbers[start : start + _MOST_NAMED]
            ranges = self._ranges(edge, piece)
            for body in self._bodies(piece, room_bytes):
                room_bytes -= body.size
                yield body, ranges.get(body.id, [])

    def put(self, body: Body) -> PagedBody:
        """Return a stand-in for a body that is durable."""
        return PagedBody(body.id, body.n, body.size, body.release, self._data)

    def spans(self, edge: str) -> Iterator[tuple[int, Spans]]:
        """Return each body that ``edge`` holds something of, and what; whoever has it now."""
        query = """
            SELECT body, lo, hi FROM range JOIN edge ON edge.id = range.edge
            WHERE name = ? ORDER BY body, lo"""
        number = 0
        spans: list[Span] = []
        for body, lo, hi in self._connection().execute(query, (edge,)):
            if body != number and spans:
                yield number, tuple(spans)
                spans = []
            number = body
            spans.append((lo, hi))
        if spans:
            yield number, tuple(spans)

    def close(self) -> None:
        """Let go of the file; the next read opens it again."""
        if self._sql is not None:
            self._sql.close()
            self._sql = None

    def _connection(self) -> sqlite3.Connection:
        if self._sql is None:
            self._sql = sqlite3.connect(self._path, isolation_level=None, timeout=1.0)
            self._sql.execute("PRAGMA query_only = ON")
            self._sql.execute("PRAGMA cache_size = -1024")
        return self._sql

    def _ranges(self, edge: str, numbers: Sequence[int]) -> dict[int, list[Range]]:
        query = f"""
            SELECT body, edge, lo, hi, attempts, suspect, due, rest, range.crc
            FROM range JOIN edge ON edge.id = range.edge
            WHERE name = ? AND body IN ({_marks(numbers)}) ORDER BY body, lo"""  # noqa: S608
        rows = self._connection().execute(query, (edge, *numbers)).fetchall()
        if not are_ranges(rows):
            raise sqlite3.DatabaseError(f"what {edge} holds is not what was written")
        found: dict[int, list[Range]] = {}
        for body, _edge, lo, hi, attempts, suspect, due, rest, _crc in rows:
            not_before = _on_our_clock(due, rest) if due else 0.0
            one = Range(body, lo, hi, attempts, bool(suspect), not_before)
            found.setdefault(body, []).append(one)
        return found

    def _bodies(self, numbers: Sequence[int], room_bytes: int) -> Iterator[Body | PagedBody]:
        query = f"""
            SELECT id, n, release, length(data) FROM body
            WHERE id IN ({_marks(numbers)}) ORDER BY id"""  # noqa: S608
        heads = self._connection().execute(query, tuple(numbers)).fetchall()
        if len(heads) != len(numbers):
            raise sqlite3.DatabaseError("a body is not where it was written")
        fitting = []
        for number, _n, _release, size in heads:
            room_bytes -= size
            if room_bytes < 0:
                break
            fitting.append(number)
        query = f"""
            SELECT id, n, release, crc, data FROM body
            WHERE id IN ({_marks(fitting)}) ORDER BY id"""  # noqa: S608
        for row in self._connection().execute(query, fitting):
            yield Body(row[0], row[1], _sound(row), row[2])
        for number, n, release, size in heads[len(fitting) :]:
            yield PagedBody(number, n, size, release, self._data)

    def _data(self, number: int) -> bytes:
        query = "SELECT id, n, release, crc, data FROM body WHERE id = ?"
        row = self._connection().execute(query, (number,)).fetchone()
        if row is None:
            raise sqlite3.DatabaseError(f"body {number} is not where it was written")
        return _sound(row)


def _sound(row: tuple[Any, ...]) -> bytes:
    number, n, release, crc, data = row
    if body_sum(number, n, release, data) != crc:
        raise sqlite3.DatabaseError(f"body {number} is not what was written")
    assert isinstance(data, bytes)
    return data


def _marks(numbers: Sequence[int]) -> str:
    return ",".join("?" * len(numbers))


def _on_our_clock(due: int, rest: int) -> float:
    """Return when a rest is over on the monotonic clock; 0 if it is.

    A wall clock that went back in the meantime prolongs nothing past the rest itself.
    """
    left_s = min(due / 1000 - time.time(), rest / 1000)
    return time.monotonic() + left_s if left_s > 0 else 0.0
