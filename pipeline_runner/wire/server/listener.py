"""The head's doors for its own peers: accepts, and lets nobody stand in them in silence.

A peer has a few seconds for each step until it has said HELLO, and only so many may be on their way
at once; see :mod:`pipeline_runner.wire.server.admission`.
"""

from __future__ import annotations

import errno
import secrets
import socket
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from pipeline_runner.errors import UsageError
from pipeline_runner.wire.proof import NONCE_BYTES, Speaks
from pipeline_runner.wire.server.admission import Admission, FailedProofs, LogThrottle
from pipeline_runner.wire.server.handshake import PendingHandshake
from pipeline_runner.wire.server.verifier import Verifier
from pipeline_runner.wire.tls_socket import TlsSocket, head_context, keep_awake

if TYPE_CHECKING:
    import asyncio
    import ssl
    from collections.abc import Callable
    from pathlib import Path

    from pipeline_runner.wire.server.connection import Connection
    from pipeline_runner.wire.server.verifier import Accepted, Keyring

FIRST_PORT = 50000
_PORTS = 100  # how many to try
_BACKLOG = 1024
_AGAIN_S = 0.5
_EXHAUSTED = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM})


class Certificate(Protocol):
    """Two PEM files, and the SHA-256 of the certificate in hex."""

    @property
    def cert(self) -> Path:
        """The certificate."""

    @property
    def key(self) -> Path:
        """Its private key."""

    @property
    def fingerprint(self) -> str:
        """The SHA-256 of the certificate, 64 digits."""


@dataclass(frozen=True, slots=True)
class _Sealed:
    """What a TCP socket speaks TLS with, and whom it lets in."""

    context: ssl.SSLContext
    fingerprint: bytes
    keyring: Keyring


