"""A blocking connection to a head over TLS: opened, proved from both sides, then frames as ever."""

from __future__ import annotations

import secrets
import socket
import threading
import time
from functools import partial
from typing import TYPE_CHECKING

from pipeline_runner import native
from pipeline_runner.errors import NoHead, ProtocolError, Refused
from pipeline_runner.wire.client.connection import Wire
from pipeline_runner.wire.client.prover import Prover
from pipeline_runner.wire.proof import NONCE_BYTES
from pipeline_runner.wire.tls_socket import NotTlsError, TlsSocket, client_context, keep_awake

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from pipeline_runner.wire.endpoint import Endpoint

PATIENCE_S = 10.0  # for each answer of the other side
_ROOM = 16 * 1024  # a whole record, so that nothing is left that only TLS knows of


class SealedWire(Wire):
    """Frames over TLS. One thread may send while another waits."""

    sock: TlsSocket

    def __init__(self, sock: TlsSocket, timeout_s: float | None) -> None:
        super().__init__(sock)
        self._timeout_s = timeout_s
        self._lock = threading.Lock()
        self._room = memoryview(bytearray(_ROOM))

    def set_timeout(self, timeout_s: float | None) -> None:
        """Wait for the head so long at a time from now on; None for as long as it takes."""
        self._timeout_s = timeout_s

    def _put(self, parts: Sequence[bytes | memoryview]) -> None:
        left = list(parts)
        while left:
            try:
                with self._lock:
                    sent = self.sock.sendmsg(left)
            except BlockingIOError:
                _wait(self.sock, native.POLLOUT, self._timeout_s)
                continue
            while left and sent >= len(left[0]):
                sent -= len(left.pop(0))
            if sent:
                left[0] = memoryview(left[0])[sent:]

    def _take(self, *, block: bool) -> memoryview | None:
        size = self._take_into(self._room, block=block)
        return None if size is None else self._room[:size]

    def _take_into(self, room: memoryview, *, block: bool) -> int | None:
        while True:
            try:
                with self._lock:
                    size = self.sock.recv_into(room)
            except BlockingIOError:
                if not block:
                    return None
                _wait(self.sock, native.POLLIN, self._timeout_s)
                continue
            self.heard = time.monotonic()
            return size

    def _fill(self, *, block: bool) -> None:
        super()._fill(block=block)
        while not self.closed and self.sock.pending:  # no look at the descriptor would tell
            super()._fill(block=False)


def open_sealed(door: Endpoint, timeout_s: float | None) -> Wire:
    """Connect to the head behind a TCP door; see :func:`.dial.open_wire`.

    Nothing is said before both sides have proved the door's key.
    """
    sock, _prover = _open(door, b"", timeout_s)
    return SealedWire(sock, timeout_s)


def redeem(door: Endpoint, token: bytes, timeout_s: float | None = None) -> bytes:
    """Redeem a token and return what it is good for. The door's key is the token's secret.

    Raises NoHead if no head is there, Refused if the token was used, has expired, or is not of
    the head that is.
    """
    sock, prover = _open(door, token, timeout_s)
    sock.close()
    assert prover.gift is not None
    return prover.gift


def _open(door: Endpoint, token: bytes, timeout_s: float | None) -> tuple[TlsSocket, Prover]:
    patience_s = PATIENCE_S if timeout_s is None else timeout_s
    try:
        sock = socket.create_connection((door.host, door.port), patience_s)
    except (OSError, UnicodeError) as error:
        words = getattr(error, "strerror", None) or str(error)
        raise NoHead(f"no head answers at {door}: {words}", hint=_NOBODY) from error
    tls: TlsSocket | None = None
    try:
        keep_awake(sock, gives_up=True)
        tls = TlsSocket(sock, client_context(), is_head=False)
        prover = _prove(tls, door, token, patience_s)
    except BaseException as error:
        (tls or sock).close()
        if isinstance(error, ProtocolError):
            raise NoHead(f"{door} is no head: {error.message}", hint=_NO_HEAD) from error
        if isinstance(error, NotTlsError):
            raise NoHead(f"{door} does not speak TLS 1.3: {error}", hint=_NO_HEAD) from error
        if isinstance(error, TimeoutError):
            raise NoHead(f"{door} takes connections, and says nothing", hint=_NOBODY) from error
        if isinstance(error, (EOFError, ConnectionError)):
            raise NoHead(f"{door} hung up before it said who it is", hint=_HUNG_UP) from error
        if isinstance(error, OSError):
            raise NoHead(f"no head answers at {door}: {error}", hint=_NOBODY) from error
        raise
    return tls, prover


def _prove(tls: TlsSocket, door: Endpoint, token: bytes, patience_s: float) -> Prover:
    _step(tls, tls.handshake, patience_s)
    fingerprint = tls.fingerprint()
    if door.fingerprint and fingerprint != door.fingerprint:
        raise Refused(
            f"{door} shows another certificate than the head's",
            hint="somebody stands in between, or the head is a new one: look for it again",
        )
    key, certificate = bytes.fromhex(door.key), bytes.fromhex(fingerprint)
    nonce = secrets.token_bytes(NONCE_BYTES)
    prover = Prover(key, certificate, nonce, token=token, place=str(door))
    room = memoryview(bytearray(_ROOM))
    while not prover.is_through:
        size = _step(tls, partial(tls.recv_into, room), patience_s)
        if not size:
            raise EOFError
        answer = prover.receive(room[:size])
        if answer:
            _step(tls, partial(tls.sendmsg, [answer]), patience_s)
    if prover.rest:
        raise ProtocolError("it opens like no head does")
    return prover


def _step(tls: TlsSocket, go_on: Callable[[], int | None], patience_s: float) -> int:
    while True:
        try:
            return go_on() or 0
        except BlockingIOError:
            _wait(tls, native.POLLOUT if tls.wants_write else native.POLLIN, patience_s)


def _wait(sock: TlsSocket, event: int, timeout_s: float | None) -> None:
    """Wait until ``sock`` is ready, or broken. Raises TimeoutError after ``timeout_s`` seconds."""
    poll = native.poll()
    poll.register(sock, event)
    if not poll.poll(None if timeout_s is None else timeout_s * 1000):
        raise TimeoutError("timed out")


_NOBODY = "is `runner up` running there, and does a firewall let its TCP port through?"
_NO_HEAD = "something else than a head listens there: `runner up` says which port it has"
_HUNG_UP = "it may have too many visitors: try again in a moment"
