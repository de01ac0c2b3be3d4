"""How the two ends of a TCP connection prove that they know a key, before either says more.

The head opens with a nonce, the client answers with its own and a proof, and only then does the
head prove itself. Each proof is an HMAC over who speaks, both nonces, the versions, and the hash of
the certificate that the connection was made with: one that was overheard, sent again or passed on
by somebody in the middle, who has another certificate, proves nothing.

Every message: ``!4sBBH`` = "PRUN", 1, kind, size of what follows. These bytes are frozen for ever,
so that two versions that understand nothing else of each other can say so.
"""

from __future__ import annotations

import hmac
import struct
from dataclasses import dataclass
from enum import IntEnum

from pipeline_runner import __version__
from pipeline_runner.errors import ProtocolError
from pipeline_runner.wire.messages import PROTOCOL

MAGIC = b"PRUN"
NONCE_BYTES = 32
TOKEN_BYTES = 8  # of what names a token; it is no secret
MOST_BYTES = 8 * 1024  # of one message; a key may be long

_EDITION = 1
_HEADER = struct.Struct("!4sBBH")
MAC_BYTES = 32
CLIENT, HEAD = b"pipeline_runner client\0", b"pipeline_runner head\0"


class Kind(IntEnum):
    """What a message is."""

    CHALLENGE = 1
    PROOF = 2
    ACCEPTED = 3
    REFUSED = 4
    GIFT = 5


class Why(IntEnum):
    """What was wrong."""

    KEY = 1
    TOKEN = 2


@dataclass(frozen=True, slots=True)
class Speaks:
    """The protocols that one side speaks, first and last, and its version."""

    lowest: int = PROTOCOL
    highest: int = PROTOCOL
    version: str = __version__

    def understands(self, other: Speaks) -> bool:
        """Whether there is a protocol that both speak."""
        return self.lowest <= other.highest and other.lowest <= self.highest

    def __str__(self) -> str:
        if self.lowest == self.highest:
            return f"{self.version} (protocol {self.highest})"
        return f"{self.version} (protocols {self.lowest}-{self.highest})"

    def pack(self) -> bytes:
        """Return it as bytes, at most 66."""
        return bytes([self.lowest, self.highest]) + self.version.encode()[:64]

    @staticmethod
    def unpack(data: bytes) -> Speaks:
        """Return what bytes say. Raises ProtocolError if they say nothing."""
        if len(data) < 2:
            raise ProtocolError("a proof without a version")
        return Speaks(data[0], data[1], data[2:66].decode("utf-8", "replace"))


def mac_of(key: bytes, *parts: bytes) -> bytes:
    """Return the proof over ``parts``."""
    # Each part but the last is of a fixed length, so no two messages are the same bytes.
    return hmac.digest(key, b"".join(parts), "sha256")


def message(kind: Kind, payload: bytes) -> bytes:
    """Return a message."""
    return _HEADER.pack(MAGIC, _EDITION, kind, len(payload)) + payload


def parse(data: bytes) -> tuple[int, bytes, bytes] | None:
    """Return (kind, payload, what is behind it); None while it is not all there.

    Raises ProtocolError as soon as it cannot be one.
    """
    start = data[: len(MAGIC)]
    if start != MAGIC[: len(start)]:
        raise ProtocolError("it opens with something else than a proof of a key")
    if len(data) < _HEADER.size:
        return None
    _magic, edition, kind, size = _HEADER.unpack_from(data)
    if edition != _EDITION or size > MOST_BYTES:
        raise ProtocolError("it opens with something else than a proof of a key")
    end = _HEADER.size + size
    return None if len(data) < end else (kind, data[_HEADER.size : end], data[end:])


def cut(data: bytes, *sizes: int) -> list[bytes]:
    """Return pieces of ``sizes``, and what is left."""
    parts = []
    for size in sizes:
        parts.append(data[:size])
        data = data[size:]
    return [*parts, data]
