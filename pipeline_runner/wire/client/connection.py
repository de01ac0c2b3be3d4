"""A blocking connection to the head, for workers, agents and the command line."""

from __future__ import annotations

import os
import socket
from abc import ABC, abstractmethod
from collections import deque
from typing import TYPE_CHECKING, Any

from pipeline_runner import native
from pipeline_runner.errors import NoHead
from pipeline_runner.wire.framing import (
    HEADER_SIZE,
    FrameBuffer,
    decode_from_head,
    encode_frame,
    read_header,
)

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from pipeline_runner.wire.messages import Message
    from pipeline_runner.wire.tls_socket import TlsSocket

_CHUNK = 256 * 1024
_BUFFER = 4 * 1024**2  # a whole large body on its way lets both sides work at once


class Wire(ABC):
    """Frames over one stream. Not for two threads at once: its users hold a lock."""

    def __init__(self, sock: socket.socket | TlsSocket) -> None:
        self.sock = sock  # to watch, not to use: over TLS its bytes are sealed
        self._buffer = bytearray()
        self._arrived: deque[tuple[Any, bytes | memoryview]] = deque()
        self._frame: FrameBuffer | None = None  # a large one
        self._poll: native.poll | None = None
        self.closed = False
        self.heard = 0.0  # over TLS: when anything came last, monotonic seconds

    @staticmethod
    def unix(path: str | Path, timeout_s: float | None = None) -> Wire:
        """Connect to a head's socket on this host. Raises NoHead if none listens there."""
        sock = native.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _BUFFER)
        sock.settimeout(timeout_s)
        try:
            sock.connect(str(path))
        except OSError as error:
            sock.close()
            raise NoHead(f"no head listens at {path}", hint=f"{error.strerror}") from error
        return UnixWire(sock)

    def send(self, message: Message, bodies: Sequence[bytes | memoryview] = ()) -> None:
        """Send one frame whole. Raises OSError when the connection is gone."""
        if not bodies:
            self._put([encode_frame(message)])
            return
        self._put([encode_frame(message, sum(map(len, bodies))), *bodies])

    def receive(self) -> tuple[Any, bytes | memoryview]:
        """Wait for a message and the bodies behind it. Raises EOFError when the head is gone."""
        while not self._arrived:
            self._fill(block=True)
        return self._arrived.popleft()

    def receive_first(self) -> tuple[Any, int]:
        """Wait for the first message; return it and the descriptor that came along, or -1.

        Raises EOFError when the head is gone.
        """
        return self.receive()[0], -1

    def receive_now(self) -> list[tuple[Any, bytes | memoryview]]:
        """Return what one look at the socket brought, without waiting.

        Raises EOFError when the head is gone and nothing of it is left to read.
        """
        if not self._arrived:
            if not self.closed:
                self._fill(block=False)
            if self.closed and not self._arrived:
                raise EOFError("the head closed the connection")
        arrived = list(self._arrived)
        self._arrived.clear()
        return arrived

    def wait(self, wakeup_fd: int) -> bool:
        """Wait until a message may have arrived or ``wakeup_fd`` is readable; is it?"""
        if self._arrived:
            return False
        if self._poll is None:
            self._poll = native.poll()
            self._poll.register(self.sock, native.POLLIN)
            self._poll.register(wakeup_fd, native.POLLIN)
        return wakeup_fd in [fd for fd, _event in self._poll.poll()]

    @abstractmethod
    def set_timeout(self, timeout_s: float | None) -> None:
        """Wait for the head so long at a time from now on; None for as long as it takes."""

    def close(self) -> None:
        """Close the socket; a second time does nothing."""
        self.sock.close()

    @abstractmethod
    def _put(self, parts: Sequence[bytes | memoryview]) -> None:
        """Send ``parts`` whole. Raises OSError when the connection is gone."""

    @abstractmethod
    def _take(self, *, block: bool) -> bytes | memoryview | None:
        """Return what has arrived, empty at the end; None for nothing yet. Raises OSError."""

    @abstractmethod
    def _take_into(self, room: memoryview, *, block: bool) -> int | None:
        """Take some bytes into ``room`` and return how many, 0 at the end; None for nothing yet."""

    def _fill(self, *, block: bool) -> None:
        if self._frame is None:
            try:
                data = self._take(block=block)
            except ConnectionError:
                data = b""
            if data is None:
                return
            if not data:
                self.closed = True
                if block:
                    raise EOFError("the head closed the connection")
                return
            if self._buffer:
                self._buffer += data
                self._parse()
            else:
                self._buffer += data[self._unpack(data) :]
            if self._arrived or len(self._buffer) <= HEADER_SIZE:
                return
            self._begin_frame()
        self._fill_frame(block=block)

    def _parse(self) -> None:
        buffer = self._buffer
        del buffer[: self._unpack(buffer)]

    def _unpack(self, buffer: bytes | bytearray | memoryview) -> int:
        """Take the whole frames off the start of ``buffer``; return how long they are."""
        start, end = 0, len(buffer)
        while end - start >= HEADER_SIZE:
            message_size, bodies_size = read_header(buffer, start)
            body = start + HEADER_SIZE + message_size
            if end < body + bodies_size:
                break
            message = decode_from_head(bytes(buffer[start + HEADER_SIZE : body]))
            self._arrived.append((message, bytes(buffer[body : body + bodies_size])))
            start = body + bodies_size
        return start

    def _begin_frame(self) -> None:
        """Make room for a frame that has begun, kept as it is: a large body is copied only once."""
        total = HEADER_SIZE + sum(read_header(self._buffer))
        self._frame = FrameBuffer(total, self._buffer)
        self._buffer.clear()

    def _fill_frame(self, *, block: bool) -> None:
        assert self._frame is not None
        frame: memoryview | None = None
        while frame is None:
            with self._frame.room() as room:
                got = self._take_into(room, block=block)
            if got is None:
                return
            if not got:
                raise EOFError("the head closed the connection inside a frame")
            frame = self._frame.add(got)
        self._frame = None
        body = HEADER_SIZE + read_header(frame)[0]
        self._arrived.append((decode_from_head(frame[HEADER_SIZE:body]), frame[body:]))


