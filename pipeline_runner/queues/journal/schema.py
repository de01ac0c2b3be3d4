"""The tables of a journal, the sum that guards each row, and the version of it all."""

from __future__ import annotations

import sqlite3
import struct
import zlib
from itertools import starmap
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

VERSION = 2
APPLICATION = 0x52554E31

# ``state.items`` is the sum of all ranges: a row that vanished whole is missed by it.
_TABLES = """
CREATE TABLE state (
    one INTEGER PRIMARY KEY CHECK (one = 1), run TEXT, epoch INTEGER, next_body INTEGER,
    next_letter INTEGER, items INTEGER, tally BLOB, crc INTEGER);
CREATE TABLE body (
    id INTEGER PRIMARY KEY, n INTEGER, release TEXT, crc INTEGER, data BLOB);
CREATE TABLE edge (id INTEGER PRIMARY KEY, name TEXT UNIQUE, crc INTEGER);
CREATE TABLE range (
    body INTEGER, edge INTEGER, lo INTEGER, hi INTEGER, attempts INTEGER, suspect INTEGER,
    due INTEGER, rest INTEGER, crc INTEGER, PRIMARY KEY (body, edge, lo)) WITHOUT ROWID;
CREATE TABLE cursor (
    stage TEXT, share INTEGER, seq INTEGER, count INTEGER, mark BLOB, finished INTEGER,
    crc INTEGER, PRIMARY KEY (stage, share)) WITHOUT ROWID;
CREATE TABLE letter (
    number INTEGER PRIMARY KEY, stage TEXT, edge TEXT, body INTEGER, place INTEGER,
    attempts INTEGER, crc INTEGER);
CREATE TABLE share (stage TEXT PRIMARY KEY, count INTEGER, crc INTEGER) WITHOUT ROWID;
"""
_pack_range = struct.Struct("<8q").pack
_pack_summed = struct.Struct("<8qI").pack
_pack_head = struct.Struct("<2q").pack
# What the CRC-32 of anything and its own CRC-32 behind it comes to: rows are checked in bulk by it.
_RESIDUE = {0x2144DF1C}


def connect(path: Path, *, synchronous: str = "FULL") -> sqlite3.Connection:
    """Open a database the way a journal is used. Raises sqlite3.Error."""
    sql = sqlite3.connect(path, isolation_level=None, check_same_thread=False, timeout=0)
    try:
        sql.execute("PRAGMA journal_mode = WAL")
        sql.execute(f"PRAGMA synchronous = {synchronous}")
        # Our own checkpoints only: SQLite keeps quiet about one of its own that fails.
        sql.execute("PRAGMA wal_autocheckpoint = 0")
        # Many systems build SQLite so that it writes zeros over what it deletes: each body would
        # be written twice, and on a full disk there would be no room to delete any.
        sql.execute("PRAGMA secure_delete = OFF").fetchone()
        sql.execute("PRAGMA cache_size = -4096")
        sql.execute("PRAGMA temp_store = MEMORY")
    except sqlite3.Error:
        sql.close()
        raise
    return sql


def create(sql: sqlite3.Connection) -> None:
    """Make the tables of an empty journal, in the open transaction. Its state is to be sealed."""
    for statement in _TABLES.split(";\n"):
        sql.execute(statement)
    sql.execute(f"PRAGMA application_id = {APPLICATION}")
    sql.execute(f"PRAGMA user_version = {VERSION}")
    sql.execute("INSERT INTO state (one) VALUES (1)")


def is_made(sql: sqlite3.Connection) -> bool:
    """Whether there are tables."""
    return bool(sql.execute("SELECT 1 FROM sqlite_master WHERE name = 'state'").fetchone())


def row_sum(*fields: Any) -> int:
    """Return the CRC-32 of a row's fields."""
    return zlib.crc32(repr(fields).encode())


def range_sum(*fields: int) -> int:
    """Return the CRC-32 of a row of ``range``: all its columns but the last."""
    return zlib.crc32(_pack_range(*fields))


def are_ranges(rows: Sequence[tuple[Any, ...]]) -> bool:
    """Whether each of these rows of ``range`` is what was written."""
    try:
        return set(map(zlib.crc32, starmap(_pack_summed, rows))) <= _RESIDUE
    except struct.error:  # not even numbers
        return False


def body_sum(number: int, n: int, release: str, data: bytes | memoryview) -> int:
    """Return the CRC-32 of a body and of what is known of it."""
    return zlib.crc32(data, zlib.crc32(_pack_head(number, n), zlib.crc32(release.encode())))


def are_bodies(rows: Sequence[tuple[Any, ...]]) -> bool:
    """Whether each of these rows of ``body`` is what was written."""
    ids, counts, releases, sums, data = zip(*rows, strict=True)
    try:
        named = {release: zlib.crc32(release.encode()) for release in set(releases)}
        heads = map(zlib.crc32, map(_pack_head, ids, counts), map(named.__getitem__, releases))
        return tuple(map(zlib.crc32, data, heads)) == sums
    except (struct.error, TypeError, AttributeError):  # not what columns of a body are made of
        return False
