"""The terminal a live screen is on: its keys, its modes, and giving it back for ^Z.

While it is held, keys are read one by one and not shown. Before the process stops the shell gets
its terminal as it was; once `fg` has brought it back, whoever draws is told to draw anew.
"""

from __future__ import annotations

import atexit
import os
import select
import signal
import termios
import threading
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from types import FrameType

_LOOK_AGAIN_S = 0.2
_SHOW_CURSOR = b"\x1b[?25h"
_LFLAG, _CC = 3, 6  # of what tcgetattr returns
_KEYS = 64  # read at once; nobody types faster


class Tty:
    """A terminal that is written to at ``screen``, and read at ``keys`` (None: it is not).

    Both are descriptors. ``on_key`` is called with one character, in a thread of its own;
    ``on_return`` in the main thread, once the process goes on after it was stopped.
    """

    def __init__(
        self,
        screen: int,
        keys: int | None,
        on_key: Callable[[str], None],
        on_return: Callable[[], None],
    ) -> None:
        self._screen = screen
        self._keys = keys
        self._on_key = on_key
        self._on_return = on_return
        self._held = False
        self._draws = False
        self._stops = False  # as soon as it has drawn
        self._modes: list[Any] | None = None  # as they were
        self._handlers: dict[signal.Signals, Any] = {}
        self._wake: tuple[int, int] | None = None
        self._reader: threading.Thread | None = None

    @property
    def is_ours(self) -> bool:
        """Whether we may draw and read: after ^Z and `bg` the terminal is the shell's."""
        try:
            return os.tcgetpgrp(self._screen) == os.getpgrp()
        except OSError:  # it is not the one that controls us, or it is gone
            return True

    def hold(self) -> None:
        """Take the terminal, if that has not been done. Outside the main thread ^Z is not seen."""
        if self._held:
            return
        self._held = True
        self._set_modes()
        atexit.register(self.release)
        if threading.current_thread() is threading.main_thread():
            for number, handler in (
                (signal.SIGTSTP, self._on_stop),
                (signal.SIGCONT, self._on_continue),
            ):
                before = signal.getsignal(number)
                if before in (signal.SIG_DFL, None):  # ignored: there is no job control
                    self._handlers[number] = signal.signal(number, handler)
        if self._keys is not None:
            self._wake = os.pipe()
            self._reader = threading.Thread(target=self._read, name="keys", daemon=True)
            self._reader.start()

    def release(self) -> None:
        """Give the terminal back as it was; does nothing if it is not held."""
        if not self._held:
            return
        self._held = False
        atexit.unregister(self.release)
        for number, handler in self._handlers.items():
            signal.signal(number, handler)
        self._handlers.clear()
        if self._wake is not None and self._reader is not None:
            os.close(self._wake[1])
            if self._reader is not threading.current_thread():
                self._reader.join()
            os.close(self._wake[0])
            self._wake = self._reader = None
        self._restore_modes()

    @contextmanager
    def drawing(self) -> Iterator[None]:
        """Put a ^Z off for as long as it takes to draw.

        Half a frame before the stop and half of it after would be drawn over the shell's lines.
        """
        self._draws = True
        try:
            yield
        finally:
            self._draws = False
            if self._stops:
                self._stops = False
                self._stop()

    def _set_modes(self) -> None:
        """Have keys come one by one and unseen; Ctrl-C and ^Z stay signals."""
        if self._keys is None or not self.is_ours:
            return
        with suppress(termios.error):
            modes = termios.tcgetattr(self._keys)
            if self._modes is None:
                self._modes = termios.tcgetattr(self._keys)
            modes[_LFLAG] &= ~(termios.ECHO | termios.ICANON)
            modes[_CC][termios.VMIN], modes[_CC][termios.VTIME] = 1, 0
            termios.tcsetattr(self._keys, termios.TCSANOW, modes)

    def _restore_modes(self) -> None:
        if self._keys is None or self._modes is None or not self.is_ours:
            return
        with suppress(termios.error):
            termios.tcsetattr(self._keys, termios.TCSANOW, self._modes)

    def _on_stop(self, _number: int, _frame: FrameType | None) -> None:
        if self._draws:
            self._stops = True
        else:
            self._stop()

    def _stop(self) -> None:
        # Past the screen's own buffer, which may be in the middle of a write.
        with suppress(OSError):
            os.write(self._screen, _SHOW_CURSOR)
        self._restore_modes()
        signal.signal(signal.SIGTSTP, signal.SIG_DFL)
        signal.raise_signal(signal.SIGTSTP)  # here it stops, until somebody lets it go on
        if self._held:
            signal.signal(signal.SIGTSTP, self._on_stop)
            self._return()

    def _on_continue(self, _number: int, _frame: FrameType | None) -> None:
        self._return()

    def _return(self) -> None:
        if self._held:
            self._set_modes()
            self._on_return()

    def _read(self) -> None:
        # Reading while another job has the terminal is then an error and no signal to stop at.
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTTIN})
        assert self._wake is not None
        assert self._keys is not None
        wake = self._wake[0]
        while True:
            with suppress(OSError):
                if not self.is_ours:
                    if select.select([wake], (), (), _LOOK_AGAIN_S)[0]:
                        return
                    continue
            if wake in select.select([self._keys, wake], (), ())[0]:
                return
            try:
                typed = os.read(self._keys, _KEYS)
            except OSError:
                typed = b"" if self.is_ours else b"\0"
            if not typed:  # the terminal is gone
                return
            for key in typed.decode(errors="replace"):
                self._on_key(key)
