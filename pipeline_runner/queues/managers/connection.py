"""A stock client's socket on the event loop: bytes in, parts out, and how the line ended."""

from __future__ import annotations

import array
import contextlib
import fcntl
import socket
import termios
from collections import deque
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable, Iterable

_READ = 256 * 1024
_SCRATCH = memoryview(bytearray(_READ))
_MOST_PARTS = 64
_KEEPALIVE = {"TCP_KEEPIDLE": 10, "TCP_KEEPINTVL": 5, "TCP_KEEPCNT": 4}  # a host gone: 30 s


class ManagerConnection:
    """One connection. ``on_closed(line, in_order)`` says whether the peer had read everything."""

    def __init__(
        self,
        sock: socket.socket,
        loop: asyncio.AbstractEventLoop,
        on_data: Callable[[ManagerConnection, memoryview], None],
        on_closed: Callable[[ManagerConnection, bool], None],
    ) -> None:
        self.sock = sock
        self.closed = False
        self._loop = loop
        self._on_data = on_data
        self._on_closed = on_closed
        self._out: deque[bytes | memoryview] = deque()
        self._writing = False
        self._hanging_up = False
        if sock.family != socket.AF_UNIX:
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
            for option, value in _KEEPALIVE.items():
                if hasattr(socket, option):
                    sock.setsockopt(socket.IPPROTO_TCP, getattr(socket, option), value)
        loop.add_reader(sock, self._read)

    @property
    def present(self) -> bool:
        """Whether the peer's end is open, as far as has been heard: a look, nothing is read."""
        try:
            return bool(self.sock.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT))
        except BlockingIOError:
            return True
        except OSError:
            return False

    def write(self, parts: Iterable[bytes | memoryview]) -> None:
        """Send ``parts``; what the socket does not take goes when it is writable again."""
        if not self.closed:
            self._out.extend(parts)
            self._flush()

    def hang_up(self) -> None:
        """Close once everything is sent."""
        self._hanging_up = True
        if not self._out:
            self.close(in_order=True)

    def close(self, *, in_order: bool) -> None:
        """Close now; a second time does nothing."""
        if self.closed:
            return
        self.closed = True
        self._loop.remove_reader(self.sock)
        if self._writing:
            self._loop.remove_writer(self.sock)
        self.sock.close()
        self._on_closed(self, in_order)

    def _read(self) -> None:
        try:
            size = self.sock.recv_into(_SCRATCH)
        except BlockingIOError:
            return
        except OSError:
            self.close(in_order=False)
            return
        if size:
            self._on_data(self, _SCRATCH[:size])
        else:
            self.close(in_order=self._has_read_everything())

    def _has_read_everything(self) -> bool:
        """Whether a peer that closed had taken in all we sent, now that its end of file came.

        A peer that closes with something unread resets the line. But its end of file and our last
        words may cross: then they are still unacknowledged now, or the reset is already here.
        """
        if self._out or self.sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR):
            return False
        unread = array.array("i", [0])
        # Not every system can tell; there, the end of file alone decides.
        with contextlib.suppress(OSError):
            fcntl.ioctl(self.sock, termios.TIOCOUTQ, unread)
        return not unread[0]

    def _flush(self) -> None:
        while self._out:
            parts = [self._out[i] for i in range(min(len(self._out), _MOST_PARTS))]
            try:
                sent = self.sock.sendmsg(parts)
            except BlockingIOError:
                break
            except OSError:
                self.close(in_order=False)
                return
            self._drop(sent)
        if bool(self._out) != self._writing:
            self._writing = not self._writing
            if self._writing:
                self._loop.add_writer(self.sock, self._flush)
            else:
                self._loop.remove_writer(self.sock)
        if self._hanging_up and not self._out:
            self.close(in_order=True)

    def _drop(self, sent: int) -> None:
        while sent:
            first = self._out.popleft()
            if len(first) > sent:
                self._out.appendleft(memoryview(first)[sent:])
                return
            sent -= len(first)
