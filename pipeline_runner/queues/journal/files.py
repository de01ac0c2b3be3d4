"""Where a journal's files are, and what is done to them whole."""

from __future__ import annotations

import os
from contextlib import suppress
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

NAME = "journal"
ENDS = ("", "-wal", "-shm")


def forget(state: Path) -> None:
    """Delete the journal of a run that is over."""
    path = state / NAME
    # The database first: a log without one is nothing, one without its log is an earlier state.
    for end in (*ENDS, ".new", ".new-wal", ".new-shm", ".suspect"):
        path.with_name(NAME + end).unlink(missing_ok=True)
    sync_folder(state)


def mark_suspect(path: Path) -> None:
    """Note that the disk failed: what the page cache shows of the journal may not be on it."""
    with suppress(OSError):
        suspect(path).touch()


def suspect(path: Path) -> Path:
    """Return the note of :func:`mark_suspect`, there or not."""
    return path.with_name(NAME + ".suspect")


def sync_folder(folder: Path) -> None:
    """Have what was renamed or deleted in ``folder`` be so after a power cut. Raises OSError."""
    fd = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
