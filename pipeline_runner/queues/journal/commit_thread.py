"""The thread that waits for the disk, one job at a time."""

from __future__ import annotations

import queue
import sqlite3
import threading
from contextlib import suppress
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable


class Disk:
    """Does jobs elsewhere. ``done`` is called in the loop after each, with what it raised."""

    def __init__(
        self, loop: asyncio.AbstractEventLoop, done: Callable[[Exception | None], None]
    ) -> None:
        self._loop = loop
        self._told = done
        self._jobs: queue.SimpleQueue[Callable[[], None] | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._work, name="journal", daemon=True)
        self._thread.start()

    def do(self, job: Callable[[], None]) -> None:
        """Start a job. What it raises is told if it is of SQLite or the system."""
        self._jobs.put(job)

    def close(self) -> None:
        """Wait for the last job."""
        self._jobs.put(None)
        self._thread.join()

    def _work(self) -> None:
        while (job := self._jobs.get()) is not None:
            error: Exception | None = None
            try:
                job()
            except (sqlite3.Error, OSError) as fault:
                error = fault
            with suppress(RuntimeError):  # the loop has closed: nobody is left to answer to
                self._loop.call_soon_threadsafe(self._told, error)
