"""Reading a journal from end to end: is each row what was written, and what lies where.

A million bodies are checked in a few seconds and take eight bytes each: rows are judged in bulk,
and only where one is wrong are its neighbours looked at singly.
"""

from __future__ import annotations

import sqlite3
from array import array
from contextlib import suppress
from dataclasses import dataclass, field
from operator import itemgetter
from typing import TYPE_CHECKING, Any

import msgspec

from pipeline_runner.errors import RunnerError
from pipeline_runner.queues.broker.counters import Counters
from pipeline_runner.queues.broker.paged_out import DurableBacklog
from pipeline_runner.queues.journal.schema import are_bodies, are_ranges, row_sum
from pipeline_runner.wire.messages import Cursor

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

UNREADABLE = (sqlite3.DatabaseError, TypeError, ValueError)  # of damaged names and numbers too
FORGET = "`runner up --fresh` forgets it and begins anew"
_ROWS = 1024
_BYTES = 4 * 1024**2
_BODY = "SELECT id, n, release, crc, data FROM body"
_BODY_OF, _LO, _HI = itemgetter(0), itemgetter(2), itemgetter(3)  # of a row of ``range``


class Damaged(RunnerError):
    """A journal that cannot be gone on with."""


def damaged(path: Path, what: str) -> Damaged:
    """Return what refuses the journal at ``path``."""
    return Damaged(f"the journal {path} is damaged: {what}", hint=FORGET)


@dataclass
class Contents:
    """What a journal holds. ``bodies`` are the numbers of those that are whole and wanted.

    ``backlogs`` are told where there is no damage; else the journal is to be written anew first.
    """

    run: str
    epoch: int = 0
    next_body: int = 1
    next_letter: int = 1
    items: int = 0
    tally: Counters = field(default_factory=Counters)
    edges: dict[str, int] = field(default_factory=dict)  # name -> number
    shares: dict[str, int] = field(default_factory=dict)
    cursors: dict[tuple[str, int], Cursor] = field(default_factory=dict)
    dead: dict[int, str] = field(default_factory=dict)  # letter -> stage
    backlogs: dict[str, DurableBacklog] = field(default_factory=dict)
    bodies: array[int] = field(default_factory=lambda: array("q"))
    damage: list[str] = field(default_factory=list)


def check(sql: sqlite3.Connection, path: Path) -> Contents:
    """Read all of a journal. Raises Damaged where a loss cannot be told apart from the rest."""
    state = sql.execute(
        "SELECT run, epoch, next_body, next_letter, items, tally, crc FROM state"
    ).fetchone()
    if state is None or row_sum(*state[:6]) != state[6]:
        raise damaged(path, "its first row is not what was written")
    run, epoch, next_body, next_letter, items, tally, _sum = state
    counts = msgspec.msgpack.decode(tally, type=Counters)
    found = Contents(run, epoch, next_body, next_letter, items, counts)
    _small_tables(sql, path, found)
    expected = found.items
    on = {number: _On() for number in found.edges.values()}
    wanted, whole = _ranges(sql, on)
    found.items = sum(one.items for one in on.values())
    if not whole:
        lost = f"{expected - found.items:,} of {expected:,} items are lost"
        found.damage.append(f"{lost}: where they were queued")
    elif found.items != expected:
        held = f"it holds {found.items:,} items where it should hold {expected:,}"
        raise damaged(path, held)
    found.bodies = _bodies(sql, wanted)
    if found.bodies != wanted:
        _give_up(sql, found, wanted)
    if not found.damage:
        found.backlogs = _backlogs(sql, found, on)
    return found


def sound_ranges(sql: sqlite3.Connection, edges: Sequence[int]) -> Iterator[list[Any]]:
    """Yield the rows of ``range``, in pieces, without those that are not what was written."""
    known = set(edges)
    rows = sql.execute(
        "SELECT body, edge, lo, hi, attempts, suspect, due, rest, crc FROM range "
        "ORDER BY body, edge, lo"
    )
    while piece := rows.fetchmany(_ROWS):
        if are_ranges(piece) and known.issuperset({row[1] for row in piece}):
            yield piece
        else:
            yield [row for row in piece if are_ranges([row]) and row[1] in known]


def sound_bodies(sql: sqlite3.Connection, wanted: Sequence[int]) -> Iterator[list[Any]]:
    """Yield the rows of ``body``, in pieces, without those that are not what was written."""
    last = 0
    try:
        for piece in _pieces(sql):
            last = piece[-1][0]
            yield piece if are_bodies(piece) else [row for row in piece if are_bodies([row])]
    except UNREADABLE:
        # One by one: those beside the damage are whole.
        for number in wanted:
            if number > last:
                with suppress(*UNREADABLE):
                    rows = sql.execute(f"{_BODY} WHERE id = ?", (number,)).fetchall()
                    if rows and are_bodies(rows):
                        yield rows


