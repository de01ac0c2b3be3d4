"""Whether the disk has room for more, and what it says when it has not."""

from __future__ import annotations

import errno
import shutil
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import sqlite3
    from pathlib import Path

_ROOM_BYTES = 256 * 1024  # kept free for what frees more


def fits(sql: sqlite3.Connection, path: Path, unsaved_bytes: int, more_bytes: int) -> bool:
    """Whether there is room for outputs and for all that is not in the database yet.

    ``unsaved_bytes`` are in the log, ``more_bytes`` would come to it (see ``groups.takes``). A disk
    that is full to its last byte would leave no room to move the log, and then not even what is
    done with could be deleted. Raises sqlite3.Error and OSError.
    """
    free = shutil.disk_usage(path.parent).free
    if free > 4 * (unsaved_bytes + more_bytes + _ROOM_BYTES):
        return True
    (page,) = sql.execute("PRAGMA page_size").fetchone()
    (pages,) = sql.execute("PRAGMA page_count").fetchone()
    (unused,) = sql.execute("PRAGMA freelist_count").fetchone()
    log = path.with_name(path.name + "-wal").stat().st_size
    grown = max(0, pages * page - path.stat().st_size)
    database = grown + max(0, more_bytes - unused * page)
    grows = database + max(0, unsaved_bytes + more_bytes - log)
    return bool(free >= grows + _ROOM_BYTES)


def is_full(error: Exception) -> bool:
    """Whether ``error`` says that the disk has no room left, or the user may not use more."""
    if isinstance(error, OSError):
        return error.errno in (errno.ENOSPC, errno.EDQUOT)
    return "is full" in str(error)
