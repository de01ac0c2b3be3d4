"""The head's end of an opening: who may come in, and with which key."""

from __future__ import annotations

import hmac
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

from pipeline_runner.errors import ProtocolError
from pipeline_runner.wire.proof import (
    CLIENT,
    HEAD,
    MAC_BYTES,
    NONCE_BYTES,
    TOKEN_BYTES,
    Kind,
    Speaks,
    Why,
    cut,
    mac_of,
    message,
    parse,
)

if TYPE_CHECKING:
    from collections.abc import Sequence


class Keyring(Protocol):
    """The keys that a head takes for its own."""

    def keys(self) -> Sequence[bytes]:
        """Return the door keys that count now, the one it proves itself with first."""

    def secret(self, token: bytes) -> bytes | None:
        """Return the secret of a token that can be redeemed now."""

    def redeem(self, token: bytes) -> bytes:
        """Return what the token is good for, and take no other redemption of it."""


@dataclass(frozen=True, slots=True)
class OneKey:
    """A keyring of one door key, and no tokens."""

    key: bytes

    def __repr__(self) -> str:
        return "OneKey(...)"

    def keys(self) -> Sequence[bytes]:
        """Return the one key."""
        return (self.key,)

    def secret(self, _token: bytes) -> bytes | None:
        """Return None: there are no tokens."""
        return None

    def redeem(self, _token: bytes) -> bytes:
        """Raise ProtocolError: there are no tokens."""
        raise ProtocolError("there are no tokens")


@dataclass(frozen=True, slots=True)
class Accepted:
    """The client knows ``key``; ``reply`` is for it. ``gift`` says that it redeemed a token."""

    reply: bytes
    speaks: Speaks
    key: bytes = field(repr=False)
    gift: bool = False


@dataclass(frozen=True, slots=True)
class Denied:
    """The client knows no key of ours: ``reply`` is for it, ``why`` for people."""

    reply: bytes
    why: str


class Verifier:
    """The head's end of one opening. ``certificate`` is the SHA-256 of its own, 32 bytes."""

    def __init__(
        self, keyring: Keyring, certificate: bytes, nonce: bytes, speaks: Speaks | None = None
    ) -> None:
        self._keyring = keyring
        self._certificate = certificate
        self._nonce = nonce
        self._speaks = speaks or Speaks()
        self._received = b""

    def challenge(self) -> bytes:
        """Return what the head says first: a nonce, which tells nothing of it."""
        return message(Kind.CHALLENGE, self._nonce)

    def receive(self, data: bytes | memoryview) -> Accepted | Denied | None:
        """Take in what the client sent; None while it is not all. Raises ProtocolError."""
        self._received += data
        found = parse(self._received)
        if found is None:
            return None
        kind, payload, rest = found
        fixed = TOKEN_BYTES + NONCE_BYTES + MAC_BYTES
        if kind != Kind.PROOF or rest or len(payload) < fixed:
            raise ProtocolError("no proof of a key, but something else")
        token, nonce, mac, more = cut(payload, TOKEN_BYTES, NONCE_BYTES, MAC_BYTES)
        redeems = any(token)
        bound = (self._nonce, nonce, self._certificate)
        for key in self._candidates(token):
            if hmac.compare_digest(mac, mac_of(key, CLIENT, token, *bound, more)):
                client = Speaks.unpack(more)
                mine = self._speaks.pack()
                reply = message(Kind.ACCEPTED, mac_of(key, HEAD, token, *bound, mine) + mine)
                if redeems and self._speaks.understands(client):
                    reply += message(Kind.GIFT, self._keyring.redeem(token))
                return Accepted(reply, client, key, redeems)
        why = Why.TOKEN if redeems else Why.KEY
        return Denied(message(Kind.REFUSED, bytes([why])), _DENIED[why])

    def _candidates(self, token: bytes) -> Sequence[bytes]:
        if not any(token):
            return self._keyring.keys()
        secret = self._keyring.secret(token)
        return () if secret is None else (secret,)


_DENIED = {
    Why.KEY: "a wrong key",
    Why.TOKEN: "a token that was used, has expired, or is not of this head",
}
