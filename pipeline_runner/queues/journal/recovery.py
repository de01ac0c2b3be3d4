"""Opening a journal: a new one, or what an earlier head left, checked row by row.

What cannot be read is told, with what it cost; where the loss cannot be told apart from the rest,
the journal is refused. Nothing is dropped in silence.
"""

from __future__ import annotations

import os
import secrets
import sqlite3
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from pipeline_runner.errors import RunnerError
from pipeline_runner.queues.journal.filesystem import refuse_network
from pipeline_runner.queues.journal.reading import Shelf
from pipeline_runner.queues.journal.schema import (
    APPLICATION,
    VERSION,
    body_sum,
    connect,
    create,
    row_sum,
)
from pipeline_runner.queues.journal.tail import commits_in_log
from pipeline_runner.queues.journal.writing import Writer
from pipeline_runner.queues.messages import Cursor
from pipeline_runner.queues.ranges import Range
from pipeline_runner.queues.transaction import Body, Durable, Letter

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

NAME = "journal"
MEMORY_BYTES = 256 * 1024**2
_UNREADABLE = (sqlite3.DatabaseError, TypeError, ValueError)  # of damaged names and numbers too
_FORGET = "`runner up --fresh` forgets it and begins anew"


class Damaged(RunnerError):
    """A journal that cannot be gone on with."""


@dataclass
class Opened:
    """A journal that is open: its state, and what had to be given up to get there."""

    sql: sqlite3.Connection
    writer: Writer
    path: Path
    run: str
    epoch: int
    durable: Durable
    shares: dict[str, int]
    continues: bool
    shelf: Shelf
    damage: list[str] = field(default_factory=list)


def open_journal(
    state: Path,
    *,
    fresh: bool = False,
    relaxed: bool = False,
    memory_bytes: int = MEMORY_BYTES,
) -> Opened:
    """Open the journal in the folder ``state``; its epoch is one more than the last.

    Of the bodies at most ``memory_bytes`` are read into memory, the rest when they are wanted.

    Raises UsageError on a network file system, Damaged where it cannot be gone on with, and
    RunnerError if another version wrote it, or the disk does not do its work.
    """
    refuse_network(state)
    path = state / NAME
    try:
        if fresh:
            forget(state)
        shelf = Shelf(path)
        found = _read(path, shelf, memory_bytes) if path.exists() else None
        if found is not None and (found.damage or _suspect(path).exists()):
            _rewrite(path, found)
            shelf.close()
        return _open(path, found, shelf, relaxed=relaxed)
    except (sqlite3.Error, OSError) as error:
        raise RunnerError(f"cannot use the journal {path}: {error}") from error


def forget(state: Path) -> None:
    """Delete the journal of a run that is over."""
    path = state / NAME
    # The database first: a log without one is nothing, one without its log is an earlier state.
    for end in ("", "-wal", "-shm", ".new", ".new-wal", ".new-shm", ".suspect"):
        path.with_name(NAME + end).unlink(missing_ok=True)
    _sync_folder(state)


def mark_suspect(path: Path) -> None:
    """Note that the disk failed: what the page cache shows of the journal may not be on it."""
    with suppress(OSError):
        _suspect(path).touch()


@dataclass
class _Found:
    run: str
    epoch: int
    items: int
    durable: Durable
    shares: dict[str, int]
    damage: list[str]


def _suspect(path: Path) -> Path:
    return path.with_name(NAME + ".suspect")


def _open(path: Path, found: _Found | None, shelf: Shelf, *, relaxed: bool) -> Opened:
    is_new = not path.exists()
    sql = connect(path)  # FULL, whatever comes later: an epoch must never come twice
    try:
        if found is None:
            found = _Found(secrets.token_hex(8), 0, 0, Durable(), {}, [])
        writer = Writer(
            sql,
            run=found.run,
            epoch=found.epoch + 1,
            next_body=found.durable.next_body,
            items=found.items,
            cursors=found.durable.cursors,
        )
        writer.begin()
        continues = _is_made(sql)
        if not continues:
            create(sql, found.run, found.epoch + 1)
        writer.seal()
        sql.execute("COMMIT")
        if relaxed:
            sql.execute("PRAGMA synchronous = NORMAL")
        if is_new:
            path.chmod(0o600)
            _sync_folder(path.parent)
    except BaseException:
        sql.close()
        raise
    return Opened(
        sql,
        writer,
        path,
        found.run,
        found.epoch + 1,
        found.durable,
        found.shares,
        continues,
        shelf,
        found.damage,
    )


