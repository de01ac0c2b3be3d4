"""Bodies that do not fit in memory: read back from the journal when somebody claims them."""

from __future__ import annotations

import sqlite3
import zlib
from typing import TYPE_CHECKING

from pipeline_runner.queues.journal.schema import row_sum
from pipeline_runner.queues.transaction import Shelved

if TYPE_CHECKING:
    from pathlib import Path

    from pipeline_runner.queues.transaction import Body


class Shelf:
    """Reads bodies of a journal, over a connection of its own: the writer's may be at work."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._sql: sqlite3.Connection | None = None

    def put(self, body: Body) -> Shelved:
        """Return a stand-in for a body that is durable."""
        return Shelved(body.id, body.n, body.size, body.release, self.read)

    def read(self, number: int) -> bytes:
        """Return a body's bytes. Raises sqlite3.Error where they are not what was written."""
        if self._sql is None:
            self._sql = sqlite3.connect(self._path, isolation_level=None, timeout=1.0)
            self._sql.execute("PRAGMA query_only = ON")
        query = "SELECT id, n, release, crc, data FROM body WHERE id = ?"
        row = self._sql.execute(query, (number,)).fetchone()
        if row is None or zlib.crc32(row[4], row_sum(*row[:3])) != row[3]:
            raise sqlite3.DatabaseError(f"body {number} is not what was written")
        data: bytes = row[4]
        return data

    def close(self) -> None:
        """Let go of the file; the next read opens it again."""
        if self._sql is not None:
            self._sql.close()
            self._sql = None
