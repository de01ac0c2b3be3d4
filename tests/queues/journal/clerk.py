"""A store on a test's desk: what it answered, and a disk that fails when it is told to."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from pipeline_runner.queues.broker.effects import Pending
from pipeline_runner.queues.journal.recovery import open_journal
from pipeline_runner.queues.journal.store import Journal
from pipeline_runner.queues.server.memory_store import MemoryStore

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from pipeline_runner.queues.broker.transaction import Letter, Transaction


class Clerk:
    """Hears a store's answers."""

    def __init__(self) -> None:
        self.answers: list[tuple[Pending, bool]] = []
        self.groups: list[int] = []  # how many steps each group of answers was for
        self.letters: list[int] = []
        self.fullness: list[str] = []
        self.failure: Exception | None = None
        self.letter_fault: OSError | None = None

    def answer(self, pending: Pending, ok: bool) -> None:
        self.answers.append((pending, ok))

    def answered(self) -> None:
        self.groups.append(len(self.answers) - sum(self.groups))

    def write_letters(self, letters: Sequence[Letter]) -> None:
        if self.letter_fault is not None:
            raise self.letter_fault
        self.letters += [letter.letter for letter in letters]

    def disk_full(self, reason: str) -> None:
        self.fullness.append(reason)

    def disk_failed(self, error: Exception) -> None:
        self.failure = error

    async def until(self, true: Callable[[], Any]) -> None:
        """Wait until ``true()`` is."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + 10
        while not true():
            assert loop.time() < deadline, (self.answers, self.fullness, self.failure)
            await asyncio.sleep(0.002)


class FaultyConnection:
    """Passes everything on, but raises ``fault`` for statements that begin with ``on``."""

    def __init__(self, sql: sqlite3.Connection) -> None:
        self._sql = sql
        self.on = ""
        self.fault: Exception | None = None

    def execute(self, statement: str, *parameters: Any) -> sqlite3.Cursor:
        if self.fault is not None and statement.startswith(self.on):
            raise self.fault
        return self._sql.execute(statement, *parameters)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._sql, name)


def journal(folder: Path, clerk: Clerk, *, relaxed: bool = False) -> tuple[Journal, Any]:
    """Return a journal in ``folder`` and the connection through which it can be made to fail."""
    opened = open_journal(folder, relaxed=relaxed)
    faulty: Any = FaultyConnection(opened.sql)
    opened.sql = opened.writer._sql = faulty
    return Journal(opened, clerk, relaxed=relaxed), faulty


def memory(clerk: Clerk) -> MemoryStore:
    """Return a store that keeps letters alone."""

    def write(letters: Sequence[Letter], done: Callable[[bool], None]) -> None:
        def finish() -> None:
            try:
                clerk.write_letters(letters)
            except OSError:
                done(False)
            else:
                done(True)

        asyncio.get_running_loop().call_soon(finish)

    return MemoryStore(write, clerk.answer)


def pending(step: Transaction, *, retryable: bool = False) -> Pending:
    return Pending(step, retryable=retryable)