class UnixWire(Wire):
    """Frames over a blocking Unix socket."""

    sock: socket.socket

    def set_timeout(self, timeout_s: float | None) -> None:
        """Wait for the head so long at a time from now on; None for as long as it takes."""
        self.sock.settimeout(timeout_s)

    def receive_first(self) -> tuple[Any, int]:
        """Wait for the first message; return it and the descriptor that came along, or -1.

        Raises EOFError when the head is gone.
        """
        fds: list[int] = []
        while not self._arrived:
            data, more, _flags, _address = socket.recv_fds(self.sock, _CHUNK, 1)
            fds += more
            if not data:
                raise EOFError("the head closed the connection")
            self._buffer += data
            self._parse()
        for fd in fds:
            os.set_inheritable(fd, False)
        return self._arrived.popleft()[0], fds[0] if fds else -1

    def _put(self, parts: Sequence[bytes | memoryview]) -> None:
        if len(parts) == 1:
            self.sock.sendall(parts[0])
            return
        sent = self.sock.sendmsg(parts)
        for part in parts:
            if sent < len(part):
                self.sock.sendall(memoryview(part)[sent:])
            sent = max(0, sent - len(part))

    def _take(self, *, block: bool) -> bytes | None:
        try:
            return self.sock.recv(_CHUNK, 0 if block else socket.MSG_DONTWAIT)
        except BlockingIOError:
            return None

    def _take_into(self, room: memoryview, *, block: bool) -> int:  # noqa: ARG002
        return self.sock.recv_into(room)  # a head of this host is writing the rest at this moment
