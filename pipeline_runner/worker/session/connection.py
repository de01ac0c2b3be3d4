"""The socket to the head of the moment, and a pipe that wakes whoever waits for it."""

from __future__ import annotations

import contextlib
import os
import select
import stat
from typing import TYPE_CHECKING, Any

from pipeline_runner import native

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pipeline_runner.wire.client.connection import Wire
    from pipeline_runner.wire.messages import Message

# Of the peer's end alone: what it says is for others to read. Not every system has the first.
_HUNG_UP = getattr(select, "POLLRDHUP", 0) | select.POLLHUP


class HeadConnection:
    """One wire after the other. With ``holds`` there may be none for a while."""

    def __init__(self, wire: Wire, *, holds: bool = False) -> None:
        self.closed = False
        self.left = False  # this is a forked child: see leave()
        self._wire = wire
        self._previous = wire
        self._holds = holds
        self._down = False  # between two heads
        self._gone = False  # no head will come any more
        self._up = native.Event()
        self._up.set()
        self._wake_read, self.wake_write = os.pipe()
        os.set_blocking(self._wake_read, False)
        os.set_blocking(self.wake_write, False)

    @property
    def is_down(self) -> bool:
        """Whether there is no head at the moment."""
        return self._down

    def fileno(self) -> int:
        """Return the socket, for an event loop to watch; -1 while there is no head."""
        return -1 if self._down else self._wire.sock.fileno()

    def wake_fileno(self) -> int:
        """Return the end of the wake-up pipe to watch."""
        return self._wake_read

    def wake(self) -> None:
        """Wake the thread that waits for the head."""
        with contextlib.suppress(OSError):  # it is full of wake-ups already, or user code closed it
            os.write(self.wake_write, b"\0")

    def wait(self) -> None:
        """Wait until something arrives or somebody wakes us."""
        if self._down:
            native.select([self._wake_read], [], [])
            os.read(self._wake_read, 4096)
        elif self._wire.wait(self._wake_read):
            os.read(self._wake_read, 4096)

    def await_word(self) -> None:
        """Wait until the head may have said something; for a thread that only waits."""
        self._up.wait()
        self._await(native.POLLIN)

    def await_end(self) -> None:
        """Wait until the head has hung up, or we have."""
        self._await(_HUNG_UP)

    def _await(self, events: int) -> None:
        poll = native.poll()
        poll.register(self._wire.sock, events)
        poll.poll()

    def arrived(self) -> list[tuple[Any, bytes | memoryview]]:
        """Return what one look brought, without waiting.

        Raises EOFError when the head is gone and nobody looks for another.
        """
        if self._gone:
            raise EOFError("no head came back")
        if self._down:
            return []
        try:
            return self._wire.receive_now()
        except (EOFError, OSError):
            self._lost()
            return []

    def send(self, message: Message, data: Sequence[bytes | memoryview] = ()) -> None:
        """Send to the head of the moment; while there is none, what matters is in the ledger.

        Raises EOFError or OSError when the head is gone and nobody looks for another.
        """
        if self._gone:
            raise EOFError("no head came back")
        if self._down:
            return
        try:
            self._wire.send(message, data)
        except OSError:
            self._lost()

    def _lost(self) -> None:
        """Wait for the next head, or pass the fault on."""
        if not self._holds or not self._is_open():
            raise
        self._down = True
        self._up.clear()

    def _is_open(self) -> bool:
        """Whether the socket is still ours: user code may have closed its descriptor.

        That is no loss of the head, and no head to come would cure it.
        """
        try:
            return stat.S_ISSOCK(os.fstat(self._wire.sock.fileno()).st_mode)
        except OSError:
            return False

    def renew(self, wire: Wire) -> None:
        """Go on with the next head."""
        self._previous, self._wire = self._wire, wire  # an event loop may still watch the old one
        self._down = False
        self._up.set()

    def give_up(self) -> None:
        """Let everybody know that no head will come any more."""
        self._gone = True
        self._up.set()
        self.wake()

    def hang_up(self) -> None:
        """Close the socket: all is said."""
        self.closed = True
        self._wire.close()

    def leave(self) -> None:
        """Close this process's end of the socket: for a forked child, which is not the worker.

        The worker's own end stays open, and no child keeps it open beyond the worker's death.
        """
        self.left = True
        self._wire.close()