def _is_made(sql: sqlite3.Connection) -> bool:
    return bool(sql.execute("SELECT 1 FROM sqlite_master WHERE name = 'state'").fetchone())


def _read(path: Path, shelf: Shelf, memory_bytes: int) -> _Found | None:
    """Return what the journal holds; None if its making was never finished."""
    commits = commits_in_log(path)
    try:
        sql = connect(path)
    except _UNREADABLE as error:
        raise _damaged(path, str(error)) from error
    try:
        _check_version(sql, path)
        made = _is_made(sql)
        _busy, frames, _moved = sql.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()
        torn = sum(number > frames for number in commits)
        if not made and not torn:
            return None
        return _read_tables(sql, path, torn, shelf, memory_bytes)
    except _UNREADABLE as error:
        raise _damaged(path, str(error)) from error
    finally:
        sql.close()


def _check_version(sql: sqlite3.Connection, path: Path) -> None:
    (application,) = sql.execute("PRAGMA application_id").fetchone()
    (version,) = sql.execute("PRAGMA user_version").fetchone()
    if (application, version) not in ((APPLICATION, VERSION), (0, 0)):
        raise RunnerError(
            f"the journal {path} has layout {version}, this version reads layout {VERSION}",
            hint=f"finish the run with the version that began it, or {_FORGET}",
        )


def _read_tables(
    sql: sqlite3.Connection, path: Path, torn: int, shelf: Shelf, memory_bytes: int
) -> _Found:
    damage: list[str] = []
    if torn == 1:  # the one that a power cut interrupted, as a rule: nobody has an answer to it
        damage.append(
            "the journal's last commit was cut short, as by a power cut: what it held is done again"
        )
    elif torn:
        damage.append(
            f"the end of the journal cannot be read: its last {torn} commits are undone, and done "
            "again from there"
        )
    state = sql.execute("SELECT run, epoch, next_body, items, crc FROM state").fetchone()
    if state is None or row_sum(*state[:4]) != state[4]:
        raise _damaged(path, "its first row is not what was written")
    run, epoch, next_body, items, _sum = state
    durable = Durable()
    durable.next_body = next_body
    shares = _shares(sql, path)
    _cursors(sql, path, durable)
    _letters(sql, run, durable, damage)
    whole = _ranges(sql, durable, items, damage)
    lost = _bodies(sql, durable, damage, shelf, memory_bytes)
    found = sum(r.hi - r.lo for ranges in durable.ranges.values() for r in ranges)
    if whole and found + lost != items:
        raise _damaged(path, f"it holds {found + lost:,} items where it should hold {items:,}")
    return _Found(run, epoch, found, durable, shares, damage)


def _shares(sql: sqlite3.Connection, path: Path) -> dict[str, int]:
    rows = sql.execute("SELECT stage, count, crc FROM share").fetchall()
    if any(row_sum(stage, count) != crc for stage, count, crc in rows):
        raise _damaged(path, "the number of a source's processes is not what was written")
    return {stage: count for stage, count, _crc in rows}


def _cursors(sql: sqlite3.Connection, path: Path, durable: Durable) -> None:
    for row in sql.execute("SELECT stage, share, seq, count, mark, finished, crc FROM cursor"):
        if row_sum(*row[:6]) != row[6]:
            raise _damaged(path, f"how far {row[0]} is, is not what was written")
        stage, share, seq, count, mark, finished, _sum = row
        durable.cursors[stage, share] = Cursor(seq, count, mark, bool(finished))


def _letters(sql: sqlite3.Connection, run: str, durable: Durable, damage: list[str]) -> None:
    query = "SELECT number, stage, edge, body, place, attempts, crc FROM letter ORDER BY number"
    for row in sql.execute(query):
        if row_sum(*row[:6]) != row[6]:
            damage.append(f"the note of dead letter {row[0]} cannot be read; its file stands")
            continue
        number, stage, edge, body, place, attempts, _sum = row
        durable.letters.append(
            Letter(
                letter=number,
                run=run,
                stage=stage,
                edge=edge,
                body=body,
                index=place,
                attempts=attempts,
                host="",
                pid=0,
                release="",
                cause="",
                error="",
                traceback="",
                data=None,
            )
        )


