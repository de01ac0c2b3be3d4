"""The keys of a head while it runs: who may come in, tokens for more, a change of the key."""

from __future__ import annotations

import secrets
import time
from typing import TYPE_CHECKING, Any

from pipeline_runner.cluster import identity as identities
from pipeline_runner.cluster.interfaces import scan
from pipeline_runner.cluster.keyring import Keyring
from pipeline_runner.cluster.token import SECRET_SIZE, VALID_S, Token, Tokens
from pipeline_runner.errors import UsageError

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable, Sequence

    from pipeline_runner.cluster.beacon import Beacon
    from pipeline_runner.cluster.identity import Identity

_EVERYWHERE = ("", "0.0.0.0", "::")  # noqa: S104  (compared with)


class Keys:
    """The keyring that the TCP door asks (``queues.verifier.Keyring``).

    ``tell`` sends a new identity to every joined host and returns how many those are.
    """

    def __init__(
        self, identity: Identity, loop: asyncio.AbstractEventLoop, tell: Callable[[Identity], int]
    ) -> None:
        self._loop = loop
        self._tell = tell
        self._ring = Keyring(identity)
        self._tokens = Tokens(identity)
        self._place: tuple[str, int, str] | None = None
        self.beacon: Beacon | None = None

    def opened(self, bind: str, port: int, fingerprint: str) -> None:
        """The TCP door is open: tokens lead there."""
        self._place = bind, port, fingerprint

    # What the door asks.

    def keys(self) -> Sequence[bytes]:
        """Return the door keys that count now, ours first."""
        return [each.door_key for each in self._ring.accepted(self._loop.time())]

    def secret(self, token: bytes) -> bytes | None:
        """Return the secret of a token that can be redeemed now."""
        return self._tokens.secret(token, self._loop.time())

    def redeem(self, token: bytes) -> bytes:
        """Return what the token is good for; it is used up then. Raises Refused."""
        return self._tokens.redeem(token, self._loop.time())

    # What a person asks.

    def token(self, valid_s: float = VALID_S) -> dict[str, Any]:
        """Return a new token, its text and when it expires, for `runner token`.

        Raises UsageError when no other machine can reach this head.
        """
        if self._place is None:
            raise UsageError(
                "no other machine can reach this head: it runs without a network",
                hint="start it without --local (and without RUNNER_LOCAL)",
            )
        bind, port, fingerprint = self._place
        secret = secrets.token_bytes(SECRET_SIZE)
        self._tokens.issue(secret, self._loop.time(), valid_s)
        name, expires = self._ring.identity.name, int(time.time() + valid_s)
        token = Token(name, _addresses(bind), port, fingerprint, secret, expires)
        return {"name": name, "token": token.text(), "expires": expires}

    def rotate(self) -> dict[str, Any]:
        """Change the key, here and on every joined host, for `runner key rotate`.

        Raises UsageError where it cannot be changed.
        """
        new = identities.renew(self._ring.identity.name)
        now = self._loop.time()
        until = self._ring.rotate(new, now)
        self._tokens.identity = new
        self._beacon_uses()
        self._loop.call_at(until, self._beacon_uses)
        return {"name": new.name, "hosts": self._tell(new), "former_s": until - now}

    @property
    def news(self) -> Identity | None:
        """What a host that comes in now may not know yet: it may have used the former key."""
        accepted = self._ring.accepted(self._loop.time())
        return accepted[0] if len(accepted) > 1 else None

    def _beacon_uses(self) -> None:
        if self.beacon is not None:
            self.beacon.use(*self._ring.accepted(self._loop.time()))


def _addresses(bind: str) -> tuple[str, ...]:
    """Return where other machines may reach what listens at ``bind``, the likeliest first."""
    if bind not in _EVERYWHERE:
        return (bind,)
    return tuple(each.address for each in scan().usable)