@dataclass
class _On:
    """What lies on one edge."""

    numbers: array[int] = field(default_factory=lambda: array("q"))
    items: int = 0


def _small_tables(sql: sqlite3.Connection, path: Path, found: Contents) -> None:
    for stage, count, crc in sql.execute("SELECT stage, count, crc FROM share"):
        if row_sum(stage, count) != crc:
            raise damaged(path, "the number of a source's processes is not what was written")
        found.shares[stage] = count
    for number, name, crc in sql.execute("SELECT id, name, crc FROM edge"):
        if row_sum(number, name) != crc:
            raise damaged(path, "the name of an edge is not what was written")
        found.edges[name] = number
    for row in sql.execute("SELECT stage, share, seq, count, mark, finished, crc FROM cursor"):
        if row_sum(*row[:6]) != row[6]:
            raise damaged(path, f"how far {row[0]} is, is not what was written")
        stage, share, seq, count, mark, finished, _sum = row
        found.cursors[stage, share] = Cursor(seq, count, mark, bool(finished))
    query = "SELECT number, stage, edge, body, place, attempts, crc FROM letter ORDER BY number"
    for row in sql.execute(query):
        if row_sum(*row[:6]) == row[6]:
            found.dead[row[0]] = row[1]
        else:
            gone = f"the note of dead letter {row[0]} cannot be read; its file stands"
            found.damage.append(gone)


def _ranges(sql: sqlite3.Connection, on: dict[int, _On]) -> tuple[array[int], bool]:
    """Take in the ranges; return their bodies, and whether each range was what was written."""
    (count,) = sql.execute("SELECT count(*) FROM range").fetchone()
    wanted = array("q")
    for piece in sound_ranges(sql, tuple(on)):
        count -= len(piece)
        for edge in {row[1] for row in piece}:
            here = [row for row in piece if row[1] == edge] if len(on) > 1 else piece
            on[edge].items += sum(map(_HI, here)) - sum(map(_LO, here))
            _extend(on[edge].numbers, here)
        _extend(wanted, piece)
    return wanted, not count


def _extend(numbers: array[int], rows: list[Any]) -> None:
    """Add the bodies of ``rows``, which are sorted by them, each once."""
    more = list(dict.fromkeys(map(_BODY_OF, rows)))
    numbers.extend(more[1:] if numbers and numbers[-1] == more[0] else more)


def _bodies(sql: sqlite3.Connection, wanted: Sequence[int]) -> array[int]:
    found = array("q")
    for piece in sound_bodies(sql, wanted):
        found.extend([row[0] for row in piece])
    return found


def _give_up(sql: sqlite3.Connection, found: Contents, wanted: Sequence[int]) -> None:
    """Name the items whose bodies cannot be read, and go on without them."""
    names = {number: name for name, number in found.edges.items()}
    sound = set(found.bodies)
    for number in sorted(set(wanted) - sound):
        query = "SELECT edge, lo, hi FROM range WHERE body = ? ORDER BY edge, lo"
        for edge, lo, hi in sql.execute(query, (number,)):
            found.items -= hi - lo
            lost = f"{names.get(edge, edge)}:{number}:{lo} to {hi - 1}"
            found.damage.append(f"lost: items {lost}, unreadable")
    found.bodies = array("q", sorted(sound.intersection(wanted)))


def _backlogs(
    sql: sqlite3.Connection, found: Contents, on: dict[int, _On]
) -> dict[str, DurableBacklog]:
    holding = {name: on[number] for name, number in found.edges.items() if on[number].items}
    if not holding:
        return {}
    # One pass and a sum for each edge: grouping would sort a million rows first.
    share = "length(data) * 1.0 * (hi - lo) / n"
    sums = ", ".join(f"total(({share}) * (edge = {found.edges[name]}))" for name in holding)
    query = f"SELECT {sums} FROM range CROSS JOIN body ON id = body"  # noqa: S608  (numbers)
    sizes = sql.execute(query).fetchone()
    return {
        name: DurableBacklog(one.numbers, one.items, size)
        for (name, one), size in zip(holding.items(), sizes, strict=True)
    }


def _pieces(sql: sqlite3.Connection) -> Iterator[list[Any]]:
    """Yield all bodies, in pieces that are no burden to memory."""
    (largest,) = sql.execute("SELECT max(length(data)) FROM body").fetchone()
    rows = sql.execute(f"{_BODY} ORDER BY id")
    if isinstance(largest, int) and largest * _ROWS <= _BYTES:
        while piece := rows.fetchmany(_ROWS):
            yield piece
        return
    piece, size = [], 0
    for row in rows:
        piece.append(row)
        size += len(row[4])
        if len(piece) >= _ROWS or size >= _BYTES:
            yield piece
            piece, size = [], 0
    if piece:
        yield piece
