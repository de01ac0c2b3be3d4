"""TLS over TCP, 1.3 and nothing older, with the few methods of a socket that frames need.

Nobody vouches for a head's certificate: it is known by its fingerprint, or by the proof that is
bound to it. A connection never blocks; whoever waits for it watches its descriptor.
"""

from __future__ import annotations

import hashlib
import socket
import ssl
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

_RECORD = 16 * 1024  # what TLS seals at a time, at most
_PIECE = 256 * 1024  # offered to it at a time; what it has begun must be offered again
_NO_ANCILLARY: tuple[tuple[int, int, bytes], ...] = ()

# An idle path is probed, so that one that is dead is noticed in about 12 s.
_IDLE_S, _PROBE_S, _PROBES = 5, 2, 3
_UNANSWERED_MS = 12_000


def head_context(certificate: Path, key: Path) -> ssl.SSLContext:
    """Return the TLS of a head: its certificate and key, two PEM files. Raises OSError."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.load_cert_chain(certificate, key)
    context.num_tickets = 0  # sessions are not resumed: each connection proves its key
    return context


def client_context() -> ssl.SSLContext:
    """Return the TLS of a client: it takes any certificate, and its user must look at it."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


def keep_awake(sock: socket.socket, *, gives_up: bool) -> None:
    """Send without delay, and have a dead path noticed, as far as the system can.

    With ``gives_up`` also by what is not taken from us: not for a head, whose busy workers may
    leave what it sent unread for as long as an item takes.
    """
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    if sys.platform == "linux":
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, _IDLE_S)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, _PROBE_S)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPCNT, _PROBES)
        if gives_up:
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, _UNANSWERED_MS)


class NotTlsError(ConnectionError):
    """The other side speaks no TLS that we take."""


class TlsSocket:
    """One end of a TLS connection over ``sock``, which is this object's from now on.

    What would wait raises BlockingIOError, what is broken OSError. Not for two threads at once.
    """

    def __init__(self, sock: socket.socket, context: ssl.SSLContext, *, is_head: bool) -> None:
        sock.setblocking(False)
        try:
            self._tls = context.wrap_socket(
                sock, server_side=is_head, do_handshake_on_connect=False
            )
        except BaseException:
            sock.close()
            raise
        self.wants_write = False  # the handshake waits for room to send
        self._begun: bytes | memoryview | None = None

    def fileno(self) -> int:
        """Return the descriptor to watch."""
        return self._tls.fileno()

    def handshake(self) -> None:
        """Go on with the handshake; returns when it is over. Raises NotTlsError too."""
        self.wants_write = False
        try:
            self._tls.do_handshake()
        except ssl.SSLWantReadError:
            raise BlockingIOError from None
        except ssl.SSLWantWriteError:
            self.wants_write = True
            raise BlockingIOError from None
        except ssl.SSLEOFError as error:
            raise ConnectionError("it hung up") from error
        except ssl.SSLError as error:
            raise NotTlsError(_words(error)) from error

    def fingerprint(self) -> str:
        """Return the SHA-256 of the other side's certificate, in hex."""
        return hashlib.sha256(self._tls.getpeercert(binary_form=True) or b"").hexdigest()

    @property
    def pending(self) -> int:
        """Bytes that have arrived and that no look at the descriptor will tell of."""
        return self._tls.pending()

    def recv_into(self, room: memoryview) -> int:
        """Fill ``room`` with what has arrived and return how much that was; 0 at the end."""
        filled, size = 0, len(room)
        try:
            while filled < size:
                got = self._tls.read(size - filled, room[filled:])
                assert isinstance(got, int)
                filled += got
                if got < _RECORD:  # more may be there, and the descriptor will say so
                    break
        except (ssl.SSLWantReadError, ssl.SSLWantWriteError):
            if not filled:
                raise BlockingIOError from None
        except OSError as error:  # what came before it counts, and the next call says it again
            if not filled:
                raise ConnectionError(_words(error)) from error
        except ValueError as error:  # another thread has closed it: a plain socket says EBADF
            raise ConnectionError("the connection is closed") from error
        return filled

    def sendmsg(
        self,
        parts: Sequence[bytes | memoryview],
        _ancillary: Sequence[tuple[int, int, bytes]] = _NO_ANCILLARY,
    ) -> int:
        """Send some of ``parts`` and return how many bytes; the next call goes on behind them."""
        piece = self._begun if self._begun is not None else _piece(parts)
        try:
            self._tls.send(piece)
        except (ssl.SSLWantWriteError, ssl.SSLWantReadError):
            self._begun = piece
            raise BlockingIOError from None
        except OSError as error:
            raise ConnectionError(_words(error)) from error
        self._begun = None
        return len(piece)

    def close(self) -> None:
        """Close it; a second time does nothing."""
        self._tls.close()


def _piece(parts: Sequence[bytes | memoryview]) -> bytes | memoryview:
    """Return the beginning of ``parts`` to send: one large part as it is, small ones as one."""
    first = parts[0]
    if len(first) >= _RECORD or len(parts) == 1:
        return memoryview(first)[:_PIECE]
    chosen: list[bytes | memoryview] = []
    room = _RECORD
    for part in parts:
        if len(part) >= room:
            chosen.append(memoryview(part)[:room])
            break
        chosen.append(part)
        room -= len(part)
    return b"".join(chosen)


def _words(error: OSError) -> str:
    """Say what OpenSSL says, without where in its source it says so."""
    reason = getattr(error, "reason", None)
    return str(reason).replace("_", " ").lower() if reason else error.strerror or str(error)
