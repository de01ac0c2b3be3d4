"""The head's door for other machines: TLS, on the port it had before, for whoever has the key."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

from pipeline_runner.cluster.certificate import certificate
from pipeline_runner.cluster.keyring import Keyring
from pipeline_runner.cluster.token import Tokens
from pipeline_runner.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from pipeline_runner.cluster.certificate import Certificate
    from pipeline_runner.cluster.identity import Identity
    from pipeline_runner.config.pipeline import Pipeline
    from pipeline_runner.queues.server.server import QueueServer

_PORT = "port"  # in the state folder


class TlsEndpoint:
    """What of a head other machines can reach. ``now`` is the clock that keys and tokens end by.

    ``port`` is 0 until :meth:`open`.
    """

    def __init__(self, pipeline: Pipeline, identity: Identity, now: Callable[[], float]) -> None:
        self.port = 0
        self.certificate: Certificate = certificate(pipeline.state_dir)
        self.keyring = Keyring(identity)
        self.tokens = Tokens(identity)
        self._pipeline = pipeline
        self._now = now
        self._server: QueueServer | None = None

    @property
    def identity(self) -> Identity:
        """The one that counts now."""
        return self.keyring.identity

    def open(self, server: QueueServer) -> int:
        """Listen, and return the port. Raises UsageError if there is none to be had.

        Without a port in the file it is the one that an earlier head had, so that hosts which
        lost that one find this one; then 50000 or the next that is free.
        """
        settings = self._pipeline.server
        keys = _Keys(self.keyring, self.tokens, self._now)
        wanted = settings.port
        if wanted is None:
            with suppress(UsageError):
                before = self._before()
                if before is not None:
                    self.port = server.listen_tls(settings.bind, before, self.certificate, keys)
        if not self.port:
            self.port = server.listen_tls(settings.bind, wanted, self.certificate, keys)
        self._remember()
        self._server = server
        return self.port

    def rotate(self, new: Identity) -> float:
        """Let ``new`` count from now on; return when the former key is over, by our clock."""
        self.tokens.identity = new
        return self.keyring.rotate(new, self._now())

    def turn_out(self) -> None:
        """Hang up on whoever came in by a key that is over: to have been in is no key."""
        if self._server is not None:
            accepted = self.keyring.accepted(self._now())
            self._server.turn_out([identity.door_key for identity in accepted])

    def _before(self) -> int | None:
        try:
            port = int((self._pipeline.state_dir / _PORT).read_text())
        except (OSError, ValueError):
            return None
        return port if 0 < port < 65536 else None

    def _remember(self) -> None:
        path = self._pipeline.state_dir / _PORT
        part = path.with_name(f"{_PORT}.part")
        with suppress(OSError):  # a full disk: the next head takes another port, and is found
            part.write_text(f"{self.port}\n")
            part.replace(path)


class _Keys:
    """The keyring and the tokens of a head, as its queue server wants them."""

    def __init__(self, keyring: Keyring, tokens: Tokens, now: Callable[[], float]) -> None:
        self._keyring = keyring
        self._tokens = tokens
        self._now = now

    def keys(self) -> Sequence[bytes]:
        return [identity.door_key for identity in self._keyring.accepted(self._now())]

    def secret(self, token: bytes) -> bytes | None:
        return self._tokens.secret(token, self._now())

    def redeem(self, token: bytes) -> bytes:
        return self._tokens.redeem(token, self._now())
