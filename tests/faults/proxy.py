"""A bad line between workers and their head: answers that never arrive, frames cut in the middle.

On a stream nothing can be lost but the rest of it, so each fault also ends its connection.
"""

from __future__ import annotations

import random
import socket
import threading
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

from pipeline_runner.queues.framing import HEADER_SIZE, decode_from_head, read_header
from pipeline_runner.queues.messages import Settled

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

ODDS = 0.1  # of a fault, for each frame that may have one


class Line:
    """Does ``drops`` and ``cuts`` faults in all, spread over the frames that pass."""

    def __init__(self, listens: Path, head: Path, *, drops: int, cuts: int, seed: int) -> None:
        self.dropped = 0  # answers to a settle
        self.cut = 0  # frames, of either direction
        self._drops, self._cuts = drops, cuts
        self._head = head
        self._chance = random.Random(seed)
        self._lock = threading.Lock()
        self._open: set[socket.socket] = set()
        self._listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._listener.bind(str(listens))
        self._listener.listen(64)
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
                head = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
                try:
                    head.connect(str(self._head))
                except OSError:
                    worker.close()
                    head.close()
                    continue
                self._open |= {worker, head}
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
        for sock in (source, target):
            _end(sock)
        self._open -= {source, target}

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
def line(listens: Path, head: Path, *, drops: int, cuts: int, seed: int) -> Iterator[Line]:
    """Give a bad line from ``listens`` to ``head``, both Unix sockets."""
    bad = Line(listens, head, drops=drops, cuts=cuts, seed=seed)
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
