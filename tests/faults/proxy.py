"""A bad line between workers and their head: answers that never arrive, frames cut in the middle.

On a stream nothing can be lost but the rest of it, so each fault also ends its connection.
"""

from __future__ import annotations

import random
import socket
import threading
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

from pipeline_runner.wire.framing import HEADER_SIZE, decode_from_head, read_header
from pipeline_runner.wire.messages import Settled
from tests.faults.altered import BAD_LINE

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.e2e.kit import Project

ODDS = 0.1  # of a fault, for each frame that may have one


class Line:
    """Does ``drops`` and ``cuts`` faults in all, spread over the frames that pass.

    ``listener`` is where workers come, and ``connect`` leads to the head.
    """

    def __init__(
        self,
        listener: socket.socket,
        connect: Callable[[], socket.socket],
        *,
        drops: int,
        cuts: int,
        seed: int,
    ) -> None:
        self.dropped = 0  # answers to a settle
        self.cut = 0  # frames, of either direction
        self._drops, self._cuts = drops, cuts
        self._connect = connect
        self._chance = random.Random(seed)
        self._lock = threading.Lock()
        self._open: set[socket.socket] = set()
        self._listener = listener
        threading.Thread(target=self._accept, daemon=True).start()

    @property
    def is_through(self) -> bool:
        """Whether every fault has been done."""
        return (self.dropped, self.cut) == (self._drops, self._cuts)

    def close(self) -> None:
        """End every connection."""
        _end(self._listener)
        for sock in tuple(self._open):
            _end(sock)

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                worker, _address = self._listener.accept()
                try:
                    head = self._connect()
                except OSError:
                    worker.close()
                    continue
                self._open |= {worker, head}
                self._join(worker, head)

    def _join(self, worker: socket.socket, head: socket.socket) -> None:
        for pair in ((worker, head, self._cuts_it), (head, worker, self._from_head)):
            threading.Thread(target=self._pass_on, args=pair, daemon=True).start()

    def _pass_on(
        self, source: socket.socket, target: socket.socket, harm: Callable[[bytes], bytes | None]
    ) -> None:
        with suppress(OSError, EOFError):
            while True:
                frame = _frame(source)
                left = harm(frame)
                target.sendall(frame if left is None else left)
                if left is not None:
                    break
        self._part(source, target)

    def _part(self, *socks: socket.socket) -> None:
        for sock in socks:
            _end(sock)
        self._open -= set(socks)

    def _from_head(self, frame: bytes) -> bytes | None:
        """Return what is left of a frame; None for one that passes unharmed."""
        message_size, _bodies = read_header(frame)
        message = decode_from_head(frame[HEADER_SIZE : HEADER_SIZE + message_size])
        if isinstance(message, Settled):
            with self._lock:
                if self.dropped < self._drops and self._chance.random() < ODDS:
                    self.dropped += 1
                    return b""
        return self._cuts_it(frame)

    def _cuts_it(self, frame: bytes) -> bytes | None:
        with self._lock:
            if self.cut < self._cuts and self._chance.random() < ODDS / 2:
                self.cut += 1
                return frame[: self._chance.randrange(1, len(frame))]
        return None


@contextmanager
def line(project: Project, *, drops: int, cuts: int, seed: int) -> Iterator[Line]:
    """Give a bad line to a project's head, between Unix sockets."""
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    listener.bind(str(project.root / BAD_LINE))
    listener.listen(64)

    def connect() -> socket.socket:
        head = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            head.connect(str(project.state / "head.sock"))
        except OSError:
            head.close()
            raise
        return head

    bad = Line(listener, connect, drops=drops, cuts=cuts, seed=seed)
    try:
        yield bad
    finally:
        bad.close()


def _frame(sock: socket.socket) -> bytes:
    header = _exactly(sock, HEADER_SIZE)
    return header + _exactly(sock, sum(read_header(header)))


def _exactly(sock: socket.socket, size: int) -> bytes:
    parts = bytearray()
    while len(parts) < size:
        got = sock.recv(size - len(parts))
        if not got:
            raise EOFError
        parts += got
    return bytes(parts)


def _end(sock: socket.socket) -> None:
    with suppress(OSError):  # wakes the thread that waits in it
        sock.shutdown(socket.SHUT_RDWR)
    sock.close()
