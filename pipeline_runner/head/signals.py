"""Ctrl-C and SIGTERM for as long as a head lives, and not a moment less."""

from __future__ import annotations

import signal
import threading
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

from pipeline_runner.head.stop import AGAIN_AFTER_S, SIGNALS

if TYPE_CHECKING:
    from asyncio import AbstractEventLoop
    from collections.abc import Callable, Iterator
    from types import FrameType

    Heard = Callable[[signal.Signals, float], None]


class Signals:
    """Passes signals to whoever listens.

    One that comes before is passed on later; a second one then ends the start. One that comes
    after does nothing: an event loop's own handlers go with the loop, while the head still cleans
    up, and a Ctrl-C in the middle of that would make a run that is over look killed.
    """

    def __init__(self) -> None:
        self._listener: tuple[AbstractEventLoop, Heard] | None = None
        self._early: tuple[signal.Signals, float] | None = None
        self._over = False

    def listen(self, loop: AbstractEventLoop, heard: Heard) -> None:
        """Call ``heard`` on ``loop`` for each signal from now on, with when it came."""
        self._listener = (loop, heard)
        if self._early is not None:
            loop.call_soon(heard, *self._early)

    def stop(self) -> None:
        """Call nobody any more."""
        self._listener, self._over = None, True

    def _on_signal(self, number: int, _frame: FrameType | None) -> None:
        at = time.monotonic()  # the loop may hear of it late, and of two at once
        if self._listener is not None:
            loop, heard = self._listener
            loop.call_soon_threadsafe(heard, signal.Signals(number), at)
        elif not self._over:
            if self._early is None:
                self._early = signal.Signals(number), at
            elif at - self._early[1] >= AGAIN_AFTER_S:
                raise KeyboardInterrupt

    @contextmanager
    def taken(self, *, for_good: bool = False) -> Iterator[None]:
        """Take the signals, and give them back at the end; in another thread none arrives.

        ``for_good`` is for a process that exits next: they are ignored from then on. A handler of
        ours would not last: the interpreter takes those back while it ends.
        """
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        before = {number: signal.signal(number, self._on_signal) for number in SIGNALS}
        if signal.getsignal(signal.SIGHUP) == signal.SIG_DFL:
            # The terminal was closed: nobody watches any more, and the run goes on. Not ignored,
            # because what is ignored here would be so in every process that is started from here.
            before[signal.SIGHUP] = signal.signal(signal.SIGHUP, lambda _number, _frame: None)
        is_over = False
        try:
            yield
            is_over = for_good
        finally:
            for number, handler in before.items():
                signal.signal(number, signal.SIG_IGN if is_over else handler)
