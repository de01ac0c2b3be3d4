"""The head's door for its own peers: accepts, and lets nobody stand in it in silence.

A peer has a few seconds to say HELLO, and only so many may be silent at once: beyond that, and when
descriptors run out, the oldest silent one goes, for an honest peer says HELLO at once.
"""

from __future__ import annotations

import errno
import socket
from collections import OrderedDict
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable
    from pathlib import Path

    from pipeline_runner.queues.connection import Connection

HANDSHAKE_S = 5.0
MOST_UNKNOWN = 64  # connections that have not said HELLO
_AGAIN_S = 0.5
_EXHAUSTED = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM})


class Listener:
    """Accepts on a Unix socket. ``welcome`` makes a connection of a socket; ``warn`` tells."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        welcome: Callable[[socket.socket], Connection],
        warn: Callable[[str, str], None],
    ) -> None:
        self._loop = loop
        self._welcome = welcome
        self._warn = warn
        self._socket: socket.socket | None = None
        self._unknown: OrderedDict[Connection, float] = OrderedDict()
        self._sweep: asyncio.TimerHandle | None = None

    def listen(self, path: Path) -> None:
        """Listen on a Unix socket at ``path``. Raises OSError."""
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        listener.setblocking(False)
        listener.bind(str(path))
        path.chmod(0o600)
        listener.listen(1024)
        self._socket = listener
        self._loop.add_reader(listener, self._accept)

    def close(self) -> None:
        """Accept nobody any more; a second time does nothing."""
        if self._sweep is not None:
            self._sweep.cancel()
        if self._socket is not None:
            self._loop.remove_reader(self._socket)
            self._socket.close()
            self._socket = None

    def forget(self, connection: Connection) -> None:
        """A peer has said HELLO, or has gone."""
        self._unknown.pop(connection, None)

    def _accept(self) -> None:
        assert self._socket is not None
        try:
            sock, _address = self._socket.accept()
        except (BlockingIOError, ConnectionError):
            return
        except OSError as error:
            if error.errno not in _EXHAUSTED:
                raise
            self._make_room(self._socket, error)
            return
        sock.setblocking(False)
        self._unknown[self._welcome(sock)] = self._loop.time() + HANDSHAKE_S
        if len(self._unknown) > MOST_UNKNOWN:
            next(iter(self._unknown)).refuse("too many silent connections")
        self._sweep_later()

    def _make_room(self, listener: socket.socket, error: OSError) -> None:
        if self._unknown:
            next(iter(self._unknown)).refuse("too many silent connections for `ulimit -n`")
            return
        self._warn(f"cannot accept connections: {error.strerror}", "raise `ulimit -n`")
        self._loop.remove_reader(listener)
        self._loop.call_later(_AGAIN_S, self._accept_again)

    def _accept_again(self) -> None:
        if self._socket is not None:
            self._loop.add_reader(self._socket, self._accept)

    def _sweep_later(self) -> None:
        if self._sweep is None and self._unknown:
            first = next(iter(self._unknown.values()))
            self._sweep = self._loop.call_at(first, self._sweep_unknown)

    def _sweep_unknown(self) -> None:
        self._sweep = None
        now = self._loop.time()
        for connection, deadline in tuple(self._unknown.items()):
            if deadline <= now:
                connection.refuse("no HELLO in time")
        self._sweep_later()
