"""Tokens: one line that lets one machine get a pipeline's key, once, and not for long.

A token says where the head is and by which fingerprint it is known, so that the key goes to nobody
else; its secret proves to the head that it gave the token out. Pure: randomness and ``now`` are
arguments.
"""

from __future__ import annotations

import base64
import hashlib
from dataclasses import dataclass, field
from typing import Annotated

import msgspec

from pipeline_runner.cluster.identity import Identity, derive
from pipeline_runner.errors import Refused, UsageError

VALID_S = 600.0  # unless somebody asks for another time
SECRET_SIZE = 16  # bytes
MOST_TOKENS = 1000  # that can be redeemed at one moment

_PREFIX = "runner1-"
_CHECK = 4  # bytes
_LONGEST_TEXT = 4096
_AGAIN = "copy the whole line that `runner token` printed"


class _Content(msgspec.Struct, frozen=True, array_like=True):
    name: str
    addresses: tuple[str, ...]
    port: Annotated[int, msgspec.Meta(ge=1, le=65535)]
    fingerprint: Annotated[bytes, msgspec.Meta(min_length=32, max_length=32)]
    secret: Annotated[bytes, msgspec.Meta(min_length=SECRET_SIZE, max_length=SECRET_SIZE)]
    expires: int


@dataclass(frozen=True, slots=True)
class Token:
    """A token of the pipeline ``name``, whose head is at one of ``addresses``.

    ``fingerprint`` is that of its certificate, in hex. ``expires`` is a Unix time, for people: the
    head decides by a clock of its own.
    """

    name: str
    addresses: tuple[str, ...]
    port: int
    fingerprint: str
    secret: bytes = field(repr=False)
    expires: int

    @property
    def id(self) -> bytes:
        """What the head knows the token by: 8 bytes, no secret."""
        return _id(self.secret)

    def text(self) -> str:
        """Return it as one line, which is a secret."""
        digest = bytes.fromhex(self.fingerprint)
        content = msgspec.msgpack.encode(
            _Content(self.name, self.addresses, self.port, digest, self.secret, self.expires)
        )
        whole = content + hashlib.sha256(content).digest()[:_CHECK]
        return _PREFIX + base64.urlsafe_b64encode(whole).decode().rstrip("=")


def parse(text: str) -> Token:
    """Return the token that ``text`` is, however its lines were broken.

    Raises UsageError, which does not repeat it.
    """
    line = "".join(text[:_LONGEST_TEXT].split())
    if not line:
        raise UsageError("there is no token on the standard input", hint=_AGAIN)
    if not line.startswith(_PREFIX):
        raise UsageError(f"this is no token: one begins with {_PREFIX}", hint=_AGAIN)
    found = _content(line[len(_PREFIX) :])
    if found is None:
        raise UsageError("a part of this token is missing or altered", hint=_AGAIN)
    return Token(
        found.name,
        found.addresses,
        found.port,
        found.fingerprint.hex(),
        found.secret,
        found.expires,
    )


def is_like_one(text: str) -> bool:
    """Return whether somebody may have meant ``text`` to be a token."""
    return text.startswith(_PREFIX)


def _content(text: str) -> _Content | None:
    try:
        whole = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
        content, check = whole[:-_CHECK], whole[-_CHECK:]
        if hashlib.sha256(content).digest()[:_CHECK] != check:
            return None
        return msgspec.msgpack.decode(content, type=_Content)
    except (ValueError, msgspec.MsgspecError):  # what they say of the text is a part of the secret
        return None


class Tokens:
    """What a head gave out and can still be redeemed; ``identity`` is what it gives for it."""

    def __init__(self, identity: Identity) -> None:
        self.identity = identity
        self._issued: dict[bytes, tuple[bytes, float]] = {}

    def issue(self, secret: bytes, now: float, valid_s: float = VALID_S) -> None:
        """Take a ``secret`` of 16 random bytes for one redemption until ``now + valid_s``.

        Raises UsageError when too many are out.
        """
        self._forget(now)
        if len(self._issued) >= MOST_TOKENS:
            raise UsageError(
                f"{MOST_TOKENS} tokens are out already", hint="they expire; wait for the oldest"
            )
        self._issued[_id(secret)] = secret, now + valid_s

    def secret(self, token_id: bytes, now: float) -> bytes | None:
        """Return what a holder of the token proves to know; None unless it can be redeemed."""
        self._forget(now)
        found = self._issued.get(token_id)
        return found[0] if found else None

    def redeem(self, token_id: bytes, now: float) -> bytes:
        """Return the gift for a token, for :func:`open_gift`; it is used up then.

        Raises Refused for one that was used, has expired, or is of another head.
        """
        self._forget(now)
        if self._issued.pop(token_id, None) is None:
            raise Refused(
                "this token was used, has expired, or is of an earlier head",
                hint="`runner token` makes another",
            )
        return msgspec.msgpack.encode((self.identity.name, self.identity.key))

    def _forget(self, now: float) -> None:
        for token_id in [each for each, (_s, until) in self._issued.items() if until <= now]:
            del self._issued[token_id]


def open_gift(gift: bytes) -> Identity:
    """Return the identity that a token was redeemed for. Raises Refused if it is none."""
    try:
        name, key = msgspec.msgpack.decode(gift, type=tuple[str, bytes])
    except msgspec.MsgspecError:
        raise Refused(
            "what the head gave for the token is no key", hint="its version may be another"
        ) from None
    return Identity(name, key)


def _id(secret: bytes) -> bytes:
    return derive(secret, b"token", 8)
