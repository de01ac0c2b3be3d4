"""A peer on TCP, from its first byte until it has proved that it knows a key."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from pipeline_runner.errors import ProtocolError
from pipeline_runner.wire.server.verifier import Denied
from pipeline_runner.wire.tls_socket import NotTlsError

if TYPE_CHECKING:
    import asyncio

    from pipeline_runner.wire.server.verifier import Accepted, Verifier
    from pipeline_runner.wire.tls_socket import TlsSocket

_READ = 2048


class Opener(Protocol):
    """Whom an opening tells how it goes. Each of the last three is its end."""

    def stepped(self, opening: PendingHandshake) -> None:
        """The peer has said something."""

    def opened(self, opening: PendingHandshake, accepted: Accepted) -> None:
        """It has proved itself: its socket is to be taken over, or closed."""

    def denied(self, opening: PendingHandshake, why: str) -> None:
        """It was told that it does not have the key, and is gone."""

    def ended(self, opening: PendingHandshake, why: str) -> None:
        """It is gone; ``why`` is empty where it went by itself."""


class PendingHandshake:
    """The handshake of TLS, then the proof. ``remote`` is the peer's address."""

    def __init__(
        self,
        sock: TlsSocket,
        remote: str,
        loop: asyncio.AbstractEventLoop,
        verifier: Verifier,
        opener: Opener,
    ) -> None:
        self.sock = sock
        self.remote = remote
        self._loop = loop
        self._verifier = verifier
        self._opener = opener
        self._shaken = False
        self._over = False
        self._writing = False

    def begin(self) -> None:
        """Look at what the peer sends, from now on."""
        if not self._over:
            self._loop.add_reader(self.sock, self._go_on)

    def refuse(self, why: str, _hint: str = "") -> None:
        """Close the connection, and say why."""
        if not self._over:
            self._leave()
            self.sock.close()
            self._opener.ended(self, why)

    def _go_on(self) -> None:
        self._opener.stepped(self)
        try:
            if not self._shaken:
                self._shake()
            else:
                self._take_in()
        except BlockingIOError:
            self._await_room(self.sock.wants_write)
        except ProtocolError as error:
            self.refuse(error.message)
        except NotTlsError as error:
            self.refuse(f"it does not speak TLS 1.3 ({error})")
        except OSError:
            self.refuse("")

    def _shake(self) -> None:
        self.sock.handshake()
        self._shaken = True
        self._await_room(False)
        self._send(self._verifier.challenge())

    def _take_in(self) -> None:
        room = memoryview(bytearray(_READ))
        size = self.sock.recv_into(room)
        if not size:
            self.refuse("")
            return
        verdict = self._verifier.receive(room[:size])
        if verdict is None:
            return
        self._send(verdict.reply)
        self._leave()
        if isinstance(verdict, Denied):
            self.sock.close()
            self._opener.denied(self, verdict.why)
        else:
            self._opener.opened(self, verdict)

    def _send(self, data: bytes) -> None:
        try:
            self.sock.sendmsg([data])
        except BlockingIOError:
            raise ProtocolError("it does not read what it is asked") from None

    def _await_room(self, waits: bool) -> None:
        if waits != self._writing:
            self._writing = waits
            if waits:
                self._loop.add_writer(self.sock, self._go_on)
            else:
                self._loop.remove_writer(self.sock)

    def _leave(self) -> None:
        self._over = True
        self._loop.remove_reader(self.sock)
        self._await_room(False)
