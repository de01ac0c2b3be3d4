"""The handshake of ``multiprocessing.connection``: each side proves that it knows the key.

Python 3.11 and older answer with a bare HMAC-MD5; 3.12 and newer name their digest. Both take the
same challenge from us, and we answer theirs in their own way.
"""

from __future__ import annotations

import hmac
from typing import Literal

from pipeline_runner.errors import Refused

CHALLENGE = b"#CHALLENGE#"
WELCOME = b"#WELCOME#"
FAILURE = b"#FAILURE#"
RANDOM_BYTES = 40
MOST_FRAME = 256  # bytes; no side sends more before both are sure

_DIGESTS = (b"md5", b"sha256", b"sha384", b"sha3_256", b"sha3_384")
_BARE_MAC = 16  # HMAC-MD5, without the digest's name
_BARE_CHALLENGE = 20

_Awaits = Literal["response", "challenge", "welcome", "nothing"]


class Handshake:
    """The listening side. ``random`` are 40 fresh random bytes."""

    def __init__(self, key: bytes, random: bytes) -> None:
        self._key = key
        self._message = b"{sha256}" + random
        self._awaits: _Awaits = "response"

    @property
    def done(self) -> bool:
        """Whether both sides have proved themselves."""
        return self._awaits == "nothing"

    def first(self) -> bytes:
        """Return the frame that opens it."""
        return CHALLENGE + self._message

    def receive(self, frame: bytes) -> bytes | None:
        """Take the peer's next frame and return ours, if it is our turn.

        Raises Refused when the peer does not know the key; it should be sent ``FAILURE``.
        """
        match self._awaits:
            case "response":
                if not _proves(self._key, self._message, frame):
                    raise Refused("the key is not this server's")
                self._awaits = "challenge"
                return WELCOME
            case "challenge":
                # Only to a peer that has proved itself: else we would sign for strangers.
                self._awaits = "welcome"
                return _answer(self._key, frame)
            case "welcome" if frame == WELCOME:
                self._awaits = "nothing"
                return None
        raise Refused("the peer did not welcome us")


def _proves(key: bytes, message: bytes, response: bytes) -> bool:
    named = _named_digest(response)
    digest, mac = named or (b"md5", response)
    if named is None and len(response) != _BARE_MAC:
        return False
    # The MAC covers our "{sha256}" too, so nobody in between can talk a peer down from it.
    return hmac.compare_digest(hmac.new(key, message, digest.decode()).digest(), mac)


def _answer(key: bytes, frame: bytes) -> bytes:
    if not frame.startswith(CHALLENGE):
        raise Refused("the peer sent no challenge")
    message = frame[len(CHALLENGE) :]
    if len(message) == _BARE_CHALLENGE:
        return hmac.new(key, message, "md5").digest()
    named = _named_digest(message)
    if named is None:
        raise Refused("the peer's challenge names no digest that we have")
    digest, _random = named
    return b"{%s}%s" % (digest, hmac.new(key, message, digest.decode()).digest())


def _named_digest(frame: bytes) -> tuple[bytes, bytes] | None:
    """Return the digest's name and what follows it, or None where no digest is named."""
    for digest in _DIGESTS:
        prefix = b"{%s}" % digest
        if frame.startswith(prefix) and len(frame) > _BARE_CHALLENGE:
            return digest, frame[len(prefix) :]
    return None