def _ranges(sql: sqlite3.Connection, durable: Durable, items: int, damage: list[str]) -> bool:
    """Read the ranges; return whether each was what was written."""
    whole, found = True, 0
    query = "SELECT body, edge, lo, hi, attempts, suspect, crc FROM range ORDER BY body, edge, lo"
    for row in sql.execute(query):
        if row_sum(*row[:6]) != row[6]:
            whole = False
            continue
        body, edge, lo, hi, attempts, suspect, _sum = row
        found += hi - lo
        durable.ranges.setdefault((edge, body), []).append(
            Range(body, lo, hi, attempts, bool(suspect))
        )
    if not whole:
        damage.append(f"{items - found:,} of {items:,} items are lost: where they were queued")
    return whole


def _bodies(
    sql: sqlite3.Connection,
    durable: Durable,
    damage: list[str],
    shelf: Shelf,
    memory_bytes: int,
) -> int:
    """Read the bodies that ranges refer to; give up what cannot be read, and count it."""
    by_body: dict[int, list[str]] = {}
    for edge, number in durable.ranges:
        by_body.setdefault(number, []).append(edge)
    for body, crc in _every_body(sql, by_body):
        if body.id in by_body and body_sum(body) == crc:
            memory_bytes -= body.size
            durable.bodies[body.id] = body if memory_bytes >= 0 else shelf.put(body)
    lost = 0
    for number in [number for number in by_body if number not in durable.bodies]:
        for edge in by_body[number]:
            for r in durable.ranges.pop((edge, number)):
                lost += r.hi - r.lo
                damage.append(f"lost: items {edge}:{number}:{r.lo} to {r.hi - 1}, unreadable")
    return lost


def _every_body(
    sql: sqlite3.Connection, wanted: dict[int, list[str]]
) -> Iterator[tuple[Body, int]]:
    query = "SELECT id, n, data, release, crc FROM body"
    try:
        for row in sql.execute(query):
            yield _body(row)
    except _UNREADABLE:
        # One by one: those beside the damage are whole.
        for number in wanted:
            with suppress(*_UNREADABLE):
                row = sql.execute(f"{query} WHERE id = ?", (number,)).fetchone()
                if row is not None:
                    yield _body(row)


def _body(row: Any) -> tuple[Body, int]:
    number, n, data, release, crc = row
    if not isinstance(data, bytes) or not isinstance(n, int):
        raise TypeError(f"body {number} is none")
    return Body(number, n, data, release), crc


def _rewrite(path: Path, found: _Found) -> None:
    """Write what was read to a new file, in the old one's place once it is on disk."""
    old = connect(path)
    try:
        # Nothing may be left in the log: it would be taken for the new file's.
        busy, *_pages = old.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
    finally:
        old.close()
    if busy:
        raise OSError(f"{path} is in use")
    new = path.with_name(NAME + ".new")
    for end in ("", "-wal", "-shm"):
        new.with_name(new.name + end).unlink(missing_ok=True)
    sql = connect(new)
    try:
        writer = Writer(
            sql,
            run=found.run,
            epoch=found.epoch,
            next_body=found.durable.next_body,
            items=0,
            cursors={},
        )
        writer.begin()
        create(sql, found.run, found.epoch)
        _copy(writer, found)
        writer.seal()
        sql.execute("COMMIT")
        sql.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
    finally:
        sql.close()
    for end in ("-wal", "-shm"):
        path.with_name(NAME + end).unlink(missing_ok=True)
    new.chmod(0o600)
    new.replace(path)
    _sync_folder(path.parent)
    _suspect(path).unlink(missing_ok=True)


def _copy(writer: Writer, found: _Found) -> None:
    durable = found.durable
    writer.shares(found.shares)
    for body in durable.bodies.values():
        writer.body(Body(body.id, body.n, body.data, body.release))
    for (edge, _number), ranges in durable.ranges.items():
        writer.ranges(edge, ranges)
    for (stage, share), cursor in durable.cursors.items():
        writer.cursor(stage, share, cursor)
    for letter in durable.letters:
        writer.letter(letter)


def _damaged(path: Path, what: str) -> Damaged:
    return Damaged(f"the journal {path} is damaged: {what}", hint=_FORGET)


def _sync_folder(folder: Path) -> None:
    fd = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
