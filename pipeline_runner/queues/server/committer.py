"""What becomes of a step between the broker's decision and its being durable."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Protocol

from pipeline_runner.queues import dead_letters
from pipeline_runner.queues.journal.store import Journal
from pipeline_runner.queues.server.memory_store import MemoryStore

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from pipeline_runner.queues.broker.broker import Broker
    from pipeline_runner.queues.broker.effects import Pending
    from pipeline_runner.queues.broker.transaction import Letter
    from pipeline_runner.queues.journal.recovery import OpenJournal


class Watcher(Protocol):
    """Who has to know how the disk is."""

    def dead_lettered(self, letters: Sequence[Letter]) -> None:
        """These dead letters are on disk."""

    def disk_full(self, reason: str) -> None:
        """Nothing new can be kept, for this reason; an empty one says that it can again."""

    def disk_failed(self, error: Exception) -> None:
        """The disk cannot be trusted any more: end, and answer nothing."""

    def warn(self, text: str, hint: str = "") -> None:
        """A person should know."""


class Committer:
    """Takes steps to memory or to a journal, and the answers to the broker.

    ``carry_out`` is called when answers have led to new decisions.
    """

    def __init__(
        self,
        broker: Broker,
        watcher: Watcher,
        state: Path,
        carry_out: Callable[[], None],
        opened: OpenJournal | None,
        *,
        relaxed: bool,
    ) -> None:
        self._broker = broker
        self._watcher = watcher
        self._state = state
        self.answered = carry_out
        self._loop = asyncio.get_running_loop()
        self._journal: Journal | None = None
        if opened is not None:
            self._journal = Journal(opened, self, relaxed=relaxed)
        self._store = self._journal or MemoryStore(self._write_later, self.answer)

    @property
    def idle(self) -> bool:
        """Whether no commit waits for the disk."""
        return self._store.idle

    def commit(self, pending: Pending) -> None:
        """Make a step durable as far as the run asks for it, then tell the broker."""
        self._store.commit(pending)

    def keep_shares(self, counts: Mapping[str, int]) -> None:
        """Keep over how many processes each source is spread."""
        if self._journal is not None:
            self._journal.keep_shares(counts)

    def close(self) -> None:
        """Let go of the journal."""
        if self._journal is not None:
            self._journal.close()

    def answer(self, pending: Pending, ok: bool) -> None:
        """Tell the broker what became of a step."""
        now = time.monotonic()
        if not ok:
            self._broker.refused(pending, now)
            return
        self._broker.committed(pending, now)
        if pending.step.letters:
            self._watcher.dead_lettered(pending.step.letters)

    def write_letters(self, letters: Sequence[Letter]) -> None:
        """Put dead letters on disk, in whatever thread. Raises OSError."""
        dead_letters.append(self._state, time.time(), letters)

    def disk_full(self, reason: str) -> None:
        """Grant nothing that would make more to keep, until there is room."""
        self._broker.hold_outputs(reason, self._loop.time())
        self._watcher.disk_full(reason)

    def disk_failed(self, error: Exception) -> None:
        """End."""
        self._watcher.disk_failed(error)

    def _write_later(self, letters: Sequence[Letter], done: Callable[[bool], None]) -> None:
        write = self._loop.run_in_executor(None, self.write_letters, letters)

        def finished(future: asyncio.Future[None]) -> None:
            error = future.exception()
            if error is not None:
                self._watcher.warn(
                    f"cannot write dead letters to {self._state}: {error}",
                    "free some space there; the items stay where they are until then",
                )
            # A full disk stays full for a while: trying again at once would be a busy loop.
            self._loop.call_later(0.0 if error is None else 1.0, answer, error is None)

        def answer(ok: bool) -> None:
            done(ok)
            self.answered()

        write.add_done_callback(finished)
