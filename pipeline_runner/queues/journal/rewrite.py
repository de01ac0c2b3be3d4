"""A journal in a new file: what can be read of one that is damaged, or was not synced."""

from __future__ import annotations

from contextlib import closing
from itertools import chain
from typing import TYPE_CHECKING

from pipeline_runner.queues.journal.files import ENDS, NAME, suspect, sync_folder
from pipeline_runner.queues.journal.schema import connect, create, row_sum
from pipeline_runner.queues.journal.verify import sound_bodies, sound_ranges
from pipeline_runner.queues.journal.writer import Writer

if TYPE_CHECKING:
    import sqlite3
    from pathlib import Path

    from pipeline_runner.queues.journal.verify import Contents

_SMALL = {  # tables that are copied as they are, and their columns; the last is the sum of the rest
    "edge": 3,
    "share": 3,
    "cursor": 7,
    "letter": 7,
}


def rewrite(path: Path, found: Contents) -> None:
    """Write what was ``found`` to a new file, in the old one's place once it is on disk."""
    new = path.with_name(NAME + ".new")
    for end in ENDS:
        new.with_name(new.name + end).unlink(missing_ok=True)
    with closing(connect(path)) as old:
        # Nothing may be left in the log: it would be taken for the new file's.
        busy, *_pages = old.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
        if busy:
            raise OSError(f"{path} is in use")
        with closing(connect(new)) as sql:
            writer = Writer(sql, found)
            writer.begin()
            create(sql)
            _copy(old, sql, found)
            writer.seal()
            sql.execute("COMMIT")
            sql.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
    for end in ENDS[1:]:
        path.with_name(NAME + end).unlink(missing_ok=True)
    new.chmod(0o600)
    new.replace(path)
    sync_folder(path.parent)
    suspect(path).unlink(missing_ok=True)


def _copy(old: sqlite3.Connection, new: sqlite3.Connection, found: Contents) -> None:
    for table, columns in _SMALL.items():
        rows = old.execute(f"SELECT * FROM {table}")  # noqa: S608  (one of ours)
        sound = (row for row in rows if row_sum(*row[:-1]) == row[-1])
        new.executemany(_insert(table, columns), sound)
    kept = set(found.bodies)
    bodies = chain.from_iterable(sound_bodies(old, found.bodies))
    new.executemany(_insert("body", 5), (row for row in bodies if row[0] in kept))
    ranges = chain.from_iterable(sound_ranges(old, tuple(found.edges.values())))
    new.executemany(_insert("range", 9), (row for row in ranges if row[0] in kept))


def _insert(table: str, columns: int) -> str:
    return f"INSERT INTO {table} VALUES ({','.join('?' * columns)})"  # noqa: S608
