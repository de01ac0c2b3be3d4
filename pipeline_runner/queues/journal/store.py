"""The store of ``durability = "fsync"`` and ``"relaxed"``: group commit into the journal.

All steps that wait share a transaction. Its statements run in the loop's thread and only its
COMMIT, which waits for the disk, in a thread of its own: one hand-over of the interpreter for a
group instead of one for each statement. The two never use the connection at once.
"""

from __future__ import annotations

import asyncio
import errno
import queue
import sqlite3
import threading
from collections import deque
from contextlib import suppress
from itertools import islice
from typing import TYPE_CHECKING, Protocol

from pipeline_runner.queues.journal.files import mark_suspect
from pipeline_runner.queues.journal.room import fits, is_full, needs_room, size_bytes, takes

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from pipeline_runner.queues.effects import Pending
    from pipeline_runner.queues.journal.recovery import Opened
    from pipeline_runner.queues.transaction import Letter

CHECKPOINT_BYTES = 16 * 1024**2  # of bodies since the last one
RELAXED_S = 1.0
AGAIN_S = 1.0  # a full disk stays full for a while
_MOST_STEPS = 512  # of one transaction: the loop has to turn


class Clerk(Protocol):
    """Whom a journal answers to, in the loop's thread."""

    def answer(self, pending: Pending, ok: bool) -> None:
        """This step is durable, or it will never be."""

    def answered(self) -> None:
        """Every step of a group has its answer: carry out what follows."""

    def write_letters(self, letters: Sequence[Letter]) -> None:
        """Put dead letters on disk. Called in the journal's thread. Raises OSError."""

    def disk_full(self, reason: str) -> None:
        """Nothing new can be kept, for this reason; an empty one says that it can again."""

    def disk_failed(self, error: Exception) -> None:
        """The disk cannot be trusted any more. Nothing is answered from here on."""


class Journal:
    """Makes steps durable in the order they come, and answers for each in that order.

    A source's step is refused where the one that it builds on was. On a full disk steps with
    outputs are refused, others wait; on any other fault of the disk everything ends.
    """

    def __init__(self, opened: Opened, clerk: Clerk, *, relaxed: bool) -> None:
        self._sql = opened.sql
        self._writer = opened.writer
        self._opened = opened
        self._path = opened.path
        self._clerk = clerk
        self._relaxed = relaxed
        self._loop = asyncio.get_running_loop()
        self._waiting: deque[Pending] = deque()
        self._refused: list[Pending] = []
        self._group: list[tuple[Pending, bool]] = []  # with the disk; and what to answer
        self._busy = False  # the connection is the other thread's
        self._committed = False  # its last transaction, whatever came after it
        self._full = False
        self._shares: dict[str, int] | None = None
        self._scheduled = False
        self._unsaved_bytes = 0  # since the last checkpoint
        self._log_bytes = 0  # that these take, at most
        self._most_steps = _MOST_STEPS  # few, where there is little room: each frees some
        self._saves = False  # a checkpoint is due within a second
        self._too_large = 0  # what the largest outputs that found no room would take
        self._timer: asyncio.TimerHandle | None = None
        self._dead = False
        self._jobs: queue.SimpleQueue[Callable[[], None] | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._work, name="journal", daemon=True)
        self._thread.start()

    @property
    def idle(self) -> bool:
        """Whether nothing waits for the disk."""
        return not self._waiting and not self._refused

    def commit(self, pending: Pending) -> None:
        """Make ``pending`` durable, then answer."""
        if self._full and needs_room(pending):
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
        self._jobs.put(None)
        self._thread.join()
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
        shares, self._shares = self._shares, None
        group = self._next_group()
        if not group and shares is None:
            return
        log_bytes = takes(group)
        if any(map(needs_room, group)) and not self._fits(log_bytes):
            if self._unsaved_bytes:
                self._committed = True
                self._do(self._save)  # and then see again
            else:
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
        letters = [letter for pending, ok in written if ok for letter in pending.step.letters]
        self._unsaved_bytes += 4096 + sum(map(size_bytes, group))
        self._log_bytes += log_bytes
        saves = self._unsaved_bytes >= CHECKPOINT_BYTES
        self._committed = False
        self._do(lambda: self._commit(letters, saves=saves))

    def _fits(self, log_bytes: int) -> bool:
        return fits(self._sql, self._path, self._log_bytes, log_bytes)

    def _next_group(self) -> tuple[Pending, ...]:
        group: list[Pending] = []
        room = CHECKPOINT_BYTES // 4
        for pending in islice(self._waiting, self._most_steps):
            room -= size_bytes(pending)
            if room < 0 and group:
                break
            group.append(pending)
        return tuple(group)

    def _commit(self, letters: Sequence[Letter], *, saves: bool) -> None:
        if letters:  # on disk before their items are gone; a crash between leaves one too many
            self._clerk.write_letters(letters)
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
        self._jobs.put(job)

    def _work(self) -> None:
        while (job := self._jobs.get()) is not None:
            error: Exception | None = None
            try:
                job()
            except (sqlite3.Error, OSError) as fault:
                error = fault
            with suppress(RuntimeError):  # the loop has closed: nobody is left to answer to
                self._loop.call_soon_threadsafe(self._done, error)

    def _done(self, error: Exception | None) -> None:
        if self._dead:
            return
        self._busy = False
        group, self._group = self._group, []
        if not self._committed:
            self._failed(error or sqlite3.OperationalError("no commit"))
            return
        self._writer.committed()
        self._most_steps = min(_MOST_STEPS, 2 * self._most_steps)
        if self._full and group:
            self._full = False
            self._clerk.disk_full("")
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
            self._clerk.answer(pending, ok)
        self._clerk.answered()

    def _failed(self, error: Exception) -> None:
        with suppress(sqlite3.Error):
            if self._sql.in_transaction:
                self._sql.execute("ROLLBACK")
        self._writer.rolled_back()
        if not is_full(error):
            self._break(error)
            return
        refused = [pending for pending in self._waiting if needs_room(pending)]
        self._waiting = deque(pending for pending in self._waiting if not needs_room(pending))
        self._loop.call_later(AGAIN_S, self._again)
        self._most_steps = 1
        if not self._full:
            self._full = True
            self._too_large = max((takes([pending]) for pending in refused), default=0)
            self._clerk.disk_full(f"the disk of {self._path.parent} is full")
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
        elif self._fits(self._too_large):
            self._full = False
            self._clerk.disk_full("")
            self._start_soon()
        else:
            self._loop.call_later(AGAIN_S, self._again)

    def _break(self, error: Exception) -> None:
        self._dead = True
        mark_suspect(self._path)
        self._clerk.disk_failed(error)
