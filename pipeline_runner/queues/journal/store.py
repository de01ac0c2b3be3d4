"""The store of ``durability = "fsync"`` and ``"relaxed"``: group commit into the journal.

All steps that wait share a transaction. Its statements run in the loop's thread and only its
COMMIT, which waits for the disk, in a thread of its own: one hand-over of the interpreter for a
group instead of one for each statement. The two never use the connection at once.
"""

from __future__ import annotations

import asyncio
import errno
import sqlite3
from collections import deque
from contextlib import suppress
from typing import TYPE_CHECKING

from pipeline_runner.queues.journal import batching
from pipeline_runner.queues.journal.commit_thread import Disk
from pipeline_runner.queues.journal.files import mark_suspect
from pipeline_runner.queues.journal.free_space import fits, is_full

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from pipeline_runner.queues.broker.effects import Pending
    from pipeline_runner.queues.broker.transaction import Letter
    from pipeline_runner.queues.journal.commit_listener import CommitListener
    from pipeline_runner.queues.journal.recovery import OpenJournal

CHECKPOINT_BYTES = 16 * 1024**2  # of bodies since the last one
RELAXED_S = 1.0
AGAIN_S = 1.0  # a full disk stays full for a while


class Journal:
    """Makes steps durable in the order they come, and answers for each in that order.

    A source's step is refused where the one that it builds on was. On a full disk steps with
    outputs are refused, others wait; on any other fault of the disk everything ends.
    """

    def __init__(self, opened: OpenJournal, clerk: CommitListener, *, relaxed: bool) -> None:
        self._sql = opened.sql
        self._writer = opened.writer
        self._opened = opened
        self._path = opened.path
        self._listener = clerk
        self._relaxed = relaxed
        self._loop = asyncio.get_running_loop()
        self._waiting: deque[Pending] = deque()
        self._refused: list[Pending] = []
        self._group: list[tuple[Pending, bool]] = []  # with the disk; and what to answer
        self._busy = False  # the connection is the other thread's
        self._committed = False  # its last transaction, whatever came after it
        self._full = False
        self._shares: dict[str, int] | None = None
        self._group_shares: dict[str, int] | None = None
        self._scheduled = False
        self._unsaved_bytes = 0  # since the last checkpoint
        self._log_bytes = 0  # that these take, at most
        self._most_steps = batching.MOST_STEPS  # few, where there is little room: each frees some
        self._saves = False  # a checkpoint is due within a second
        self._too_large = 0  # what the largest outputs that found no room would take
        self._timer: asyncio.TimerHandle | None = None
        self._dead = False
        self._disk = Disk(self._loop, self._done)

    @property
    def idle(self) -> bool:
        """Whether nothing waits for the disk."""
        return not self._waiting and not self._refused

    def commit(self, pending: Pending) -> None:
        """Make ``pending`` durable, then answer."""
        if self._full and batching.needs_room(pending):
            self._refused.append(pending)
        else:
            self._waiting.append(pending)
        self._start_soon()

    def keep_shares(self, counts: Mapping[str, int]) -> None:
        """Keep over how many processes each source is spread."""
        self._shares = dict(counts)
        self._start_soon()

    def close(self) -> None:
        """Wait for the disk, and close the file. What has no answer by now gets none."""
        self._dead = True
        if self._timer is not None:
            self._timer.cancel()
        self._disk.close()
        with suppress(sqlite3.Error):
            if self._sql.in_transaction:
                self._sql.execute("ROLLBACK")
        with suppress(sqlite3.Error):
            self._opened.durable.close()
            self._sql.close()

    def _start_soon(self) -> None:
        if not self._scheduled and not self._busy:
            self._scheduled = True
            self._loop.call_soon(self._start)

    def _start(self) -> None:
        self._scheduled = False
        if self._dead or self._busy:
            return
        if self._refused:
            refused, self._refused = self._refused, []
            self._answer([(pending, False) for pending in refused])
        if not self._full:
            self._begin()

    def _begin(self) -> None:
        """Write what waits into a transaction, and have it committed."""
        shares = self._shares
        group = batching.first_group(self._waiting, self._most_steps, CHECKPOINT_BYTES // 4)
        if not group and shares is None:
            return
        log_bytes = batching.takes(group)
        if not fits(self._sql, self._path, self._log_bytes, log_bytes):
            # What only frees room takes some first: enough is kept for it, once the log is empty.
            if self._unsaved_bytes:
                self._committed = True
                self._do(self._save)  # and then see again
                return
            if any(map(batching.needs_room, group)):
                self._failed(OSError(errno.ENOSPC, "the disk is nearly full"))
                return
        try:
            self._writer.begin()
            written = [(pending, self._writer.write(pending.step)) for pending in group]
            if shares is not None:
                self._writer.shares(shares)
            self._writer.seal()
        except sqlite3.Error as error:
            self._failed(error)
            return
        self._group = written
        self._shares, self._group_shares = None, shares
        letters = [letter for pending, ok in written if ok for letter in pending.step.letters]
        self._unsaved_bytes += 4096 + sum(map(batching.size_bytes, group))
        self._log_bytes += log_bytes
        saves = self._unsaved_bytes >= CHECKPOINT_BYTES
        self._committed = False
        self._do(lambda: self._commit(letters, saves=saves))

    def _commit(self, letters: Sequence[Letter], *, saves: bool) -> None:
        if letters:  # on disk before their items are gone; a crash between leaves one too many
            self._listener.write_letters(letters)
        self._sql.execute("COMMIT")
        self._committed = True
        if saves:
            self._save()

    def _save(self) -> None:
        """Move the log into the database. What is committed stays so, even if this fails."""
        self._sql.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()
        self._unsaved_bytes = self._log_bytes = 0

    def _do(self, job: Callable[[], None]) -> None:
        self._busy = True
        self._disk.do(job)

    def _done(self, error: Exception | None) -> None:
        if self._dead:
            return
        self._busy = False
        group, self._group = self._group, []
        if not self._committed:
            self._failed(error or sqlite3.OperationalError("no commit"))
            return
        self._writer.committed()
        self._group_shares = None
        self._most_steps = min(batching.MOST_STEPS, 2 * self._most_steps)
        if self._full and group:
            self._full = False
            self._listener.disk_full("")
        for _ in group:
            self._waiting.popleft()
        self._answer(group)
        if error is not None and not is_full(error):  # a checkpoint's
            self._break(error)
            return
        if error is not None and not group:
            self._failed(error)
            return
        if self._relaxed and not self._saves and self._unsaved_bytes:
            self._saves = True
            self._timer = self._loop.call_later(RELAXED_S, self._save_late)
        if self._waiting or self._refused or self._shares is not None:
            self._start_soon()

    def _save_late(self) -> None:
        if self._dead:
            return
        if self._busy:  # a commit is under way: after it
            self._timer = self._loop.call_later(RELAXED_S / 10, self._save_late)
            return
        self._saves = False
        self._committed = True
        self._do(self._save)

    def _answer(self, group: Sequence[tuple[Pending, bool]]) -> None:
        for pending, ok in group:
            self._listener.answer(pending, ok)
        self._listener.answered()

    def _failed(self, error: Exception) -> None:
        with suppress(sqlite3.Error):
            if self._sql.in_transaction:
                self._sql.execute("ROLLBACK")
        self._writer.rolled_back()
        self._shares, self._group_shares = self._shares or self._group_shares, None
        if not is_full(error):
            self._break(error)
            return
        refused = [pending for pending in self._waiting if batching.needs_room(pending)]
        self._waiting = deque(
            pending for pending in self._waiting if not batching.needs_room(pending)
        )
        self._loop.call_later(AGAIN_S, self._again)
        self._most_steps = 1
        if not self._full:
            self._full = True
            self._too_large = max((batching.takes([pending]) for pending in refused), default=0)
            self._listener.disk_full(f"the disk of {self._path.parent} is full")
        self._answer([(pending, False) for pending in refused])

    def _again(self) -> None:
        """See whether there is room by now: first for what frees some itself."""
        if self._dead:
            return
        try:  # the log may hold room of its own
            self._sql.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
            self._unsaved_bytes = self._log_bytes = 0
        except sqlite3.Error as error:
            if not is_full(error):
                self._break(error)
                return
        if self._waiting:
            self._begin()
        elif fits(self._sql, self._path, self._log_bytes, self._too_large):
            self._full = False
            self._listener.disk_full("")
            self._start_soon()
        else:
            self._loop.call_later(AGAIN_S, self._again)

    def _break(self, error: Exception) -> None:
        self._dead = True
        mark_suspect(self._path)
        self._listener.disk_failed(error)
