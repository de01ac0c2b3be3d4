"""Opening a journal: a new one, or what an earlier head left, checked row by row.

What cannot be read is told, with what it cost; where the loss cannot be told apart from the rest,
the journal is refused. Nothing is dropped in silence.
"""

from __future__ import annotations

import secrets
import sqlite3
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from pipeline_runner.errors import RunnerError
from pipeline_runner.filesystem import refuse_network
from pipeline_runner.queues.journal.files import NAME, forget, mark_suspect, suspect, sync_folder
from pipeline_runner.queues.journal.reader import JournalReader
from pipeline_runner.queues.journal.rewrite import rewrite
from pipeline_runner.queues.journal.schema import APPLICATION, VERSION, connect, create, is_made
from pipeline_runner.queues.journal.verify import (
    FORGET,
    UNREADABLE,
    Contents,
    Damaged,
    check,
    damaged,
)
from pipeline_runner.queues.journal.wal import commits_in_log
from pipeline_runner.queues.journal.writer import Writer

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["NAME", "Damaged", "OpenJournal", "forget", "mark_suspect", "open_journal"]


@dataclass
class OpenJournal:
    """A journal that is open: its state, and what had to be given up to get there."""

    sql: sqlite3.Connection
    writer: Writer
    path: Path
    run: str
    epoch: int
    durable: JournalReader
    shares: dict[str, int]
    continues: bool
    damage: list[str] = field(default_factory=list)

    def close(self) -> None:
        """Close the file."""
        self.durable.close()
        self.sql.close()


def open_journal(state: Path, *, fresh: bool = False, relaxed: bool = False) -> OpenJournal:
    """Open the journal in the folder ``state``; its epoch is one more than the last.

    Raises UsageError on a network file system, Damaged where it cannot be gone on with, and
    RunnerError if another version wrote it, or the disk does not do its work.
    """
    refuse_network(
        state,
        "where a journal is not safe",
        '`state` in [server] names a folder on a local disk; or durability = "memory"',
    )
    path = state / NAME
    try:
        if fresh:
            forget(state)
        found = _read(path) if path.exists() else None
        if found is not None and (found.damage or suspect(path).exists()):
            rewrite(path, found)
            damage = found.damage
            found = _read(path)
            assert found is not None
            found.damage[:0] = damage
        return _open(path, found, relaxed=relaxed)
    except (sqlite3.Error, OSError) as error:
        raise RunnerError(f"cannot use the journal {path}: {error}") from error


def _open(path: Path, found: Contents | None, *, relaxed: bool) -> OpenJournal:
    is_new = not path.exists()
    sql = connect(path)  # FULL, whatever comes later: an epoch must never come twice
    try:
        if found is None:
            found = Contents(secrets.token_hex(8))
        found.epoch += 1
        writer = Writer(sql, found)
        writer.begin()
        continues = is_made(sql)
        if not continues:
            create(sql)
        writer.seal()
        sql.execute("COMMIT")
        if relaxed:
            sql.execute("PRAGMA synchronous = NORMAL")
        if is_new:
            path.chmod(0o600)
            sync_folder(path.parent)
    except BaseException:
        sql.close()
        raise
    return OpenJournal(
        sql,
        writer,
        path,
        found.run,
        found.epoch,
        JournalReader(path, found),
        found.shares,
        continues,
        found.damage,
    )


def _read(path: Path) -> Contents | None:
    """Return what the journal holds; None if its making was never finished."""
    commits = commits_in_log(path)
    try:
        sql = connect(path)
    except UNREADABLE as error:
        raise damaged(path, str(error)) from error
    try:
        _check_version(sql, path)
        made = is_made(sql)
        _busy, frames, _moved = sql.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()
        torn = sum(number > frames for number in commits)
        if not made and not torn:
            return None
        found = check(sql, path)
    except UNREADABLE as error:
        raise damaged(path, str(error)) from error
    finally:
        sql.close()
    if torn == 1:  # the one that a power cut interrupted, as a rule: nobody has an answer to it
        cut = "the journal's last commit was cut short, as by a power cut"
        found.damage.insert(0, f"{cut}: what it held is done again")
    elif torn:
        undone = f"its last {torn} commits are undone, and done again from there"
        found.damage.insert(0, f"the end of the journal cannot be read: {undone}")
    return found


def _check_version(sql: sqlite3.Connection, path: Path) -> None:
    (application,) = sql.execute("PRAGMA application_id").fetchone()
    (version,) = sql.execute("PRAGMA user_version").fetchone()
    if (application, version) not in ((APPLICATION, VERSION), (0, 0)):
        raise RunnerError(
            f"the journal {path} has layout {version}, this version reads layout {VERSION}",
            hint=f"finish the run with the version that began it, or {FORGET}",
        )
