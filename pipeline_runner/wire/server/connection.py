"""One peer of the head: frames in and out of a non-blocking socket on the head's event loop."""

from __future__ import annotations

import socket
import sys
import time
from collections import deque
from itertools import islice
from typing import TYPE_CHECKING, Any

from pipeline_runner.errors import ProtocolError
from pipeline_runner.wire.framing import (
    HEADER_SIZE,
    MOST_MESSAGE,
    MOST_UNKNOWN,
    FrameBuffer,
    check_sizes,
    decode_to_head,
    encode_frame,
    read_header,
)

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable

    from pipeline_runner.wire.messages import Message
    from pipeline_runner.wire.tls_socket import TlsSocket

_READ = 128 * 1024  # a longer frame gets memory of its own once it has begun
_SCRATCH = memoryview(bytearray(_READ))  # one for all peers: an idle one costs next to nothing
_MOST_READ = 1024**2  # of a long frame at a time: others wait
_MOST_SENT = 4 * 1024**2  # at a time: a fast reader of much must not keep others waiting either
_MOST_PARTS = 64  # of one sendmsg; IOV_MAX is 1024


class Connection:
    """A peer. ``known`` once its HELLO was accepted; its messages go to ``on_message``.

    A worker's message that is sound, but has bodies that are too large, goes to ``on_unusable``
    with the reason, and its bodies nowhere: it goes on, and will not send the same again. Without
    a message, what came is none; its connection is closed then.
    """

    def __init__(
        self,
        sock: socket.socket | TlsSocket,
        loop: asyncio.AbstractEventLoop,
        most_bodies: int,
        on_message: Callable[[Connection, Any, memoryview], None],
        on_closed: Callable[[Connection], None],
        on_offence: Callable[[Connection, str], None],
        on_unusable: Callable[[Connection, Any, str], None],
        *,
        remote: str = "",
    ) -> None:
        self.sock = sock
        self.known = False
        self.shares = True  # a worker: memory, if there is some to share
        self.role = ""
        self.session = 0  # a worker's
        self.peer = ""  # a worker's id or an agent's host
        self.host = ""
        self.remote = remote  # its address, over TLS; empty on this host
        self.key = b""  # the one it has proved to know, over TLS
        self.heard = loop.time()  # when something of it came last: over TLS, that has the key
        self.closed = False
        self._loop = loop
        self._most_bodies = most_bodies
        self._on_message = on_message
        self._on_closed = on_closed
        self._on_offence = on_offence
        self._on_unusable = on_unusable
        self._partial = bytearray()
        self._frame: FrameBuffer | None = None  # a large one
        self._unread = 0  # bytes of bodies that are thrown away as they come
        self._out: deque[bytes | memoryview] = deque()
        self._writing = False
        self._fd = -1  # to go along with what is sent next
        self._drained = 0  # parts that are sent whole
        self._lent: deque[tuple[int, Callable[[], None]]] = deque()  # each until so many are
        loop.add_reader(sock, self._read_sealed if remote else self.read)

    @property
    def behind(self) -> int:
        """Parts of frames that the peer has not read yet."""
        return len(self._out)

    def queue(
        self,
        message: Message,
        data: bytes | memoryview | None = None,
        *,
        fd: int = -1,
        sent: Callable[[], None] | None = None,
    ) -> None:
        """Add a frame to what the next :meth:`flush` sends; ``fd`` goes along with it.

        ``sent`` is called once ``data`` is sent, or never will be: it may change from then on.
        """
        if fd >= 0:
            self._fd = fd
        self._out.append(encode_frame(message, 0 if data is None else len(data)))
        if data:
            self._out.append(data)
        if sent is not None:
            self._lent.append((self._drained + len(self._out), sent))

    def flush(self) -> None:
        """Send what is queued; what the socket does not take goes when it is writable again."""
        room = _MOST_SENT
        while self._out and room > 0 and not self.closed:
            parts = list(islice(self._out, _MOST_PARTS))
            try:
                sent = self.sock.sendmsg(parts, () if self._fd < 0 else self._ancillary())
            except BlockingIOError:
                break
            except OSError:
                self.close()
                return
            self._fd = -1
            self._drop(sent)
            room -= sent
        if bool(self._out) != self._writing and not self.closed:
            self._writing = not self._writing
            if self._writing:
                self._loop.add_writer(self.sock, self.flush)
            else:
                self._loop.remove_writer(self.sock)

    def _ancillary(self) -> list[tuple[int, int, bytes]]:
        return [(socket.SOL_SOCKET, socket.SCM_RIGHTS, self._fd.to_bytes(4, sys.byteorder))]

    def _drop(self, sent: int) -> None:
        while sent:
            first = self._out.popleft()
            if len(first) > sent:
                self._out.appendleft(memoryview(first)[sent:])
                break
            sent -= len(first)
            self._drained += 1
        while self._lent and self._lent[0][0] <= self._drained:
            self._lent.popleft()[1]()

    def read(self, scratch: memoryview = _SCRATCH) -> bool:
        """Read once and handle every whole frame; return whether anything came."""
        if self.closed:
            return False
        frame = self._frame
        try:
            if frame is None:
                size = self.sock.recv_into(scratch)
            else:
                with frame.room(_MOST_READ) as room:
                    size = self.sock.recv_into(room)
        except BlockingIOError:
            return False
        except OSError:  # a reset: what it sent before was read before
            self.close()
            return False
        if not size:
            self.close()
            return False
        if self.known:
            self.heard = time.monotonic()  # the loop's time too
        try:
            if frame is None:
                self._received(scratch[:size])
            else:
                self._continued(frame, size)
        except ProtocolError as error:
            if self.role == "worker":
                self._on_unusable(self, None, _words(error))
            self.refuse(error.message, error.hint)
        return True

    def _read_sealed(self) -> None:
        """Read until nothing is left that only TLS knows of: the loop does not watch that."""
        while self.read() and not self.closed and self.sock.pending:  # type: ignore[union-attr]
            pass

    def read_to_end(self) -> None:
        """Handle everything the peer had sent: for one that is known to be dead."""
        # Another peer's frames may lie in the shared buffer: it is their handling that led here.
        scratch = memoryview(bytearray(_READ))
        while self.read(scratch):
            pass

    def refuse(self, why: str, hint: str = "") -> None:
        """Close the connection of a peer that broke the rules, and say so."""
        if not self.closed:
            self._on_offence(self, f"{why} ({hint})" if hint else why)
            self.close()

    def close(self) -> None:
        """Forget the peer; a second time does nothing."""
        if self.closed:
            return
        self.closed = True
        self._loop.remove_reader(self.sock)
        if self._writing:
            self._loop.remove_writer(self.sock)
        self.sock.close()
        for _until, sent in self._lent:
            sent()
        self._on_closed(self)

    def _received(self, data: memoryview) -> None:
        if self._unread:
            skipped = min(self._unread, len(data))
            self._unread -= skipped
            data = data[skipped:]
        if not self._partial:
            used = self._frames(data)
            if used < len(data) and not self.closed:
                self._keep(data[used:])
            return
        self._partial += data
        # The first sizes are checked as soon as they are here, before more is kept for them.
        with memoryview(self._partial) as view:
            used = self._frames(view)
        if self.closed:  # by one of the frames: no length behind it was checked
            self._partial.clear()
        elif used or len(self._partial) >= HEADER_SIZE:
            rest = bytes(self._partial[used:])
            self._partial.clear()
            self._keep(memoryview(rest))

    def _keep(self, rest: memoryview) -> None:
        """Keep the beginning of a frame; a large one's in memory of its own, copied once."""
        if len(rest) >= HEADER_SIZE:
            message_size, bodies_size = read_header(rest)
            # Of bodies that are too large only the message is waited for.
            bodies_size = 0 if bodies_size > self._most_bodies else bodies_size
            total = HEADER_SIZE + message_size + bodies_size
            if total > _READ:
                self._frame = FrameBuffer(total, rest)
                return
        self._partial += rest

    def _continued(self, frame: FrameBuffer, size: int) -> None:
        whole = frame.add(size)
        if whole is not None:
            self._frame = None
            self._frames(whole.toreadonly())

    def _frames(self, data: memoryview) -> int:
        start, end = 0, len(data)
        while end - start >= HEADER_SIZE and not self.closed:
            message_size, bodies_size = read_header(data, start)
            if not self.known or message_size + bodies_size > MOST_UNKNOWN:
                try:
                    check_sizes(
                        message_size, bodies_size, known=self.known, most_bodies=self._most_bodies
                    )
                except ProtocolError as error:
                    used = self._unusable(data[start:], error)
                    if not used:
                        break
                    start += used
                    continue
            body = start + HEADER_SIZE + message_size
            stop = body + bodies_size
            if end < stop:
                break
            message = decode_to_head(data[start + HEADER_SIZE : body])
            self._on_message(self, message, data[body:stop])
            start = stop
        return start

    def _unusable(self, data: memoryview, error: ProtocolError) -> int:
        """Hand on a worker's message without its bodies, which are too large.

        Return how many bytes were used, 0 where more of the message has to come. Raises ``error``
        again for any other frame.
        """
        message_size, bodies_size = read_header(data)
        if self.role != "worker" or message_size > MOST_MESSAGE:
            raise error
        body = HEADER_SIZE + message_size
        if len(data) < body:
            return 0
        message = decode_to_head(data[HEADER_SIZE:body])
        self._unread = max(0, bodies_size - (len(data) - body))
        self._on_unusable(self, message, _words(error))
        return min(len(data), body + bodies_size)


def _words(error: ProtocolError) -> str:
    return f"{error.message} ({error.hint})" if error.hint else error.message
