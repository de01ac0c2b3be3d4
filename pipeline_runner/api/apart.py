"""A run in a thread beside somebody's event loop, and its end when they no longer want it."""

from __future__ import annotations

import asyncio
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import TYPE_CHECKING, TypeVar

from pipeline_runner.errors import RunnerError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from pipeline_runner.events import Event
    from pipeline_runner.observe.screen import Screen
    from pipeline_runner.observe.snapshot import Snapshot

T = TypeVar("T")


async def in_thread(work: Callable[[], T], stop: Callable[[bool], None]) -> T:
    """Return what ``work()`` returns, or raise what it raises; it has a thread of its own.

    Cancelled, it calls ``stop(False)`` in another thread, cancelled again ``stop(True)``, and
    waits for the end of ``work`` before it passes the cancellation on.
    """
    pool = ThreadPoolExecutor(1, "pipeline_runner")
    working = asyncio.get_running_loop().run_in_executor(pool, work)
    pool.shutdown(wait=False)  # the thread ends with its one task
    try:
        return await asyncio.shield(working)
    except asyncio.CancelledError:
        await _end(working, stop)
        raise


async def _end(working: asyncio.Future[T], stop: Callable[[bool], None]) -> None:
    loop = asyncio.get_running_loop()
    now = False
    while not working.done():
        try:
            await asyncio.shield(loop.run_in_executor(None, stop, now))
            await asyncio.wait({working})
        except asyncio.CancelledError:
            now = True
    working.exception()  # it was cancelled: nobody is left to hear how it ended


class GivenUp(Exception):
    """The run was stopped before it began."""


class Stop:
    """Stops the head that has ``state``, from a thread other than its own."""

    def __init__(self, state: Path) -> None:
        self._state = state
        self._wanted = threading.Event()
        self._can_be_asked = threading.Event()

    def __call__(self, now: bool) -> None:
        """Ask the head to drain, or to stop ``now``. One that is starting is waited for."""
        from pipeline_runner.head.control.client import ask

        self._wanted.set()
        self._can_be_asked.wait()
        with suppress(RunnerError):  # it has just ended by itself
            ask(self._state, "down", now=now)

    def check(self) -> None:
        """Raise GivenUp if a stop was asked for."""
        if self._wanted.is_set():
            raise GivenUp

    def done_waiting(self) -> None:
        """A head answers now, or none ever will."""
        self._can_be_asked.set()


class Heard:
    """A screen that passes everything on, and lets ``stop`` know once the head answers."""

    def __init__(self, screen: Screen, stop: Stop) -> None:
        self._screen = screen
        self._stop = stop
        self.event: Callable[[Event], None] = screen.event
        self.close: Callable[[Snapshot, int], None] = screen.close
        self.restore: Callable[[], None] = screen.restore

    def snapshot(self, snapshot: Snapshot) -> None:
        """The first one comes after the head has begun to listen."""
        self._stop.done_waiting()
        self._screen.snapshot(snapshot)
