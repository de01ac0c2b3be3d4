"""What a person does with the keys of a running head: give out a token, change the key."""

from __future__ import annotations

import secrets
import socket
import time
from typing import TYPE_CHECKING, Any

from pipeline_runner.cluster import identity as identities
from pipeline_runner.cluster.interfaces import scan
from pipeline_runner.cluster.keyring import FORMER_S
from pipeline_runner.cluster.token import SECRET_SIZE, VALID_S, Token

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable

    from pipeline_runner.cluster.beacon import Beacon
    from pipeline_runner.cluster.identity import Identity
    from pipeline_runner.head.network.tls_endpoint import TlsEndpoint

_ELSEWHERE = "198.51.100.1"  # nobody's: whoever has a default route would go by it
_EVERYWHERE = ("", "0.0.0.0", "::")  # noqa: S104  (compared with)


class Keys:
    """Changes what ``door`` and ``beacon`` take for the key of this head.

    ``bind`` is the address that the door is open at. ``tell`` sends a new identity to every joined
    host, and returns how many those are.
    """

    def __init__(
        self,
        door: TlsEndpoint,
        bind: str,
        beacon: Beacon,
        loop: asyncio.AbstractEventLoop,
        tell: Callable[[Identity], int],
    ) -> None:
        self._door = door
        self._bind = bind
        self._beacon = beacon
        self._loop = loop
        self._tell = tell

    def token(self, valid_s: float = VALID_S) -> dict[str, Any]:
        """Return the text of a new token and when it expires, for `runner token`.

        Raises UsageError when too many are out.
        """
        door = self._door
        secret = secrets.token_bytes(SECRET_SIZE)
        door.tokens.issue(secret, self._loop.time(), valid_s)
        token = Token(
            name=door.identity.name,
            addresses=_addresses(self._bind),
            port=door.port,
            fingerprint=door.certificate.fingerprint,
            secret=secret,
            expires=int(time.time() + valid_s),
        )
        return {"name": token.name, "token": token.text(), "expires": token.expires}

    def rotate(self) -> dict[str, Any]:
        """Change the key, here and on every joined host, for `runner key rotate`.

        Raises UsageError where it cannot be changed.
        """
        new = identities.renew(self._door.identity.name)
        until = self._door.rotate(new)
        self._beacon_uses()
        self._loop.call_at(until, self._former_is_over)
        return {"name": new.name, "hosts": self._tell(new), "former_s": FORMER_S}

    @property
    def news(self) -> Identity | None:
        """What a host that comes in now may not know yet: it may have used the former key."""
        accepted = self._door.keyring.accepted(self._loop.time())
        return accepted[0] if len(accepted) > 1 else None

    def _former_is_over(self) -> None:
        self._beacon_uses()
        self._door.turn_out()

    def _beacon_uses(self) -> None:
        self._beacon.use(*self._door.keyring.accepted(self._loop.time()))


def _addresses(bind: str) -> tuple[str, ...]:
    """Return where other machines may reach what listens at ``bind``, the likeliest first."""
    if bind not in _EVERYWHERE:
        return (bind,)
    usable = scan().usable
    beyond = [each.address for each in usable if not each.is_loopback]
    outwards = _towards(_ELSEWHERE)
    beyond.sort(key=lambda address: address != outwards)  # others keep their order
    return tuple(beyond) or tuple(each.address for each in usable)


def _towards(address: str) -> str:
    """Return our address on the way to another; nothing is sent. Empty where there is no way."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        try:
            sock.connect((address, 9))
        except OSError:
            return ""
        return str(sock.getsockname()[0])
