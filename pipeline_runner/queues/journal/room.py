"""Whether the disk has room for more, and what it says when it has not."""

from __future__ import annotations

import errno
import shutil
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterable
    from pathlib import Path

    from pipeline_runner.queues.effects import Pending

_ROOM_BYTES = 256 * 1024  # kept free for what frees more
_PAGE_BYTES = 4096 + 24  # as the log has it
_GROUP_PAGES = 16  # of the tables around the bodies, whatever a transaction does


def needs_room(pending: Pending) -> bool:
    """Whether a step adds to what is kept, and may be refused for that."""
    return bool(pending.step.produced or pending.step.revived) and not pending.retryable


def size_bytes(pending: Pending) -> int:
    """Return how large the bodies are that a step produces."""
    return sum(len(body.data) for _edges, body in pending.step.produced)


def takes(group: Iterable[Pending]) -> int:
    """Return how many bytes of the log a transaction of these steps takes at most, for its bodies.

    The log holds whole pages. A large body fills some of its own; small ones share them, beside
    what says where they are.
    """
    total = _GROUP_PAGES * _PAGE_BYTES
    for pending in group:
        for _edges, body in pending.step.produced:
            size = len(body.data)
            is_small = size < _PAGE_BYTES // 2
            total += 2 * size + 400 if is_small else (size // 4000 + 3) * _PAGE_BYTES
    return total


def fits(sql: sqlite3.Connection, path: Path, unsaved_bytes: int, more_bytes: int) -> bool:
    """Whether there is room for outputs and for all that is not in the database yet.

    ``unsaved_bytes`` are in the log, ``more_bytes`` would come to it (see :func:`takes`). A disk
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