class Listener:
    """Accepts. ``welcome`` makes a connection of a socket and its address; ``warn`` tells."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        welcome: Callable[[socket.socket | TlsSocket, str], Connection],
        warn: Callable[[str, str], None],
    ) -> None:
        self._loop = loop
        self._welcome = welcome
        self._warn = warn
        self._sockets: dict[socket.socket, _Sealed | None] = {}
        self._admission: Admission[Connection | PendingHandshake] = Admission()
        self._failures = FailedProofs()
        self._throttle = LogThrottle()
        self._sweep: asyncio.TimerHandle | None = None

    def listen(self, path: Path) -> None:
        """Listen on a Unix socket at ``path``. Raises OSError."""
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        listener.bind(str(path))
        path.chmod(0o600)
        self._serve(listener, None)

    def listen_tls(
        self, bind: str, port: int | None, certificate: Certificate, keyring: Keyring
    ) -> int:
        """Listen for TLS at the address ``bind``, for peers with a key of ``keyring``.

        Return the port: ``port``, or without one 50000 or the next that is free. Raises
        UsageError if there is none.
        """
        context = head_context(certificate.cert, certificate.key)
        listener = tcp_listener(bind, port)
        self._serve(listener, _Sealed(context, bytes.fromhex(certificate.fingerprint), keyring))
        got: int = listener.getsockname()[1]
        return got

    def close(self) -> None:
        """Accept nobody any more; a second time does nothing."""
        if self._sweep is not None:
            self._sweep.cancel()
        for listener in self._sockets:
            self._loop.remove_reader(listener)
            listener.close()
        self._sockets.clear()
        for guest in self._admission.everybody():
            if isinstance(guest, PendingHandshake):
                guest.refuse("")

    def forget(self, connection: Connection) -> None:
        """A peer has said HELLO, or has gone."""
        self._admission.leave(connection)

    def say(self, text: str, hint: str = "") -> None:
        """Warn, but not of the same again and again: somebody may be knocking all day."""
        words = self._throttle.words(text, self._loop.time())
        if words:
            self._warn(words, hint)

    def _serve(self, listener: socket.socket, sealed: _Sealed | None) -> None:
        listener.setblocking(False)
        listener.listen(_BACKLOG)
        self._sockets[listener] = sealed
        self._loop.add_reader(listener, self._accept, listener)

    def _accept(self, listener: socket.socket) -> None:
        try:
            sock, address = listener.accept()
        except (BlockingIOError, ConnectionError):
            return
        except OSError as error:
            if error.errno not in _EXHAUSTED:
                raise
            self._make_room(listener, error)
            return
        sock.setblocking(False)
        sealed = self._sockets[listener]
        if sealed is None:
            self._admission.enter(self._welcome(sock, ""), "", self._loop.time())
        else:
            try:
                self._open(sock, address[0], sealed)
            except OSError:  # it has gone already
                sock.close()
                return
        surplus = self._admission.surplus()
        if surplus is not None:
            surplus.refuse("too many silent connections")
        self._sweep_later()

    def _open(self, sock: socket.socket, remote: str, sealed: _Sealed) -> None:
        keep_awake(sock, gives_up=False)
        nonce = secrets.token_bytes(NONCE_BYTES)
        verifier = Verifier(sealed.keyring, sealed.fingerprint, nonce)
        tls = TlsSocket(sock, sealed.context, is_head=True)
        opening = PendingHandshake(tls, remote, self._loop, verifier, self)
        now = self._loop.time()
        self._admission.enter(opening, remote, now)
        wait_s = self._failures.wait_s(remote, now)
        if wait_s:
            self._loop.call_later(wait_s, self._begin, opening)
        else:
            opening.begin()

    def _begin(self, opening: PendingHandshake) -> None:
        if opening in self._admission:
            self._admission.stepped(opening, self._loop.time())
            opening.begin()

    # What an opening tells.

    def stepped(self, opening: PendingHandshake) -> None:
        """The peer has said something."""
        self._admission.stepped(opening, self._loop.time())

    def opened(self, opening: PendingHandshake, accepted: Accepted) -> None:
        """The peer has proved itself."""
        self._failures.passed(opening.remote)
        mine = Speaks()
        if not mine.understands(accepted.speaks):
            self.ended(opening, f"it is {accepted.speaks}, and this head is {mine}")
            opening.sock.close()
        elif accepted.gift:
            self._admission.leave(opening)
            opening.sock.close()
        else:
            connection = self._welcome(opening.sock, opening.remote)
            connection.key = accepted.key
            self._admission.replaced(opening, connection)

    def denied(self, opening: PendingHandshake, why: str) -> None:
        """The peer does not know the key."""
        self._failures.failed(opening.remote, self._loop.time())
        self.ended(opening, why)

    def ended(self, opening: PendingHandshake, why: str) -> None:
        """The peer is gone."""
        self._admission.leave(opening)
        if why:
            self.say(f"turned away {opening.remote}: {why}")

    def _make_room(self, listener: socket.socket, error: OSError) -> None:
        oldest = self._admission.oldest()
        if oldest is not None:
            oldest.refuse("too many silent connections for `ulimit -n`")
            return
        self.say(f"cannot accept connections: {error.strerror}", "raise `ulimit -n`")
        self._loop.remove_reader(listener)
        self._loop.call_later(_AGAIN_S, self._accept_again, listener)

    def _accept_again(self, listener: socket.socket) -> None:
        if listener in self._sockets:
            self._loop.add_reader(listener, self._accept, listener)

    def _sweep_later(self) -> None:
        due = self._admission.next_late() if self._sweep is None else None
        if due is not None:
            self._sweep = self._loop.call_at(due, self._sweep_late)

    def _sweep_late(self) -> None:
        self._sweep = None
        for guest in self._admission.late(self._loop.time()):
            guest.refuse("no HELLO in time")
        self._sweep_later()


def tcp_listener(bind: str, port: int | None, *, first: int = FIRST_PORT) -> socket.socket:
    """Return a socket bound to ``port``, or without one to ``first`` or the next that is free.

    Raises UsageError that names the address and the cure.
    """
    ports = range(first, min(first + _PORTS, 65536)) if port is None else (port,)
    family = socket.AF_INET6 if ":" in bind else socket.AF_INET
    for each in ports:
        try:
            return socket.create_server((bind, each), family=family, backlog=_BACKLOG)
        except (OSError, UnicodeError) as error:
            if getattr(error, "errno", 0) != errno.EADDRINUSE or each == ports[-1]:
                raise UsageError(
                    f"cannot listen on {bind}:{each}: {getattr(error, 'strerror', None) or error}",
                    hint="`bind` and `port` in [server]",
                ) from error
    raise AssertionError(ports)
