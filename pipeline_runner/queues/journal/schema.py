"""The tables of a journal, the sum that guards each row, and the version of it all."""

from __future__ import annotations

import sqlite3
import zlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pathlib import Path

    from pipeline_runner.queues.transaction import Body

VERSION = 1
APPLICATION = 0x52554E31

# ``state.items`` is the sum of all ranges: a row that vanished whole is missed by it.
_TABLES = """
CREATE TABLE state (
    one INTEGER PRIMARY KEY CHECK (one = 1),
    run TEXT, epoch INTEGER, next_body INTEGER, items INTEGER, crc INTEGER);
CREATE TABLE body (
    id INTEGER PRIMARY KEY, n INTEGER, release TEXT, crc INTEGER, data BLOB);
CREATE TABLE range (
    body INTEGER, edge TEXT, lo INTEGER, hi INTEGER, attempts INTEGER, suspect INTEGER,
    crc INTEGER, PRIMARY KEY (body, edge, lo)) WITHOUT ROWID;
CREATE TABLE cursor (
    stage TEXT, share INTEGER, seq INTEGER, count INTEGER, mark BLOB, finished INTEGER,
    crc INTEGER, PRIMARY KEY (stage, share)) WITHOUT ROWID;
CREATE TABLE letter (
    number INTEGER PRIMARY KEY, stage TEXT, edge TEXT, body INTEGER, place INTEGER,
    attempts INTEGER, crc INTEGER);
CREATE TABLE share (stage TEXT PRIMARY KEY, count INTEGER, crc INTEGER) WITHOUT ROWID;
"""


def connect(path: Path, *, synchronous: str = "FULL") -> sqlite3.Connection:
    """Open a database the way a journal is used. Raises sqlite3.Error."""
    sql = sqlite3.connect(path, isolation_level=None, check_same_thread=False, timeout=0)
    try:
        sql.execute("PRAGMA journal_mode = WAL")
        sql.execute(f"PRAGMA synchronous = {synchronous}")
        # Our own checkpoints only: SQLite keeps quiet about one of its own that fails.
        sql.execute("PRAGMA wal_autocheckpoint = 0")
        sql.execute("PRAGMA cache_size = -16384")
        sql.execute("PRAGMA temp_store = MEMORY")
        # Many systems build SQLite so that it writes zeros over what it deletes: each body would
        # be written twice, and on a full disk there would be no room to delete any.
        sql.execute("PRAGMA secure_delete = OFF").fetchone()
    except sqlite3.Error:
        sql.close()
        raise
    return sql


def create(sql: sqlite3.Connection, run: str, epoch: int, next_body: int = 1) -> None:
    """Make the tables of an empty journal, in the open transaction."""
    for statement in _TABLES.split(";\n"):
        sql.execute(statement)
    sql.execute(f"PRAGMA application_id = {APPLICATION}")
    sql.execute(f"PRAGMA user_version = {VERSION}")
    row = (run, epoch, next_body, 0)
    sql.execute("INSERT INTO state VALUES (1, ?, ?, ?, ?, ?)", (*row, row_sum(*row)))


def row_sum(*fields: Any) -> int:
    """Return the CRC-32 of a row's fields."""
    return zlib.crc32(repr(fields).encode())


def body_sum(body: Body) -> int:
    """Return the CRC-32 of a body and of what is known of it."""
    return zlib.crc32(body.data, row_sum(body.id, body.n, body.release))
